"""What is reported of two classes beside UF1: the area under the ROC curve, and the accuracy by subject.

The area (AUC) is how often a clip of one class has a higher probability of it than a clip of the other has,
equal ones counting half. It is pooled over folds as UF1 is, so probabilities of different networks are
compared. The accuracy by subject is the mean of the subjects' own: one of many clips counts no more.

Axes: N seeds, S subjects, R resamples.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from dualatme_jax import schema
from dualatme_jax.report import predictions, scores, tables

HEADINGS = {'auc': 'AUC', 'acc_by_subject': 'Acc by subject'}
TITLE = 'Two classes: area under the ROC curve, accuracy by subject'


def auc(table: pd.DataFrame) -> float | None:
    """The area under the ROC curve of one seed's predictions; None without probabilities or of one class."""
    from sklearn import metrics  # a second, see `scores.score`

    chance = _chance(table)
    if chance is None or table[schema.LABEL].nunique() < 2:
        return None
    return float(metrics.roc_auc_score(table[schema.LABEL], chance))


def by_subject(table: pd.DataFrame) -> list[dict[str, Any]]:
    """One dict per subject: `database`, `subject`, `clips`, and `acc`, the mean over seeds."""
    right = (table[schema.LABEL] == table['prediction']).groupby(
        [table[key] for key in predictions.SUBJECT_KEY]
    )
    clips = table.groupby(predictions.SUBJECT_KEY)[schema.CLIP].nunique()
    return [
        dict(zip(predictions.SUBJECT_KEY, key, strict=True)) | {'clips': int(clips[key]), 'acc': float(acc)}
        for key, acc in right.mean().items()
    ]


def add(result: dict[str, Any], table: pd.DataFrame, *, resamples: int = 1000, seed: int = 0) -> None:
    """Adds both to what `scores.score_run` has returned of a table of two classes.

    Args:
      result: its `scores` and `per_seed` get the keys of `HEADINGS`, where they are known, and it gets
        `by_subject`, see there.
      table: the predictions that were scored.
      resamples: draws of the bootstrap over subjects.
      seed: of those draws.
    """
    result['by_subject'] = by_subject(table)
    for name, rows in predictions.subsets(table).items():
        seeds = [part for _, part in rows.groupby('seed')]
        own = {
            'auc': [auc(part) for part in seeds],
            'acc_by_subject': [float(np.mean([each['acc'] for each in by_subject(part)])) for part in seeds],
        }
        intervals = _intervals(rows, resamples, seed)
        for metric, values in own.items():
            if None in values:
                continue
            for entry, value in zip(result['per_seed'], values, strict=True):
                entry[name][metric] = value
            result['scores'][name][metric] = scores.spread(values) | {'interval': intervals[metric]}


def rich_table(
    table: pd.DataFrame,
    result: dict[str, Any],
    *,
    selection: str | None = None,
    notice: str = '',
    members: str | None = None,
) -> Table:
    """What `add` has added, one row per set; `notice` stands above it; see `tables.scores_table`."""
    title = '\n'.join(filter(None, [notice, TITLE]))
    return tables.scores_table(
        table, result, selection=selection, title=title, headings=HEADINGS, members=members
    )


def _chance(table: pd.DataFrame) -> pd.Series | None:
    """The probability of the class that is numbered 1; None of a table that has no probabilities."""
    columns = predictions.probabilities(table.columns)
    return table[columns[1]] if len(columns) == 2 else None


def _intervals(table: pd.DataFrame, resamples: int, seed: int) -> Mapping[str, list[float] | None]:
    """Percentile bootstrap over subjects of each metric's mean over seeds."""
    subjects = table.groupby(predictions.SUBJECT_KEY).ngroup().to_numpy()
    number = subjects.max() + 1
    if number < 2:
        return dict.fromkeys(HEADINGS)
    right = (table[schema.LABEL] == table['prediction']).groupby(subjects).mean().to_numpy()
    found = {'acc_by_subject': [draws @ right / number for draws in scores.draws(number, resamples, seed)]}
    if _chance(table) is not None:
        wins, pairs = _pairs(table, subjects, number)
        found['auc'] = [_areas(draws, wins, pairs) for draws in scores.draws(number, resamples, seed)]
    drawn = {metric: np.concatenate(values) for metric, values in found.items()}
    return {metric: scores.percentiles(values) if len(values) else None for metric, values in drawn.items()}


def _areas(draws: np.ndarray, wins: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The means over seeds of the areas of some draws of subjects [R, S], without those of one class."""
    counts = np.einsum('rs,st,rt->r', draws, pairs, draws, optimize=True)
    won = np.einsum('rs,nst,rt->rn', draws, wins, draws, optimize=True)
    return (won[counts > 0] / counts[counts > 0, None]).mean(-1)


def _pairs(table: pd.DataFrame, subjects: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """How many pairs of clips two subjects have, one of class 1 and one of class 0, and how many are won.

    Returns:
      [N, S, S] and [S, S], the subject of class 1 first: over them the area is a ratio of sums, so that a
      draw of subjects needs no sorting.
    """
    seeds, chance = table['seed'].to_numpy(), _chance(table).to_numpy()
    wins, pairs = [], np.zeros((number, number))
    for each in np.unique(seeds):
        own = seeds == each
        one, zero = (own & (table[schema.LABEL] == label).to_numpy() for label in (1, 0))
        rows, columns = np.eye(number)[subjects[one]], np.eye(number)[subjects[zero]]
        pairs = np.outer(rows.sum(0), columns.sum(0))  # the same clips in each seed
        won = (np.sign(chance[one][:, None] - chance[zero]) + 1) / 2
        wins.append(rows.T @ won @ columns)
    return np.stack(wins), pairs
