"""Convolution and dense layers. Examples are the last axis: see `dualatme_jax.models.layers`."""

import jax
from flax import linen as nn

from dualatme_jax.models.layers import initializers, lowering
from dualatme_jax.models.layers.product import product


class Conv(nn.Module):
    """Square convolution, stride 1, 'same' padding, with bias: [C, H, W, B] to [features, H, W, B]."""

    features: int
    size: int
    scheme: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[0]
        fan_in = self.size**2 * channels
        shape = (self.size, self.size, channels, self.features)
        kernel = self.param('kernel', initializers.kernel(self.scheme, fan_in), shape)
        bias = self.param('bias', initializers.bias(self.scheme, fan_in), (self.features,))
        return lowering.convolve(x, kernel) + bias[:, None, None, None]


class Dense(nn.Module):
    """Fully connected layer with bias: [D, B] to [features, B]."""

    features: int
    scheme: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        fan_in = x.shape[0]
        kernel = self.param('kernel', initializers.kernel(self.scheme, fan_in), (fan_in, self.features))
        bias = self.param('bias', initializers.bias(self.scheme, fan_in), (self.features,))
        # Of the two factors to transpose, the examples are by far the smaller one.
        return product(x.T, kernel).T + bias[:, None]
