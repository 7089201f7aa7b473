"""Figures of a run: each is a function from tables or arrays to a Matplotlib figure; `drawn` saves them."""
