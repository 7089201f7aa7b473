"""Nested selection: for each left-out subject, the sweep's point that is best on other subjects.

The inner predictions come from networks that saw neither the outer subject nor the inner subjects they were
scored on: a predictions table with the further columns `outer_database`, `outer_subject` (who is left out
outside) and `inner` (the part of the training subjects that was left out inside, from 1). Pooled over the
inner parts they score each point without the outer subject, so the choice knows nothing of whom it is
scored on, and the scores of the chosen points' outer predictions are those of the system with its tuning.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions as predictions_lib
from dualatme_jax.report import scores

OUTER = ['outer_database', 'outer_subject']
_SUBJECT = [schema.DATABASE, schema.SUBJECT]
_LEFT_OUT = ['seed', *_SUBJECT]  # of whom one choice is made


def choose(inner: pd.DataFrame, fields: Sequence[str], metric: str = 'uf1') -> pd.DataFrame:
    """Chooses a point for each seed and outer subject.

    Args:
      inner: the inner predictions.
      fields: the swept fields, columns of `inner`.
      metric: one of `scores.METRICS`, on predictions pooled over the inner parts.

    Returns:
      A row a seed and outer subject: `seed`, `database`, `subject` (the outer one's), the fields of the best
      point, of equals the one that appears first in `inner`, and its inner score, named as the metric.

    Raises:
      InputError: a point lacks predictions, or the outer subject is among those it was scored on.
    """
    fields = list(fields)
    group, groups = _numbered(inner, ['seed', *OUTER])
    point, points = _numbered(inner, fields)
    _check_complete(inner, group, groups, point, points)
    values = scores.score_confusions(_confusions(inner, (group, len(groups)), (point, len(points))))[metric]
    # Equal up to rounding is equal; argmax takes the first.
    best = values.round(12).argmax(axis=1)
    chosen = groups.set_axis(_LEFT_OUT, axis=1)
    return pd.concat([chosen, points.iloc[best].reset_index(drop=True)], axis=1).assign(
        **{metric: values[np.arange(len(groups)), best]}
    )


def predictions(outer: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """The predictions for each left-out subject by the point that was chosen for it.

    Args:
      outer: the sweep's predictions.
      chosen: what `choose` returned.

    Returns:
      A predictions table of one point: the sweep's columns without the swept fields.

    Raises:
      InputError: a seed and subject has no choice, or the chosen point no predictions of it.
    """
    fields = predictions_lib.hyperparameters(outer)
    keys = [*_LEFT_OUT, *fields]
    rows = outer.merge(chosen[keys], on=keys, how='inner')
    without = outer[_LEFT_OUT].drop_duplicates().merge(
        rows[_LEFT_OUT].drop_duplicates(), how='left', indicator=True
    )  # fmt: skip
    missing = without[without['_merge'] == 'left_only']
    if len(missing):
        raise InputError(
            f'{_named(missing.iloc[0])} and {len(missing) - 1} more have no predictions by a point chosen '
            'for them; expected a choice, of a point of the sweep, for each seed and left-out subject. '
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
    inner: pd.DataFrame, group: np.ndarray, groups: pd.DataFrame, point: np.ndarray, points: pd.DataFrame
) -> None:
    """Every point must be scored on each clip once, but on none of the outer subject's."""
    clip, clips = _numbered(inner, predictions_lib.CLIP_KEY)
    times = np.zeros((len(groups), len(points), len(clips)), np.int8)
    np.add.at(times, (group, point, clip), 1)
    own = [(clips[_SUBJECT].to_numpy() == outer).all(axis=1) for outer in groups[OUTER].to_numpy()]
    expected = np.where(own, 0, 1)[:, None]
    wrong = np.argwhere(times != expected)
    if len(wrong):
        number, of_point, of_clip = wrong[0]
        values = ', '.join(f'{name} {value}' for name, value in points.iloc[of_point].items())
        raise InputError(
            f'{_named(groups.set_axis(_LEFT_OUT, axis=1).iloc[number])}: the inner predictions by {values} '
            f'hold the clip {"/".join(clips.iloc[of_clip])} {times[tuple(wrong[0])]} times; expected each '
            "clip once, and none of the left-out subject's. Complete the run by the same command, or start "
            'it anew in another --workdir'
        )


def _named(left_out: pd.Series) -> str:
    return f'seed {left_out["seed"]}, {left_out[schema.DATABASE]}/{left_out[schema.SUBJECT]} left out'
