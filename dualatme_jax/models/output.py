"""What every network returns."""

from collections.abc import Mapping

import jax
from flax import struct


@struct.dataclass
class Output:
    """One batch through a network: B examples, K classes, D features.

    Attributes:
      logits: [B, K].
      features: name -> [B, D]; a loss may compare two of them.
      step_logits: [B, steps, K] of a network that predicts at each step of time, which is trained at all of
        them; else None.
      losses: name -> [B], what the network adds to the loss of each example, weighted as it wants.
    """

    logits: jax.Array
    features: Mapping[str, jax.Array] = struct.field(default_factory=dict)
    step_logits: jax.Array | None = None
    losses: Mapping[str, jax.Array] = struct.field(default_factory=dict)
