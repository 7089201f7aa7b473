"""Dropout whose rate may differ from trial to trial of one compiled program."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class Dropout(nn.Module):
    """Sets values to zero with probability `rate`, and scales the others to the same mean.

    `rate`, in [0, 1), may be traced, which `flax.linen.Dropout` does not allow; from one rng `dropout` both
    drop the same values of the transposed input. The last axis is that of the examples: what one of them
    drops does not depend on how many stand behind it, such as padding.
    """

    rate: float | jax.Array

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Drops if `train`; x [..., B]."""
        if not train:
            return x
        keep = 1 - self.rate
        kept = jax.random.bernoulli(self.make_rng('dropout'), keep, x.T.shape).T
        return jnp.where(kept, x / keep, 0).astype(x.dtype)
