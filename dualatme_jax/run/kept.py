"""What the waves of a run leave, predictions and networks: in its folder, or in memory where it has none."""

import io
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pandas as pd

from dualatme_jax import files
from dualatme_jax.errors import InputError
from dualatme_jax.machines import processes
from dualatme_jax.report import predictions
from dualatme_jax.run import workdir
from dualatme_jax.training.checkpoint import load_weights, save_weights
from dualatme_jax.training.wave import Wave

LOSSES = 'losses.npy'  # of a wave: [epochs, trials]
_MOST_LOSSES = 2**29  # bytes


class Kept:
    """The waves of a run that have ended.

    A wave is written once, with checksums. What this process has trained is not read back for the report.

    Args:
      folder: the workdir; None: nothing is written.

    Attributes:
      folder: as it was given.
      predictions: those of the waves that ended in this process, by wave; of several processes in the first.
    """

    def __init__(self, folder: pathlib.Path | None):
        self.folder = folder
        self.predictions: dict[int, pd.DataFrame] = {}
        self._losses: dict[int, np.ndarray] = {}
        self._variables: dict[int, dict[str, Any]] = {}

    def wave(self, number: int) -> pathlib.Path:
        """The folder of a wave, of a run that has one."""
        return self.folder / workdir.WAVES / workdir.wave_name(number)

    def keep(self, number: int, wave: Wave, *, weights: bool) -> None:
        """Keeps a wave's predictions and losses, and its networks if asked for."""
        if processes.is_first():
            self.predictions[number] = wave.predictions
            self._losses[number] = wave.losses
        if self.folder is None:
            if weights:
                self._variables[number] = wave.variables
            return
        folder = self.wave(number)
        folder.mkdir(parents=True, exist_ok=True)
        if processes.is_first():
            predictions.write(wave.predictions, folder / workdir.PREDICTIONS)
            with files.replacing(folder / LOSSES) as temporary:
                np.save(temporary, wave.losses, allow_pickle=False)
        if weights:
            save_weights(folder / workdir.WEIGHTS, wave.variables)
        if processes.is_first():
            files.write_checksums(folder)

    def losses(self, number: int) -> np.ndarray | None:
        """[epochs, trials] of a wave that has ended; None if it has left none, as those of older versions.

        Raises:
          InputError: the file is damaged.
        """
        if number in self._losses or self.folder is None:
            return self._losses.get(number)
        path = self.wave(number) / LOSSES
        if not path.exists():
            return None
        files.check_if_sealed(path.parent, 'files of the wave', only=[path.name])
        try:
            content = files.read_bytes(path, limit=_MOST_LOSSES, what='losses of the wave')
            return np.load(io.BytesIO(content), allow_pickle=False)
        except ValueError as error:
            raise InputError(f'{path} holds no losses ({error})') from error

    def variables(self, table: pd.DataFrame, trials: pd.Series) -> dict[str, Any]:
        """The trained networks of some trials, side by side.

        Args:
          table: the table of trials.
          trials: F of its numbers.

        Returns:
          `params` and `batch_stats`, each leaf [F, ...] in NumPy.

        Raises:
          InputError: a trial is not there or was not trained, no networks were kept, or they are not alike.
        """
        table = table.set_index('trial')
        if unknown := sorted({*trials} - {*table.index}):
            raise InputError(f'the run has no trial {unknown[0]}; it has {len(table)}, see `run.trials`')
        own = table.loc[list(trials)].assign(place=np.arange(len(trials)))
        parts, places = [], []
        for wave, rows in own.groupby('wave'):
            inside = table.index[table['wave'] == wave].get_indexer(rows.index)
            parts.append(jax.tree.map(lambda leaf, inside=inside: leaf[inside], self._networks(wave)))
            places.append(rows['place'].to_numpy())
        if len({tuple(_shapes(part)) for part in parts}) > 1:
            raise InputError(
                'these trials have networks of several kinds, which cannot stand side by side; name some of '
                'one kind: `run.variables_of(run.trials.query("program == 0")["trial"])`'
            )
        order = np.argsort(np.concatenate(places))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[order], *parts)

    def _networks(self, wave: int) -> dict[str, Any]:
        if wave in self._variables:
            return self._variables[wave]
        if self.folder is None:
            raise InputError(
                'the networks of this run were not kept: train with config.checkpoint.keep_weights=True. '
                'What is fitted without a network is never kept'
            )
        return jax.tree.map(np.asarray, load_weights(self.wave(wave) / workdir.WEIGHTS))


def _shapes(variables: dict[str, Any]) -> Iterator[tuple]:
    """What one network consists of: path and shape of each leaf."""
    for path, leaf in jax.tree.leaves_with_path(variables):
        yield jax.tree_util.keystr(path), leaf.shape[1:]
