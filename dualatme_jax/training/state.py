"""What one trial carries from step to step."""

from typing import Any

import jax
from flax import struct


@struct.dataclass
class State:
    """One network in training.

    Attributes:
      params: trainable parameters.
      batch_stats: running statistics of the normalisation layers.
      moments: the optimizer's state.
    """

    params: Any
    batch_stats: Any
    moments: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What the network is applied with."""
        return {'params': self.params, 'batch_stats': self.batch_stats}


@struct.dataclass
class Clips:
    """The whole dataset on the device; every trial reads it, none copies it. N clips.

    Attributes:
      flow, flow_puzzled: [N, H, W, 3] float32, as the network reads them, see `encoding`.
      label: [N] int32.
    """

    flow: jax.Array
    flow_puzzled: jax.Array
    label: jax.Array
