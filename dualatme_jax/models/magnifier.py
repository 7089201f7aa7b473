"""The learned motion magnifier (Oh et al., Learning-based video motion magnification, ECCV 2018).

From a reference frame and another frame to that frame with its motion from the reference `factor` times as
large; 1 changes nothing but for what the network loses. Frames are [3, H, W, B], red, green, blue, -1..1; H
and W are divisible by 4, and 8 or more.

It follows the PyTorch program that was published with AMAN, whose file of weights it takes. The original of
TensorFlow has as many parameters, 928 144, and pads its strided convolutions otherwise.
Axes: h, w are H/2, W/2 of shapes; textures have H/4, W/4.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.errors import InputError
from dualatme_jax.models.layers import lowering
from dualatme_jax.models.layers.conv import Conv
from dualatme_jax.models.layers.maps import enlarged
from dualatme_jax.models.stage import Part

LEAST = 8  # pixels of an edge: half of them must be more than a convolution of 7 reflects
MULTIPLE = 4  # pixels that divide an edge
PUBLISHED = 384  # pixels to which the published program resizes its pictures

_ENCODER = ('conv1', 'conv2', 'conv1_text', 'conv1_shape')
TORCH_NAMES = {
    **{f'encoder/{conv}': f'encoder.{conv}' for conv in _ENCODER},
    'manipulator/before': 'manipulator.convblks.0.conv1',
    'manipulator/after': 'manipulator.convblks_after.0.conv1',
    **{f'decoder/{conv}': f'decoder.{conv}' for conv in ('conv1_text', 'conv1', 'conv2')},
    **{
        f'{part}/{ours}{number}/conv{k}': f'{part}.{theirs}.{number}.conv{k}'
        for part, ours, theirs, count in (
            ('encoder', 'block', 'resblks', 3),
            ('encoder', 'block_text', 'resblks_text', 2),
            ('encoder', 'block_shape', 'resblks_shape', 2),
            ('manipulator', 'block', 'resblks', 1),
            ('decoder', 'block', 'resblks', 9),
        )
        for number in range(count)
        for k in (1, 2)
    },
}


def check_size(size: int, option: str) -> None:
    """Raises InputError unless frames can have edges of so many pixels."""
    if size < LEAST or size % MULTIPLE:
        raise InputError(f'{option} is {size}; expected a multiple of {MULTIPLE}, {LEAST} or more')


def _conv(features: int, size: int, name: str, stride: int = 1) -> Conv:
    return Conv(
        features, size, 'torch', stride=stride, padding=size // 2, use_bias=False, reflect=True, name=name
    )


class Block(nn.Module):
    """Two convolutions beside the identity; nothing behind the sum."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.relu(_conv(len(x), 3, 'conv1')(x))
        return x + _conv(len(x), 3, 'conv2')(y)


class Encoder(nn.Module):
    """Texture [32, H/4, W/4, B] and shape [32, h, w, B] of frames."""

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = nn.relu(_conv(16, 7, 'conv1')(x))
        x = nn.relu(_conv(32, 3, 'conv2', stride=2)(x))
        for number in range(3):
            x = Block(name=f'block{number}')(x)
        texture = nn.relu(_conv(32, 3, 'conv1_text', stride=2)(x))
        shape = nn.relu(_conv(32, 3, 'conv1_shape')(x))
        for number in range(2):
            texture = Block(name=f'block_text{number}')(texture)
            shape = Block(name=f'block_shape{number}')(shape)
        return texture, shape


class Manipulator(nn.Module):
    """The shape of the magnified frame, from those of the reference and of the frame."""

    @nn.compact
    def __call__(self, reference: jax.Array, shape: jax.Array, factor: jax.Array) -> jax.Array:
        change = nn.relu(_conv(32, 7, 'before')(shape - reference)) * (factor - 1)
        return shape + Block(name='block0')(_conv(32, 3, 'after')(change))


class Decoder(nn.Module):
    """Frames, from textures and shapes."""

    @nn.compact
    def __call__(self, texture: jax.Array, shape: jax.Array) -> jax.Array:
        texture = nn.relu(_conv(32, 3, 'conv1_text')(enlarged(texture, 2)))
        texture = jnp.broadcast_to(texture, shape.shape)  # of one frame by several factors
        x = jnp.concatenate([texture, shape])
        for number in range(9):
            x = Block(name=f'block{number}')(x)
        x = nn.relu(_conv(32, 3, 'conv1')(enlarged(x, 2)))
        return _conv(3, 7, 'conv2')(x)


class Magnifier(nn.Module):
    """The network."""

    def setup(self):
        self.encoder = Encoder()
        self.manipulator = Manipulator()
        self.decoder = Decoder()

    def encode(self, frames: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Texture and shape, see `Encoder`; they are the same for every factor."""
        return self.encoder(frames)

    def decode(
        self, reference: jax.Array, texture: jax.Array, shape: jax.Array, factor: jax.Array | float
    ) -> jax.Array:
        """Magnified frames [3, H, W, B].

        Args:
          reference: its shape.
          texture, shape: of the frame.
          factor: one number, or [B].
        """
        return self.decoder(texture, self.manipulator(reference, shape, jnp.asarray(factor)))

    def __call__(self, reference: jax.Array, frame: jax.Array, factor: jax.Array | float) -> jax.Array:
        """Magnified frames of frames, see the module's docstring."""
        return self.decode(self.encode(reference)[1], *self.encode(frame), factor)


@functools.cache
def shapes():
    """Shapes of its variables."""
    frame = jax.ShapeDtypeStruct((3, LEAST, LEAST, 1), 'float32')
    return jax.eval_shape(Magnifier().init, jax.random.key(0), frame, frame, 2.0)


PART = Part(
    about='of the magnifier of Oh et al., such as mag_imple/learning_based_mag.pth.tar of '
    'github.com/weimengting/AMAN',
    shapes=shapes,
    torch_names=TORCH_NAMES,
)


def resized(frames: jax.Array, height: int, width: int) -> jax.Array:
    """Frames [..., H, W, B] of another size, as Pillow resizes them: by a wider triangle where it shrinks."""
    shape = (*frames.shape[:-3], height, width, frames.shape[-1])
    return jax.image.resize(frames, shape, 'bilinear', antialias=True)


@jax.jit
def shape_of(variables: Mapping[str, Any], reference: jax.Array) -> jax.Array:
    """The shape of a reference frame [3, H, W]."""
    with lowering.use('grouped'):  # XLA's own: no trials are stacked here
        return Magnifier().apply(variables, reference[..., None], method='encode')[1]


@jax.jit
def by_factors(
    variables: Mapping[str, Any], reference: jax.Array, frame: jax.Array, factors: jax.Array
) -> jax.Array:
    """One frame [3, H, W], magnified by each of `factors` [I], as [3, H, W, I] in -1..1.

    It is not called in a loop of JAX's, where a CPU takes 30 times as long for a convolution.

    Args:
      variables: of the network.
      reference: what `shape_of` gives.
      frame: in -1..1.
      factors: of its motion.
    """
    with lowering.use('grouped'):
        texture, shape = Magnifier().apply(variables, frame[..., None], method='encode')
        found = Magnifier().apply(variables, reference, texture, shape, factors, method='decode')
    return jnp.clip(found, -1, 1)
