"""A folder of arrays that were dear to compute: what a build that was stopped has done already."""

import hashlib
import io
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from dualatme_jax.files import replacing

Arrays = Mapping[str, np.ndarray]

VERSION = 1  # of all that is kept: raise it whenever what is computed from the same key changes

_CHECKSUM = hashlib.sha256().digest_size


class Cache:
    """Arrays by what they were computed from: contents and parameters, never names or dates.

    What another version of this package (`VERSION`) or of OpenCV has computed is not found. Any number of
    processes may share one folder, and it may be deleted at any time.

    Args:
      folder: made when the first arrays are kept.
    """

    def __init__(self, folder: str | os.PathLike):
        self._folder = pathlib.Path(folder)

    def arrays(self, kind: str, key: Mapping[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        """Returns what `compute` gives, from the folder if it is there.

        Args:
          kind: what the arrays are, a word: the folder below which they are kept.
          key: all that decides them, as JSON values.
          compute: called if they are not there.

        Raises:
          OSError: the folder cannot be written.
        """
        versions = {'version': VERSION, 'opencv': cv2.__version__}
        digest = hashlib.sha256(json.dumps([versions, key], sort_keys=True).encode()).hexdigest()
        path = self._folder / kind / digest[:2] / f'{digest}.npz'
        kept = _read(path)
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


def _read(path: pathlib.Path) -> Arrays | None:
    """Reads arrays; None if they are not there, or damaged: they are then made anew."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    content, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if hashlib.sha256(content).digest() != checksum:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return dict(file)
