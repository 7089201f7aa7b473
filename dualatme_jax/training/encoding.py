"""Encodings of motion in which 0 is no motion and 1 much of it, whatever was lost when it was stored.

Flow is mostly stored min-max scaled, each channel of each clip by itself, so that zero lies somewhere in
0..255. These encodings are functions of one clip without parameters: they are computed once, before anything
is trained (a sort within each step costs more than the step of a small network).
Axes: N clips, C channels, *S space (behind time, if there is any), B examples.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dualatme_jax import schema
from dualatme_jax.data.dataset import Dataset, some
from dualatme_jax.errors import InputError

# What `config.input.encoding` takes. `minmax`: what lies in the dataset, scaled by config.input.scale. `raw`:
# u and v in thousandths of the face's edge, strain in hundredths; or of a dataset in eye distances per second
# hundredths of these, and tenths of the strain: numbers of about 1 in a micro-expression.
MINMAX, ROBUST, RAW = ENCODINGS = ('minmax', 'robust', 'raw')

# Of `robust`: the percentile of the absolute values that is 1, and where values are clipped.
PERCENTILE, CLIP = 95.0, 4.0
# The fields of config.input by which motion is read, with what they are where nothing is said.
FIELDS = {'encoding': MINMAX, 'percentile': PERCENTILE, 'clip': CLIP}

_TINY = np.finfo(np.float32).tiny


def as_read(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section `config.input`, with the defaults where an older version, or its encoding, reads nothing."""
    found = {**FIELDS, **section}
    return found if found['encoding'] == ROBUST else found | {'percentile': PERCENTILE, 'clip': CLIP}


def applies(encoding: str, names: Sequence[str]) -> bool:
    """Whether an input of these channels is encoded, so that `config.input.scale` does not scale it."""
    return encoding != MINMAX and schema.is_motion(names)


def ends(names: Sequence[str], ndim: int) -> tuple[np.ndarray, np.ndarray]:
    """The usual least and largest value of each encoded channel, [C, 1, ...] of so many axes.

    A signed value and its negative sum to 0, as the ends do.
    """
    low = np.float32([-1 if name in schema.SIGNED else 0 for name in names])
    low = low.reshape(-1, *[1] * (ndim - 1))
    return low, np.ones_like(low)


def robust(x: Any, names: Sequence[str], percentile: float = PERCENTILE, clip: float = CLIP) -> Any:
    """Each channel of each clip by its own median and a percentile, clipped, as float32.

    A signed channel (u, v, exx, ...) has its median over the pixels as zero, and its sign: most of a face
    does not move. Strain and magnitude keep their zero, which is the least value of the picture where they
    are bytes of a dataset that does not say more: no motion in about only. Then each is divided by the
    percentile of its absolute value (NumPy's, linear between two). A channel without scale, of which that
    percentile is 0, is 0 everywhere.

    Args:
      x: [C, *S, B] of bytes or floats, NumPy's or JAX's, also within `jit` and `vmap`.
      names: of the channels.
      percentile: of the absolute values that becomes 1, above 0 and up to 100.
      clip: the largest absolute value that is left, above 0.
    """
    xp = x.__array_namespace__()
    axes = tuple(range(1, x.ndim - 1))
    signed = np.array([name in schema.SIGNED for name in names]).reshape(-1, *[1] * (x.ndim - 1))
    x = x.astype(np.float32)
    x = x - xp.where(signed, xp.median(x, axis=axes, keepdims=True), np.float32(0))
    scale = xp.percentile(abs(x), percentile, axis=axes, keepdims=True).astype(np.float32)
    known = scale >= _TINY
    most = np.float32(clip)
    found = xp.clip(x / xp.where(known, scale, np.float32(1)), xp.where(signed, -most, np.float32(0)), most)
    return xp.where(known, found, np.float32(0))


def encoded(
    dataset: Dataset, encoding: str, percentile: float = PERCENTILE, clip: float = CLIP
) -> tuple[Dataset, list[str]]:
    """The clips with their motion encoded, float32, and a line about those of which it has no scale.

    Other inputs are as they were. A float takes four times what a byte does: 442 clips of 28x28x3 take 4 MB,
    of 112x112x3 66 MB.

    Args:
      dataset: the clips.
      encoding: one of `ENCODINGS`.
      percentile, clip: see `robust`.

    Raises:
      InputError: numbers of a clip are not finite, or its units are not known, which `raw` needs.
    """
    inputs, still = dict(dataset.inputs), {}
    for key, stored in dataset.inputs.items():
        names = schema.CHANNELS.get(key, ())
        if not applies(encoding, names):
            continue
        units = _units(dataset, key) if encoding == RAW else None
        inputs[key] = np.empty(stored.shape, np.float32)
        for place in range(dataset.size):
            motion = _restored(dataset, key, place)
            found = np.float32(np.nan)
            if np.isfinite(motion).all():
                with np.errstate(over='ignore', invalid='ignore'):  # of numbers near the largest float
                    found = motion * units if encoding == RAW else _of_clip(motion, names, percentile, clip)
            if not np.isfinite(found).all():
                raise InputError(
                    f'{key} of {_name(dataset, place)} has numbers that are not '
                    f'finite, which config.input.encoding={encoding!r} cannot scale; build the dataset '
                    'again, or leave the clip out'
                )
            inputs[key][place] = found
            if encoding == ROBUST:
                for name in np.array(names)[~found.any(tuple(range(found.ndim - 1)))]:
                    still.setdefault((key, str(name)), []).append(place)
    lines = [
        f'{name} of {key} has no scale in {len(places)} clip{"s" if len(places) > 1 else ""}, which nearly '
        f'all pixels have alike, and is 0 there: {some([_name(dataset, place) for place in places])}'
        for (key, name), places in still.items()
    ]
    return dataclasses.replace(dataset, inputs=inputs), lines


def _of_clip(motion: np.ndarray, *options) -> np.ndarray:
    """`robust` of one clip as it is stored, [*S, C]."""
    return np.moveaxis(robust(np.moveaxis(motion, -1, 0)[..., None], *options)[..., 0], 0, -1)


def _restored(dataset: Dataset, key: str, place: int) -> np.ndarray:
    """A clip's motion [*S, C] before it was min-max scaled, if the dataset has its range; else as stored."""
    clip, ranges = dataset.inputs[key][place], dataset.measures.get(schema.range_of(key))
    if clip.dtype != np.uint8 or ranges is None:
        return clip
    low, high = ranges[place].T
    return low + clip * ((high - low) / np.float32(255))


def _units(dataset: Dataset, key: str) -> np.ndarray:
    """[C]: by what motion as it was computed is multiplied, see `RAW`.

    Raises:
      InputError: the dataset has neither floats nor the range of its bytes, or does not say in which unit.
    """
    unit = dataset.motion_unit
    known = dataset.inputs[key].dtype != np.uint8 or schema.range_of(key) in dataset.measures
    if not (unit and known):
        reason = 'in which unit it is' if known else 'what 0 and 255 of a clip stand for'
        raise InputError(
            f"config.input.encoding is 'raw', and the dataset does not say {reason}, as those of images and "
            f'of older versions: {key} has no unit. Build it from frames by `python -m data_prep build '
            f'--release NAME --source DIR --view {schema.view_of(key)} --out DIR` (flow perhaps with '
            '--encoding raw), or take --config.input.encoding=robust'
        )
    per_second = unit[schema.UNIT] == schema.EYE_DISTANCES_PER_SECOND
    length, strain = (100, 10) if per_second else (1000 / unit[schema.COMPUTED_AT][0], 100)
    return np.float32(
        [length if name in ('u', 'v', 'magnitude') else strain for name in schema.CHANNELS[key]]
    )


def _name(dataset: Dataset, place: int) -> str:
    return f'{dataset.subjects[place]}/{dataset.clip[place]}'
