"""Convolution and dense layers. Examples are the last axis: see `dualatme_jax.models.layers`."""

import jax
from flax import linen as nn

from dualatme_jax.models.layers import initializers, lowering
from dualatme_jax.models.layers.product import as_kept, product


class Conv(nn.Module):
    """Square convolution: [C, H, W, B] to [features, H', W', B], of the type in which maps are kept.

    Attributes:
      features: channels out.
      size: of the kernel.
      initializer: how it starts, see `initializers`.
      stride: from output to output.
      padding: zeros on each side; 'same': as many as keep H and W at stride 1.
      dilation: from tap to tap.
      use_bias: whether it adds one.
      constant_bias: whether that has no gradient.
    """

    features: int
    size: int
    initializer: str
    stride: int = 1
    padding: int | str = 'same'
    dilation: int = 1
    use_bias: bool = True
    constant_bias: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels, places = x.shape[0], self.size**2
        of_kernel, of_bias = initializers.conv(
            self.initializer, fan_in=places * channels, fan_out=places * self.features
        )
        kernel = self.param('kernel', of_kernel, (self.size, self.size, channels, self.features))
        x = lowering.convolve(
            as_kept(x),
            kernel,
            strides=(self.stride,) * 2,
            padding=() if self.padding == 'same' else ((self.padding,) * 2,) * 2,
            dilation=(self.dilation,) * 2,
        )
        if not self.use_bias:
            return x
        bias = self.param('bias', of_bias, (self.features,))
        bias = jax.lax.stop_gradient(bias) if self.constant_bias else bias
        # Added in float32, so that its gradient is summed so.
        return (x + bias[:, None, None, None]).astype(x.dtype)


class Dense(nn.Module):
    """Fully connected layer with bias: [D, B] to [features, B]."""

    features: int
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        fan_in = x.shape[0]
        of_kernel, of_bias = initializers.dense(self.initializer, fan_in=fan_in)
        kernel = self.param('kernel', of_kernel, (fan_in, self.features))
        bias = self.param('bias', of_bias, (self.features,))
        # Of the two factors to transpose, the examples are by far the smaller one.
        return product(x.T, kernel).T + bias[:, None]
