"""ResNet-18 (He, Zhang, Ren, Sun, CVPR 2016) on one flow image, a baseline of many papers of the field.

Input [3, 28, 28, B], channels u, v, strain, scaled to -1..1, enlarged to 224x224 within the network (variant
`paper`) or not, with a 3x3 stem and no pooling behind it (`small`, as for CIFAR); output [B, classes].

Deviations: it starts at random and not from ImageNet's weights; with `init='kaiming'` the classifier starts
as RCN's, normal of deviation 0.01, where torchvision leaves it at PyTorch's default. Enlarging is bilinear.
"""

from collections.abc import Mapping

import jax
from flax import linen as nn

from dualatme_jax.models import options
from dualatme_jax.models.figures import compared_by_dual_atme
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.maps import bilinear, flat
from dualatme_jax.models.layers.pooling import adaptive_average_pool, max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System

VARIANTS = ('paper', 'small')
ENLARGED = 224

# Torchvision's.
_BLOCK = {
    'conv1': 'conv1',
    'norm1': 'bn1',
    'conv2': 'conv2',
    'norm2': 'bn2',
    'shortcut_conv': 'downsample.0',
    'shortcut_norm': 'downsample.1',
}
TORCH_NAMES = {
    'stem_conv': 'conv1',
    'stem_norm': 'bn1',
    **{
        f'stage{stage}_{block}/{ours}': f'layer{stage}.{block}.{theirs}'
        for stage in (1, 2, 3, 4)
        for block in (0, 1)
        for ours, theirs in _BLOCK.items()
        if not ours.startswith('shortcut') or (stage > 1 and block == 0)
    },
    'classifier': 'fc',
}


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut: [C, H, W, B] to [features, H/stride, W/stride, B]."""

    features: int
    stride: int
    initializer: str
    slices: int = 1  # of the examples, see `BatchNorm`

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        def conv(x, size, stride, name):
            how = {'stride': stride, 'padding': size // 2, 'use_bias': False}
            return Conv(self.features, size, self.initializer, **how, name=name)(x)

        def norm(x, name):
            return BatchNorm(slices=self.slices, name=name)(x, mask=mask, train=train)

        y = nn.relu(norm(conv(x, 3, self.stride, 'conv1'), 'norm1'))
        y = norm(conv(y, 3, 1, 'conv2'), 'norm2')
        if self.stride > 1:
            x = norm(conv(x, 1, self.stride, 'shortcut_conv'), 'shortcut_norm')
        return nn.relu(x + y)


def two_blocks(
    x: jax.Array, stage: int, width: int, initializer: str, *, mask: jax.Array, train: bool
) -> jax.Array:
    """A stage, within a network's `__call__`: [C, H, W, B] to [width * 2^(stage - 1), H', W', B].

    The first of its blocks halves the maps' edges, except in stage 1.
    """
    for number in (0, 1):
        stride = 2 if stage > 1 and number == 0 else 1
        name = f'stage{stage}_{number}'
        block = Residual(width * 2 ** (stage - 1), stride, initializer, name=name)
        x = block(x, mask=mask, train=train)
    return x


def trunk(
    x: jax.Array,
    width: int,
    initializer: str,
    *,
    stages: int,
    paper: bool,
    mask: jax.Array,
    train: bool,
) -> jax.Array:
    """Stem and first stages, within a network's `__call__`; `paper`: at 224x224."""
    size, stride = (7, 2) if paper else (3, 1)
    how = {'stride': stride, 'padding': size // 2, 'use_bias': False}
    stem = Conv(width, size, initializer, **how, name='stem_conv')
    x = nn.relu(BatchNorm(name='stem_norm')(stem(x), mask=mask, train=train))
    x = max_pool(x, 3, stride=2, padding=1) if paper else x
    for stage in range(1, stages + 1):
        x = two_blocks(x, stage, width, initializer, mask=mask, train=train)
    return x


class ResNet18(nn.Module):
    """The network. It has no dropout."""

    variant: str
    classes: int
    initializer: str
    width: int = 64  # channels of the first stage; each further one has twice as many

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the flow. See `DualATME.__call__`."""
        x, paper = inputs['flow'], self.variant == 'paper'
        x = bilinear(x, ENLARGED) if paper else x
        x = trunk(x, self.width, self.initializer, stages=4, paper=paper, mask=mask, train=train)
        x = flat(adaptive_average_pool(x, 1))
        return Output(Dense(self.classes, self.initializer, name='classifier')(x).T)


def build(*, classes: int, variant: str = 'paper', init: str = 'torch') -> ResNet18:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      variant: 'paper' (pictures enlarged to 224x224) or 'small' (28x28 as it is, a quarter of the work).
      init: how parameters start: 'torch', as PyTorch's layers do, or another of layers/initializers.py.
    """
    options.check_variant('ResNet-18', variant, VARIANTS)
    initializers.check(init)
    return ResNet18(variant, classes, init)


SYSTEM = System(
    name='resnet18',
    title='ResNet-18',
    papers=('he2016resnet',),
    build=build,
    config='configs/resnet18.py',
    torch_names=TORCH_NAMES,
    variants=VARIANTS,
    last_maps=(LastMap('stage4_1', 'flow'),),
    figures=(
        compared_by_dual_atme(0.586, 0.575, '; its row equals that of LBP-TOP, so one of the two is a slip'),
    ),
)
