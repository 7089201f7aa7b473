"""The dual-branch 3DCNN (Fang, Liu, Liu, 2024): two branches of 3-D convolutions on the frames of a clip.

Convolutions on the whole frames and on a crop of them, merged; EC-CBAM, a gate of channels beside one of
places; a GRU over the steps of time that pooling leaves; eight attention heads of falling width, of which one
step comes out; three dense layers. Inputs `face_frames` and `crop_frames`, each [3, T, H, W, B]; output
[B, classes].

The authors publish one Keras script per database, and no two are alike: they are the variants, see `FORMS`.
Frames, their number and their scale are options of the dataset and of configs/dual_branch_3dcnn.py.

Deviations:
- Pooling of the heads reaches over 10 queries there, more than the steps that any script has; here over all
  of them, however many there are.
- Pooling comes before the activation, which is the same and 27 times less work.
- The gates of the GRU stand in PyTorch's order and not in Keras's: the arithmetic is the same.
- `dropout` is one option, .5 as in three of the scripts; configs/dual_branch_3dcnn.py has those of each.
- Its Adam adds epsilon behind the correction of its start, as PyTorch's, and not before, as Keras's.
- The deception script drops `around its head`; here before its first layer and behind both activations.

Axes: C channels, T steps of time, H and W places, B examples, D features.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax import schema
from dualatme_jax.models import options
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.attention import Attention
from dualatme_jax.models.layers.conv import Conv, Dense, squares
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.layers.gru import GRU
from dualatme_jax.models.layers.maps import flat_steps
from dualatme_jax.models.layers.pooling import global_average_pool, global_max_pool, max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System

_GLOROT = 'glorot_uniform'  # how Keras's layers start where a script says nothing
_REDUCTION = 8  # of the gate of channels
_MLP_L2 = 0.01


@dataclasses.dataclass(frozen=True)
class Form:
    """In what the published scripts differ.

    Attributes:
      pool: edge of each pooling window.
      maps: channels behind the merging convolution, and of the gate of places.
      difference: whether the gate of channels is half the difference of its two MLPs, or their sum.
      crop: whether the second branch reads the crop, or what the first one reads.
      l2: weight of the squares of the two dense layers of each step.
      dropout_gru: fraction dropped before the GRU.
      dropout_head: fractions dropped before the head's first dense layer, and behind each of its activations.
      causal: whether attention of four heads stands beside the eight, each step seeing none behind it.
    """

    pool: int = 3
    maps: int = 64
    difference: bool = True
    crop: bool = True
    l2: float = 0.01
    dropout_gru: float = 0.0
    dropout_head: tuple[float, float] = (0.0, 0.0)
    causal: bool = False


FORMS = {
    'casme2': Form(),
    'samm': Form(),
    'smic': Form(maps=32, difference=False, crop=False),
    'casme3': Form(pool=2, dropout_head=(0.0, 0.3)),
    'casme_sq': Form(pool=2),
    # It crops the landmarks' box, and then overwrites the crop by the whole frame.
    'deception': Form(maps=32, crop=False, l2=0.03, dropout_gru=0.3, dropout_head=(0.3, 0.3), causal=True),
}

HEADS = 8

TORCH_NAMES = {
    **{f'{layer}/conv': layer for layer in ('whole', 'local', 'merge')},
    **{
        f'gate/{name}_{layer}': f'gate.{name}.{layer}'
        for name in ('max', 'mean')
        for layer in ('squeeze', 'excite')
    },
    'gate/places': 'gate.places',
    'step1': 'step1',
    'step2': 'step2',
    'gru': 'gru',
    **{
        f'{layer}/{part}': f'{theirs}.{part}'
        for layer, theirs in {
            **{f'head{number}': f'heads.{number}' for number in range(HEADS)},
            'causal': 'causal',
        }.items()
        for part in ('query', 'key', 'value', 'out')
    },
    'dense1': 'dense1',
    'dense2': 'dense2',
    'classifier': 'classifier',
}


def leaky(x: jax.Array) -> jax.Array:
    """The activation of all layers."""
    return nn.leaky_relu(x, 0.2)


class Branch(nn.Module):
    """A convolution of stride 1, pooled, activated: [C, T, H, W, B] to [features, T/pool, H/pool, W/pool, B].

    Attributes:
      features: channels out.
      size: edge of the kernel.
      pool: edge of the pooling window, which is cut at the end of the map.
      initializer: how it starts.
    """

    features: int
    size: int
    pool: int
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Conv(self.features, self.size, self.initializer, name='conv')(x)
        return leaky(max_pool(x, self.pool, padding='tensorflow'))


class ECCBAM(nn.Module):
    """Gates of channels and of places, both of the same maps [C, T, H, W, B]: to the same shape.

    Channels: sigmoid of half the difference, or the sum, of an MLP of the maxima over the places and another
    one of the means. Places: sigmoid of a convolution of the channels' maximum and mean, which has C maps.

    Attributes:
      difference: which of the two.
      initializer: how the MLPs' second layers start; the others start as Keras's.
    """

    difference: bool
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The weighted maps, and what they add to the loss of a batch."""
        channels, l2 = len(x), 0.0
        mlps = {}
        for name, pooled in (('max', global_max_pool(x)), ('mean', global_average_pool(x))):
            squeeze = Dense(channels // _REDUCTION, _GLOROT, name=f'{name}_squeeze')
            excite = Dense(channels, self.initializer, name=f'{name}_excite')
            mlps[name] = excite(leaky(squeeze(pooled)))
            l2 += _MLP_L2 * squares(squeeze)
        most, mean = mlps['max'], mlps['mean']
        of_channels = (most - mean) / 2 if self.difference else most + mean
        of_places = Conv(channels, 3, _GLOROT, name='places')(jnp.stack([x.max(0), x.mean(0)]))
        gates = nn.sigmoid(of_channels)[:, None, None, None] * nn.sigmoid(of_places.astype(jnp.float32))
        return (x * gates).astype(x.dtype), l2


class DualBranch3DCNN(nn.Module):
    """The network. `dropout` may be traced.

    Attributes:
      form: of `FORMS`.
      classes: number of classes.
      dropout: fraction dropped before each of the two dense layers of a step.
      initializer: how convolutions and dense layers before an activation start; the others start as Keras's.
      branch: channels of each branch.
      dense: width of the first dense layer of a step and of the head; the second has half of it.
      state: units of the GRU.
      heads: how many attention heads.
      widest: width of the first of them; each further one is half as wide.
    """

    form: Form
    classes: int
    dropout: float | jax.Array
    initializer: str
    branch: int = 32
    dense: int = 128
    state: int = 512
    heads: int = HEADS
    widest: int = 256

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has whole frames and crops. See `DualATME.__call__`."""
        form, started = self.form, self.initializer
        whole, local = inputs[schema.FACE_FRAMES], inputs[schema.CROP_FRAMES]
        x = jnp.concatenate(
            [
                Branch(self.branch, 5, form.pool, started, name='whole')(whole),
                Branch(self.branch, 3, form.pool, started, name='local')(local if form.crop else whole),
            ]
        )
        x = Branch(form.maps, 3, form.pool, started, name='merge')(x)
        x, l2 = ECCBAM(form.difference, started, name='gate')(x)

        x = flat_steps(x, channels_last=True).astype(jnp.float32)
        for number, width in enumerate((self.dense, self.dense // 2), start=1):
            layer = Dense(width, started, name=f'step{number}')
            x = leaky(layer(Dropout(self.dropout)(x, train=train)))
            l2 += form.l2 * squares(layer)
        x = GRU(self.state, _GLOROT, name='gru')(Dropout(form.dropout_gru)(x, train=train))

        widths = [self.widest // 2**number for number in range(self.heads)]
        heads = [
            Attention(1, width, width, _GLOROT, pooled=True, name=f'head{number}')(x)
            for number, width in enumerate(widths)
        ]
        if form.causal:
            attended = Attention(4, self.state, self.state, _GLOROT, causal=True, name='causal')(x)
            heads.append(attended.max(1, keepdims=True))
        before, behind = form.dropout_head
        x = Dropout(before)(jnp.concatenate(heads)[:, 0], train=train)
        for number, width in enumerate((self.dense, self.dense // 2), start=1):
            x = leaky(Dense(width, started, name=f'dense{number}')(x))
            x = Dropout(behind)(x, train=train)
        logits = Dense(self.classes, _GLOROT, name='classifier')(x).T
        return Output(logits, losses={'l2': jnp.broadcast_to(l2, mask.shape)})


def build(
    *, classes: int, variant: str = 'casme2', dropout: float = 0.5, init: str = 'he_normal'
) -> DualBranch3DCNN:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      variant: the database whose published script it is: 'casme2', 'samm' (the same network), 'smic' (the
        whole frames alone), 'casme3' and 'casme_sq' (larger maps), 'deception' (causal attention too).
      dropout: fraction dropped before each of the two dense layers of a step, in [0, 1).
      init: how layers before an activation start, one of layers/initializers.py; the others start as Keras's.
    """
    options.check_variant('dual-branch 3DCNN', variant, FORMS)
    options.check_dropout(dropout)
    initializers.check(init)
    return DualBranch3DCNN(FORMS[variant], classes, dropout, init)


SYSTEM = System(
    name='dual_branch_3dcnn',
    title='Dual-branch 3DCNN',
    papers=('fang2024dualbranch',),
    build=build,
    reads=(schema.FACE_FRAMES, schema.CROP_FRAMES),
    config='configs/dual_branch_3dcnn.py',
    torch_names=TORCH_NAMES,
    variants=tuple(FORMS),
    traced=('dropout',),
    last_maps=(LastMap('gate', schema.FACE_FRAMES),),
)
