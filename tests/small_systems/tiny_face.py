"""A system of grey faces that compiles in a second or two."""

import jax
from flax import linen as nn

from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Dense
from dualatme_jax.models.layers.maps import flat
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System


class TinyFace(nn.Module):
    """A dense layer on the mean of each row of the face at the apex."""

    classes: int

    @nn.compact
    def __call__(self, inputs, *, mask: jax.Array, train: bool) -> Output:
        x = Dense(4, 'caffe', name='dense')(flat(inputs['apex_face_grey'].mean(2)))
        x = nn.relu(BatchNorm(debias=True, name='norm')(x, mask=mask, train=train))
        return Output(Dense(self.classes, 'caffe', name='classifier')(x).T)


def build(*, classes: int) -> TinyFace:
    return TinyFace(classes)


SYSTEM = System(__name__, 'Tiny face', build, reads=('apex_face_grey',))
