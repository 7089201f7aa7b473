"""The loss of every trial by epoch: how `curves.npz` of a run is written and read.

Axes: F trials, E epochs.
"""

import dataclasses
import os

import numpy as np

from dualatme_jax import files
from dualatme_jax.errors import InputError
from dualatme_jax.outside import npz

FILE = 'curves.npz'

_MOST_BYTES, _MOST_UNPACKED = 2**29, 2**30  # 100,000 trials of 2,500 epochs


@dataclasses.dataclass(frozen=True)
class Curves:
    """What trials lost while they trained.

    Attributes:
      trial: [F] int64, their numbers in the table of trials.
      losses: [F, E] float32, the joint loss averaged over each epoch's clips. NaN where a trial was not
        trained, or not as long, or diverged.
    """

    trial: np.ndarray
    losses: np.ndarray

    @property
    def trained(self) -> bool:
        """Whether there is any loss: what is fitted in closed form has none."""
        return bool(np.isfinite(self.losses).any())

    def of(self, trials: np.ndarray) -> 'Curves':
        """Those of some trials, by their numbers; others are left out."""
        own = np.isin(self.trial, trials)
        return Curves(self.trial[own], self.losses[own])


def write(curves: Curves, path: str | os.PathLike) -> None:
    """Writes the file, whole or not at all; the same bytes for the same losses."""
    npz.write({'trial': curves.trial, 'losses': curves.losses}, path)


def read(path: str | os.PathLike) -> Curves:
    """Reads what `write` wrote.

    Raises:
      InputError: there is no such file, or it is something else.
    """
    content = files.read_bytes(path, limit=_MOST_BYTES, what='losses of the trials')
    try:
        arrays = npz.arrays(content, most=_MOST_UNPACKED)
        found = Curves(arrays['trial'], arrays['losses'])
        types = found.trial.dtype, found.losses.dtype
        if (
            types != (np.int64, np.float32)
            or found.losses.ndim != 2
            or found.trial.shape != (len(found.losses),)
        ):
            raise ValueError(f'trials {types[0]} {found.trial.shape}, losses {types[1]} {found.losses.shape}')
    except Exception as error:  # NumPy, zipfile and zlib raise many for a damaged one
        raise InputError(
            f'{path} does not hold the losses of a run ({error}); delete it, and the command of the run '
            'makes it anew'
        ) from error
    return found
