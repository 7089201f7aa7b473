"""The networks of a trained run, one a left-out subject."""

import collections
import io
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pandas as pd
from flax import traverse_util

from dualatme_jax import files, ledger, models, schema
from dualatme_jax import workdir as workdir_lib
from dualatme_jax.convert import folds, names
from dualatme_jax.errors import InputError
from dualatme_jax.training.checkpoint import load_weights

_MOST_BYTES = 2**28  # of a table of trials, or a config


def networks(
    workdir: pathlib.Path, model: str, *, seed: int | None, point: int | None, seed_option: str = '--seed'
) -> tuple[str, Iterator[tuple[str, dict[str, Any]]]]:
    """Returns the variant; and each fold's subject, as its file is to be called, with its variables.

    Args:
      workdir: of a run that kept its weights.
      model: what it trained.
      seed, point: which of the run's; None where there is but one.
      seed_option: by which the seed is given, for the error.

    Raises:
      InputError: no such run, another model, several seeds or points and none named, or a fold that is not
        trained or diverged.
    """
    table, config = _read(workdir)
    chosen = table[table['inner'] == 0]
    chosen = _one(chosen, 'seed', seed, workdir, seed_option)
    chosen = _one(chosen, 'point', point, workdir, '--point')
    # A swept field is a column; the config has what the others have in common.
    first = chosen.iloc[0]
    trained = first.get('model.name', config['model']['name'])
    if trained != model:
        raise InputError(f'{workdir}: this run trained {trained!r}; give that as --model, and not {model!r}')
    bad = chosen[chosen['status'] != ledger.DONE]
    if len(bad):
        listing = ', '.join(f'{row.database}/{row.subject} ({row.status})' for row in bad.itertuples())
        raise InputError(f'{workdir}: some folds have no weights that can be used: {listing}')

    variant = first.get('model.variant', config['model']['variant'])
    if variant not in models.system(model).variants:
        raise InputError(f'{workdir}: {model!r} has no variant {variant!r}, which this run trained')
    return variant, _variables(workdir, table, chosen, model, variant)


def as_folds(workdir: pathlib.Path, model: str, *, seed: int) -> folds.Folds:
    """The networks of a run's seed as converted weights are, to be evaluated; raises as `networks` does."""
    option = '--config.seeds, and a point by `python -m dualatme_jax.convert --to-torch --point`'
    variant, found = networks(workdir, model, seed=seed, point=None, seed_option=option)
    subjects, variables = zip(*found, strict=True)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *variables)
    classes = stacked['params']['classifier']['kernel'].shape[-1]
    return folds.Folds(model, variant, classes, subjects, {'batch_stats': {}} | stacked)


def _variables(
    workdir: pathlib.Path, table: pd.DataFrame, chosen: pd.DataFrame, model: str, variant: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    subjects = names_of(chosen)
    for wave, rows in chosen.groupby('wave'):
        folder = workdir / workdir_lib.WAVES / workdir_lib.wave_name(wave)
        trials = table.loc[table['wave'] == wave, 'trial'].tolist()
        variables = _weights(folder, model, variant)
        if len(jax.tree.leaves(variables)[0]) < len(trials):
            raise InputError(f'{folder} holds fewer networks than {len(trials)}, its trials')
        for trial in rows['trial']:
            place = trials.index(trial)
            yield subjects[trial], jax.tree.map(lambda leaf, place=place: leaf[place], variables)


def _weights(folder: pathlib.Path, model: str, variant: str) -> dict[str, Any]:
    """The networks of a wave; raises InputError unless they are whole."""
    weights = folder / workdir_lib.WEIGHTS
    try:
        # Waves of older versions have no checksums; what is missing altogether is told by `load_weights`.
        if weights.exists() and (folder / files.CHECKSUMS).exists():
            files.check_checksums(folder, 'wave')
        variables = load_weights(weights)
        found = traverse_util.flatten_dict(variables)
        kernel = found['params', 'classifier', 'kernel']
        stacked, classes = len(kernel), kernel.shape[-1]
        problems = names.misfits(model, variant, classes, found, stacked=stacked, any_size=True)
        problems += [f'{leaf} holds numbers that are not finite' for leaf in names.not_finite(variables)]
        if problems:
            raise ValueError('; '.join(problems))
    except InputError:
        raise
    except Exception as error:  # Orbax raises many for a damaged one
        raise InputError(f'{weights}: these weights are damaged ({error})') from error
    return variables


def _read(workdir: pathlib.Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    try:
        words = dict.fromkeys(('database', 'subject', 'status'), str)
        content = files.read_bytes(workdir / workdir_lib.TRIALS, limit=_MOST_BYTES, what='table of trials')
        table = pd.read_csv(io.BytesIO(content), dtype=words, keep_default_na=False)
        numbers = ['trial', 'seed', 'point', 'inner', 'wave']
        table[numbers] = table[numbers].astype(int)
        table[list(words)]
        config = json.loads(files.read_bytes(workdir / workdir_lib.CONFIG, limit=_MOST_BYTES, what='config'))
        config['model']['name'], config['model']['variant']
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f'{workdir} is neither the workdir of a run nor a folder that convert wrote ({error}); '
            'expected one of them as --source of --to-torch'
        ) from error
    return table, config


def _one(
    table: pd.DataFrame, column: str, wanted: int | None, workdir: pathlib.Path, option: str
) -> pd.DataFrame:
    """The rows of the one seed or point that is wanted, or that there is."""
    there = sorted(set(table[column].tolist()))
    if wanted is None and len(there) == 1:
        return table
    if wanted not in there:
        raise InputError(
            f'{workdir} has {f"no {column} {wanted}" if wanted is not None else f"several {column}s"}; '
            f'name one of {", ".join(map(str, there))} by {option} ({workdir_lib.TRIALS} says what each is)'
        )
    return table[table[column] == wanted]


def names_of(table: pd.DataFrame) -> dict[int, str]:
    """Trial -> what its file is called: the subject, with the database where another has its name too."""
    subjects = [schema.released(row.database, row.subject) for row in table.itertuples()]
    count = collections.Counter(subjects)
    return {
        row.trial: subject if count[subject] == 1 else f'{row.database}_{subject}'
        for row, subject in zip(table.itertuples(), subjects, strict=True)
    }
