"""A folder of arrays that were dear to compute: what a build that was stopped has done already."""

import hashlib
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dualatme_jax.files import replacing

Arrays = Mapping[str, np.ndarray]


class Cache:
    """Arrays by what they were computed from: contents, parameters and versions, never names or dates.

    Any number of processes may share one folder, and it may be deleted at any time.

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
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        path = self._folder / kind / digest[:2] / f'{digest}.npz'
        try:
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):  # not there, or damaged: written anew
            pass
        made = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open('wb') as file:
            np.savez(file, **made)
        return made
