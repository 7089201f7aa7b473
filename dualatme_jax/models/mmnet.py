"""MMNet (Li, Sui, Zhu, Zhao, IJCAI 2022): where a face moves, and where on the face that is.

Input two aligned faces, onset and apex, RGB [3, 224, 224, B] each, normalised as ImageNet's pictures are
(config.input.scale=imagenet); output [B, classes]. The trunk reads their difference, and a map of where it
looks is passed from block to block; a small transformer on the onset adds what lies at each place. Other
sizes must be square multiples of 16.

Two public scripts differ, and are the variants: `5class` (2 transformer layers, four times as wide within)
and `3class` (3, twice as wide, with stochastic depth). Neither runs as published: files that they import are
missing, and one asks for groups that its channels do not have. What they declare and never read is not here.

Deviations:
- They train on other frames near onset and apex in every epoch (up to .15 or .2 of a quarter of the way
  between them); here a clip has one pair of faces.
- A turned picture has its outermost pixels beyond its border, not zeros.
- The onset is resized to 14x14 as torchvision did in 2022, by four pixels of it for each place; `antialias`
  is what it does since 0.17.
- Names of layers in PyTorch are ours: no weights are published.

Axes: C channels, H and W pixels, T = (H/16)^2 places, B examples.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models import options
from dualatme_jax.models.figures import compared_by_dual_atme
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers.attention import Attention
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.layers.layer_norm import LayerNorm
from dualatme_jax.models.layers.maps import bilinear, flat
from dualatme_jax.models.layers.pooling import max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System

# How parameters start. PyTorch's `trunc_normal_` cuts at 2, here a hundred deviations: it is a normal.
CONVOLUTIONS, TRANSFORMER, CLASSIFIER = 'kaiming', 'normal_0.02', 'torch'


@dataclasses.dataclass(frozen=True)
class Transformer:
    """What a variant's transformer is made of.

    Attributes:
      depth: layers.
      widening: how many times wider each layer is within.
      drop_path: chance that the last layer's branches are left out of an example in training; of the earlier
        ones in proportion, from 0.
    """

    depth: int
    widening: int
    drop_path: float


VARIANTS = {'5class': Transformer(2, 4, 0.0), '3class': Transformer(3, 2, 0.3)}

_BLOCK = {
    'conv1': 'conv1',
    'norm1': 'bn1',
    'conv2': 'conv2',
    'norm2': 'bn2',
    'gate_conv': 'gate.0',
    'gate_norm': 'gate.1',
    'shortcut_conv': 'downsample.0',
    'shortcut_norm': 'downsample.1',
}
_LAYER = {
    'norm1': 'norm1',
    **{f'attention/{name}': f'attention.{name}' for name in ('query', 'key', 'value', 'out')},
    'norm2': 'norm2',
    'widen': 'mlp.0',
    'narrow': 'mlp.2',
}
TORCH_NAMES = {
    'stem_conv1': 'stem.0',
    'stem_norm1': 'stem.1',
    'stem_conv2': 'stem.3',
    'stem_norm2': 'stem.4',
    **{
        f'block{number}/{ours}': f'blocks.{number}.{theirs}'
        for number in range(4)
        for ours, theirs in _BLOCK.items()
        if number or not ours.startswith('shortcut')
    },
    'position/pixels': 'position.pixels',
    'position/places': 'position.places',
    **{
        f'position/layer{number}/{ours}': f'position.layers.{number}.{theirs}'
        for number in range(3)
        for ours, theirs in _LAYER.items()
    },
    'position/norm': 'position.norm',
    'classifier': 'fc',
}


def convolved(x: jax.Array, features: int, size: int, name: str, stride: int = 1) -> jax.Array:
    """A convolution without bias."""
    how = {'stride': stride, 'padding': size // 2, 'use_bias': False}
    return Conv(features, size, CONVOLUTIONS, **how, name=name)(x)


class AttentiveBlock(nn.Module):
    """The paper's CA block: a residual block whose places are weighed by a map that is passed on.

    From [C, H, W, B] and the map of the block before, [1, H', W', B] or None, to [features, H', W', B] and
    the map of this one.
    """

    features: int
    stride: int

    @nn.compact
    def __call__(
        self, x: jax.Array, before: jax.Array | None, *, mask: jax.Array, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        def norm(x, name):
            return BatchNorm(name=name)(x, mask=mask, train=train)

        y = nn.relu(norm(convolved(x, self.features, 3, 'conv1', self.stride), 'norm1'))
        y = norm(convolved(y, self.features, 1, 'conv2'), 'norm2')
        if self.stride > 1 or len(x) != self.features:
            x = norm(convolved(x, self.features, 1, 'shortcut_conv', self.stride), 'shortcut_norm')
        y = nn.relu(y + x)
        seen = convolved(jnp.stack([y.mean(0), y.max(0)]), 1, 1, 'gate_conv')
        gate = nn.sigmoid(norm(seen, 'gate_norm'))
        gate = gate if before is None else before * gate
        return y * gate, gate


class Layer(nn.Module):
    """A transformer layer with normalisation before each branch: [D, T, B] to the same shape."""

    heads: int
    widening: int
    drop_path: float

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def kept(branch):
            return Dropout(self.drop_path, shared=(0, 1))(branch, train=train)

        size = len(x)
        attention = Attention(self.heads, size // self.heads, size, TRANSFORMER, name='attention')
        x = x + kept(attention(LayerNorm(1e-6, name='norm1')(x)))
        y = Dense(size * self.widening, TRANSFORMER, name='widen')(LayerNorm(1e-6, name='norm2')(x))
        return x + kept(Dense(size, TRANSFORMER, name='narrow')(nn.gelu(y, approximate=False)))


class Position(nn.Module):
    """What the onset [3, H, W, B], resized to `edge`, shows at each place: [features, edge, edge, B]."""

    features: int
    edge: int
    heads: int
    transformer: Transformer
    antialias: bool

    @nn.compact
    def __call__(self, onset: jax.Array, *, train: bool) -> jax.Array:
        x = bilinear(onset, self.edge, antialias=self.antialias)
        x = Conv(self.features, 1, CONVOLUTIONS, name='pixels')(x)
        x = x.reshape(self.features, -1, x.shape[-1])
        x = x + Places(name='places')(x)[..., None]
        design = self.transformer
        for number in range(design.depth):
            drop_path = design.drop_path * number / max(design.depth - 1, 1)
            x = Layer(self.heads, design.widening, drop_path, name=f'layer{number}')(x, train=train)
        x = LayerNorm(1e-6, name='norm')(x)
        return x.reshape(self.features, self.edge, self.edge, -1)


class Places(nn.Module):
    """A learnt vector for each place of [D, T, B]: [D, T]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        features, places, _ = x.shape
        return self.param('embedding', nn.initializers.normal(0.02), (places, features)).T


class MMNet(nn.Module):
    """The network."""

    classes: int
    transformer: Transformer
    antialias: bool = False
    stem: int = 180  # channels behind the first convolution
    width: int = 128  # of the first block; the last one has four times as many
    heads: int = 4

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the faces. See `DualATME.__call__`."""
        onset, apex = inputs['onset_face'], inputs['apex_face']
        _, height, width, _ = onset.shape
        if height != width or height % 16:
            raise ValueError(f'faces of {height}x{width}; expected squares, of a multiple of 16 pixels')

        def unit(x, features, stride, number):
            x = convolved(x, features, 3, f'stem_conv{number}', stride)
            return nn.relu(BatchNorm(name=f'stem_norm{number}')(x, mask=mask, train=train))

        x = unit(unit(apex - onset, self.stem, 2, 1), self.width, 1, 2)
        gate = None
        for number, (widening, stride) in enumerate(((1, 1), (1, 2), (2, 2), (4, 2))):
            gate = None if gate is None else max_pool(gate, 3, stride=2, padding=1)
            block = AttentiveBlock(self.width * widening, stride, name=f'block{number}')
            x, gate = block(x, gate, mask=mask, train=train)
        position = Position(len(x), x.shape[1], self.heads, self.transformer, self.antialias, name='position')
        x = x + position(onset, train=train)
        return Output(Dense(self.classes, CLASSIFIER, name='classifier')(flat(x)).T)


def build(*, classes: int, variant: str = '5class', antialias: bool = False) -> MMNet:
    """The network, whose layers start as the paper's; see `dual_atme.build`.

    Args:
      classes: number of classes.
      variant: '5class' or '3class', by the public script; both take any number of classes.
      antialias: whether the onset is smoothed before it is resized for the transformer.
    """
    options.check_variant('MMNet', variant, VARIANTS)
    return MMNet(classes, VARIANTS[variant], antialias)


SYSTEM = System(
    name='mmnet',
    title='MMNet',
    papers=('li2022mmnet',),
    build=build,
    reads=('onset_face', 'apex_face'),
    config='configs/mmnet.py',
    torch_names=TORCH_NAMES,
    variants=tuple(VARIANTS),
    last_maps=(LastMap('block3', 'apex_face'),),
    figures=(compared_by_dual_atme(0.528, 0.514),),
)
