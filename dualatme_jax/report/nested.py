"""Nested selection: for each fold, the sweep's point that is best on other subjects.

The inner predictions come from networks that saw neither whom the fold leaves out nor the inner subjects they
were scored on: a predictions table with the further columns `left_out` (the fold) and `inner` (the part of
its training subjects that was left out inside, from 1). Pooled over the inner parts they score each point
without the fold's own clips, so the choice knows nothing of whom it is scored on, and the scores of the
chosen points' outer predictions are those of the system with its tuning.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.data import splits
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions as predictions_lib
from dualatme_jax.report import scores

_FOLD = ['seed', schema.LEFT_OUT]  # for which one choice is made


def choose(
    inner: pd.DataFrame,
    outer: pd.DataFrame,
    fields: Sequence[str],
    metric: str = 'uf1',
    *,
    train_subjects: int = 0,
) -> pd.DataFrame:
    """Chooses a point for each seed and fold.

    Args:
      inner: the inner predictions.
      outer: those of the folds, of which `left_out` and the clips are read.
      fields: the swept fields, columns of `inner`.
      metric: one of `scores.METRICS`, on predictions pooled over the inner parts.
      train_subjects: how many of its subjects a fold trains on, and cuts into inner parts; 0: all.

    Returns:
      One row per seed and fold: `seed`, `left_out`, the fields of the best point, of equals the one that
      appears first in `inner`, and its inner score, named as the metric. A point that one seed lacks is a
      choice for the others.

    Raises:
      InputError: a point lacks predictions, or was scored on clips that the fold leaves out.
    """
    chosen = [_chosen(rows, outer, list(fields), metric, train_subjects) for _, rows in inner.groupby('seed')]
    return pd.concat(chosen, ignore_index=True)


def _chosen(
    inner: pd.DataFrame, outer: pd.DataFrame, fields: list[str], metric: str, train_subjects: int
) -> pd.DataFrame:
    """What `choose` returns, of one seed."""
    fold, folds = _numbered(inner, _FOLD)
    point, points = _numbered(inner, fields)
    _check_complete(inner, outer, fold, folds, point, points, train_subjects)
    values = scores.score_confusions(_confusions(inner, (fold, len(folds)), (point, len(points))))[metric]
    # Equal up to rounding is equal; argmax takes the first.
    best = values.round(12).argmax(axis=1)
    return pd.concat([folds, points.iloc[best].reset_index(drop=True)], axis=1).assign(
        **{metric: values[np.arange(len(folds)), best]}
    )


def predictions(outer: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """The predictions of each fold by the point that was chosen for it.

    Args:
      outer: the sweep's predictions.
      chosen: what `choose` returned.

    Returns:
      A predictions table of one point: the sweep's columns without the swept fields.

    Raises:
      InputError: a seed and fold has no choice, or the chosen point no predictions of it.
    """
    fields = predictions_lib.hyperparameters(outer)
    keys = [*_FOLD, *fields]
    rows = outer.merge(chosen[keys], on=keys, how='inner')
    without = outer[_FOLD].drop_duplicates().merge(
        rows[_FOLD].drop_duplicates(), how='left', indicator=True
    )  # fmt: skip
    missing = without[without['_merge'] == 'left_only']
    if len(missing):
        raise InputError(
            f'{_named(missing.iloc[0])} and {len(missing) - 1} more have no predictions by a point chosen '
            'for them; expected a choice, of a point of the sweep, for each seed and fold. '
            'The inner predictions do not belong to this sweep: start it anew in another --workdir'
        )
    return rows.drop(columns=fields)


def times_chosen(chosen: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """How often each point was chosen: the fields and `times`, most often first; points never chosen lack."""
    times = chosen.groupby(list(fields), sort=False, dropna=False).size().rename('times').reset_index()
    return times.sort_values('times', ascending=False, kind='stable', ignore_index=True)


def _numbered(table: pd.DataFrame, columns: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """The group of each row by its values in some columns, in order of appearance, and those values."""
    number = table.groupby(columns, sort=False, dropna=False).ngroup().to_numpy()
    return number, table[columns].drop_duplicates().reset_index(drop=True)


def _confusions(inner: pd.DataFrame, *axes: tuple[np.ndarray, int]) -> np.ndarray:
    """Counts [G, P, K, K] of groups and points; each axis is (number of each row's place, length)."""
    truth, prediction = inner[schema.LABEL].to_numpy(), inner['prediction'].to_numpy()
    classes = max(truth.max(), prediction.max()) + 1
    counts = np.zeros((*(length for _, length in axes), classes, classes), int)
    np.add.at(counts, (*(place for place, _ in axes), truth, prediction), 1)
    return counts


def _check_complete(
    inner: pd.DataFrame,
    outer: pd.DataFrame,
    fold: np.ndarray,
    folds: pd.DataFrame,
    point: np.ndarray,
    points: pd.DataFrame,
    train_subjects: int,
) -> None:
    """Every point must be scored once on each clip of the fold's training side, and on no other one."""
    clip, clips = _numbered(inner, predictions_lib.CLIP_KEY)
    times = np.zeros((len(folds), len(points), len(clips)), np.int8)
    np.add.at(times, (fold, point, clip), 1)
    expected = np.ones((len(folds), len(clips)), np.int8)
    of_fold, of_clip = (
        pd.MultiIndex.from_frame(known).get_indexer(pd.MultiIndex.from_frame(outer[known.columns]))
        for known in (folds, clips)
    )
    known = (of_fold >= 0) & (of_clip >= 0)
    expected[of_fold[known], of_clip[known]] = 0
    if train_subjects:
        index = pd.MultiIndex.from_frame(clips)
        for number, one in folds.iterrows():
            expected[number] &= index.isin(_trained_on(outer, one, train_subjects))
    wrong = np.argwhere(times != expected[:, None])
    if len(wrong):
        number, of_point, of_clip = wrong[0]
        values = ', '.join(f'{name} {value}' for name, value in points.iloc[of_point].items())
        raise InputError(
            f'{_named(folds.iloc[number])}: the inner predictions by {values} hold the clip '
            f'{"/".join(clips.iloc[of_clip])} {times[tuple(wrong[0])]} times; expected each clip '
            'that the fold trains on once, and no other. Complete the run by the same command, or start it '
            'anew in another --workdir'
        )


def _trained_on(outer: pd.DataFrame, fold: pd.Series, subjects: int) -> pd.MultiIndex:
    """The clips that a fold trains on, where it does so on some of its subjects."""
    own = outer[outer['seed'] == fold['seed']].drop_duplicates(predictions_lib.CLIP_KEY)
    held_out = (own[schema.LEFT_OUT] == fold[schema.LEFT_OUT]).to_numpy()
    names = (own[key].to_numpy() for key in (schema.DATABASE, schema.SUBJECT, schema.LABEL))
    whole = splits.Fold(fold[schema.LEFT_OUT], ~held_out, held_out)
    few = splits.few(whole, *names, subjects=subjects, seed=fold['seed'])
    return pd.MultiIndex.from_frame(own.loc[few.train, predictions_lib.CLIP_KEY])


def _named(fold: pd.Series) -> str:
    return f'seed {fold["seed"]}, {fold[schema.LEFT_OUT]} left out'
