"""Layer normalisation (Ba, Kiros, Hinton, 2016)."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class LayerNorm(nn.Module):
    """Normalises over the first axis, each place of each example by itself: [C, ..., B] to the same shape.

    Of sequences [D, T, B] as PyTorch's LayerNorm(D) does of [B, T, D]; of maps [C, *S, B] over the channels.
    """

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        beside = (-1, *[1] * (x.ndim - 1))
        scale = self.param('scale', nn.initializers.ones, (x.shape[0],)).reshape(beside)
        bias = self.param('bias', nn.initializers.zeros, (x.shape[0],)).reshape(beside)
        difference = x.astype(jnp.float32) - x.astype(jnp.float32).mean(0)
        var = jnp.square(difference).mean(0)
        return (difference * jax.lax.rsqrt(var + self.epsilon) * scale + bias).astype(x.dtype)
