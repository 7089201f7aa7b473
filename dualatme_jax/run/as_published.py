"""`config.as_published`: the leaks of a paper that a run reproduces, beside its honest score."""

from collections.abc import Mapping

import pandas as pd
from ml_collections import ConfigDict

from dualatme_jax import models, schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.models.system import GRADIENT
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
    """Raises InputError for leaks that there are not, or that other fields do not allow."""
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
        f'the system {config.model.name!r}, which scikit-learn fits,': (
            models.system(config.model.name).learner != GRADIENT
        ),
        f'config.input.scale={schema.WHOLE_SET!r}': config.input.scale == schema.WHOLE_SET,
        'config.sweep': bool(config.sweep) and config.sweep != _both_scales(config),
    }
    for field, given in others.items():
        if given:
            raise InputError(f'config.as_published does not go with {field}; leave one of the two out')


def applied(config: ConfigDict) -> ConfigDict:
    """The config that trains what the leaks need: also by the other scale, with every epoch's predictions."""
    changed = config.copy_and_resolve_references().unlock()
    changed.sweep = _both_scales(config)
    if BEST_EPOCH in config.as_published and not config.selection.every:
        changed.selection.every = 1
    changed.lock()
    changed.model.unlock()
    return changed


def _both_scales(config: ConfigDict) -> tuple:
    """The sweep over the config's own scale and that by all clips."""
    if WHOLE_SET_SCALING not in config.as_published:
        return ()
    return ({'input.scale': (config.input.scale, schema.WHOLE_SET)},)


def check_dataset(config: ConfigDict, dataset: Dataset) -> None:
    """Raises InputError unless crops are by action units where they are to be."""
    if ACTION_UNITS in config.as_published and not dataset.leaks:
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
    begins = ACTION_UNITS if leaks.get(point.program) else HONEST
    found = []
    for name in [begins, *(name for name in names if name != ACTION_UNITS)]:
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
