"""A smoke test: the whole of a run in a minute, by few folds and one epoch; no result, and marked so."""

import pandas as pd
from ml_collections import ConfigDict

from dualatme_jax.report.ensemble import SEEDS
from dualatme_jax.report.marks import SMOKE as NOTICE

# Folds, of LOSO those of each database: two, so that there is a spread over subjects.
FOLDS = 2

_EPOCHS = 'training.epochs'


def notice(config: ConfigDict) -> str:
    """What must stand wherever a result of this run is shown; empty of a full run."""
    return NOTICE if config.smoke else ''


def shortened(config: ConfigDict) -> ConfigDict:
    """The config of a smoke test: one seed and one epoch at every point of a valid sweep, else as it was.

    A selection among epochs needs two of them, and an ensemble of seeds two seeds.
    """
    short = config.copy_and_resolve_references()
    epochs = 2 if config.selection.every else 1
    short.training.epochs = epochs
    short.selection.every = min(config.selection.every, 1)
    of_seeds = config.report.ensemble and config.report.ensemble_over == SEEDS
    short.seeds = tuple(config.seeds[: 2 if of_seeds else 1])
    short.sweep = tuple(grid | ({_EPOCHS: epochs} if _EPOCHS in grid else {}) for grid in config.sweep)
    return short


def few(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of trials of the first `FOLDS` folds, of LOSO of those of each database."""
    folds = table[['fold', 'left_out']].drop_duplicates()
    # The database of `database/subject`; databases and parts have none.
    database = folds['left_out'].where(folds['left_out'].str.contains('/'), '').str.partition('/')[0]
    folds = folds.groupby(database, sort=False).head(FOLDS)
    kept = table[table['fold'].isin(folds['fold'])].reset_index(drop=True)
    return kept.assign(trial=kept.index)
