"""Micro-Attention (Wang, Peng, Bi, Chen, Neurocomputing 410, 2020): a residual network that weighs places.

Input [1, 224, 224, B], the grey face at the apex as bytes 0..255; output [B, classes]. Sizes in the comments
are the paper's, with `width` 64.

It follows the published Caffe definition of network and fillers: ResNet-10 (cvjena/cnn-models) with one grey
channel and an attention unit in each stage. Deviations: of the unit's convolution, 3C to C channels, nothing
but the mean over its C outputs is read, which is computed as what it is, a product with the mean of the
kernel's columns; the last stage divides by 512, where the definition has 0.00195312; and weight decay takes
the classifier's bias too, which the definition leaves out of it.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.errors import InputError
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.maps import Marked
from dualatme_jax.models.layers.pooling import global_average_pool, max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System

STAGES = (1, 2, 3, 4)
MOVING_FRACTION = 0.999  # of running statistics, Caffe's word and its default
FIRST_BIAS = 0.2  # of the classifier

_STAGE = {
    'norm1': 'bn1',
    'conv1': 'conv1',
    'norm2': 'bn2',
    'conv2': 'conv2',
    'expand': 'conv_expand',
    'attention': 'attention',
}
TORCH_NAMES = {
    'data_norm': 'data_bn',
    'stem_conv': 'conv1',
    'stem_norm': 'conv1_bn',
    **{
        f'stage{stage}/{ours}': f'layer_{32 * 2**stage}_1.{theirs}'
        for stage in STAGES
        for ours, theirs in _STAGE.items()
        if stage > 1 or ours not in ('norm1', 'expand')
    },
    'last_norm': 'last_bn',
    'classifier': 'score',
}


def norm(name: str) -> BatchNorm:
    """Caffe's: running values move by a thousandth, and forget how they start."""
    return BatchNorm(momentum=1 - MOVING_FRACTION, debias=True, name=name)


class Attention(nn.Module):
    """How much each place counts, sigmoid(mean over channels of conv1x1(parts)): [C, H, W, B] to [H, W, B].

    The mean of what a convolution gives is the product with the mean of its kernel's columns.
    """

    initializer: str

    @nn.compact
    def __call__(self, *parts: jax.Array) -> jax.Array:
        channels = len(parts[0])
        of_kernel, _ = initializers.conv(self.initializer, fan_in=len(parts) * channels)
        kernel = self.param('kernel', of_kernel, (1, 1, len(parts) * channels, channels))
        weights = kernel.mean((0, 1, 3)).reshape(len(parts), channels, 1, 1, 1)
        return nn.sigmoid(sum((part * own).sum(0) for part, own in zip(parts, weights, strict=True)))


class Stage(nn.Module):
    """A residual block whose sum is weighed place by place: [C, H, W, B] to [features, H', W', B].

    Attributes:
      features: channels out.
      first: whether it is the first stage, which keeps size and channels, and reads normalised maps.
      initializer: how kernels start.
    """

    features: int
    first: bool
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array, *, mask: jax.Array, train: bool) -> jax.Array:
        def conv(x, size, stride, name):
            how = {'stride': stride, 'padding': size // 2, 'use_bias': False}
            return Conv(self.features, size, self.initializer, **how, name=name)(x)

        stride = 1 if self.first else 2
        if not self.first:
            x = nn.relu(norm('norm1')(x, mask=mask, train=train))
        inner = nn.relu(norm('norm2')(conv(x, 3, stride, 'conv1'), mask=mask, train=train))
        outer = conv(inner, 3, 1, 'conv2')
        shortcut = x if self.first else conv(x, 1, stride, 'expand')
        weights = Attention(self.initializer, name='attention')(shortcut, inner, outer)
        # Multiplied in float32, so that the gradients of the weights are summed so.
        return ((outer + shortcut) * (1 + weights)).astype(outer.dtype)


class MicroAttention(nn.Module):
    """The network. It has no dropout."""

    classes: int
    initializer: str
    width: int

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the grey face at the apex. See `DualATME.__call__`."""
        caffe = self.initializer == 'caffe'
        x = norm('data_norm')(inputs['apex_face_grey'], mask=mask, train=train)
        # Its bias has no gradient: it is normalised away, see `Unit`.
        how = {'stride': 2, 'padding': 3, 'constant_bias': train}
        start = 'kaiming_fan_out' if caffe else self.initializer
        x = Conv(self.width, 7, start, **how, name='stem_conv')(x)  # 112x112
        x = nn.relu(norm('stem_norm')(x, mask=mask, train=train))
        x = max_pool(x, 3, stride=2, ceil=True)  # 56x56
        for stage in STAGES:  # 56x56, 28x28, 14x14, 7x7
            block = Stage(self.width * 2 ** (stage - 1), stage == 1, self.initializer, name=f'stage{stage}')
            x = block(x, mask=mask, train=train)
        x = nn.relu(norm('last_norm')(x, mask=mask, train=train))
        x = global_average_pool(Marked(name='last_maps')(x))
        classifier = Dense(self.classes, self.initializer, initial_bias=FIRST_BIAS, name='classifier')
        return Output(classifier(x.astype(jnp.float32)).T)


def build(*, classes: int, width: int = 64, init: str = 'caffe') -> MicroAttention:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      width: channels of the first stage; each further one has twice as many.
      init: how kernels start: 'caffe', as the published definition has them, or another of
        layers/initializers.py.
    """
    if width < 1:
        raise InputError(f'config.model.width is {width}; expected 1 or more')
    initializers.check(init)
    return MicroAttention(classes, init, width)


SYSTEM = System(
    name='micro_attention',
    title='Micro-Attention',
    papers=('wang2020microattention',),
    build=build,
    reads=('apex_face_grey',),
    config='configs/micro_attention.py',
    torch_names=TORCH_NAMES,
    last_maps=(LastMap('last_maps', 'apex_face_grey'),),
)
