"""Dropout whose rate may differ from trial to trial of one compiled program."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class Dropout(nn.Module):
    """Sets values to zero with probability `rate`, and scales the others to the same mean.

    `rate`, in [0, 1), may be traced, which `flax.linen.Dropout` does not allow; from one rng `dropout` both
    drop the same values of the transposed input. The last axis is that of the examples: what one of them
    drops does not depend on how many stand behind it, such as padding.

    Attributes:
      rate: the probability.
      shared: axes along which all values fall together: (1,) of [D, T, B]: the same ones at every step, as
        Keras's SpatialDropout1D and PyTorch's Dropout1d; all but the first and the last of maps: whole
        channels (PyTorch's Dropout2d and 3d); all but the last: whole examples (stochastic depth).
    """

    rate: float | jax.Array
    shared: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Drops if `train`; x [..., B]."""
        if not train:
            return x
        keep = 1 - self.rate
        shape = [1 if axis in self.shared else size for axis, size in enumerate(x.shape)]
        kept = jax.random.bernoulli(self.make_rng('dropout'), keep, shape[::-1]).T
        return jnp.where(kept, x / keep, 0).astype(x.dtype)
