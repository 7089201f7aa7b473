"""Convolution and dense layers, and how a convolution is computed.

`vmap` over trials turns a convolution with per-trial kernels into a grouped one, which XLA runs slowly on
CPUs (24 times slower than one trial after another) and GPUs. So no convolution primitive appears here: a
convolution is written as one matrix product a row of the image, which `vmap` turns into a batched matrix
product, forward and backward. Models call `Conv` and do not know.

Axes: B examples, H rows, W columns, C channels in, O channels out, K kernel size.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dualatme_jax.models.layers import initializers

# Channels from which a 1x1 convolution runs better as x @ kernel than spread along the row. On 2 CPU cores,
# forward and backward: 3 channels 3.6 against 1.8 ms, 24 channels 0.9 against 3.0 ms.
WIDE = 8


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Cross-correlation with stride 1 and zero ('same') padding, as `lax.conv_general_dilated` has it.

    The kernel is spread along the row into a banded (Toeplitz) matrix [K * W * C, W * O]. It then meets, for
    every output row, the K input rows under it. That is W/K times the arithmetic of the convolution, in one
    product that keeps matrix units busy in spite of few channels. A 1x1 kernel of many channels is a matrix
    product as it stands; of few, a product with so short a side is slower than the spread one.

    Args:
      x: [B, H, W, C].
      kernel: [K, K, C, O] with odd K.

    Returns:
      [B, H, W, O].
    """
    size, _, channels, features = kernel.shape
    if size == 1 and channels >= WIDE:
        return x @ kernel[0, 0]
    batch, height, width, _ = x.shape
    band = jnp.asarray(_band(size, width), kernel.dtype)
    matrix = jnp.einsum('hkco,kvw->hvcwo', kernel, band).reshape(size * width * channels, width * features)
    reach = size // 2
    rows = jnp.pad(x.reshape(batch, height, width * channels), ((0, 0), (reach, reach), (0, 0)))
    under = jnp.concatenate([rows[:, k : k + height] for k in range(size)], axis=-1)
    return (under @ matrix).reshape(batch, height, width, features)


def _band(size: int, width: int) -> np.ndarray:
    """[K, W, W]: 1 where tap k of an output column w reads input column v = w + k - K//2."""
    return np.stack([np.eye(width, k=size // 2 - k) for k in range(size)])


class Conv(nn.Module):
    """Square convolution, stride 1, 'same' padding, with bias: [B, H, W, C] to [B, H, W, features]."""

    features: int
    size: int
    scheme: str

    @nn.compact
    def __call__(self, x):
        channels = x.shape[-1]
        fan_in = self.size**2 * channels
        shape = (self.size, self.size, channels, self.features)
        kernel = self.param('kernel', initializers.kernel(self.scheme, fan_in), shape)
        bias = self.param('bias', initializers.bias(self.scheme, fan_in), (self.features,))
        return convolve(x, kernel) + bias


class Dense(nn.Module):
    """Fully connected layer with bias: [..., D] to [..., features]."""

    features: int
    scheme: str

    @nn.compact
    def __call__(self, x):
        fan_in = x.shape[-1]
        kernel = self.param('kernel', initializers.kernel(self.scheme, fan_in), (fan_in, self.features))
        bias = self.param('bias', initializers.bias(self.scheme, fan_in), (self.features,))
        return x @ kernel + bias
