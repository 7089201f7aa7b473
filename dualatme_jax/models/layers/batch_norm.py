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
      debias: whether the running values forget how they start, as Caffe's do: the first batch counts alone,
        and every later one less, down to `momentum`.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5
    debias: bool = False

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
