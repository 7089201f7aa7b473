"""Convolution and dense layers. Examples are the last axis: see `dualatme_jax.models.layers`."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.layers import initializers, lowering
from dualatme_jax.models.layers.product import as_kept, product
from dualatme_jax.models.layers.spatial import Padding, PerAxis, ends, per_axis


class Conv(nn.Module):
    """Convolution over one to three spatial axes: [C, *S, B] to [features, *S', B].

    The output is of the type in which maps are kept. With one number for all axes the kernel is a square, or
    a cube.

    Attributes:
      features: channels out.
      size: of the kernel.
      initializer: how it starts, see `initializers`.
      stride: from output to output.
      padding: zeros around the input, see `spatial.ends`.
      dilation: from tap to tap.
      use_bias: whether it adds one.
      constant_bias: whether that has no gradient.
      groups: into which channels and features are cut, in their order, as PyTorch does; as many as channels:
        a depthwise convolution.
      reflect: whether padding is the input mirrored at its first and last place, instead of zeros.
      initial_bias: where each bias starts, or None: where `initializer` has it.
    """

    features: int
    size: PerAxis
    initializer: str
    stride: PerAxis = 1
    padding: Padding = 'same'
    dilation: PerAxis = 1
    use_bias: bool = True
    constant_bias: bool = False
    groups: int = 1
    reflect: bool = False
    initial_bias: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels, *sizes, _ = x.shape
        if channels % self.groups or self.features % self.groups:
            raise ValueError(
                f'{self.groups} groups do not divide {channels} channels and {self.features} features'
            )
        taps, strides, dilation = (
            per_axis(value, len(sizes)) for value in (self.size, self.stride, self.dilation)
        )
        fan_in = math.prod(taps) * channels // self.groups
        of_kernel, of_bias = initializers.conv(self.initializer, fan_in=fan_in, bias=self.initial_bias)
        kernel = self.param('kernel', of_kernel, (*taps, channels // self.groups, self.features))

        reaches = [(k - 1) * d + 1 for k, d in zip(taps, dilation, strict=True)]
        padding = ends(self.padding, sizes, reaches, strides)
        x = as_kept(x)
        if self.reflect:
            x = jnp.pad(x, [(0, 0), *padding, (0, 0)], mode='reflect')
            padding = ((0, 0),) * len(sizes)
        x = lowering.convolve(
            x, kernel, strides=strides, padding=padding, dilation=dilation, groups=self.groups
        )
        if not self.use_bias:
            return x
        bias = self.param('bias', of_bias, (self.features,))
        bias = jax.lax.stop_gradient(bias) if self.constant_bias else bias
        # Added in float32, so that its gradient is summed so.
        return (x + bias[:, *[None] * (x.ndim - 1)]).astype(x.dtype)


class Dense(nn.Module):
    """Fully connected layer: [D, B] to [features, B]; of sequences [D, T, B] each step alike.

    Attributes:
      features: numbers out.
      initializer: how it starts, see `initializers`.
      use_bias: whether it adds one.
      initial_bias: where each bias starts, or None: where `initializer` has it.
    """

    features: int
    initializer: str
    use_bias: bool = True
    initial_bias: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        fan_in, *others = x.shape
        of_kernel, of_bias = initializers.dense(self.initializer, fan_in=fan_in, bias=self.initial_bias)
        kernel = self.param('kernel', of_kernel, (fan_in, self.features))
        # Of the two factors to transpose, the examples are by far the smaller one.
        x = product(x.reshape(fan_in, -1).T, kernel).T
        if self.use_bias:
            x = x + self.param('bias', of_bias, (self.features,))[:, None]
        return x.reshape(self.features, *others)


def squares(layer: nn.Module) -> jax.Array:
    """The sum of the squares of a layer's kernel, once the layer was called."""
    return jnp.square(layer.variables['params']['kernel']).sum()
