"""The table of trials: one row per training of one network.

A trial is one fold, one seed, one point of a sweep. LOSO has one fold per subject, see `splits`; several
seeds repeat the folds, and several points repeat both. The table is a pandas DataFrame on the host;
`device_trial` turns a row into the arrays that a training needs.

Nested selection adds inner trials: the subjects that a fold trains on are cut into parts, and an inner trial
leaves one part out beside those whom the fold leaves out. They show which point of a sweep is best for that
fold without a look at the subjects that it predicts.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
from flax import struct

from dualatme_jax.data import splits
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.training.scaling import Scaling
from dualatme_jax.training.streams import Stream

# Columns of the table that say which trial a row is. Behind them come swept fields and hyperparameters; which
# are hyperparameters of its trials, the `Training` of a program lists.
#   folds: the kind of folds, see `splits.KINDS`. fold_parts: of the kind `parts`; else 0.
#   fold: number of the fold. left_out: its name, such as `database/subject`.
#   point: of the sweep. program: of the points that share one compiled program.
#   inner: the part that an inner trial leaves out as well, of `parts`; 0: its fold's clips alone.
#   subjects: how many the fold trains on, see `splits.few`; 0: all.
#   undersample: how many clips of the most frequent class, see `splits.undersampled`; 0: all.
IDENTITY = (
    'trial',
    'folds',
    'fold_parts',
    'fold',
    'left_out',
    'seed',
    'point',
    'program',
    'inner',
    'parts',
    'subjects',
    'undersample',
)


@struct.dataclass
class Trial:
    """One trial as its training takes it. N clips in the dataset, T the most clips that any trial predicts.

    Attributes:
      key: random key, from seed, fold and inner part alone: no other trial, no place in a stack changes it,
        and the points of a sweep begin with the same weights and see the same order of clips.
      train: [N] bool, the clips that are trained on.
      held_out: [T] int32, the clips that are predicted; where there are fewer, the last one again.
      hyperparameters: scalars by name; they may differ from trial to trial.
      scaling: [mean, most] of the inputs that are scaled by clips, see `training.scaling`.
    """

    key: jax.Array
    train: jax.Array
    held_out: jax.Array
    hyperparameters: Mapping[str, jax.Array]
    scaling: Mapping[str, jax.Array] = struct.field(default_factory=dict)


def table(
    dataset: Dataset,
    *,
    seeds: Sequence[int],
    points: Sequence[Mapping[str, Any]],
    folds: str = splits.SUBJECT,
    fold_parts: int = 0,
    parts: int = 0,
    allow_missing_class: bool = False,
) -> pd.DataFrame:
    """Every fold of `dataset` once per seed and point.

    Args:
      dataset: the clips.
      seeds: different whole numbers.
      points: of each its swept fields and hyperparameters, its `program` unless all are of program 0, and
        `subjects` and `undersample` unless all are trained on.
      folds: the kind of folds, one of `splits.KINDS`.
      fold_parts: of the kind `parts`, which each seed cuts anew.
      parts: of the other subjects for inner trials; 0: none.
      allow_missing_class: train also where the training side lacks a class.

    Returns:
      Columns `IDENTITY`, then those of the points.

    Raises:
      InputError: too few subjects or databases for these folds, for the inner parts or for those to train on,
        no or repeated seeds, or a trial whose training side lacks a class.
    """
    # jax.random.key takes 32 bits: a larger seed would be a smaller one's twin.
    whole = all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) != len(seeds):
        raise InputError(
            f'config.seeds is {tuple(seeds)}; expected one or more different whole numbers '
            'from 0 to 2**32 - 1'
        )
    fold_parts = fold_parts if folds == splits.PARTS else 0
    outer = [
        {'folds': folds, 'fold_parts': fold_parts, 'fold': number, 'left_out': fold.name, 'seed': seed}
        | {'inner': 0, 'parts': parts, 'subjects': subjects}
        for subjects in dict.fromkeys(point.get('subjects', 0) for point in points)
        for seed in seeds
        for number, fold in enumerate(splits.folds(folds, *_names(dataset), parts=fold_parts, seed=seed))
    ]
    for row in outer:
        if row['subjects']:
            fold_of(row, dataset)  # an error where it trains on fewer
    if parts:
        _check_parts(parts, dataset, outer)
    inner = [row | {'inner': number} for number in range(1, parts + 1) for row in outer]
    # The parts are as even as classes and subjects let them be; one without a clip predicts nothing.
    rows = outer + [row for row in inner if held_out_clips(row, dataset).size]
    if not allow_missing_class:
        _check_classes(dataset, rows)
    usual = {'program': 0, 'subjects': 0, 'undersample': 0.0}
    columns = pd.DataFrame([usual | point | _as_text(point) for point in points])
    rows = columns.rename_axis('point').reset_index().merge(pd.DataFrame(rows), how='left', on='subjects')
    rows = rows.rename_axis('trial').reset_index()
    return rows[[*IDENTITY, *(name for name in rows if name not in IDENTITY)]]


def device_trial(
    row: Mapping,
    dataset: Dataset,
    width: int | None = None,
    *,
    hyperparameters: Sequence[str] = (),
    scaling: Scaling | None = None,
) -> Trial:
    """The arrays of one row of the table.

    A trial that predicts nothing has the dataset's first clip as what is held out: what it predicts is no
    result, but shows whether the trained weights are finite.

    Args:
      row: of the table.
      dataset: the clips.
      width: T, by default the most clips of one subject.
      hyperparameters: columns of the table that the training reads.
      scaling: from the clips that are trained on to what scales inputs; None: nothing does.
    """
    fold = fold_of(row, dataset)
    held_out = np.flatnonzero(fold.held_out)
    held_out = held_out if held_out.size else np.zeros(1, int)
    padding = np.repeat(held_out[-1:], (width or most_clips(dataset)) - held_out.size)
    key = trial_key(row['seed'], row['left_out'])
    if row['inner']:
        key = jax.random.fold_in(jax.random.fold_in(key, Stream.INNER), row['inner'])
    return Trial(
        key=key,
        train=fold.train,
        held_out=np.concatenate([held_out, padding]).astype(np.int32),
        hyperparameters={name: np.float32(row[name]) for name in hyperparameters},
        scaling=scaling(fold.train) if scaling else {},
    )


def trial_key(seed: int, left_out: str) -> jax.Array:
    """The random key of a trial: its seed, and its fold by name."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(left_out.encode()))


def fold_of(row: Mapping, dataset: Dataset) -> splits.Fold:
    """The clips that a trial trains on and those that it predicts; none is on both sides."""
    names = _names(dataset)
    fold = splits.fold(row['folds'], row['left_out'], *names, parts=row['fold_parts'], seed=row['seed'])
    fold = splits.few(fold, *names, subjects=row['subjects'], seed=row['seed'])
    if row['inner']:
        fold = splits.inner(fold, row['inner'], *names, parts=row['parts'], seed=row['seed'])
    return splits.undersampled(fold, dataset.label, most=row.get('undersample', 0), seed=row['seed'])


def held_out_clips(row: Mapping, dataset: Dataset) -> np.ndarray:
    """Indices of the clips that a trial predicts, in the dataset's order."""
    return np.flatnonzero(fold_of(row, dataset).held_out)


def most_held_out(table: pd.DataFrame, dataset: Dataset) -> int:
    """The most clips that a trial of the table predicts, or 1 where none predicts any: T."""
    trials = table.drop_duplicates(['left_out', 'seed', 'inner', 'subjects'])
    return max(1, *(held_out_clips(row, dataset).size for row in trials.to_dict('records')))


def clips_by_subject(dataset: Dataset) -> np.ndarray:
    """Number of clips of each subject, [subjects]."""
    return np.unique(dataset.subjects, return_counts=True)[1]


def most_clips(dataset: Dataset) -> int:
    """The largest number of clips of one subject: T."""
    return int(clips_by_subject(dataset).max())


def _names(dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return dataset.database, dataset.subject, dataset.label


def _as_text(point: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in point.items() if isinstance(value, tuple)}


def _check_parts(parts: int, dataset: Dataset, outer: Sequence[Mapping]) -> None:
    people = dataset.subjects
    trained = min(len(set(people[fold_of(row, dataset).train])) for row in outer)
    if not 2 <= parts <= trained:
        raise InputError(
            f'config.selection.parts is {parts}; expected 2 to {trained}: each part needs a subject of those '
            'that a fold trains on'
        )


def _check_classes(dataset: Dataset, rows: Sequence[Mapping]) -> None:
    lacking = []
    for row in rows:
        present = np.bincount(dataset.label[fold_of(row, dataset).train], minlength=len(dataset.labels))
        where = row['left_out']
        if row['inner'] or row['subjects'] or row['folds'] == splits.PARTS:
            where += f', seed {row["seed"]}'
        if row['inner']:
            where += f', inner part {row["inner"]}'
        if row['subjects']:
            where += f', {row["subjects"]} subjects trained on'
        lacking += [f'  {where}: no {dataset.labels[k]} clip is left' for k in np.flatnonzero(present == 0)]
    if lacking:
        raise InputError(
            'a fold needs every class among its training subjects, and some lack one:\n'
            + '\n'.join(dict.fromkeys(lacking))
            + '\nadd databases (config.data.databases), or train all the same with '
            '--config.data.allow_missing_class=True'
        )
