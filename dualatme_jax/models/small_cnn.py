"""Small CNN: three convolutions, as few parameters as a few hundred clips can bear. A system of this package.

Input [3, H, W, B], the channels u, v and strain; output [B, classes]. With its 16, 24 and 32 channels it has
11,739 parameters for three classes on 28x28 pixels. It has no normalisation, whose statistics would be those
of the clips that were trained on: `configs/synthetic_motion.py` trains it on others than it is scored on.
"""

from collections.abc import Mapping

import jax
from flax import linen as nn

from dualatme_jax.errors import InputError
from dualatme_jax.models import options
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.layers.maps import Marked, flat
from dualatme_jax.models.layers.pooling import max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System

STAGES = 3


class SmallCnn(nn.Module):
    """Convolution, ReLU and max pool, three times; then one dense layer. `dropout` may be traced.

    Attributes:
      classes: how many.
      width: channels of the first convolution; the next ones have 3/2 and 2 times as many.
      dropout: fraction dropped before the dense layer.
      initializer: see `initializers`.
    """

    classes: int
    width: int
    dropout: float | jax.Array
    initializer: str

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the flow. See `DualATME.__call__`."""
        del mask
        x = inputs['flow']
        for number in range(STAGES):
            features = self.width * (2 + number) // 2
            x = nn.relu(Conv(features, 3, self.initializer, name=f'conv{number + 1}')(x))
            x = max_pool(Marked(name=f'maps{number + 1}')(x), 2)
        x = Dropout(self.dropout)(flat(x), train=train)
        return Output(Dense(self.classes, self.initializer, name='classifier')(x).T)


def build(*, classes: int, width: int = 16, dropout: float = 0.5, init: str = 'torch') -> SmallCnn:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      width: channels of the first convolution, 2 or more; the next ones have 3/2 and 2 times as many.
      dropout: fraction dropped before the dense layer, in [0, 1).
      init: how parameters start: 'torch', as PyTorch's layers do, or another of layers/initializers.py.
    """
    if width < 2:
        raise InputError(f'config.model.width is {width}; expected 2 or more')
    options.check_dropout(dropout)
    initializers.check(init)
    return SmallCnn(classes, width, dropout, init)


SYSTEM = System(
    name='small_cnn',
    title='Small CNN',
    papers=('dualatmejax',),
    build=build,
    config='configs/small_cnn.py',
    traced=('dropout',),
    last_maps=(LastMap(f'maps{STAGES}', 'flow'),),
    torch_names={**{f'conv{k}': f'conv{k}' for k in range(1, 1 + STAGES)}, 'classifier': 'fc'},
)
