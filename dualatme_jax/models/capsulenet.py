"""CapsuleNet (Van Quang, Chun, Tokuyama, IEEE FG 2019): capsules on ResNet-18's maps of the apex frame.

Input [3, 224, 224, B], the face of the apex frame, red, green, blue, scaled to 0..1; output [B, classes]. The
convolutional part is ResNet-18 up to its third stage, without the pooling behind its stem. A convolution of
9x9, 32 maps of primary capsules of 8 numbers by another one, and one capsule of 16 numbers per class follow,
routed by agreement in three iterations (Sabour, Frosst, Hinton, 2017). The length of a class's capsule is how
much the network believes in it. The logits are the logarithms of the lengths, so that the probabilities are
each length's share; `config.loss.name='margin'` is the loss of the lengths.

It follows the published PyTorch code, whose weights it takes. Deviations: that code begins with ImageNet's
weights, which are no part of this package: `config.init_from` takes torchvision's file, and without one the
network begins at random. In one of its commits the first 15 tensors are frozen; their normalisations run as
in training there, here by their running statistics (docs/fine_tuning.md). It adds frames beside the apex
until all classes have as many pictures; here each epoch draws the apex frames with the same chance for each
class. It turns the pictures at random in the test too, ours are read as they are.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.models.figures import YES, Figure
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv
from dualatme_jax.models.layers.product import product
from dualatme_jax.models.output import Output
from dualatme_jax.models.resnet18 import TORCH_NAMES as RESNET
from dualatme_jax.models.resnet18 import two_blocks
from dualatme_jax.models.system import System, TorchTensor

NUMBERS, CLASS_NUMBERS = 8, 16  # of a primary capsule, and of a class's
ITERATIONS = 3

BACKBONE = {ours: theirs for ours, theirs in RESNET.items() if not ours.startswith(('stage4', 'classifier'))}
TORCH_NAMES = {
    **{ours: f'conv.model.{theirs}' for ours, theirs in BACKBONE.items()},
    'conv': 'conv1',
    'primary': 'primarycaps.conv2d',
    'class_capsules/transforms': TorchTensor('digitcaps.weight'),
}


class ClassCapsules(nn.Module):
    """One capsule per class, routed by agreement: primary ones [N, 8, B] to [K, 16, B]."""

    classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        number, numbers, batch = x.shape
        shape = (self.classes, number, CLASS_NUMBERS, numbers)
        transforms = self.param('transforms', nn.initializers.normal(0.01), shape)
        # What each primary capsule says of each class: [N, K * 16, 8] times [N, 8, B].
        by_capsule = transforms.swapaxes(0, 1).reshape(number, -1, numbers)
        said = jax.vmap(product)(by_capsule, x.astype(jnp.float32))
        said = said.reshape(number, self.classes, CLASS_NUMBERS, batch)
        # The gradient is that of the last iteration alone.
        fixed = jax.lax.stop_gradient(said)
        agreement = jnp.zeros((number, self.classes, batch), said.dtype)
        for _ in range(ITERATIONS - 1):
            found = squashed((nn.softmax(agreement, 1)[:, :, None] * fixed).sum(0), 1)
            agreement += (found * fixed).sum(2)
        return squashed((nn.softmax(agreement, 1)[:, :, None] * said).sum(0), 1)


class CapsuleNet(nn.Module):
    """The network; it has no dropout. Fields besides the options as of `build`."""

    classes: int
    initializer: str
    width: int = 64  # channels of the first stage of ResNet-18
    capsules: int = 32  # maps of primary ones
    kernel: int = 9

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the face. See `DualATME.__call__`."""
        x = inputs[schema.APEX_FACE]
        stem = Conv(self.width, 7, self.initializer, stride=2, padding=3, use_bias=False, name='stem_conv')
        x = nn.relu(BatchNorm(name='stem_norm')(stem(x), mask=mask, train=train))
        for stage in (1, 2, 3):
            x = two_blocks(x, stage, self.width, self.initializer, mask=mask, train=train)
        height, width = x.shape[1:3]
        if min(height, width) < 2 * self.kernel - 1:
            size = f'{self.kernel}x{self.kernel}'
            raise ValueError(
                f'maps of {height}x{width} for two convolutions of {size}, which need larger faces'
            )
        x = Conv(4 * self.width, self.kernel, self.initializer, padding=0, name='conv')(x)
        primary = Conv(
            self.capsules * NUMBERS, self.kernel, self.initializer, stride=2, padding=0, name='primary'
        )
        x = in_capsules(primary(nn.relu(x)))
        lengths = length(ClassCapsules(self.classes, name='class_capsules')(squashed(x, 1)), 1).T
        return Output(jnp.log(lengths), {'lengths': lengths})


def in_capsules(maps: jax.Array) -> jax.Array:
    """Maps [C, H, W, B] as capsules of neighbouring channels, place after place: [H * W * C / 8, 8, B]."""
    _, height, width, batch = maps.shape
    maps = maps.reshape(-1, NUMBERS, height, width, batch)
    return maps.transpose(2, 3, 0, 1, 4).reshape(-1, NUMBERS, batch)


def length(x: jax.Array, axis: int) -> jax.Array:
    """The Euclidean norm along an axis, in float32, above 0."""
    squares = jnp.square(x.astype(jnp.float32)).sum(axis)
    # A floor under the square: the gradient of a root at zero is infinite.
    return jnp.sqrt(jnp.maximum(squares, jnp.finfo(squares.dtype).tiny))


def squashed(x: jax.Array, axis: int) -> jax.Array:
    """Vectors along an axis, of length l, with a length of l^2 / (1 + l^2) (Sabour et al., equation 1)."""
    long = jnp.expand_dims(length(x, axis), axis)
    return x * (long / (1 + jnp.square(long)))


def build(
    *, classes: int, width: int = 64, capsules: int = 32, kernel: int = 9, init: str = 'torch'
) -> CapsuleNet:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      width: channels of the first stage of ResNet-18, 1 or more; 64 fits its weights.
      capsules: maps of primary capsules, 1 or more.
      kernel: edge of the two convolutions behind ResNet-18, 1 or more; smaller ones read smaller faces.
      init: how parameters start: 'torch', as PyTorch's layers do, or another of layers/initializers.py.
    """
    for name, value in (('width', width), ('capsules', capsules), ('kernel', kernel)):
        if value < 1:
            raise InputError(f'config.model.{name} is {value}; expected 1 or more')
    initializers.check(init)
    return CapsuleNet(classes, init, width, capsules, kernel)


SYSTEM = System(
    name='capsulenet',
    title='CapsuleNet',
    papers=('quang2019capsulenet',),
    build=build,
    reads=(schema.APEX_FACE,),
    config='configs/capsulenet.py',
    features=('lengths',),
    torch_names=TORCH_NAMES,
    torch_backbone=BACKBONE,
    last_maps=(LastMap('primary', schema.APEX_FACE),),
    figures=(
        Figure(
            0.6520,
            0.6506,
            'Van Quang et al., CapsuleNet, FG 2019, on 435 of the clips',
            YES,
            'its public program keeps, for each subject, the epoch of 30 that is best on that subject',
        ),
    ),
)
