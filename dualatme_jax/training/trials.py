"""The table of trials: one row a training of one network.

A trial is one left-out subject, one seed, one point of the hyperparameters. LOSO has a fold a subject;
several seeds repeat the folds. The table is a pandas DataFrame on the host; `device_trial` turns a row into
the arrays that a training needs.
"""

import zlib
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from flax import struct

from dualatme_jax.dataset import Dataset
from dualatme_jax.errors import InputError

# Columns of the table that say which trial a row is; its hyperparameters follow.
IDENTITY = ('trial', 'fold', 'database', 'subject', 'seed')


@struct.dataclass
class Trial:
    """One trial on the device. N clips in the dataset, T the most clips of any subject.

    Attributes:
      key: random key, from seed and subject alone: no other trial, no place in a stack changes it.
      train: [N] bool, the clips of all other subjects.
      held_out: [T] int32, the left-out subject's clips; where it has fewer, its last one again.
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
    hyperparameters: Mapping[str, float],
    allow_missing_class: bool = False,
) -> pd.DataFrame:
    """Every subject of `dataset` left out once a seed: columns `IDENTITY`, then the hyperparameters.

    Raises:
      InputError: fewer than two subjects, no or repeated seeds, or a fold whose training side lacks a class.
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
    if not allow_missing_class:
        _check_classes(dataset, subjects)

    folds = subjects.reset_index(drop=True).rename_axis('fold').reset_index()
    rows = pd.concat([folds.assign(seed=seed) for seed in seeds], ignore_index=True)
    rows = rows.rename_axis('trial').reset_index()
    return rows[list(IDENTITY)].assign(**hyperparameters)


def device_trial(row: Mapping, dataset: Dataset) -> Trial:
    """The arrays of one row of the table."""
    own = _clips_of(dataset, row['database'], row['subject'])
    held_out = np.flatnonzero(own)
    padding = np.repeat(held_out[-1:], most_clips(dataset) - held_out.size)
    names = [name for name in row if name not in IDENTITY]
    return Trial(
        key=trial_key(row['seed'], row['database'], row['subject']),
        train=jnp.asarray(~own),
        held_out=jnp.asarray(np.concatenate([held_out, padding]), jnp.int32),
        hyperparameters={name: jnp.float32(row[name]) for name in names},
    )


def trial_key(seed: int, database: str, subject: str) -> jax.Array:
    """The random key of a trial: its seed, and its subject by name."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(f'{database}/{subject}'.encode()))


def held_out_clips(row: Mapping, dataset: Dataset) -> np.ndarray:
    """Indices of the clips that a trial predicts: those of its subject, in the dataset's order."""
    return np.flatnonzero(_clips_of(dataset, row['database'], row['subject']))


def clips_by_subject(dataset: Dataset) -> np.ndarray:
    """Number of clips of each subject, [subjects]."""
    return np.unique(dataset.subjects, return_counts=True)[1]


def most_clips(dataset: Dataset) -> int:
    """The largest number of clips of one subject: T."""
    return int(clips_by_subject(dataset).max())


def _clips_of(dataset: Dataset, database: str, subject: str) -> np.ndarray:
    return (dataset.database == database) & (dataset.subject == subject)


def _check_classes(dataset: Dataset, subjects: pd.DataFrame) -> None:
    lacking = []
    for database, subject in subjects.itertuples(index=False):
        others = dataset.label[~_clips_of(dataset, database, subject)]
        missing = np.flatnonzero(np.bincount(others, minlength=len(dataset.labels)) == 0)
        lacking += [f'  {database}/{subject}: no {dataset.labels[k]} clip is left' for k in missing]
    if lacking:
        raise InputError(
            'a fold needs every class among its training subjects, and some lack one:\n'
            + '\n'.join(lacking)
            + '\nadd databases (config.data.databases), or train all the same with '
            '--config.data.allow_missing_class=True'
        )
