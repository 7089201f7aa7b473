"""Networks from elsewhere, which `config.evaluate_only` names, and which of them scores each trial."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
import pandas as pd
from flax import traverse_util
from ml_collections import ConfigDict

from dualatme_jax import files, models
from dualatme_jax.data import splits
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.run import network, sources, trained
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.run.network import Network
from dualatme_jax.run.programs import Program
from dualatme_jax.weights import folds, names

_SHOWN = 3  # people that a message names


Given: TypeAlias = tuple[folds.Folds, list[int]]  # weights, and the place of each trial's network among them


def given_weights(program: Program, rows: pd.DataFrame) -> Given:
    """The weights that a program evaluates, and the place of each trial's network among them.

    Of a run that left somebody out each trial has the network that has not seen its subject, of the seed that
    the config has; of one that left nobody out the network of its own seed.

    Raises:
      InputError: they are damaged, of another network, or of other folds than the trials; or networks of a
        run that left nobody out have seen somebody of the dataset, or lack a seed.
    """
    config, dataset = program.config, program.dataset
    given = files.expanded(config.evaluate_only, '--config.evaluate_only')
    model = config.model
    if network.is_one(given):
        found = network.load(given)
        check(found, given, config, dataset)
        places = [found.seeds.index(seed) for seed in rows['seed']]
        return as_folds(found), places
    if not folds.is_one(given) and (given / workdir_lib.TRIALS).exists():
        of_folds = trained.as_folds(
            given,
            model,
            kind=config.folds,
            seed=config.seeds[0],
            inputs=config.input,
            labels=dataset.labels,
        )
    else:
        of_folds = folds.load(given)
    people = [splits.person(name) for name in rows['left_out']]
    return of_folds, folds.places(
        of_folds,
        people,
        model=model.name,
        variant=models.system(model.name).variant_of(model),
        classes=len(dataset.labels),
    )


def protocol(config: ConfigDict) -> str:
    """Who is left out, see `splits.protocol`; of networks from elsewhere, whom they were trained on.

    Raises:
      InputError: config.evaluate_only is damaged.
    """
    few = config.data.train_subjects
    if config.evaluate_only:
        given = files.expanded(config.evaluate_only, '--config.evaluate_only')
        if network.is_one(given):
            return splits.NEW
        if not folds.is_one(given) and (given / workdir_lib.TRIALS).exists():
            few = trained.read(given)[1].get('data', {}).get('train_subjects', 0)
    return splits.protocol(config.folds, config.fold_parts, few)


def check_stages(config: ConfigDict, staged: Sequence[str]) -> None:
    """Raises InputError where networks were trained on what another frozen stage, or its other weights, gave.

    Args:
      config: of the evaluation. Folders that convert wrote do not say which stage there was.
      staged: name and version of its stages, see `stages.applied`.
    """
    given = files.expanded(config.evaluate_only, '--config.evaluate_only')
    if network.is_one(given):
        then = network.about(given).get('stages', ())
    elif not folds.is_one(given) and (given / workdir_lib.TRIALS).exists():
        then = trained.read(given)[1].get('stages', ())
    else:
        return
    if [*then] != [*staged]:
        before, now = (', '.join(each) or 'no stage' for each in (then, staged))
        raise InputError(
            f'{given}: these networks were trained on what {before} gave, and here it is {now}; expected the '
            'same --config.stage.weights, and the version of the package that trained them'
        )


def as_folds(found: Network) -> folds.Folds:
    """The networks of a run that left nobody out, one per seed, as converted weights are.

    Raises:
      InputError: they are not those of the network that their config names.
    """
    model = found.config.model
    variant = models.system(model.name).variant_of(model)
    subjects = tuple(f'{splits.NOBODY}, seed {seed}' for seed in found.seeds)
    variables = {'batch_stats': {}} | jax.tree.map(np.asarray, dict(found.variables))
    leaves = traverse_util.flatten_dict(variables)
    problems = names.misfits(
        model.name, variant, len(found.labels), leaves, stacked=len(subjects), any_size=True
    )
    problems += [f'{leaf} holds numbers that are not finite' for leaf in names.not_finite(variables)]
    if problems:
        raise InputError(f'these networks of {model.name!r} are damaged ({"; ".join(problems)})')
    return folds.Folds(model.name, variant, len(found.labels), subjects, variables)


def check(found: Network, where: Any, config: ConfigDict, dataset: Dataset) -> None:
    """Raises InputError where networks that left nobody out cannot score a dataset.

    Args:
      found: the networks.
      where: they lie, for messages.
      config: of the evaluation: model and input must be those of the training.
      dataset: its clips are scored; it has the same classes, and nobody whom the networks have seen.
    """
    then = found.config
    if then.model.name != config.model.name:
        raise InputError(
            f'{where}: these networks are of {then.model.name!r}, and config.model.name is '
            f'{config.model.name!r}; give the config that trained them'
        )
    variant = models.system(then.model.name).variant_of
    trained.check_same(where, 'model.variant', variant(then.model), variant(config.model))
    trained.check_alike(where, lambda section, name: then[section].get(name), config.model, config.input)
    trained.check_labels(where, found.labels, dataset.labels)
    if lacking := [seed for seed in config.seeds if seed not in found.seeds]:
        raise InputError(
            f'{where}: there is no network of seed {lacking[0]}; expected --config.seeds of '
            f'{", ".join(map(str, found.seeds))}'
        )
    people = sources.people_of(dataset, np.arange(dataset.size))
    if seen := sorted(network.seen_by(found, dataset) & people):
        raise InputError(
            f'{where}: these networks were trained on {len(seen)} of the subjects to be scored, '
            f'{_some(["/".join(person) for person in seen])}; expected clips of other people, '
            "or a run that leaves each of them out (config.folds='subject')"
        )


def _some(found: Sequence[str]) -> str:
    more = f' and {len(found) - _SHOWN} more' if len(found) > _SHOWN else ''
    return ', '.join(found[:_SHOWN]) + more
