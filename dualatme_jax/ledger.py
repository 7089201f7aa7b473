"""trials.csv: the table of trials, the wave of each, and what became of it."""

import pathlib
from collections.abc import Iterator

import numpy as np
import pandas as pd

from dualatme_jax.errors import InputError
from dualatme_jax.files import replacing
from dualatme_jax.training.engine import Wave

PENDING, DONE, FAILED = 'pending', 'done', 'failed'

# What the ledger adds to the columns of the table of trials.
OUTCOME = ('wave', 'status', 'failed_epoch', 'loss', 'seconds')


class Ledger:
    """The table of trials, a row a trial, kept in a file.

    Beside the trial itself each row has `wave`, `status` (pending, done, failed), `failed_epoch` (from 1;
    0 if none), `loss` (of the last epoch) and `seconds` (the wave's, for all its trials together).
    """

    def __init__(self, path: pathlib.Path, table: pd.DataFrame):
        self._path = path
        self.table = table

    @classmethod
    def create(cls, path: pathlib.Path, trials: pd.DataFrame, *, wave_size: int) -> 'Ledger':
        """A new ledger in which every trial is pending, `wave_size` of them a wave."""
        waves = np.arange(len(trials)) // wave_size
        ledger = cls(
            path,
            trials.assign(wave=waves, status=PENDING, failed_epoch=0, loss=np.nan, seconds=np.nan),
        )
        ledger._write()
        return ledger

    @classmethod
    def open(cls, path: pathlib.Path, trials: pd.DataFrame) -> 'Ledger':
        """The ledger that an earlier process left of these trials; raises InputError if it is not one."""
        try:
            # A subject may be called NA: only numbers can be missing.
            empty = {'loss': [''], 'seconds': ['']}
            table = pd.read_csv(path, dtype={'subject': str}, keep_default_na=False, na_values=empty)
            same = table[list(trials.columns)].astype(str).equals(trials.astype(str))
            table = table[[*trials.columns, *OUTCOME]]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f'{path} is not the table of a run ({error}); give another --workdir') from error
        if not same:
            raise InputError(f'{path} lists other trials than this run has; give another --workdir')
        return cls(path, table)

    @property
    def waves(self) -> int:
        """How many waves there are."""
        return int(self.table['wave'].max()) + 1

    @property
    def wave_size(self) -> int:
        """Trials in the largest wave that is pending; 0 if none is."""
        pending = self.table[self.table['status'] == PENDING]
        return int(pending['wave'].value_counts().max()) if len(pending) else 0

    @property
    def seconds(self) -> float:
        """Training time of the waves that have ended."""
        return float(self.table.groupby('wave')['seconds'].first().sum())

    @property
    def failed(self) -> pd.DataFrame:
        """The rows of trials that diverged."""
        return self.table[self.table['status'] == FAILED]

    def pending(self) -> Iterator[tuple[int, pd.DataFrame]]:
        """Number and trials of each wave that is still to be trained."""
        for wave, rows in self.table.groupby('wave'):
            if (rows['status'] == PENDING).any():
                yield int(wave), rows.drop(columns=list(OUTCOME))

    def plan_again(self, wave_size: int) -> None:
        """Cuts what is pending into waves of `wave_size`, numbered after those that have ended."""
        pending = self.table['status'] == PENDING
        ended = self.table.loc[~pending, 'wave']
        first = int(ended.max()) + 1 if len(ended) else 0
        self.table.loc[pending, 'wave'] = first + np.arange(pending.sum()) // wave_size
        self._write()

    def close_wave(self, number: int, wave: Wave) -> None:
        """Enters what became of a wave's trials."""
        rows = self.table['wave'] == number
        self.table.loc[rows, 'failed_epoch'] = wave.failed_epoch
        self.table.loc[rows, 'status'] = np.where(wave.failed_epoch > 0, FAILED, DONE)
        self.table.loc[rows, 'loss'] = wave.losses[-1]
        self.table.loc[rows, 'seconds'] = wave.seconds
        self._write()

    def _write(self) -> None:
        with replacing(self._path) as temporary:
            self.table.to_csv(temporary, index=False)
