"""Dropout whose rate may differ from trial to trial of one compiled program."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class Dropout(nn.Module):
    """Sets values to zero with probability `rate`, and scales the others to the same mean.

    `rate`, in [0, 1), may be traced, which `flax.linen.Dropout` does not allow; from one rng `dropout` both
    drop the same values.
    """

    rate: float | jax.Array

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Drops if `train`; x of any shape."""
        if not train:
            return x
        keep = 1 - self.rate
        return jnp.where(jax.random.bernoulli(self.make_rng('dropout'), keep, x.shape), x / keep, 0)
