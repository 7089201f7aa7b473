"""Dual-Inception (Zhou, Mao, Xue, IEEE FG 2019): Inception blocks on u and on v.

Two branches of two Inception blocks, one on the horizontal flow and one on the vertical, and a dense layer of
1024. Input [3, 28, 28, B], of which it reads the first two channels, u and v, scaled to -1..1; output
[B, classes].

Deviations: its blocks are those of Dual-ATME, which descends from it: every convolution is normalised, and
the 1x1 ones before the 3x3 and 5x5 ones have 6 channels in both blocks. The authors' own code, in Keras,
has no normalisation, 16 such channels in the second block, and gives each branch pictures of three channels.
Parameters start as PyTorch's own layers do. As there, a ReLU follows the dense layer.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.figures import NOT_STATED, Figure, compared_by_dual_atme
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import inception, initializers
from dualatme_jax.models.layers.conv import Dense
from dualatme_jax.models.layers.inception import InceptionBranch
from dualatme_jax.models.layers.maps import flat
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System

BRANCHES = ('u', 'v')

# No PyTorch weights are published: the names of Dual-ATME's code.
TORCH_NAMES = {
    **inception.torch_names('u', 1),
    **inception.torch_names('v', 2),
    'dense': 'fc.0',
    'classifier': 'fc.2',
}


class DualInception(nn.Module):
    """The network. It has no dropout."""

    classes: int
    initializer: str

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the flow. See `DualATME.__call__`."""
        channels = inputs['flow']
        maps = [
            InceptionBranch((6, 16), self.initializer, name=name)(channels[k : k + 1], mask=mask, train=train)
            for k, name in enumerate(BRANCHES)
        ]
        x = nn.relu(Dense(1024, self.initializer, name='dense')(flat(jnp.concatenate(maps))))
        return Output(Dense(self.classes, self.initializer, name='classifier')(x).T)


def build(*, classes: int, init: str = 'torch') -> DualInception:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      init: how parameters start: 'torch', as PyTorch's layers do, or another of layers/initializers.py.
    """
    initializers.check(init)
    return DualInception(classes, init)


SYSTEM = System(
    name='dual_inception',
    title='Dual-Inception',
    papers=('zhou2019dualinception',),
    build=build,
    config='configs/dual_inception.py',
    torch_names=TORCH_NAMES,
    last_maps=tuple(LastMap(name, 'flow', name) for name in BRANCHES),
    figures=(
        Figure(
            0.7322,
            0.7278,
            'Zhou et al., Dual-Inception, FG 2019',
            NOT_STATED,
            'its public program takes the epoch with the least loss on other subjects, but repeats all '
            'folds 100 times, and which of these is reported is not said',
        ),
        compared_by_dual_atme(0.629, 0.631),
    ),
)
