"""Convolution, batch normalisation, ReLU."""

import jax
from flax import linen as nn

from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv


class Unit(nn.Module):
    """A convolution of stride 1, normalised, and a ReLU: [C, H, W, B] to [features, H', W', B].

    Attributes as of `Conv`.
    """

    features: int
    size: int
    initializer: str
    padding: int | str = 'same'

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        # What is normalised by its own batch does not depend on a bias before. Its gradient is zero, which
        # saves a pass over the map's; computed, it is rounding errors, which Adam would make whole steps of.
        x = Conv(
            self.features, self.size, self.initializer, padding=self.padding, constant_bias=train, name='conv'
        )(x)
        return nn.relu(BatchNorm(name='norm')(x, mask=mask, train=train))
