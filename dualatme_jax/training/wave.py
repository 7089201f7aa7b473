"""What a learner leaves of the trials of a wave: predictions, losses, and networks if it trains some.

Axes: F trials of a wave, T held-out clips, K classes, E epochs.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
from flax import traverse_util

from dualatme_jax import schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.training import freeze
from dualatme_jax.training import trials as trials_lib
from dualatme_jax.training.parallel import on_host
from dualatme_jax.training.start import Path
from dualatme_jax.training.state import State

Row = Mapping[str, Any]  # of the table of trials


@dataclasses.dataclass(frozen=True)
class Wave:
    """A wave that has been trained, or evaluated.

    Attributes:
      predictions: one row per held-out clip and kept epoch of each trial that did not fail, as
        `report.predictions` has them, with the further column `epoch`, from 1.
      losses: [E, F], joint loss, averaged over each epoch's clips; NaN where there is none.
      failed_epoch: [F], the first epoch (from 1) whose loss was not finite, 0 where none was.
      seconds: of training, or of evaluation, of all processes that worked on it.
      states: of the trained networks, on the devices, [F or more, ...]; None of a learner without any.
      shared: leaves of all networks that are not in `states`, by path.
      chosen: of a learner that chooses settings for each trial, those and their metric, [F]; else empty.
    """

    predictions: pd.DataFrame
    losses: np.ndarray
    failed_epoch: np.ndarray
    seconds: float
    states: State | None
    shared: Mapping[Path, np.ndarray] = dataclasses.field(default_factory=dict)
    chosen: Sequence[Mapping[str, Any]] = ()

    @property
    def variables(self) -> dict[str, Any]:
        """What the trained networks predict with, `params` and `batch_stats`, [F, ...] in NumPy."""
        own = self.losses.shape[1]
        found = jax.tree.map(lambda x: x[:own], on_host(self.states.variables))
        shared = {path: np.broadcast_to(leaf, (own, *leaf.shape)) for path, leaf in self.shared.items()}
        return freeze.together(found, traverse_util.unflatten_dict(shared))


def predictions_of(trained: Sequence[tuple[Row, int, np.ndarray]], dataset: Dataset) -> pd.DataFrame:
    """One row per held-out clip, from rows of the table of trials, epochs and probabilities [T, K]."""
    names = [f'{schema.PROBABILITY}{label}' for label in dataset.labels]
    tables = [pd.DataFrame(columns=[*schema.PREDICTION_COLUMNS, schema.EPOCH, *names])]
    for row, epoch, probability in trained:
        index = trials_lib.held_out_clips(row, dataset)
        probability = probability[: index.size]
        columns = {
            'trial': row['trial'],
            'seed': row['seed'],
            schema.DATABASE: dataset.database[index],
            schema.SUBJECT: dataset.subject[index],
            schema.CLIP: dataset.clip[index],
            schema.LABEL: dataset.label[index],
            'prediction': probability.argmax(-1),
            schema.EPOCH: epoch,
        }
        columns |= dict(zip(names, probability.T, strict=True))
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def failed_epochs(losses: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """[F]: first epoch (from 1) of a loss [E, F] that is not finite; E if only predictions are not; or 0."""
    bad = ~np.isfinite(losses)
    bad[-1] |= ~np.isfinite(probabilities).all((1, 2))
    return np.where(bad.any(0), bad.argmax(0) + 1, 0)
