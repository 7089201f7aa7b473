"""RCN-a, -s, -w, -c and -f (Xia, Peng, Khor, Feng, Zhao, IEEE TIP 29, 2020): recurrent convolutions.

A family of small networks on one flow image, put together from a few parts: a stem or three wide streams; a
recurrent block or one of shortcuts, both of which apply one convolution several times; an attention without
parameters of its own, made of the classifier's weights. Input [3, 28, 28, B], channels u, v, strain, scaled
to 0..1 as the published code does (configs/rcn_a.py); output [B, classes].

Deviations from the published code (github.com/xiazhaoqiang/ParameterFreeRCNs-MicroExpressionRec, MeNets.py):
- It declares layers that no forward pass reads, `TORCH_UNREAD`: they are not here.
- RCN-f there applies its second stream twice and never its third: that is the variant `code`. The variant
  `paper` applies each of the three once.
- Where a class's attention is the same at all places, it is divided by 1 and not by 0.
- Its commands default to 64 channels, a 7x7 map and 100 epochs: here are the paper's 32, 5x5 and 20.

Axes: C channels, P edge of the last map, K classes.
"""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models import options
from dualatme_jax.models.figures import LAST_EPOCH, NO, Figure, compared_by_dual_atme
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.layers.maps import flat, nearest
from dualatme_jax.models.layers.pooling import adaptive_average_pool, max_pool
from dualatme_jax.models.layers.product import product
from dualatme_jax.models.layers.unit import Unit
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System


@dataclasses.dataclass(frozen=True)
class Design:
    """What a network of the family is made of.

    Attributes:
      streams: the dilations of the streams on the input, in the order of their maps; without any the stem.
      shortcuts: the block of shortcuts, or the recurrent one.
      attention: none, or one on the stem's maps that weighs the last ones (`stem`), one on the input that
        weighs the streams' maps (`input`), or one on the streams' maps within the block (`block`).
    """

    streams: tuple[int, ...] = ()
    shortcuts: bool = False
    attention: str | None = None

    @property
    def block(self) -> str:
        """The name of its block."""
        return 'embedding' if self.attention == 'block' else 'shortcuts' if self.shortcuts else 'recurrent'


_STREAMS = (1, 2, 3)
# By name and variant.
DESIGNS = {
    'rcn_a': {'paper': Design(attention='stem')},
    'rcn_s': {'paper': Design(shortcuts=True)},
    'rcn_w': {'paper': Design(_STREAMS)},
    'rcn_c': {'paper': Design(_STREAMS, shortcuts=True, attention='input')},
    'rcn_f': {
        'paper': Design(_STREAMS, shortcuts=True, attention='block'),
        'code': Design((1, 2, 2), shortcuts=True, attention='block'),
    },
}

# Each block's name in the published code, and those of its units.
_BLOCKS = {
    'recurrent': ('rcls.0', 'ffconv', 'rrconv'),
    'shortcuts': ('dbl.0', 'conv1', 'conv2'),
    'embedding': ('ebl', 'conv1', 'conv2'),
}
TORCH_NAMES = {
    'stem/unit/conv': 'conv1.0',
    'stem/unit/norm': 'conv1.1',
    **{f'stream{k}/conv': f'stream{k}.0' for k in (1, 2, 3)},
    **{f'stream{k}/norm': f'stream{k}.2' for k in (1, 2, 3)},
    **{
        f'{ours}/{unit}/{layer}': f'{theirs}.{name}.{place}'
        for ours, (theirs, *names) in _BLOCKS.items()
        for unit, name in zip(('first', 'shared'), names, strict=True)
        for place, layer in enumerate(('conv', 'norm'))
    },
    'classifier': 'classifier',
}
# What the published code declares, and its forward pass does not read.
_THIRD = ('dbl.0.conv3.0', 'dbl.0.conv3.1')
TORCH_UNREAD = {
    'rcn_s': _THIRD,
    'rcn_c': (*_THIRD, 'ebl.conv1.0', 'ebl.conv1.1', 'ebl.conv2.0', 'ebl.conv2.1'),
    'rcn_f': ('stream3.0', 'stream3.2'),  # which the variant `paper` reads
}


class Stem(nn.Module):
    """5x5 convolution without padding, max pool, dropout: [3, 28, 28, B] to [features, 12, 12, B]."""

    features: int
    dropout: float | jax.Array
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        x = Unit(self.features, 5, self.initializer, padding=0, name='unit')(x, mask=mask, train=train)
        return Dropout(self.dropout)(max_pool(x, 2), train=train)


class Stream(nn.Module):
    """3x3 convolution of stride 3, dilated; ReLU, normalisation, dropout: to [features, 10, 10, B]."""

    features: int
    dilation: int
    dropout: float | jax.Array
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        wide = {'stride': 3, 'padding': self.dilation, 'dilation': self.dilation}
        x = nn.relu(Conv(self.features, 3, self.initializer, **wide, name='conv')(x))
        return Dropout(self.dropout)(BatchNorm(name='norm')(x, mask=mask, train=train), train=train)


class Block(nn.Module):
    """A 1x1 unit, then one 3x3 unit several times; max pool, dropout: [C, H, W, B] to [C, H/2, W/2, B].

    With x the input and y the first unit's output, which `attention` [1, P, P, B] may weigh, the shared unit
    reads x plus its own last output, twice (recurrent); or, three times, x plus y plus all its outputs so far
    (shortcuts). Its running statistics move at each application, as PyTorch's do.
    """

    shortcuts: bool
    dropout: float | jax.Array
    initializer: str

    @nn.compact
    def __call__(
        self, x: jax.Array, attention: jax.Array | None = None, *, mask: jax.Array, train: bool
    ) -> jax.Array:
        features = x.shape[0]
        y = Unit(features, 1, self.initializer, name='first')(x, mask=mask, train=train)
        if attention is not None:
            y = y * nearest(attention, y.shape[1])
        shared = Unit(features, 3, self.initializer, name='shared')
        if self.shortcuts:
            for _ in range(3):
                x = x + y
                y = shared(x, mask=mask, train=train)
        else:
            for _ in range(2):
                y = shared(x + y, mask=mask, train=train)
        return Dropout(self.dropout)(max_pool(y, 2), train=train)


class Classifier(nn.Module):
    """Dense layer [C * P * P, B] to [classes, B], whose weights are read by the attention too."""

    classes: int
    features: int
    edge: int
    initializer: str

    def setup(self):
        inputs = self.features * self.edge**2
        of_kernel, of_bias = initializers.dense(self.initializer, fan_in=inputs)
        self.kernel = self.param('kernel', of_kernel, (inputs, self.classes))
        self.bias = self.param('bias', of_bias, (self.classes,))

    def __call__(self, x: jax.Array) -> jax.Array:
        return product(x.T, self.kernel).T + self.bias[:, None]

    def weights(self) -> jax.Array:
        """Of each class as maps: [K, C, P, P]."""
        return self.kernel.T.reshape(self.classes, self.features, self.edge, self.edge)


def attention(maps: jax.Array, weights: jax.Array) -> jax.Array:
    """How much the places of maps [C, P, P, B] speak for any class, 0..1: [1, P, P, B].

    For each class the mean over the channels of weights times maps, moved and stretched to 0..1; then the
    mean over the classes.

    Args:
      maps: [C, P, P, B].
      weights: [K, C, P, P], or [K, 1, P, P] for all channels.
    """
    activation = (weights[..., None] * maps).mean(1)
    activation = activation - activation.min((1, 2), keepdims=True)
    most = activation.max((1, 2), keepdims=True)
    return (activation / jnp.where(most > 0, most, 1)).mean(0, keepdims=True)


class RCN(nn.Module):
    """A network of the family, by its design. `dropout` may be traced."""

    design: Design
    classes: int
    dropout: float | jax.Array
    initializer: str
    features: int = 32
    edge: int = 5

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the flow. See `DualATME.__call__`."""
        where, rest = self.design.attention, (self.dropout, self.initializer)
        classifier = Classifier(self.classes, self.features, self.edge, self.initializer, name='classifier')
        picture = inputs['flow']
        if self.design.streams:
            widths = {1: self.features // 2, 2: self.features // 4, 3: self.features // 4}
            streams = {
                dilation: Stream(widths[dilation], dilation, *rest, name=f'stream{dilation}')
                for dilation in dict.fromkeys(self.design.streams)
            }
            x = jnp.concatenate(
                [streams[dilation](picture, mask=mask, train=train) for dilation in self.design.streams]
            )
        else:
            x = Stem(self.features, *rest, name='stem')(picture, mask=mask, train=train)

        attended = None
        if where == 'input':
            weights = classifier.weights().mean(1, keepdims=True)
            x = x * nearest(attention(adaptive_average_pool(picture, self.edge), weights), x.shape[1])
        elif where is not None:
            attended = attention(adaptive_average_pool(x, self.edge), classifier.weights())
        block = Block(self.design.shortcuts, *rest, name=self.design.block)
        x = block(x, attended if where == 'block' else None, mask=mask, train=train)
        x = adaptive_average_pool(x, self.edge)
        if where == 'stem':
            x = x * attended
        return Output(classifier(flat(x)).T)


def build(
    name: str, *, classes: int, variant: str = 'paper', dropout: float = 0.5, init: str = 'torch'
) -> RCN:
    """The network `name` of `DESIGNS`; see `dual_atme.build`.

    Args:
      name: of the network.
      classes: number of classes.
      variant: 'paper'; of RCN-f also 'code' (its second stream twice, no third).
      dropout: fraction dropped behind each pooling or stream, in [0, 1).
      init: how parameters start: 'torch', as PyTorch's layers do, or another of layers/initializers.py.
    """
    options.check_variant(name, variant, DESIGNS[name])
    options.check_dropout(dropout)
    initializers.check(init)
    return RCN(DESIGNS[name][variant], classes, dropout, init)


# Title and published scores of each.
_PUBLISHED = {
    'rcn_a': (
        'RCN-a',
        (
            Figure(
                0.7432,
                0.7190,
                'Xia et al., RCN, IEEE Transactions on Image Processing, 2020',
                NO,
                LAST_EPOCH,
            ),
            compared_by_dual_atme(0.634, 0.635),
        ),
    ),
    'rcn_s': ('RCN-s', ()),
    'rcn_w': ('RCN-w', (compared_by_dual_atme(0.600, 0.590),)),
    'rcn_c': ('RCN-c', (compared_by_dual_atme(0.616, 0.598),)),
    'rcn_f': ('RCN-f', (compared_by_dual_atme(0.607, 0.595),)),
}
SYSTEMS = tuple(
    System(
        name=name,
        title=title,
        papers=('xia2020rcn',),
        build=functools.partial(build, name),
        config=f'configs/{name}.py',
        torch_names=TORCH_NAMES,
        torch_unread=TORCH_UNREAD.get(name, ()),
        variants=tuple(DESIGNS[name]),
        traced=('dropout',),
        figures=figures,
        last_maps=lambda network: (LastMap(network.design.block, 'flow'),),
    )
    for name, (title, figures) in _PUBLISHED.items()
)
