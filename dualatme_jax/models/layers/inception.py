"""The Inception block of Dual-Inception (Zhou et al., 2019) and Dual-ATME (Zhou et al., 2023)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.layers.pooling import max_pool
from dualatme_jax.models.layers.unit import Unit

REDUCED = 6  # channels after the 1x1 convolutions that precede the 3x3 and 5x5 ones, in every block

# Where a unit's convolution lies in the published code of Dual-ATME; its normalisation is the next.
_UNITS = {
    'branch1x1': ('branch1x1', 0),
    'branch3x3_reduce': ('branch3x3', 0),
    'branch3x3': ('branch3x3', 3),
    'branch5x5_reduce': ('branch5x5', 0),
    'branch5x5': ('branch5x5', 3),
    'branch_pool': ('branch_pool', 1),
}


class Inception(nn.Module):
    """Four branches of `width` channels on one input, halved: [C, H, W, B] to [4 * width, H/2, W/2, B].

    In this order: 1x1; 1x1 to 6, 3x3; 1x1 to 6, 5x5; 3x3 max pool, 1x1. Each is halved by a max
    pool before they are put together, which gives the same and needs no large map of them all.
    """

    width: int
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        def unit(x, features, size, name):
            return Unit(features, size, self.initializer, name=name)(x, mask=mask, train=train)

        branches = (
            unit(x, self.width, 1, 'branch1x1'),
            unit(unit(x, REDUCED, 1, 'branch3x3_reduce'), self.width, 3, 'branch3x3'),
            unit(unit(x, REDUCED, 1, 'branch5x5_reduce'), self.width, 5, 'branch5x5'),
            unit(max_pool(x, 3, stride=1, padding=1), self.width, 1, 'branch_pool'),
        )
        return jnp.concatenate([max_pool(branch, 2) for branch in branches])


class InceptionBranch(nn.Module):
    """Two Inception blocks of `widths`: [C, H, W, B] to [4 * width, H/4, W/4, B]."""

    widths: tuple[int, int]
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        for number, width in enumerate(self.widths, start=1):
            x = Inception(width, self.initializer, name=f'inception{number}')(x, mask=mask, train=train)
        return x


def torch_names(branch: str, number: int) -> dict[str, str]:
    """The layers of the InceptionBranch named `branch`, as the published code of Dual-ATME calls them.

    `number` is the branch's there.
    """
    return {
        f'{branch}/inception{block}/{unit}/{layer}': f'Inception{number}_{block}.{theirs}.{first + place}'
        for block in (1, 2)
        for unit, (theirs, first) in _UNITS.items()
        for place, layer in enumerate(('conv', 'norm'))
    }
