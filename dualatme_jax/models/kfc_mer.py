"""KFC-MER (Su, Zhang, Liu, Zhai, ICME 2021): motion and strain, guided by where the parts of the face are.

Input flow image (u, v, magnitude), strain image (exx, eyy, exy), [3, 224, 224, B] each, and ten maps of parts
of the face, [10, 224, 224, B], normalised as ImageNet's pictures are, the maps by the numbers of red
(config.input.scale=imagenet); output [B, classes]. Two streams of the same form, of bottlenecks with split
attention (ResNeSt, Zhang et al., 2020); the maps scale and shift what each sees (spatial feature transform,
Wang et al., CVPR 2018). Other sizes must be square multiples of 16; 51 of 53 million parameters lie between
the last maps and the first dense layer, a quarter of these at half the size.

Its program for testing is public; that for training, the maps and how pictures were scaled are not.
Deviations:
- Maps are polygons of landmarks where no face parser's are given (`data_prep build --view parts`), and of the
  onset's landmarks, whose alignment all frames share.
- Each channel of flow and strain is min-max scaled by clip.
- Training was on several augmented pictures of each clip, of a kind and number that are not known; here there
  are none by default.
- Names of layers in PyTorch are ResNeSt's where it has the layer; others are ours.

Axes: C channels, H and W pixels, B examples.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.errors import InputError
from dualatme_jax.models.figures import compared_by_dual_atme
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.maps import flat
from dualatme_jax.models.layers.pooling import average_pool, max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System

CONVOLUTIONS, DENSE = 'kaiming', 'torch'  # how parameters start
SLOPE = 0.1  # of LeakyReLU below zero
RADIX = 2
FEWEST = 32  # channels within a split attention

# A layer of each stage: planes as multiples of the width, and strides of its blocks.
STAGES = {'layer1': (1, (1, 1)), 'layer2': (2, (2, 1))}

_STEM = {
    'stem_conv0': 'conv1.0',
    'stem_norm0': 'conv1.1',
    'stem_conv1': 'conv1.3',
    'stem_norm1': 'conv1.4',
    'stem_conv2': 'conv1.6',
    'stem_norm2': 'bn1',
}
_BLOCK = {
    'conv1': 'conv1',
    'norm1': 'bn1',
    'attention/conv': 'conv2.conv',
    'attention/norm': 'conv2.bn0',
    'attention/squeeze': 'conv2.fc1',
    'attention/squeeze_norm': 'conv2.bn1',
    'attention/excite': 'conv2.fc2',
    'conv3': 'conv3',
    'norm3': 'bn3',
    'shortcut_conv': 'downsample.1',
    'shortcut_norm': 'downsample.2',
}
_STREAM = {
    **_STEM,
    **{f'condition{number}': f'condition.{2 * number}' for number in range(5)},
    **{f'{kind}{number}': f'sft.{kind}{number}' for kind in ('scale', 'shift') for number in (0, 1)},
    **{
        f'{stage}_{number}/{ours}': f'{stage}.{number}.{theirs}'
        for stage in STAGES
        for number in (0, 1)
        for ours, theirs in _BLOCK.items()
        if number == 0 or not ours.startswith('shortcut')
    },
}
STREAMS = {'flow': 'face_flow', 'strain': 'face_strain'}  # and the picture that each reads
TORCH_NAMES = {
    **{f'{stream}/{ours}': f'{stream}.{theirs}' for stream in STREAMS for ours, theirs in _STREAM.items()},
    'dense': 'fc1',
    'classifier': 'fc2',
}


def conv(
    x: jax.Array, features: int, size: int, name: str, *, stride: int = 1, bias: bool = False, groups: int = 1
) -> jax.Array:
    """A convolution; without `bias` it is normalised behind."""
    how = {'stride': stride, 'padding': size // 2, 'use_bias': bias, 'groups': groups}
    return Conv(features, size, CONVOLUTIONS, **how, name=name)(x)


class SplitAttention(nn.Module):
    """Two convolutions of a half of the channels each, mixed channel by channel: [P, H, W, B] to the same."""

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        planes = len(x)
        x = conv(x, RADIX * planes, 3, 'conv', groups=RADIX)
        x = nn.relu(BatchNorm(name='norm')(x, mask=mask, train=train))
        halves = x.reshape(RADIX, planes, *x.shape[1:])
        pooled = halves.sum(0).mean((1, 2), keepdims=True)
        y = conv(pooled, max(planes * RADIX // 4, FEWEST), 1, 'squeeze', bias=True)
        y = nn.relu(BatchNorm(name='squeeze_norm')(y, mask=mask, train=train))
        shares = conv(y, RADIX * planes, 1, 'excite', bias=True).reshape(RADIX, planes, 1, 1, -1)
        return (halves * nn.softmax(shares, 0)).sum(0)


class Bottleneck(nn.Module):
    """ResNeSt's: [C, H, W, B] to [4 * planes, H / stride, W / stride, B]; `first` has its own shortcut."""

    planes: int
    stride: int
    first: bool

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        def norm(x, name):
            return BatchNorm(name=name)(x, mask=mask, train=train)

        y = nn.relu(norm(conv(x, self.planes, 1, 'conv1'), 'norm1'))
        y = SplitAttention(name='attention')(y, mask=mask, train=train)
        if self.stride > 1:
            y = average_pool(y, 3, stride=self.stride, padding=1)
        y = norm(conv(y, 4 * self.planes, 1, 'conv3'), 'norm3')
        if self.first:
            if self.stride > 1:
                x = average_pool(x, self.stride, ceil=True, count_padding=False)
            x = norm(conv(x, 4 * self.planes, 1, 'shortcut_conv'), 'shortcut_norm')
        return nn.relu(y + x)


class Stream(nn.Module):
    """One picture [3, H, W, B], with maps [10, H, W, B]: [8 * width, H / 16, W / 16, B]."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array, maps: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        half, whole = self.width // 2, self.width
        for number, (features, stride) in enumerate(((half, 2), (half, 1), (whole, 1))):
            x = conv(x, features, 3, f'stem_conv{number}', stride=stride)
            x = nn.relu(BatchNorm(name=f'stem_norm{number}')(x, mask=mask, train=train))
        x = max_pool(x, 3, stride=2, padding=1)
        x = self.transformed(x, self.condition(maps))
        for stage, (widening, strides) in STAGES.items():
            for number, stride in enumerate(strides):
                block = Bottleneck(whole * widening, stride, number == 0, name=f'{stage}_{number}')
                x = block(x, mask=mask, train=train)
        return average_pool(x, 3, stride=2, padding=1)

    def condition(self, maps: jax.Array) -> jax.Array:
        """What the maps say at each place: [width / 2, H / 4, W / 4, B]."""
        four = Conv(self.width, 4, CONVOLUTIONS, stride=4, padding=0, name='condition0')
        x = nn.leaky_relu(four(maps), SLOPE)
        for number in (1, 2, 3):
            x = nn.leaky_relu(conv(x, self.width, 1, f'condition{number}', bias=True), SLOPE)
        return conv(x, self.width // 2, 1, 'condition4', bias=True)

    def transformed(self, x: jax.Array, condition: jax.Array) -> jax.Array:
        """`x` scaled and shifted at each place, as the maps say."""

        def by(kind):
            y = nn.leaky_relu(conv(condition, self.width // 2, 1, f'{kind}0', bias=True), SLOPE)
            return conv(y, self.width, 1, f'{kind}1', bias=True)

        return x * (by('scale') + 1) + by('shift')


class KfcMer(nn.Module):
    """The network."""

    classes: int
    width: int = 64  # channels behind the stem; all other widths follow from it

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has flow, strain and maps. See `DualATME.__call__`."""
        _, height, width, _ = inputs['face_flow'].shape
        if height != width or height % 16:
            raise ValueError(f'pictures of {height}x{width}; expected squares, of a multiple of 16 pixels')
        found = [
            Stream(self.width, name=name)(inputs[key], inputs['face_parts'], mask=mask, train=train)
            for name, key in STREAMS.items()
        ]
        x = nn.relu(Dense(4 * self.width, DENSE, name='dense')(flat(jnp.concatenate(found))))
        return Output(Dense(self.classes, DENSE, name='classifier')(x).T)


def build(*, classes: int, width: int = 64) -> KfcMer:
    """The network, whose layers start as ResNeSt's; see `dual_atme.build`.

    Args:
      classes: number of classes.
      width: channels behind the stem, an even number, of which all other widths are multiples.
    """
    if width < 2 or width % 2:
        raise InputError(f'config.model.width is {width}; expected an even number of channels')
    return KfcMer(classes, width)


SYSTEM = System(
    name='kfc_mer',
    title='KFC-MER',
    papers=('su2021kfcmer',),
    build=build,
    reads=('face_flow', 'face_strain', 'face_parts'),
    config='configs/kfc_mer.py',
    torch_names=TORCH_NAMES,
    last_maps=tuple(LastMap(stream, picture, stream) for stream, picture in STREAMS.items()),
    figures=(compared_by_dual_atme(0.255, 0.235),),
)
