"""The Inception block of Dual-Inception (Zhou et al., 2019) and Dual-ATME (Zhou et al., 2023)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv
from dualatme_jax.models.layers.pooling import max_pool

REDUCED = 6  # channels after the 1x1 convolutions that precede the 3x3 and 5x5 ones, in every block

# In the published code of Dual-ATME, which numbers the layers of a branch.
_UNITS = {
    'branch1x1': ('branch1x1', 0),
    'branch3x3_reduce': ('branch3x3', 0),
    'branch3x3': ('branch3x3', 3),
    'branch5x5_reduce': ('branch5x5', 0),
    'branch5x5': ('branch5x5', 3),
    'branch_pool': ('branch_pool', 1),
}
TORCH_NAMES = {
    f'{unit}/{layer}': f'{branch}.{first + place}'
    for unit, (branch, first) in _UNITS.items()
    for place, layer in enumerate(('conv', 'norm'))
}


class Unit(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    features: int
    size: int
    scheme: str

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        x = Conv(self.features, self.size, self.scheme, name='conv')(x)
        return nn.relu(BatchNorm(name='norm')(x, mask=mask, train=train))


class Inception(nn.Module):
    """Four branches of `width` channels on one input: [C, H, W, B] to [4 * width, H, W, B].

    In this order: 1x1; 1x1 to 6, 3x3; 1x1 to 6, 5x5; 3x3 max pool, 1x1.
    """

    width: int
    scheme: str

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        def unit(x, features, size, name):
            return Unit(features, size, self.scheme, name=name)(x, mask=mask, train=train)

        return jnp.concatenate(
            [
                unit(x, self.width, 1, 'branch1x1'),
                unit(unit(x, REDUCED, 1, 'branch3x3_reduce'), self.width, 3, 'branch3x3'),
                unit(unit(x, REDUCED, 1, 'branch5x5_reduce'), self.width, 5, 'branch5x5'),
                unit(max_pool(x, 3, stride=1, padding=1), self.width, 1, 'branch_pool'),
            ]
        )
