"""What every network returns."""

import jax
from flax import struct


@struct.dataclass
class Output:
    """One batch through a network.

    Attributes:
      logits: [B, classes].
      entire: [B, D], the entire face's features as they enter the fusion, or None without that branch.
      puzzled: [B, D], the same of the puzzled face, or None.
    """

    logits: jax.Array
    entire: jax.Array | None = None
    puzzled: jax.Array | None = None
