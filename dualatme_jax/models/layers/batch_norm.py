"""Batch normalisation that does not see padded examples."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class BatchNorm(nn.Module):
    """Normalises over all axes but the first, as PyTorch's BatchNorm1d, 2d and 3d do.

    The batch is normalised with its biased variance and the running variance takes the unbiased one,
    which Flax's own layer does not do. Running values start at 0 and 1.

    Attributes:
      momentum: weight of the new value, PyTorch's meaning: 1 minus Keras's, or Caffe's moving fraction.
      epsilon: added to the variance.
      slices: into how many equal parts the examples are cut, in their order, each of which is normalised by
        itself: as if so many batches went through the layer, one after the other.
      debias: whether the running values forget how they start, as Caffe's do: the first batch counts alone,
        and every later one less, down to `momentum`.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5
    debias: bool = False
    slices: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        """Normalises `x` [C, ..., B]; only examples with mask [B] = 1 count towards the statistics."""
        channels = x.shape[0]
        scale = self.param('scale', nn.initializers.ones, (channels,))
        bias = self.param('bias', nn.initializers.zeros, (channels,))
        running_mean = self.variable('batch_stats', 'mean', jnp.zeros, (channels,))
        running_var = self.variable('batch_stats', 'var', jnp.ones, (channels,))
        momentum = self.momentum
        if self.debias:
            # What the batches so far weigh together, where the last one weighs 1.
            weight = self.variable('batch_stats', 'weight', jnp.zeros, ())
            momentum = 1 / (1 + (1 - self.momentum) * weight.value)
        if train and self.slices > 1:
            return self._sliced(x, mask, scale, bias, running_mean, running_var)
        if train:
            mean, var, count = _masked_moments(x, mask)
            if not self.is_initializing():
                unbiased = var * count / jnp.maximum(count - 1, 1)
                running_mean.value += momentum * (mean - running_mean.value)
                running_var.value += momentum * (unbiased - running_var.value)
                if self.debias:
                    weight.value = 1 / momentum
        else:
            mean, var = running_mean.value, running_var.value
        factor = scale * jax.lax.rsqrt(var + self.epsilon)
        return (x * _beside(factor, x) + _beside(bias - mean * factor, x)).astype(x.dtype)

    def _sliced(self, x, mask, scale, bias, running_mean, running_var):
        """Of several slices, in training: each by its own statistics."""
        if self.debias:
            raise ValueError('slices have no debiased statistics')
        sliced, masks = x.reshape(*x.shape[:-1], self.slices, -1), mask.reshape(self.slices, -1)
        mean, var, count = jax.vmap(_masked_moments, (-2, 0), (-1, -1, 0))(sliced, masks)
        if not self.is_initializing():
            # The running values after one update by each slice, the last of which weighs most.
            keep = 1 - self.momentum
            weights = self.momentum * keep ** jnp.arange(self.slices)[::-1]
            unbiased = var * count / jnp.maximum(count - 1, 1)
            running_mean.value = keep**self.slices * running_mean.value + mean @ weights
            running_var.value = keep**self.slices * running_var.value + unbiased @ weights
        factor = scale[:, None] * jax.lax.rsqrt(var + self.epsilon)
        spatial = range(1, x.ndim - 1)
        factor, shift = (
            jnp.expand_dims(values, (*spatial, x.ndim)) for values in (factor, bias[:, None] - mean * factor)
        )
        return (sliced * factor + shift).astype(x.dtype).reshape(x.shape)


def _beside(values: jax.Array, x: jax.Array) -> jax.Array:
    """Values [C] in the shape in which they broadcast against x [C, ..., B]."""
    return values.reshape(-1, *[1] * (x.ndim - 1))


def _masked_moments(x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean [C], biased variance [C] and number of values a channel, over the examples that count.

    Both in one pass over the maps, which is most of what they cost: from the sums of how much the values
    differ from one of them, and of its square. Around zero instead of that value, a mean far from zero would
    leave the variance no digits.
    """
    x, mask = x.astype(jnp.float32), mask.astype(jnp.float32)
    axes = tuple(range(1, x.ndim))
    count = jnp.maximum(mask.sum() * x[0, ..., 0].size, 1)
    shift = jax.lax.stop_gradient(x[:, *[0] * len(axes)])
    difference = x - _beside(shift, x)
    mean = (difference * mask).sum(axes) / count
    var = (jnp.square(difference) * mask).sum(axes) / count - jnp.square(mean)
    return shift + mean, jnp.maximum(var, 0), count
