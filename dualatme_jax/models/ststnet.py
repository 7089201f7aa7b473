"""STSTNet (Liong, Gan, See, Khor, Huang, IEEE FG 2019): three shallow streams on one flow image.

Input [3, 28, 28, B], by the published code as bytes 0..255 with channels strain, v, u: its pictures are read
in the order blue, green, red (configs/ststnet.py has both). Output [B, classes].

It follows the published PyTorch code, whose weights it takes: the normalisation stands behind the ReLU, which
the paper does not tell. One deviation, of its training: the published program takes the files class by class,
ours the dataset's order, by database and subject.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models import options
from dualatme_jax.models.figures import LAST_EPOCH, NO, Figure, compared_by_dual_atme
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.layers.maps import Marked, flat
from dualatme_jax.models.layers.pooling import average_pool, max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System

FEATURES = {'stream1': 3, 'stream2': 5, 'stream3': 8}

TORCH_NAMES = {
    **{f'stream{k}/conv': f'conv{k}' for k in (1, 2, 3)},
    **{f'stream{k}/norm': f'bn{k}' for k in (1, 2, 3)},
    'classifier': 'fc',
}


class Stream(nn.Module):
    """Convolution, ReLU, normalisation, max pool, dropout: [3, 28, 28, B] to [features, 10, 10, B]."""

    features: int
    dropout: float | jax.Array
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        x = nn.relu(Conv(self.features, 3, self.initializer, padding=2, name='conv')(x))
        x = BatchNorm(name='norm')(x, mask=mask, train=train)
        return Dropout(self.dropout)(max_pool(x, 3, padding=1), train=train)


class STSTNet(nn.Module):
    """The network. `dropout` may be traced."""

    classes: int
    dropout: float | jax.Array
    initializer: str

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the flow. See `DualATME.__call__`."""
        x = inputs['flow']
        x = jnp.concatenate(
            [
                Stream(features, self.dropout, self.initializer, name=name)(x, mask=mask, train=train)
                for name, features in FEATURES.items()
            ]
        )
        x = average_pool(Marked(name='maps')(x), 2)
        return Output(Dense(self.classes, self.initializer, name='classifier')(flat(x)).T)


def build(*, classes: int, dropout: float = 0.5, init: str = 'torch') -> STSTNet:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      dropout: fraction dropped at the end of each stream, in [0, 1).
      init: how parameters start: 'torch', as PyTorch's layers do, or another of layers/initializers.py.
    """
    options.check_dropout(dropout)
    initializers.check(init)
    return STSTNet(classes, dropout, init)


SYSTEM = System(
    name='ststnet',
    title='STSTNet',
    papers=('liong2019ststnet',),
    build=build,
    config='configs/ststnet.py',
    traced=('dropout',),
    torch_names=TORCH_NAMES,
    last_maps=(LastMap('maps', 'flow'),),
    figures=(
        Figure(
            0.7353,
            0.7186,
            'Liong et al., STSTNet, FG 2019; the UAR of .7605 that the paper prints is macro precision',
            NO,
            LAST_EPOCH,
        ),
        Figure(0.7209, 0.7250, 'the PyTorch program of the authors of STSTNet', NO, LAST_EPOCH),
        compared_by_dual_atme(0.624, 0.610),
    ),
)
