"""Measurements, one command each; README.md holds the results. They are not tests."""
