"""Two Faces: one convolution on the faces of onset and apex, and on how they differ."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.maps import flat
from dualatme_jax.models.layers.pooling import max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System


class TwoFaces(nn.Module):
    """[3, H, W, B] twice, to logits and the features of both faces."""

    classes: int
    width: int

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        convolution = Conv(self.width, 7, 'torch', stride=8, padding=0, name='shared')
        onset, apex = (convolution(inputs[key]) for key in ('onset_face', 'apex_face'))
        x = BatchNorm(name='norm')(jnp.concatenate([apex, apex - onset]), mask=mask, train=train)
        x = flat(max_pool(nn.relu(x), 7))
        features = {'onset': flat(onset).T, 'apex': flat(apex).T}
        return Output(Dense(self.classes, 'torch', name='classifier')(x).T, features)


def build(*, classes: int, width: int = 2) -> TwoFaces:
    """The network, with so many channels."""
    return TwoFaces(classes, width)


SYSTEM = System(name='made_up.two_faces', title='Two Faces', build=build, reads=('onset_face', 'apex_face'))
