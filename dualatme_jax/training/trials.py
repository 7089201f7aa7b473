"""The table of trials: one row a training of one network.

A trial is one left-out subject, one seed, one point of a sweep. LOSO has a fold a subject; several seeds
repeat the folds, and several points repeat both. The table is a pandas DataFrame on the host; `device_trial`
turns a row into the arrays that a training needs.

Nested selection adds inner trials: the subjects that a fold trains on are cut into parts, and an inner trial
leaves one part out beside the fold's own subject. They tell which point of a sweep is best for that fold
without a look at its subject.
"""

import functools
import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
from flax import struct

from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.training.streams import Stream

# Columns of the table that say which trial a row is. Behind them come swept fields and hyperparameters; which
# are hyperparameters of its trials, the `Training` of a program lists.
#   fold: number of the left-out subject (database, subject).
#   point: of the sweep. program: of the points that share one compiled program.
#   inner: the part that an inner trial leaves out as well, of `parts`; 0: it leaves out its subject alone.
IDENTITY = ('trial', 'fold', 'database', 'subject', 'seed', 'point', 'program', 'inner', 'parts')


@struct.dataclass
class Trial:
    """One trial as its training takes it. N clips in the dataset, T the most clips that any trial predicts.

    Attributes:
      key: random key, from seed, subject and part alone: no other trial, no place in a stack changes it, and
        the points of a sweep begin with the same weights and see the same order of clips.
      train: [N] bool, the clips that are trained on.
      held_out: [T] int32, the clips that are predicted; where there are fewer, the last one again.
      hyperparameters: scalars by name; they may differ from trial to trial.
    """

    key: jax.Array
    train: jax.Array
    held_out: jax.Array
    hyperparameters: Mapping[str, jax.Array]


def table(
    dataset: Dataset,
    *,
    seeds: Sequence[int],
    points: Sequence[Mapping[str, Any]],
    parts: int = 0,
    allow_missing_class: bool = False,
) -> pd.DataFrame:
    """Every subject of `dataset` left out once a seed and point.

    Args:
      dataset: the clips.
      seeds: different whole numbers.
      points: of each its swept fields and hyperparameters, and its `program` unless all are of program 0.
      parts: of the other subjects for inner trials; 0: none.
      allow_missing_class: train also where the training side lacks a class.

    Returns:
      Columns `IDENTITY`, then those of the points.

    Raises:
      InputError: fewer than two subjects, or than inner parts, no or repeated seeds, or a trial whose
        training side lacks a class.
    """
    subjects = pd.DataFrame({'database': dataset.database, 'subject': dataset.subject}).drop_duplicates()
    if len(subjects) < 2:
        raise InputError(
            f'{len(subjects)} subject in the dataset; leave-one-subject-out needs 2 or more: '
            'use more databases (config.data.databases)'
        )
    # jax.random.key takes 32 bits: a larger seed would be a smaller one's twin.
    whole = all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) != len(seeds):
        raise InputError(
            f'config.seeds is {tuple(seeds)}; expected one or more different whole numbers '
            'from 0 to 2**32 - 1'
        )
    if parts and not 2 <= parts < len(subjects):
        raise InputError(
            f'config.selection.parts is {parts}; expected 2 to {len(subjects) - 1}: '
            'each part needs a subject, and one is left out'
        )
    folds = subjects.reset_index(drop=True).rename_axis('fold').reset_index()
    folds = pd.concat([folds.assign(seed=seed) for seed in seeds], ignore_index=True)
    rows = pd.concat([folds.assign(inner=inner, parts=parts) for inner in range(parts + 1)])
    # The parts are as even as classes and subjects let them be; one without a clip predicts nothing.
    records = rows.to_dict('records')
    rows = rows[[held_out_clips(record, dataset).size > 0 for record in records]]
    if not allow_missing_class:
        _check_classes(dataset, rows)
    columns = pd.DataFrame([{'program': 0} | point | _as_text(point) for point in points])
    rows = columns.rename_axis('point').reset_index().merge(rows, how='cross')
    rows = rows.rename_axis('trial').reset_index()
    return rows[[*IDENTITY, *(name for name in rows if name not in IDENTITY)]]


def device_trial(
    row: Mapping, dataset: Dataset, width: int | None = None, *, hyperparameters: Sequence[str] = ()
) -> Trial:
    """The arrays of one row of the table.

    Args:
      row: of the table.
      dataset: the clips.
      width: T, by default the most clips of one subject.
      hyperparameters: columns of the table that the training reads.
    """
    train, held_out = _sides(row, dataset)
    held_out = np.flatnonzero(held_out)
    padding = np.repeat(held_out[-1:], (width or most_clips(dataset)) - held_out.size)
    key = trial_key(row['seed'], row['database'], row['subject'])
    if row['inner']:
        key = jax.random.fold_in(jax.random.fold_in(key, Stream.INNER), row['inner'])
    return Trial(
        key=key,
        train=train,
        held_out=np.concatenate([held_out, padding]).astype(np.int32),
        hyperparameters={name: np.float32(row[name]) for name in hyperparameters},
    )


def trial_key(seed: int, database: str, subject: str) -> jax.Array:
    """The random key of a trial: its seed, and its subject by name."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(f'{database}/{subject}'.encode()))


def held_out_clips(row: Mapping, dataset: Dataset) -> np.ndarray:
    """Indices of the clips that a trial predicts: those of its subject or part, in the dataset's order."""
    return np.flatnonzero(_sides(row, dataset)[1])


def most_held_out(table: pd.DataFrame, dataset: Dataset) -> int:
    """The most clips that a trial of the table predicts: T."""
    trials = table.drop_duplicates(['database', 'subject', 'seed', 'inner'])
    return max(held_out_clips(row, dataset).size for row in trials.to_dict('records'))


def clips_by_subject(dataset: Dataset) -> np.ndarray:
    """Number of clips of each subject, [subjects]."""
    return np.unique(dataset.subjects, return_counts=True)[1]


def most_clips(dataset: Dataset) -> int:
    """The largest number of clips of one subject: T."""
    return int(clips_by_subject(dataset).max())


def _sides(row: Mapping, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The clips that a trial trains on and those that it predicts, [N] bool each; none is in both."""
    own = (dataset.database == row['database']) & (dataset.subject == row['subject'])
    if not row['inner']:
        return ~own, own
    others = np.flatnonzero(~own)
    part = _parts(
        tuple(dataset.label[others].tolist()),
        tuple(dataset.subjects[others].tolist()),
        parts=row['parts'],
        seed=row['seed'],
    )
    held_out = np.zeros(dataset.size, bool)
    held_out[others] = part == row['inner']
    return ~own & ~held_out, held_out


@functools.lru_cache(maxsize=1024)
def _parts(labels: tuple[int, ...], subjects: tuple[str, ...], *, parts: int, seed: int) -> np.ndarray:
    """The part (from 1) of each clip: subjects stay whole, classes are spread evenly."""
    from sklearn.model_selection import StratifiedGroupKFold  # takes a second, which few runs need

    split = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    part = np.zeros(len(labels), int)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # of a class that is rarer than parts
        try:
            for number, (_, index) in enumerate(split.split(labels, labels, subjects), start=1):
                part[index] = number
        except ValueError as error:
            raise InputError(
                f'the training subjects cannot be cut into {parts} parts ({error}); '
                'expected a smaller config.selection.parts, or more clips'
            ) from error
    return part


def _as_text(point: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in point.items() if isinstance(value, tuple)}


def _check_classes(dataset: Dataset, rows: pd.DataFrame) -> None:
    lacking = []
    for row in rows.to_dict('records'):
        train, _ = _sides(row, dataset)
        present = np.bincount(dataset.label[train], minlength=len(dataset.labels))
        where = f'{row["database"]}/{row["subject"]}'
        if row['inner']:
            where += f', seed {row["seed"]}, inner part {row["inner"]}'
        lacking += [f'  {where}: no {dataset.labels[k]} clip is left' for k in np.flatnonzero(present == 0)]
    if lacking:
        raise InputError(
            'a fold needs every class among its training subjects, and some lack one:\n'
            + '\n'.join(dict.fromkeys(lacking))
            + '\nadd databases (config.data.databases), or train all the same with '
            '--config.data.allow_missing_class=True'
        )
