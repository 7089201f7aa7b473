"""Pictures as networks take them."""

import numpy as np

from dualatme_jax import schema


def of_network(*flows):
    """Flows [B, H, W, C], of the entire face and of the puzzled one, by key and each [C, H, W, B]."""
    keys = (schema.FLOW, schema.FLOW_PUZZLED)[: len(flows)]
    return {key: np.moveaxis(flow, (3, 0), (0, 3)) for key, flow in zip(keys, flows, strict=True)}
