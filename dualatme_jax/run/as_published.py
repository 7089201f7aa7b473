"""`config.as_published`: the leaks of a paper that a run reproduces, beside its honest score."""

from collections.abc import Iterable, Mapping

import pandas as pd
from ml_collections import ConfigDict

from dualatme_jax import models, schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.report import selection
from dualatme_jax.report.as_published import (
    ACTION_UNITS,
    BEST_EPOCH,
    FOLDS_AVERAGED,
    HONEST,
    LEAKS,
    UF1_OF_ONE,
    WHOLE_SET_SCALING,
)
from dualatme_jax.run.sweep import Sweep


def check(config: ConfigDict) -> None:
    """Raises InputError for unknown leaks, or for those that other fields do not allow."""
    names = config.as_published
    if not names:
        return
    if unknown := [name for name in names if name not in LEAKS]:
        raise InputError(f'config.as_published has {unknown[0]!r}; expected some of {", ".join(LEAKS)}')
    if UF1_OF_ONE in names and FOLDS_AVERAGED not in names:
        raise InputError(
            f'config.as_published has {UF1_OF_ONE!r}, a rule for the score of a fold; expected '
            f'{FOLDS_AVERAGED!r} beside it'
        )
    others = {
        'config.report.leaderboard': config.report.leaderboard,
        'config.evaluate_only': bool(config.evaluate_only),
        f'the system {config.model.name!r}, which has no network': bool(
            models.system(config.model.name).fitting
        ),
        f'config.input.scale={schema.WHOLE_SET!r}': config.input.scale == schema.WHOLE_SET,
        'config.sweep but over data.path or data.build_options, for action_units': not _can_stand(config),
    }
    for field, given in others.items():
        if given:
            raise InputError(f'config.as_published does not go with {field}; leave one of the two out')


def _can_stand(config: ConfigDict) -> bool:
    """Whether a sweep is over the datasets without and with crops by action units, if it is there at all."""
    own = [grid for grid in config.sweep if 'input.scale' not in grid]  # that of `applied`
    datasets = len(own) == 1 and len(own[0]) == 1 and own[0].keys() <= {'data.path', 'data.build_options'}
    return not own or (datasets and ACTION_UNITS in config.as_published)


def applied(config: ConfigDict) -> ConfigDict:
    """The config that trains what the leaks need: by the other scale too, with every epoch's predictions.

    Of datasets that are swept over it is the last one that is trained by all clips' scale.
    """
    changed = config.copy_and_resolve_references().unlock()
    if WHOLE_SET_SCALING in config.as_published:
        grids = tuple(config.sweep) or ({'input.scale': config.input.scale},)
        last = {field: values for field, values in grids[-1].items() if field.startswith('data.')}
        last = {
            field: values[-1] if isinstance(values, list | tuple) else values
            for field, values in last.items()
        }
        changed.sweep = (*grids, {**last, 'input.scale': schema.WHOLE_SET})
    if BEST_EPOCH in config.as_published and not config.selection.every:
        changed.selection.every = 1
    changed.lock()
    changed.model.unlock()
    return changed


def check_datasets(config: ConfigDict, datasets: Iterable[Dataset]) -> None:
    """Raises InputError unless crops are by action units where they are to be, behind those that are not."""
    leaks = [bool(dataset.leaks) for dataset in datasets]
    if ACTION_UNITS in config.as_published and leaks[0] and not all(leaks):
        raise InputError(
            'the first dataset of config.sweep has crops by annotated action units, and another one has not; '
            'expected the honest one first, to which config.as_published adds one leak after the other'
        )
    if ACTION_UNITS in config.as_published and not any(leaks):
        raise InputError(
            f'config.as_published has {ACTION_UNITS!r}, and no input of the dataset is placed by annotated '
            'action units; build it by `data_prep build --view frames --frame-crop action_units ...`'
        )


def steps(
    swept: Sweep,
    trials: pd.DataFrame,
    table: pd.DataFrame,
    kept: pd.DataFrame | None,
    leaks: Mapping[int, str],
) -> list[tuple[str, pd.DataFrame]]:
    """What `report.as_published.compare` takes: the reference's last epoch, and with each leak what counts.

    Args:
      swept: the points.
      trials: of the run, by point.
      table: predictions of each point's last epoch.
      kept: those of every kept epoch; None: there is but the last.
      leaks: program -> why what it reads leaks.
    """
    names = [name for name in LEAKS if name in swept.config.as_published]
    point, best = swept.reference, False
    if leaks.get(point.program):  # there is no honest one
        names = [name for name in names if name != ACTION_UNITS]
    found = []
    for name in [ACTION_UNITS if leaks.get(point.program) else HONEST, *names]:
        if name == ACTION_UNITS:
            point = next(each for each in swept.points if leaks.get(each.program))
        if name == WHOLE_SET_SCALING:
            point = next(each for each in swept.points if each.config.input.scale == schema.WHOLE_SET)
        best = best or name == BEST_EPOCH
        of_point = trials.loc[trials['point'] == point.number, 'trial']
        source = kept if best and kept is not None else table
        own = source[source['trial'].isin(of_point)].drop(columns=swept.fields)
        own = selection.best_on_test(own) if source is kept else own
        if len(own):  # else a trial of each seed failed
            found.append((name, own))
    return found
