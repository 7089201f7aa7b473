"""Puts the losses together that the waves of a run have left."""

import numpy as np
import pandas as pd
from rich.console import Console

from dualatme_jax.errors import InputError
from dualatme_jax.report import curves
from dualatme_jax.report.curves import Curves
from dualatme_jax.run.kept import Kept
from dualatme_jax.run.trial_table import PENDING


def gathered(table: pd.DataFrame, kept: Kept, console: Console) -> Curves:
    """The losses of all trials of the waves that have ended.

    Of a wave that has left none, as those of older versions, they are NaN. Where no wave has any left but the
    folder has the file of an earlier report, they are those of the file.

    Args:
      table: of trials.
      kept: what the waves left.
      console: where it is said that losses cannot be read, which costs no score.
    """
    ended = table[table['status'] != PENDING]
    found, notes = {}, []
    for number, rows in ended.groupby('wave'):
        try:
            losses = kept.losses(number)
        except InputError as error:
            notes.append(str(error))
            continue
        if losses is not None and losses.ndim == 2 and losses.shape[1] == len(rows):
            found |= dict(zip(rows['trial'], losses.T, strict=True))
    for note in notes[:1]:
        more = f' (and {len(notes) - 1} more)' if len(notes) > 1 else ''
        console.print(f'{note}{more}; the learning curves lack its trials', soft_wrap=True)
    path = kept.folder and kept.folder / curves.FILE
    if not found and path and path.exists():
        try:
            return curves.read(path)
        except InputError as error:
            console.print(f'{error}; there are no learning curves', soft_wrap=True)
    epochs = max(map(len, found.values()), default=0)
    losses = np.full((len(table), epochs), np.nan, np.float32)
    for row, trial in enumerate(table['trial']):
        if trial in found:
            losses[row, : len(found[trial])] = found[trial]
    return Curves(table['trial'].to_numpy(np.int64), losses)
