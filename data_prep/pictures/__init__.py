"""Releases that are pictures already: flow images, or faces at onset and apex."""
