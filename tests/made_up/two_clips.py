"""Two Clips: a 3-D convolution on two clips of frames, a GRU over time, a classifier."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.layers.gru import GRU
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System


class TwoClips(nn.Module):
    """[3, T, H, W, B] twice, to logits."""

    classes: int
    units: int
    dropout: float | jax.Array

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        del mask
        maps = [
            nn.relu(Conv(2, (3, 8, 8), 'torch', stride=(3, 8, 8), padding=0, name=key)(inputs[key]))
            for key in ('face_frames', 'crop_frames')
        ]
        x = jnp.concatenate(maps)  # [4, T/3, H/8, W/8, B]
        x = x.transpose(0, 2, 3, 1, 4).reshape(-1, x.shape[1], x.shape[-1])
        x = GRU(self.units, 'torch', name='gru')(x)[:, -1]
        x = Dropout(self.dropout)(x, train=train)
        return Output(Dense(self.classes, 'torch', name='classifier')(x).T)


def build(*, classes: int, units: int = 8, dropout: float = 0.25) -> TwoClips:
    """The network, whose GRU has so many units."""
    return TwoClips(classes, units, dropout)


SYSTEM = System(
    name=__name__,
    title='Two Clips',
    build=build,
    reads=('face_frames', 'crop_frames'),
    traced=('dropout',),
)
