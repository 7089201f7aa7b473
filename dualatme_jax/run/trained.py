"""The networks of a trained run, one per fold."""

import collections
import io
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
from flax import traverse_util

from dualatme_jax import files, models, schema
from dualatme_jax.data import splits
from dualatme_jax.errors import InputError
from dualatme_jax.run import trial_table
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.training import encoding
from dualatme_jax.training.checkpoint import load_weights
from dualatme_jax.weights import folds, names

_MOST_BYTES = 2**28  # of a table of trials, or a config

# Fields of `config.input` that no training reads.
_AT_TEST = ('mirror_at_test',)


def networks(
    workdir: pathlib.Path, model: str, *, seed: int | None, point: int | None
) -> tuple[str, Iterator[tuple[str, dict[str, Any]]]]:
    """Returns the variant; and whom each fold leaves out, as its file is to be called, with its variables.

    Args:
      workdir: of a run that kept its weights.
      model: what it trained.
      seed, point: which of the run's; None where there is but one.

    Raises:
      InputError: no such run, another model, several seeds or points and none named, or a fold that is not
        trained or diverged.
    """
    table, config = read(workdir)
    chosen = _one(table[table['inner'] == 0], 'seed', seed, workdir, '--seed')
    chosen = _one(chosen, 'point', point, workdir, '--point')
    variant = _variant(workdir, chosen, config, model, '--model')
    return variant, _variables(workdir, table, chosen, model, variant)


def as_folds(
    workdir: pathlib.Path,
    section: Mapping[str, Any],
    *,
    kind: str,
    seed: int,
    inputs: Mapping[str, Any],
    labels: Sequence[str],
) -> folds.Folds:
    """The networks of a run's seed as converted weights are, to be evaluated.

    Args:
      workdir: of a run that kept its weights.
      section: the section `model` of a config now, complete: the networks must have been built so.
      kind: of the folds now, which must be that of the training.
      seed: which of the run's.
      inputs: how flows are read now, the section `input` of a config: they must be read as in training, but
        for what concerns predictions alone.
      labels: the classes now, which must be those of the training, in their order.

    Raises:
      InputError: as `networks` does; or networks were built, folds made or flows read otherwise, or the
        classes were others.
    """
    option = '--config.seeds, and a point by `python -m dualatme_jax.convert --to-torch --point`'
    table, config = read(workdir)
    chosen = _one(table[table['inner'] == 0], 'seed', seed, workdir, option)
    chosen = _one(chosen, 'point', None, workdir, option)
    model = section['name']
    variant = _variant(workdir, chosen, config, model, '--config.model.name')
    check_same(workdir, 'folds', table['folds'].iloc[0], kind)
    check_alike(workdir, lambda section, name: _trained_with(chosen, config, section, name), section, inputs)
    check_labels(workdir, labels_of(workdir, int(chosen['wave'].iloc[0])), labels)
    subjects, variables = zip(*_variables(workdir, table, chosen, model, variant), strict=True)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *variables)
    return folds.Folds(model, variant, len(labels), subjects, {'batch_stats': {}} | stacked)


def check_same(workdir: Any, field: str, then: Any, now: Any) -> None:
    """Raises InputError where a run was trained with another value of a field."""
    if str(now) != str(tuple(then) if isinstance(then, list) else then):
        raise InputError(
            f'{workdir}: this run trained with config.{field} = {then!r}, and the config has {now!r}; '
            f'give the config of that run, or --config.{field}'
        )


def check_alike(
    where: Any, then: Callable[[str, str], Any], section: Mapping[str, Any], inputs: Mapping[str, Any]
) -> None:
    """Raises InputError unless networks were built, and read their inputs, as a config has it.

    Args:
      where: they lie, for messages.
      then: from section and name to the value of a field in their training, None where it had none.
      section: the section `model` of the config now, complete.
      inputs: its section `input`; what concerns predictions alone is not compared.
    """
    for name, now in inputs.items():
        if name in _AT_TEST:
            continue
        before = then('input', name)
        before = encoding.FIELDS.get(name) if before is None else before  # as of an older version
        if now or before is not None:  # which it is where an older version had no such field
            check_same(where, f'input.{name}', before, now)
    system = models.system(section['name'])
    for name in system.shaping:
        before = then('model', name)
        before = system.options[name].default if before in (None, '') else before  # as of an older version
        check_same(where, f'model.{name}', before, section[name])


def check_labels(workdir: Any, then: Sequence[str], now: Sequence[str]) -> None:
    """Raises InputError where a run was trained with other classes, or in another order."""
    if list(then) != list(now):
        raise InputError(
            f'{workdir}: this run trained the classes {", ".join(then)}, and the dataset has '
            f'{", ".join(now)}; expected the same in the same order'
        )


def _variant(
    workdir: pathlib.Path, chosen: pd.DataFrame, config: Mapping[str, Any], model: str, option: str
) -> str:
    """The variant of what a run trained; raises InputError unless that is `model`, and all of it whole."""
    trained = _trained_with(chosen, config, 'model', 'name')
    if trained != model:
        raise InputError(f'{workdir}: this run trained {trained!r}; give that as {option}, and not {model!r}')
    bad = chosen[chosen['status'] != trial_table.DONE]
    if len(bad):
        listing = ', '.join(f'{row.left_out} ({row.status})' for row in bad.itertuples())
        raise InputError(f'{workdir}: some folds have no weights that can be used: {listing}')
    system = models.system(model)
    variant = _trained_with(chosen, config, 'model', 'variant') or system.variants[0]
    if variant not in system.variants:
        raise InputError(f'{workdir}: {model!r} has no variant {variant!r}, which this run trained')
    return variant


def _trained_with(chosen: pd.DataFrame, config: Mapping[str, Any], section: str, name: str) -> Any:
    """The value of a field in the training of `chosen`: a swept one is a column of the table."""
    return chosen.iloc[0].get(f'{section}.{name}', config.get(section, {}).get(name))


def labels_of(workdir: pathlib.Path, wave: int) -> list[str]:
    """The classes of a run, as the columns of a wave's predictions name them."""
    path = workdir / workdir_lib.WAVES / workdir_lib.wave_name(wave) / workdir_lib.PREDICTIONS
    with files.open_regular(path, 'predictions of a wave') as file:
        try:
            columns = pd.read_csv(file, nrows=0).columns
        except ValueError as error:
            raise InputError(f'{path} is no table of predictions ({error})') from error
    return [name.removeprefix(schema.PROBABILITY) for name in columns if name.startswith(schema.PROBABILITY)]


def _variables(
    workdir: pathlib.Path, table: pd.DataFrame, chosen: pd.DataFrame, model: str, variant: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    subjects = names_of(chosen)
    for wave, rows in chosen.groupby('wave'):
        folder = workdir / workdir_lib.WAVES / workdir_lib.wave_name(wave)
        trials = table.loc[table['wave'] == wave, 'trial'].tolist()
        variables = _weights(folder, model, variant, classes=len(labels_of(workdir, wave)))
        if len(jax.tree.leaves(variables)[0]) < len(trials):
            raise InputError(f'{folder} holds fewer networks than {len(trials)}, its trials')
        for trial in rows['trial']:
            place = trials.index(trial)
            yield subjects[trial], jax.tree.map(lambda leaf, place=place: leaf[place], variables)


def _weights(folder: pathlib.Path, model: str, variant: str, *, classes: int) -> dict[str, Any]:
    """The networks of a wave; raises InputError unless they are whole."""
    weights = folder / workdir_lib.WEIGHTS
    try:
        if weights.exists():  # what is missing altogether is said by `load_weights`
            files.check_if_sealed(folder, 'files of the wave')
        variables = load_weights(weights)
        found = traverse_util.flatten_dict(variables)
        stacked = len(next(iter(found.values())))
        problems = names.misfits(model, variant, classes, found, stacked=stacked, any_size=True)
        problems += [f'{leaf} holds numbers that are not finite' for leaf in names.not_finite(variables)]
        if problems:
            raise ValueError('; '.join(problems))
    except InputError:
        raise
    except Exception as error:  # Orbax raises many for a damaged one
        raise InputError(f'{weights}: these weights are damaged ({error})') from error
    return variables


def read(workdir: pathlib.Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table of trials of a run, and its config; raises InputError if it is none."""
    try:
        words = dict.fromkeys(('folds', 'left_out', 'status'), str)
        content = files.read_bytes(workdir / workdir_lib.TRIALS, limit=_MOST_BYTES, what='table of trials')
        table = pd.read_csv(io.BytesIO(content), dtype=words, keep_default_na=False)
        numbers = ['trial', 'seed', 'point', 'inner', 'wave']
        table[numbers] = table[numbers].astype(int)
        table[list(words)]
        config = json.loads(files.read_bytes(workdir / workdir_lib.CONFIG, limit=_MOST_BYTES, what='config'))
        config['model']['name'], config['model'].items(), config.get('input', {}).items()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f'{workdir} is neither the workdir of a run nor a folder that convert wrote ({error}); '
            'expected one of them'
        ) from error
    trial_table.check_sum(workdir / workdir_lib.TRIALS)
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
    """Trial -> what its file is called: the subject, with the database where another has its name too.

    Of other folds than those of subjects it is the fold's name.
    """
    people = [splits.person(name) for name in table['left_out']]
    subjects = [schema.released(*person) for person in people]
    count = collections.Counter(subjects)
    return {
        trial: subject if count[subject] == 1 else f'{database}_{subject}'
        for trial, subject, (database, _) in zip(table['trial'], subjects, people, strict=True)
    }
