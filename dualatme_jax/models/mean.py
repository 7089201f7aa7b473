"""MEAN (Liong, See, Chan, Signal Processing: Image Communication, 2023): a spotter of 3,593 parameters.

Input [3, 42, 42, B], a window of a long video as SOFTNet reads it (`python -m data_prep windows --form
mean`); output [B, classes], logits of one linear output as SOFTNet's, see `softnet`. Of two classes it has
3,593 trained parameters. Its two penalties on squares of kernels are part of the loss.

Published, each with a threshold that was chosen on the test results: F1 of spotting micro-expressions .1214
on CAS(ME)^2 (TP 17, FP 206, FN 40), .0949 on SAMM Long Videos (26, 363, 133), .6516 on clips of CASME II
and .3822 of SMIC-HS; STRS .0809, .0499, .3862, .1968. Deviations: its recogniser on the frozen streams is
not here; the running variance of normalisations takes the unbiased value of a batch.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models import options
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv, Dense, squares
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.layers.maps import Marked, flat
from dualatme_jax.models.layers.pooling import max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.softnet import logits
from dualatme_jax.models.system import System

FEATURES = (3, 3, 8)  # of the streams of u, v and strain
LAST = 8
L2, LAST_L2 = 0.001, 0.1  # penalties on the squares of kernels, of the streams and of the last convolution

TORCH_NAMES = {
    **{f'conv{k}': f'conv{k}' for k in (1, 2, 3)},
    **{f'norm{k}': f'bn{k}' for k in (1, 2, 3)},
    'last': 'conv4',
    'outputs': 'fc',
}


class MEAN(nn.Module):
    """Convolution, ReLU, normalisation, max pool of each channel; one convolution on all; the outputs.

    Attributes:
      classes: how many.
      dropout: fraction dropped behind the streams. It may be traced.
      dropout_last: fraction dropped before the output.
      initializer: see `initializers`.
    """

    classes: int
    dropout: float | jax.Array
    dropout_last: float
    initializer: str

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the windows. See `DualATME.__call__`."""
        x, streams, l2 = inputs['windows'], [], 0.0
        for k, features in enumerate(FEATURES):
            conv = Conv(features, 5, self.initializer, name=f'conv{k + 1}')
            y = nn.relu(conv(x[k : k + 1]))
            y = BatchNorm(0.01, 1e-3, name=f'norm{k + 1}')(y, mask=mask, train=train)
            streams.append(Dropout(self.dropout)(max_pool(y, 3), train=train))
            l2 += L2 * squares(conv)
        last = Conv(LAST, 5, self.initializer, name='last')
        x = nn.relu(last(jnp.concatenate(streams)))
        l2 += LAST_L2 * squares(last)
        x = Dropout(self.dropout_last)(max_pool(Marked(name='maps')(x), 2), train=train)
        outputs = Dense(self.classes - 1, self.initializer, name='outputs')(flat(x))
        return Output(logits(outputs), losses={'l2': jnp.broadcast_to(l2, mask.shape)})


def build(
    *, classes: int, dropout: float = 0.3, dropout_last: float = 0.2, init: str = 'glorot_uniform'
) -> MEAN:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      dropout: fraction dropped behind the streams, in [0, 1).
      dropout_last: fraction dropped before the output, in [0, 1).
      init: how parameters start: 'glorot_uniform', as Keras's layers do, or one of layers/initializers.py.
    """
    options.check_dropout(dropout)
    options.check_dropout(dropout_last, 'dropout_last')
    return MEAN(classes, dropout, dropout_last, initializers.check(init))


SYSTEM = System(
    name='mean',
    title='MEAN',
    papers=('liong2023mean',),
    build=build,
    reads=('windows',),
    config='configs/mean.py',
    traced=('dropout',),
    torch_names=TORCH_NAMES,
    last_maps=(LastMap('maps', 'windows'),),
)
