"""What one trial carries from step to step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dualatme_jax.data.dataset import Dataset
from dualatme_jax.training.encoding import Encoder


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

    They are the last axis, as examples are of the networks' maps: a batch is picked within short rows, and
    not put together from afar.

    Attributes:
      flow, flow_puzzled: [H, W, 3, N] float32, as the network reads them, see `encoding`.
      label: [N] int32.
    """

    flow: jax.Array
    flow_puzzled: jax.Array
    label: jax.Array

    @classmethod
    def of(cls, dataset: Dataset, encode: Encoder) -> 'Clips':
        """Those of a dataset, on the host."""
        flows = (np.moveaxis(encode(flow), 0, -1) for flow in (dataset.flow, dataset.flow_puzzled))
        return cls(*flows, dataset.label)

    def batch(self, index: jax.Array | slice) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Flows and puzzled flows [B, H, W, 3], and labels [B], of some clips."""
        flows = (jnp.moveaxis(flow[..., index], -1, 0) for flow in (self.flow, self.flow_puzzled))
        return *flows, self.label[index]
