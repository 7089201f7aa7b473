"""Spotting: predicted intervals held against true ones, and what was said of those that were found."""
