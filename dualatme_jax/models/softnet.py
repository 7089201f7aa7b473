"""SOFTNet (Liong, See, Wong, IEEE ICIP 2021): three shallow streams that say whether a face shows something.

Input [3, 42, 42, B], a window of a long video: one stream reads u, one v, one the strain, 0..1. Output [B,
classes]. Of the two classes `neutral` and `expression` the network has one linear output s, trained by
squares to be 1 where the window meets an expression (`config.loss.name='squared_error'`). The logits are [1
- s, s], so that the probability of an expression grows with s and is a half where s is. Of K classes it has
K - 1 outputs, and 314,817 parameters of two.

`python -m data_prep windows --form softnet` makes the windows, and `python -m dualatme_jax.spot` turns what
it says of them into intervals. Published F1 of spotting, each with a threshold that was chosen on the test
results: CAS(ME)^2 macro .2410, micro .1173, both .2022; SAMM Long Videos .2169, .1520, .1881 (released
weights: .2463, .0896; .1923, .1568). There micro- and macro-expressions have a network each (`windows
--kind`), and half of the windows without expression are thrown away (`config.data.undersample`). Deviation:
those of micro-expressions come back mirrored, blurred and with noise there.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.maps import Marked, flat
from dualatme_jax.models.layers.pooling import max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System

FEATURES = (3, 5, 8)  # of the streams of u, v and strain
HIDDEN = 400

TORCH_NAMES = {**{f'conv{k}': f'conv{k}' for k in (1, 2, 3)}, 'dense': 'fc1', 'outputs': 'fc2'}


def logits(outputs: jax.Array) -> jax.Array:
    """Logits [B, K] of outputs [K - 1, B]: the first class has what is left of 1."""
    return jnp.concatenate([1 - outputs.sum(0, keepdims=True), outputs]).T


class SOFTNet(nn.Module):
    """Convolution, ReLU and max pool of each channel; one dense layer on all of them; the outputs."""

    classes: int
    initializer: str

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the windows. See `DualATME.__call__`."""
        del mask, train
        x = inputs['windows']
        streams = [
            max_pool(nn.relu(Conv(features, 5, self.initializer, name=f'conv{k + 1}')(x[k : k + 1])), 3)
            for k, features in enumerate(FEATURES)
        ]
        x = flat(max_pool(Marked(name='maps')(jnp.concatenate(streams)), 2))
        x = nn.relu(Dense(HIDDEN, self.initializer, name='dense')(x))
        return Output(logits(Dense(self.classes - 1, self.initializer, name='outputs')(x)))


def build(*, classes: int, init: str = 'glorot_uniform') -> SOFTNet:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      init: how parameters start: 'glorot_uniform', as Keras's layers do, or one of layers/initializers.py.
    """
    return SOFTNet(classes, initializers.check(init))


SYSTEM = System(
    name='softnet',
    title='SOFTNet',
    papers=('liong2021softnet',),
    build=build,
    reads=('windows',),
    config='configs/softnet.py',
    torch_names=TORCH_NAMES,
    last_maps=(LastMap('maps', 'windows'),),
)
