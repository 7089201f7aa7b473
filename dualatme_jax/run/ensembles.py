"""The ensemble of a run: what of it can be had, and which predictions are its members."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from ml_collections import ConfigDict

from dualatme_jax.errors import InputError
from dualatme_jax.report import ensemble, selection, tables, two_classes
from dualatme_jax.report.ensemble import OVER, SEEDS, WAYS, Ensemble
from dualatme_jax.report.selection import BEST_ON_TEST, NESTED
from dualatme_jax.run import sweep as sweep_lib
from dualatme_jax.run.sweep import Sweep
from dualatme_jax.run.trial_table import TrialTable

if TYPE_CHECKING:
    from dualatme_jax.run.finish import Report  # which imports what draws

LEAK = 'LEAKS: members of the ensemble are of the epoch that is best on their left-out subjects'

_FAILED = 'a trial failed'


def check(config: ConfigDict, swept: Sweep) -> None:
    """Raises InputError for an ensemble that a run cannot have, or a reference that its leaderboard lacks."""
    asked, members = config.report, point_names(swept)
    for field, choices in (('ensemble', ('', *WAYS)), ('ensemble_over', OVER)):
        if asked[field] not in choices:
            raise InputError(
                f'config.report.{field} is {asked[field]!r}; expected one of {", ".join(map(repr, choices))}'
            )
    known = {point.config.model.name for point in swept.points}
    if unknown := sorted({*asked.ensemble_members} - known):
        raise InputError(
            f'config.report.ensemble_members has {", ".join(map(repr, unknown))}; expected names of networks '
            f'of this run: {", ".join(map(repr, sorted(known)))}'
        )
    systems = [*sweep_lib.systems(swept), *([ensemble.NAME] if asked.ensemble else [])]
    if asked.reference and not (asked.leaderboard and asked.reference in systems):
        there = ', '.join(map(repr, systems)) if asked.leaderboard else "'', since there is no leaderboard"
        raise InputError(f'config.report.reference is {asked.reference!r}; expected {there}')
    if not asked.ensemble:
        return
    over, field = asked.ensemble_over, f'config.report.ensemble_over is {asked.ensemble_over!r}'
    if over == SEEDS and asked.leaderboard:
        raise InputError(
            f"{field}; the ensemble of a leaderboard is of its systems: expected 'points' or 'both'"
        )
    if over == SEEDS and len(config.seeds) < 2:
        raise InputError(
            f'{field}, and config.seeds is {tuple(config.seeds)}; expected two seeds or more, or an ensemble '
            "over the 'points' of a sweep"
        )
    if over != SEEDS and len(members) < 2:
        raise InputError(
            f"{field}, and there is {len(members)} point; expected two or more, by config.sweep, or 'seeds'"
        )
    if over != SEEDS and config.selection.name == NESTED and not asked.leaderboard:
        raise InputError(
            f'{field}, and config.selection.name is {NESTED!r}, which chooses one point for each fold; '
            "expected 'seeds', the ensemble of what each seed has chosen, or config.selection.name='last'"
        )


def point_names(swept: Sweep) -> dict[int, str]:
    """Of the points that may be members, by number, their names, as a leaderboard or a sweep has them."""
    wanted = swept.config.report.ensemble_members
    named = {point.number: name for name, point in sweep_lib.systems(swept).items()}
    if not swept.config.report.leaderboard:
        named = {point.number: sweep_lib.named(point.values) for point in swept.points}
    return {
        point.number: named[point.number]
        for point in swept.points
        if not wanted or point.config.model.name in wanted
    }


def of_run(
    selected: pd.DataFrame,
    table: pd.DataFrame,
    kept: pd.DataFrame | None,
    trial_table: TrialTable,
    swept: Sweep,
) -> Ensemble:
    """The ensemble of a run without a leaderboard.

    Args:
      selected: the predictions that are its result.
      table: those of each point's last epoch.
      kept: those of every kept epoch, if more than the last are.
      trial_table: of the run.
      swept: the points.

    Raises:
      InputError: see `ensemble.combine`.
    """
    config = swept.reference.config
    if config.report.ensemble_over == SEEDS:
        found = {f'seed {seed}': rows for seed, rows in selected.groupby('seed')}
        names = [f'seed {seed}' for seed in config.seeds]
        return _combine(found, dict.fromkeys(names, _FAILED), config)
    if config.selection.name == BEST_ON_TEST:
        table = selection.best_on_test(kept)
    point = trial_table.table.set_index('trial')['point'].loc[table['trial']].to_numpy()
    names = point_names(swept)
    found = {name: table[point == number] for number, name in names.items() if (point == number).any()}
    return _combine(found, dict.fromkeys(names.values(), _FAILED), config)


def of_leaderboard(honest: Mapping[str, pd.DataFrame], why: Mapping[str, str], swept: Sweep) -> Ensemble:
    """The ensemble of the systems of a leaderboard.

    Args:
      honest: the predictions that they are scored by, by their names.
      why: systems failed, by their names.
      swept: the points.

    Raises:
      InputError: see `ensemble.combine`.
    """
    names = [*point_names(swept).values()]
    found = {name: honest[name] for name in names if name in honest}
    return _combine(found, {name: why.get(name, _FAILED) for name in names}, swept.reference.config)


def _combine(found: Mapping[str, pd.DataFrame], why: Mapping[str, str], config: ConfigDict) -> Ensemble:
    """Of those that `why` names, what is not `found` is absent."""
    return ensemble.combine(
        found,
        how=config.report.ensemble,
        over=config.report.ensemble_over,
        seeds=config.seeds,
        absent={name: reason for name, reason in why.items() if name not in found},
    )


def add(
    made: 'Report',
    make: Callable[[], Ensemble],
    swept: Sweep,
    leaks: Mapping[int, str],
    labels: Sequence[str],
    *,
    notice: str,
) -> Ensemble | None:
    """Makes and scores the ensemble, and adds it to a report with its files.

    Args:
      made: takes it; of one that cannot be made the reason.
      make: see `of_run` and `of_leaderboard`.
      swept: the points.
      leaks: program -> why its inputs leak, see `Dataset.leaks`.
      labels: the classes.
      notice: stands above it.

    Returns:
      The ensemble; None where it cannot be made.
    """
    config = swept.reference.config
    try:
        own = make()
    except InputError as error:
        made.results['ensemble'] = {'reason': str(error)}
        made.shown.append(str(error))
        return None
    leaking = made.results['leaks'] or config.selection.name == BEST_ON_TEST
    if own.over != SEEDS or config.selection.name == NESTED:
        members = point_names(swept)
        leaking = leaking or any(
            leaks.get(point.program) for point in swept.points if point.number in members
        )
    found = {'leaks': bool(leaking), 'selection': config.selection.name}
    found |= ensemble.score(own, resamples=config.report.resamples)
    if len(labels) == 2:
        two_classes.add(found, own.table, resamples=config.report.resamples)
    made.results['ensemble'] = found
    made.writers.append(functools.partial(ensemble.write, own, found, notice=_marked(found, notice)))
    return own


def show(made: 'Report', own: Ensemble, how: str, *, notice: str) -> None:
    """Adds the tables of an ensemble that was added, with its members beside it.

    Args:
      made: takes them.
      own: the ensemble.
      how: the epochs of its members were selected.
      notice: stands above it.
    """
    found = made.results['ensemble']
    notice = _marked(found, notice)
    title = '\n'.join(filter(None, [notice, own.title]))
    more = {'selection': how, 'members': own.counted if own.pooled else None}
    made.shown += ['', tables.scores_table(own.table, found, title=title, **more)]
    if 'by_subject' in found:  # of two classes
        made.shown += ['', two_classes.rich_table(own.table, found, notice=title, **more)]
    made.shown += ['', ensemble.rich_table(own, found, notice=notice)]


def _marked(found: Mapping[str, Any], notice: str) -> str:
    """What must stand where its scores are shown."""
    return '\n'.join(filter(None, [notice, LEAK if found['selection'] == BEST_ON_TEST else '']))
