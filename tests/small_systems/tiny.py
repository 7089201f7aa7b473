"""A system that compiles in a second or two, for tests of all that surrounds a network.

It has what published ones have: two streams and the features of both, batch statistics, dropout.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Dense
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.layers.maps import Marked, flat
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System

STREAMS = {'entire': 'flow', 'puzzled': 'flow_puzzled'}


class Tiny(nn.Module):
    """A dense layer on the mean of each row of either flow."""

    classes: int
    dropout: float | jax.Array

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        features = {
            name: Dense(4, 'torch', name=name)(flat(Marked(name=f'maps_{name}')(inputs[key]).mean(2)))
            for name, key in STREAMS.items()
        }
        x = BatchNorm(name='norm')(jnp.concatenate([*features.values()]), mask=mask, train=train)
        x = Dropout(self.dropout)(nn.relu(x), train=train)
        logits = Dense(self.classes, 'torch', name='classifier')(x)
        return Output(logits.T, {name: x.T for name, x in features.items()})


def build(*, classes: int, dropout: float = 0.5) -> Tiny:
    return Tiny(classes, dropout)


def record(name: str, title: str) -> System:
    return System(
        name,
        title,
        build,
        reads=tuple(STREAMS.values()),
        traced=('dropout',),
        features=tuple(STREAMS),
        torch_names={layer: layer for layer in (*STREAMS, 'norm', 'classifier')},
    )


SYSTEM = record(__name__, 'Tiny')
