"""Layers that several systems share.

Inside a network examples are the last axis: maps are [C, H, W, B], features [D, B]. Channels are few (3 to
48, but for ResNet-18's) and examples many, so that every pooling, normalisation and copy runs along whole
vectors.
"""
