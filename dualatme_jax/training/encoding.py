"""How a network reads flows, which lie in the dataset as bytes with channels u, v, strain."""

from collections.abc import Callable, Sequence

import numpy as np

from dualatme_jax import schema
from dualatme_jax.errors import InputError

# From flows [N, H, W, 3] in bytes to what a network reads, float32 of the same shape.
Encoder = Callable[[np.ndarray], np.ndarray]

# `signed`: -1..1, as Dual-ATME's paper has it. `unit`: 0..1, PyTorch's ToTensor. `byte`: 0..255.
SCALES: dict[str, Encoder] = {
    'signed': lambda flow: (flow / 255 - 0.5) / 0.5,
    'unit': lambda flow: flow / 255,
    'byte': lambda flow: flow,
}


def encoder(*, scale: str = 'signed', channels: Sequence[str] = schema.FLOW_CHANNELS) -> Encoder:
    """What scales flows and orders their channels.

    Args:
      scale: a key of `SCALES`.
      channels: those of a flow, all of them, in the order in which the network reads them.

    Raises:
      InputError: there is no such scale, or the channels are others.
    """
    if scale not in SCALES:
        raise InputError(f'unknown scale {scale!r}: config.input.scale takes {", ".join(map(repr, SCALES))}')
    if len(channels) != len(schema.FLOW_CHANNELS) or set(channels) != set(schema.FLOW_CHANNELS):
        raise InputError(
            f'config.input.channels is {tuple(channels)}; '
            f'expected {", ".join(map(repr, schema.FLOW_CHANNELS))}, in any order'
        )
    order = [schema.FLOW_CHANNELS.index(channel) for channel in channels]
    return lambda flow: SCALES[scale](flow[..., order]).astype(np.float32)


# Dual-ATME's.
PAPER = encoder()
