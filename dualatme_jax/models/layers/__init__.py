"""Layers that several systems share.

Inside a network examples are the last axis: maps are [C, *S, B] with one to three spatial axes ([C, H, W, B],
or [C, T, H, W, B] of clips), sequences [D, T, B], features [D, B]. Channels are few (3 to 48 in most systems)
and examples many, so that every pooling, normalisation and copy runs along whole vectors.
"""
