"""What one trial carries from step to step, and the clips that all of them read."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import struct

from dualatme_jax.data.dataset import Dataset

_LINE = 64  # bytes


@struct.dataclass
class State:
    """One network in training.

    Attributes:
      params: trainable parameters.
      batch_stats: running statistics of the normalisation layers.
      opt_state: the optimizer's state.
    """

    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What the network is applied with."""
        return {'params': self.params, 'batch_stats': self.batch_stats}


@struct.dataclass
class Clips:
    """The whole dataset on the device, and what else every trial reads and none copies. N clips.

    Clips are the last axis, as examples are of the networks' maps: a batch is picked within short rows, and
    not put together from afar. Bytes stay bytes: a step makes floats of its own batch, see `prepare`.

    Attributes:
      inputs: key -> [C, *S, N], of the type in which it is stored.
      label: [N] int32.
      weights: variables that are the same in all trials as long as they are trained, see `freeze.fixed`.
    """

    inputs: Mapping[str, jax.Array]
    label: jax.Array
    weights: Mapping[str, Any] = struct.field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset, weights: Mapping[str, Any] | None = None) -> 'Clips':
        """Those of a dataset, on the host."""
        inputs = {key: examples_last(array) for key, array in dataset.inputs.items()}
        return cls(inputs, dataset.label, weights or {})

    @classmethod
    def shapes(cls, dataset: Dataset, clips: int) -> 'Clips':
        """Shapes and types of so many clips of a dataset."""
        inputs = {
            key: jax.ShapeDtypeStruct((*examples_last(array[:1]).shape[:-1], clips), array.dtype)
            for key, array in dataset.inputs.items()
        }
        return cls(inputs, jax.ShapeDtypeStruct((clips,), dataset.label.dtype))

    def batch(self, index: jax.Array | slice) -> tuple[dict[str, jax.Array], jax.Array]:
        """Inputs, each [C, *S, B], and labels [B] of some clips."""
        return {key: array[..., index] for key, array in self.inputs.items()}, self.label[index]


def examples_last(stored: np.ndarray) -> np.ndarray:
    """Clips [N, *S, C] as networks read them, [C, *S, N]; of one axis more alone, [N, D], as [D, N].

    The result begins at a whole line of the cache: all devices of a CPU read such an array where it lies, and
    of any other each has a copy.
    """
    turned = np.moveaxis(stored, (-1, 0), (0, -1))
    room = np.empty(turned.nbytes + _LINE, np.uint8)
    start = -room.ctypes.data % _LINE
    found = room[start : start + turned.nbytes].view(turned.dtype).reshape(turned.shape)
    found[...] = turned
    return found
