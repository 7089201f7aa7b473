"""A folder of arrays that took long to compute: what a build that was stopped has done already."""

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from dualatme_jax.errors import InputError
from dualatme_jax.files import read_bytes, replacing

Arrays = Mapping[str, np.ndarray]

VERSION = 2  # of all that is kept: raise it whenever what is computed from the same key changes

_CHECKSUM = hashlib.sha256().digest_size
LARGEST_ENTRY = 2**28  # bytes of an entry; the largest flow has 8 MiB


@dataclasses.dataclass(frozen=True)
class Form:
    """What an array of an entry must be.

    Attributes:
      shape: its shape.
      dtype: its type.
      least: no value is less; none is infinite or NaN in any case.
      most: no value is more.
    """

    shape: tuple[int, ...]
    dtype: type
    least: float = -np.inf
    most: float = np.inf

    def fits(self, array: np.ndarray) -> bool:
        """Whether an array is of this form."""
        return (
            array.dtype == self.dtype
            and array.shape == self.shape
            and bool(np.isfinite(array).all())
            and bool((array >= self.least).all() and (array <= self.most).all())
        )


Forms = Mapping[str, Form]  # name -> form of every array of an entry


class Cache:
    """Arrays by what they were computed from: contents and parameters, never names or dates.

    What another version of this package (`VERSION`) or of OpenCV has computed is not found. Any number of
    processes may share one folder, and it may be deleted at any time.

    Args:
      folder: made when the first arrays are kept; None to keep nothing.
    """

    def __init__(self, folder: str | os.PathLike | None):
        self._folder = None if folder is None else pathlib.Path(folder)

    def arrays(
        self, kind: str, key: Mapping[str, Any], compute: Callable[[], Arrays], forms: Forms
    ) -> Arrays:
        """Returns what `compute` gives, from the folder if it is there.

        Args:
          kind: what the arrays are, a word: the folder below which they are kept.
          key: all that decides them, as JSON values.
          compute: called if they are not there, or there is something else in their place.
          forms: of the arrays that `compute` gives.

        Raises:
          OSError: the folder cannot be written.
        """
        if self._folder is None:
            return compute()
        versions = {'version': VERSION, 'opencv': cv2.__version__}
        digest = hashlib.sha256(json.dumps([versions, key], sort_keys=True).encode()).hexdigest()
        path = self._folder / kind / digest[:2] / f'{digest}.npz'
        kept = _read(path, forms)
        if kept is not None:
            return kept
        made = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            _write(temporary, made)
        return made


def _write(path: pathlib.Path, arrays: Arrays) -> None:
    """Writes arrays, and behind them the checksum of all: an .npz has none of its names and shapes."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    content = file.getvalue()
    path.write_bytes(content + hashlib.sha256(content).digest())


def _read(path: pathlib.Path, forms: Forms) -> Arrays | None:
    """Reads arrays; None if they are not there, damaged or of other forms: they are then made anew."""
    try:
        data = read_bytes(path, limit=LARGEST_ENTRY, what='cache entry')
    except InputError:
        return None
    content, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if hashlib.sha256(content).digest() != checksum:
        return None
    try:
        arrays = _parsed(content)
        fit = arrays.keys() == forms.keys() and all(forms[name].fits(array) for name, array in arrays.items())
    except Exception:  # of a file that only looks like an entry, NumPy raises whatever comes up
        return None
    return arrays if fit else None


def _parsed(content: bytes) -> Arrays:
    file = io.BytesIO(content)
    with zipfile.ZipFile(file) as members:
        if sum(member.file_size for member in members.infolist()) > len(content):  # as of zip bombs
            raise ValueError('compressed, or members over each other')
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)
