"""Encodings of motion in which 0 is no motion and 1 much of it, whatever was lost when it was stored.

Flow is mostly stored min-max scaled, each channel of each clip by itself, so that zero lies somewhere in
0..255. These encodings are functions of one clip without parameters: they are computed once, before anything
is trained (a sort within each step costs more than the step of a small network).
Axes: N clips, C channels, *S space (behind time, if there is any), B examples.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from dualatme_jax import schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError

# What `config.input.encoding` takes. `minmax`: what lies in the dataset, scaled by config.input.scale.
MINMAX, ROBUST = ENCODINGS = ('minmax', 'robust')

PERCENTILE = 95  # of the absolute values, which is 1
MOST = np.float32(4)  # where values are clipped

_TINY = np.finfo(np.float32).tiny


def is_motion(names: Sequence[str]) -> bool:
    """Whether channels of these names are motion; a face is not, nor is what has no names."""
    return bool(names) and {*names} <= {*schema.SIGNED, *schema.UNSIGNED}


def applies(encoding: str, names: Sequence[str]) -> bool:
    """Whether an input of these channels is encoded, so that `config.input.scale` does not scale it."""
    return encoding != MINMAX and is_motion(names)


def ends(names: Sequence[str], ndim: int) -> tuple[np.ndarray, np.ndarray]:
    """The usual least and largest value of each encoded channel, [C, 1, ...] of so many axes.

    A signed value and its negative sum to 0, as the ends do.
    """
    low = np.float32([-1 if name in schema.SIGNED else 0 for name in names])
    low = low.reshape(-1, *[1] * (ndim - 1))
    return low, np.ones_like(low)


def robust(x: Any, names: Sequence[str]) -> Any:
    """Each channel of each clip by its own median and 95th percentile, clipped at 4, as float32.

    A signed channel (u, v, exx, ...) has its median over the pixels as zero, and its sign: most of a face
    does not move. Strain and magnitude keep their zero, which is the least value of the picture where they
    were stored min-max scaled, so that there it is no motion in about only. Then each is divided by the 95th
    percentile of its absolute value (NumPy's, linear between two). A channel without scale, of which that
    percentile is 0, is 0 everywhere.

    Args:
      x: [C, *S, B] of bytes or floats, NumPy's or JAX's, also within `jit` and `vmap`.
      names: of the channels.
    """
    xp = x.__array_namespace__()
    axes = tuple(range(1, x.ndim - 1))
    signed = np.array([name in schema.SIGNED for name in names]).reshape(-1, *[1] * (x.ndim - 1))
    x = x.astype(np.float32)
    x = x - xp.where(signed, xp.median(x, axis=axes, keepdims=True), np.float32(0))
    scale = xp.percentile(abs(x), PERCENTILE, axis=axes, keepdims=True).astype(np.float32)
    known = scale >= _TINY
    found = xp.clip(x / xp.where(known, scale, np.float32(1)), xp.where(signed, -MOST, np.float32(0)), MOST)
    return xp.where(known, found, np.float32(0))


def encoded(dataset: Dataset, encoding: str) -> tuple[Dataset, list[str]]:
    """The clips with their motion encoded, float32, and a line about those of which it has no scale.

    Other inputs are as they were. A float takes four times what a byte does: 442 clips of 28x28x3 take 4 MB,
    of 112x112x3 66 MB.

    Raises:
      InputError: numbers of a clip are not finite.
    """
    inputs, still = dict(dataset.inputs), {}
    for key, stored in dataset.inputs.items():
        names = schema.CHANNELS.get(key, ())
        if not applies(encoding, names):
            continue
        inputs[key] = np.empty(stored.shape, np.float32)
        for place, clip in enumerate(stored):
            if np.isfinite(clip).all():
                with np.errstate(over='ignore', invalid='ignore'):  # of numbers near the largest float
                    found = np.moveaxis(robust(np.moveaxis(clip, -1, 0)[..., None], names)[..., 0], 0, -1)
            if not (np.isfinite(clip).all() and np.isfinite(found).all()):
                raise InputError(
                    f'{key} of {dataset.subjects[place]}/{dataset.clip[place]} has numbers that are not '
                    f'finite, which config.input.encoding={encoding!r} cannot scale; build the dataset '
                    'again, or leave the clip out'
                )
            inputs[key][place] = found
            for name in np.array(names)[~found.any(tuple(range(found.ndim - 1)))]:
                still.setdefault((key, str(name)), []).append(place)
    lines = [
        f'{name} of {key} has no scale in {len(places)} clip{"s" if len(places) > 1 else ""}, which nearly '
        f'all pixels have alike, and is 0 there: {_named(dataset, places)}'
        for (key, name), places in still.items()
    ]
    return dataclasses.replace(dataset, inputs=inputs), lines


def _named(dataset: Dataset, places: Sequence[int], most: int = 10) -> str:
    names = [f'{dataset.subjects[place]}/{dataset.clip[place]}' for place in places]
    return ', '.join(names[:most]) + (f' and {len(names) - most} more' if len(names) > most else '')
