"""Where the network looked, as a run keeps it: the file attention.npz, written and read.

Axes: N clips that are shown, M maps of a view, H rows, W columns, C channels.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import ndimage

from dualatme_jax import files, schema
from dualatme_jax.errors import InputError
from dualatme_jax.outside import npz
from dualatme_jax.report import hard_clips, predictions

FILE = 'attention.npz'
CBAM, GRAD_CAM = METHODS = ('CBAM', 'Grad-CAM')
FACES = {*schema.VIEWS['apex'], *schema.VIEWS['frames']}  # inputs that are pictures of people
NO_CLASS = -1  # of a gate, which is the same for all classes

FEWEST, MOST = 12, 24  # clips that are shown
_HARD = 0.5  # of the seeds: a clip that more of them get wrong is hard

_FORMAT = 1  # raised when the file changes
_MOST_BYTES, _MOST_UNPACKED = 2**27, 2**28
_WORDS = [*predictions.CLIP_KEY]
_NUMBERS = [schema.LABEL, 'prediction', 'trial', 'seed']
_COLUMNS = [*_WORDS, *_NUMBERS, hard_clips.WRONG]


@dataclasses.dataclass(frozen=True)
class View:
    """The maps of one method at one place of a network.

    Attributes:
      method: one of `METHODS`.
      branch: of the network, as its record names it; empty where it has one.
      picture: key of the input that the maps lie over; `Attention.pictures` may lack it.
      maps: [M, H, W] float32, 0..1, as coarse as the network has them; `upscaled` makes them finer.
      clip: [M], the row of each map's clip in `Attention.clips`.
      label: [M], the class that each map is for, or `NO_CLASS`.
    """

    method: str
    branch: str
    picture: str
    maps: np.ndarray
    clip: np.ndarray
    label: np.ndarray

    def map_of(self, clip: int, label: int = NO_CLASS) -> np.ndarray | None:
        """The map [H, W] of a clip for a class; None if there is none."""
        found = np.flatnonzero((self.clip == clip) & (self.label == label))
        return self.maps[found[0]] if found.size else None


@dataclasses.dataclass(frozen=True)
class Attention:
    """Where the networks of a run looked, for some of its clips.

    Attributes:
      system: its title.
      labels: the classes by their numbers.
      clips: N rows, the hardest first: `database`, `subject`, `clip`; `label`, the truth; `prediction` of the
        network that is shown; `trial` and `seed`, which network it is: one that has not seen the clip's
        fold; `wrong`, the share of the run's seeds that get the clip wrong.
      pictures: key of an input -> [N, H, W, C], as it is stored; of several frames the middle one.
      views: the maps.
    """

    system: str
    labels: tuple[str, ...]
    clips: pd.DataFrame
    pictures: Mapping[str, np.ndarray]
    views: tuple[View, ...]


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """The clips to show: those that most seeds get wrong, at most `MOST`.

    Where these are fewer than `FEWEST`, others follow. Of clips that are equally hard the databases and
    classes take turns.

    Args:
      table: predictions of one point, see `predictions`.

    Returns:
      The columns of `Attention.clips`; prediction, trial and seed are those of the table's first seed.
    """
    clips = hard_clips.table({'run': table})
    hard = clips[hard_clips.WRONG] > _HARD
    # Of those that most seeds get right it does not matter how many do.
    clips['hardness'] = clips[hard_clips.WRONG].where(hard, 0)
    clips['turn'] = clips.groupby(['hardness', schema.DATABASE, schema.LABEL]).cumcount()
    clips = clips.sort_values(['hardness', 'turn'], ascending=[False, True], kind='stable')
    clips = clips[: min(MOST, max(FEWEST, hard.sum()))]
    return rows(table, clips)


def rows(table: pd.DataFrame, clips: pd.DataFrame) -> pd.DataFrame:
    """Some clips of a table of predictions as `Attention.clips` has them, in the order of `clips`."""
    first = table.loc[table['seed'] == table['seed'].iloc[0], [*_WORDS, 'prediction', 'trial', 'seed']]
    wrong = hard_clips.table({'run': table})[[*_WORDS, schema.LABEL, hard_clips.WRONG]]
    found = clips[_WORDS].drop_duplicates().merge(wrong, on=_WORDS).merge(first, on=_WORDS)
    return found[_COLUMNS]


def upscaled(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """Maps [..., H, W] resized to [..., height, width], bilinear: pixels are areas, borders stay.

    What is in 0..1 stays in 0..1.
    """
    zoom = [1] * (maps.ndim - 2) + [height / maps.shape[-2], width / maps.shape[-1]]
    return ndimage.zoom(maps, zoom, order=1, mode='nearest', grid_mode=True)


def write(attention: Attention, path: str | os.PathLike) -> None:
    """Writes the file, whole or not at all; the same bytes for the same maps."""
    arrays = {
        'format': np.int64(_FORMAT),
        'system': np.str_(attention.system),
        'labels': np.array(attention.labels, np.str_),
    }
    arrays |= {f'clips.{name}': _of_type(attention.clips[name].to_numpy(), name) for name in _COLUMNS}
    arrays |= {f'pictures.{key}': array for key, array in attention.pictures.items()}
    for number, view in enumerate(attention.views):
        arrays |= {f'views.{number}.{name}': np.asarray(value) for name, value in vars(view).items()}
    npz.write(arrays, path)


def read(path: str | os.PathLike) -> Attention:
    """Reads what `write` wrote.

    Raises:
      InputError: there is no such file, or it is something else.
    """
    content = files.read_bytes(path, limit=_MOST_BYTES, what='maps of attention')
    try:
        arrays = npz.arrays(content, most=_MOST_UNPACKED)
        if arrays['format'] != _FORMAT:
            raise ValueError(f'format {arrays["format"]}')
        clips = pd.DataFrame({name: _of_type(arrays[f'clips.{name}'], name) for name in _COLUMNS})
        labels = tuple(map(str, _words(arrays['labels'])))
        pictures = {
            key.partition('.')[2]: array for key, array in arrays.items() if key.startswith('pictures.')
        }
        numbers = sorted({int(key.split('.')[1]) for key in arrays if key.startswith('views.')})
        views = tuple(_view(arrays, f'views.{number}', len(clips), len(labels)) for number in numbers)
        _check(clips, labels, pictures)
        return Attention(str(_words(arrays['system'])), labels, clips, pictures, views)
    except Exception as error:  # NumPy, zipfile and zlib raise many for a damaged one
        raise InputError(
            f'{path} does not hold maps of attention ({error}); delete it, and `python -m '
            'dualatme_jax.attention` on its folder makes it anew'
        ) from error


def _view(arrays: Mapping[str, np.ndarray], prefix: str, clips: int, labels: int) -> View:
    found = {field.name: arrays[f'{prefix}.{field.name}'] for field in dataclasses.fields(View)}
    found |= {name: str(_words(found[name])) for name in ('method', 'branch', 'picture')}
    view = View(**found)
    inside = view.maps.size == 0 or (view.maps.min() >= 0 and view.maps.max() <= 1)
    if view.method not in METHODS or view.maps.ndim != 3 or view.maps.dtype != np.float32 or not inside:
        raise ValueError(f'{prefix}: {view.method} {view.maps.dtype} {view.maps.shape}')
    for name, least, most in (('clip', 0, clips), ('label', NO_CLASS, labels)):
        numbers = found[name]
        if numbers.shape != view.maps.shape[:1] or numbers.dtype.kind != 'i':
            raise ValueError(f'{prefix}.{name}: {numbers.dtype} {numbers.shape}')
        if numbers.size and not least <= numbers.min() <= numbers.max() < most:
            raise ValueError(f'{prefix}.{name}: from {numbers.min()} to {numbers.max()}')
    return view


def _check(clips: pd.DataFrame, labels: Sequence[str], pictures: Mapping[str, np.ndarray]) -> None:
    for name in (schema.LABEL, 'prediction'):
        if not clips[name].between(0, len(labels) - 1).all():
            raise ValueError(f'{name}: no class of {len(labels)}')
    for key, array in pictures.items():
        if array.ndim != 4 or len(array) != len(clips) or not np.isfinite(array).all():
            raise ValueError(f'{key}: {array.dtype} {array.shape}')


def _words(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != 'U':
        raise ValueError(f'{array.dtype} for words')
    return array


def _of_type(array: np.ndarray, name: str) -> np.ndarray:
    """A column of the clips as the file has it; raises ValueError for one of another type."""
    if name in _WORDS:
        return np.array(array, np.str_) if array.dtype.kind == 'O' else _words(array)
    if array.dtype.kind not in 'iuf':
        raise ValueError(f'{name}: {array.dtype}')
    return array.astype(np.int64 if name in _NUMBERS else np.float64)
