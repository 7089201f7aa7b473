"""OFF-ApexNet (Gan, Liong, Yau, Huang, Tan, Signal Processing: Image Communication 74, 2019): u and v apart.

Two streams of two convolutions, one on the horizontal flow and one on the vertical, and two dense layers of
1024. Input [3, 28, 28, B], of which it reads the first two channels, u and v, scaled to -1..1 (the paper does
not tell how); output [B, classes].

Deviations: parameters start as PyTorch's own layers do, since the published code is not PyTorch's. There is
no dropout, as in the paper's figure; later PyTorch versions by others have some.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.figures import NOT_STATED, Figure
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.maps import flat
from dualatme_jax.models.layers.pooling import max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System

STREAMS = ('u', 'v')

# No weights are published: PyTorch's own habits.
TORCH_NAMES = {
    **{f'{stream}/conv{k}': f'{stream}.conv{k}' for stream in STREAMS for k in (1, 2)},
    'dense1': 'fc1',
    'dense2': 'fc2',
    'classifier': 'fc3',
}


class Stream(nn.Module):
    """Two convolutions with ReLU, each with a max pool: [1, 28, 28, B] to [16, 7, 7, B]."""

    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for number, features in enumerate((6, 16), start=1):
            x = max_pool(nn.relu(Conv(features, 5, self.initializer, name=f'conv{number}')(x)), 2)
        return x


class OffApexNet(nn.Module):
    """The network. It has no dropout."""

    classes: int
    initializer: str

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the flow. See `DualATME.__call__`."""
        del mask, train
        channels = inputs['flow']
        maps = [Stream(self.initializer, name=name)(channels[k : k + 1]) for k, name in enumerate(STREAMS)]
        x = flat(jnp.concatenate(maps))
        for number in (1, 2):
            x = nn.relu(Dense(1024, self.initializer, name=f'dense{number}')(x))
        return Output(Dense(self.classes, self.initializer, name='classifier')(x).T)


def build(*, classes: int, init: str = 'torch') -> OffApexNet:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      init: how parameters start: 'torch', as PyTorch's layers do, or another of layers/initializers.py.
    """
    initializers.check(init)
    return OffApexNet(classes, init)


SYSTEM = System(
    name='off_apexnet',
    title='OFF-ApexNet',
    papers=('gan2019offapexnet',),
    build=build,
    config='configs/off_apexnet.py',
    torch_names=TORCH_NAMES,
    last_maps=tuple(LastMap(name, 'flow', name) for name in STREAMS),
    figures=(
        Figure(
            0.7196,
            0.7096,
            'Gan et al., OFF-ApexNet, Signal Processing: Image Communication 74, 2019',
            NOT_STATED,
            'no public training program was found',
        ),
    ),
)
