"""AMAN (Wei, Zheng, Zong, Jiang, Lu, Liu, ICASSP 2022): attention over magnifications and frames of a clip.

A frozen stage magnifies the motion of each frame from the first one, the onset, by several factors, and gives
for each the maps of a ResNet-18 behind its third stage. The network has the fourth stage of a ResNet-18,
started at random and shared by all of them, whose averages attention weighs first over the factors of each
frame, then over the frames. Input [256, frames, factors, 14, 14, B], output [B, classes].

It follows the published PyTorch code. In it each frame and factor goes through the fourth stage as a batch of
its own: BatchNorm sees the clips of a batch there, and nothing else (variant `slices`). Variant `joint`
normalises over all frames and factors of a batch together.

What is not published, and is a choice here: the factors (2 to 12 in nine equal steps; the demonstration of
the magnifier has 32 from 2 to 12), how many frames (11, as in the example of the code; a comment there has
10) and which (evenly spaced from onset to offset), whether the magnifier read 384x384 pixels then as in its
demonstration, and the weights of the extractor, a ResNet-18 trained on FER+.
Deviations: the published extractor is not in evaluation mode, so that its normalisation has the statistics
of the nine magnifications of a frame, of each GPU's share of them: `statistics='batch'` has them on one
device, the default the running ones. Pictures are not rounded to bytes between magnifier and extractor.
Without a file for the magnifier frames are not magnified (`magnifier='none'`: one factor, 1); without one
for the extractor it stays as it starts (`extractor='random'`).
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.models import magnifier as magnifier_lib
from dualatme_jax.models import options, resnet18
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import initializers, lowering
from dualatme_jax.models.layers.conv import Dense
from dualatme_jax.models.output import Output
from dualatme_jax.models.stage import Part, Stage
from dualatme_jax.models.system import System

VARIANTS = ('slices', 'joint')
MAGNIFIERS = ('none', 'learned')
EXTRACTORS = ('random', 'pretrained')
STATISTICS = ('running', 'batch')

FRAMES, FACTORS = 11, (2.0, 3.25, 4.5, 5.75, 7.0, 8.25, 9.5, 10.75, 12.0)
MAPS = 'magnified_maps'  # what the stage gives
CHANNELS, EDGE = 256, 14  # of it

# Of ImageNet's red, green and blue, in 0..1.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

TORCH_NAMES = {
    **{
        ours.replace('stage4_', 'block'): theirs
        for ours, theirs in resnet18.TORCH_NAMES.items()
        if ours.startswith('stage4_')
    },
    'over_factors': 'alpha.0',
    'over_frames': 'beta.0',
    'classifier': 'pred_fc',
}


class AMAN(nn.Module):
    """The network. It has no dropout."""

    variant: str
    classes: int
    initializer: str
    width: int = 512  # channels of the fourth stage

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits of a batch; `inputs` has the maps. See `DualATME.__call__`."""
        channels, frames, factors, height, width, batch = inputs[MAPS].shape
        count = frames * factors
        # Each frame and factor of a clip is an example.
        x = inputs[MAPS].transpose(0, 3, 4, 1, 2, 5).reshape(channels, height, width, count * batch)
        for number, stride in enumerate((2, 1)):
            slices = count if self.variant == 'slices' else 1
            block = resnet18.Residual(self.width, stride, self.initializer, slices, name=f'block{number}')
            x = block(x, mask=jnp.tile(mask, count), train=train)
        x = x.mean((1, 2)).reshape(-1, frames, factors, batch)
        x = self._weighed(x, 'over_factors')
        x = self._weighed(x, 'over_frames')
        return Output(Dense(self.classes, self.initializer, name='classifier')(x).T)

    def _weighed(self, x: jax.Array, name: str) -> jax.Array:
        """The mean over the axis before the last, weighted by attention: [D, ..., N, B] to [D, ..., B]."""
        attention = Dense(1, self.initializer, name=name)(x.reshape(len(x), -1, x.shape[-1]))
        # Sigmoids by their sum, which is not 0 so where all of them are.
        weights = nn.softmax(nn.log_sigmoid(attention.reshape(1, *x.shape[1:])), -2)
        return (weights * x).sum(-2)


def build(
    *,
    classes: int,
    variant: str = 'slices',
    magnifier: str = 'none',
    factors: tuple[float, ...] = FACTORS,
    magnified_size: int = magnifier_lib.PUBLISHED,
    frames: int = FRAMES,
    extractor: str = 'random',
    statistics: str = 'running',
    half: bool = True,
    init: str = 'torch',
) -> AMAN:
    """The network; see `dual_atme.build`.

    Args:
      classes: number of classes.
      variant: 'slices' (each frame and factor is normalised by itself, as published) or 'joint'.
      magnifier: 'learned' (of Oh et al., by the file in config.stage.weights) or 'none' (frames as they are).
      factors: by which motion is multiplied; of 'learned'.
      magnified_size: pixels of the edges to which frames are resized before, a multiple of 4; of 'learned'.
      frames: evenly taken from those of the dataset, the first one and the last one among them.
      extractor: 'pretrained' (a ResNet-18, whose weights config.stage.weights names) or 'random'.
      statistics: of the extractor's normalisation: 'running', or of the 'batch' of a frame's magnifications.
      half: whether its maps are kept in float16, half as large.
      init: how parameters start: 'torch', as PyTorch's layers do, or another of layers/initializers.py.
    """
    options.check_variant('AMAN', variant, VARIANTS)
    initializers.check(init)
    for option, value, choices in (
        ('magnifier', magnifier, MAGNIFIERS),
        ('extractor', extractor, EXTRACTORS),
        ('statistics', statistics, STATISTICS),
    ):
        if value not in choices:
            raise InputError(
                f'config.model.{option} is {value!r}; expected {" or ".join(map(repr, choices))}'
            )
    if not factors or min(factors) < 0:
        raise InputError(f'config.model.factors is {factors}; expected one or more, none of them below 0')
    if frames < 1:
        raise InputError(f'config.model.frames is {frames}; expected 1 or more')
    magnifier_lib.check_size(magnified_size, 'config.model.magnified_size')
    return AMAN(variant, classes, init)


class Extractor(nn.Module):
    """A ResNet-18 up to its third stage: normalised pictures [3, H, W, B] to [256, H/16, W/16, B]."""

    width: int = 64

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        mask = jnp.ones(x.shape[-1])
        return resnet18.trunk(x, self.width, 'kaiming', stages=3, paper=True, mask=mask, train=train)


@functools.cache
def extractor_shapes() -> Mapping[str, Any]:
    """Shapes of its variables."""
    picture = jax.ShapeDtypeStruct((3, 32, 32, 1), 'float32')
    return jax.eval_shape(Extractor().init, jax.random.key(0), picture)


EXTRACTOR = Part(
    about="of a ResNet-18 with torchvision's names, such as AMAN's of FER+ or one of ImageNet, or of a run "
    'of resnet18 on other people',
    shapes=extractor_shapes,
    torch_names={
        ours: theirs
        for ours, theirs in resnet18.TORCH_NAMES.items()
        if ours != 'classifier' and not ours.startswith('stage4_')
    },
    unread=('layer4', 'fc'),
    system='resnet18',
)


def make_stage(
    *,
    magnifier: str,
    factors: tuple[float, ...],
    magnified_size: int,
    frames: int,
    extractor: str,
    statistics: str,
    half: bool,
) -> Stage:
    """The frozen stage of some options of `build`."""
    learned, pretrained = magnifier == 'learned', extractor == 'pretrained'
    given = {
        'factors': tuple(factors) if learned else (1.0,),
        'size': magnified_size if learned else 0,
        'frames': frames,
        'by_batch': statistics == 'batch',
        'half': half,
    }
    parts = ({'magnifier': magnifier_lib.PART} if learned else {}) | (
        {'extractor': EXTRACTOR} if pretrained else {}
    )
    about = [] if learned else ['frames not magnified']
    about += [] if pretrained else ['extractor with random weights']
    return Stage(
        name='aman',
        reads=('face_frames',),
        gives=(MAPS,),
        apply=functools.partial(_apply, **given),
        parts=parts,
        about=', '.join(about),
    )


def _apply(
    weights: Mapping[str, Any], inputs: Mapping[str, np.ndarray], *, frames: int, **given
) -> dict[str, np.ndarray]:
    """Maps [B, frames, factors, 14, 14, 256] of clips [B, T, S, S, 3] in bytes."""
    stored = inputs['face_frames']
    there = stored.shape[1]
    if there < frames:
        raise InputError(
            f'the clips of the dataset have {there} frames, and config.model.frames is {frames}; build them '
            f'by `data_prep build --view frames --frame-count {frames} ...`, or lower config.model.frames'
        )
    places = np.round(np.linspace(0, there - 1, frames)).astype(int)
    if 'extractor' not in weights:
        weights = {**weights, 'extractor': _random_extractor()}
    weights = jax.device_put(weights)
    # One frame is all that the memory holds of magnified pictures.
    found: list[np.ndarray] = []
    for number, clip in enumerate(stored):
        filling = number and np.array_equal(clip, stored[number - 1])  # of a batch, by its last clip
        found.append(found[-1] if filling else _of_clip(weights, clip[places], **given))
    return {MAPS: np.stack(found)}


def _of_clip(weights, clip: np.ndarray, *, factors, size, by_batch, half) -> np.ndarray:
    """Maps of the frames [T, S, S, 3] of a clip."""
    frames = (_as_read(frame, size) for frame in clip)
    if not size:
        pictures = (frame[..., None] for frame in frames)
    else:
        variables, first = weights['magnifier'], _as_read(clip[0], size)
        reference = magnifier_lib.shape_of(variables, first)
        pictures = (
            magnifier_lib.by_factors(variables, reference, frame, np.float32(factors)) for frame in frames
        )
    found = [_extracted(weights['extractor'], each, by_batch=by_batch, half=half) for each in pictures]
    return np.stack(jax.device_get(found))


@functools.partial(jax.jit, static_argnames='size')
def _as_read(frame: jax.Array, size: int) -> jax.Array:
    """A frame [S, S, 3] in bytes as [3, size, size], of its own size if that is 0, in -1..1."""
    frame = frame.astype(jnp.float32).transpose(2, 0, 1)[..., None] / 127.5 - 1
    return (magnifier_lib.resized(frame, size, size) if size else frame)[..., 0]


@functools.partial(jax.jit, static_argnames=('by_batch', 'half'))
def _extracted(variables, pictures: jax.Array, *, by_batch: bool, half: bool) -> jax.Array:
    """Maps [I, 14, 14, 256] of pictures [3, H, W, I] in -1..1."""
    pictures = magnifier_lib.resized(pictures, resnet18.ENLARGED, resnet18.ENLARGED)
    mean, deviation = (jnp.array(values)[:, None, None, None] for values in (_MEAN, _DEVIATION))
    pictures = ((pictures + 1) / 2 - mean) / deviation
    with lowering.use('grouped'):  # XLA's own: no trials are stacked here
        if by_batch:
            maps, _ = Extractor().apply(variables, pictures, train=True, mutable=['batch_stats'])
        else:
            maps = Extractor().apply(variables, pictures)
    maps = maps.transpose(3, 1, 2, 0)
    return maps.astype(jnp.float16) if half else maps


@functools.cache
def _random_extractor() -> Mapping[str, Any]:
    picture = jnp.zeros((3, 32, 32, 1))
    return jax.jit(Extractor().init)(jax.random.key(0), picture)


SYSTEM = System(
    name='aman',
    title='AMAN',
    papers=('wei2022aman', 'oh2018magnification'),
    build=build,
    reads=(MAPS,),
    stage=make_stage,
    sizes={MAPS: (CHANNELS, FRAMES, len(FACTORS), EDGE, EDGE)},
    config='configs/aman.py',
    torch_names=TORCH_NAMES,
    variants=VARIANTS,
    last_maps=(LastMap('block1', schema.FACE_FRAMES),),
)
