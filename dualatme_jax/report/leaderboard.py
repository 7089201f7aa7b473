"""All systems of a run side by side under one honest protocol, and beside them what selection would give.

One row per system: its scores by an honest selection of the epoch, the score by the best epoch on the test
subject, marked as leaking, with the gap, what a guesser gains by the same selection, the published figure and
whether that selects on the test, and a paired test against a reference system. One more row may be an
ensemble of systems; two are the guesser's.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dualatme_jax import models, schema
from dualatme_jax.errors import InputError
from dualatme_jax.models.figures import Figure
from dualatme_jax.models.system import System
from dualatme_jax.report import guesser, predictions, scores, selection
from dualatme_jax.report import sweep as sweep_report
from dualatme_jax.report.ensemble import NAME as ENSEMBLE
from dualatme_jax.report.ensemble import Ensemble

REFERENCE = 'dual_atme'  # what the others are compared with, unless it failed

# What a row is.
SCORED, FLOOR, FAILED = 'scored', 'floor', 'failed'
GUESS, BEST_GUESS = 'guesser', 'guesser_best'  # in the place of a system's name

_STATED = ['system', 'title', 'status', 'reason', 'shortened', 'synthetic', 'selection', 'members']
COUNTS = ['seeds', 'clips', 'subjects', 'epochs', 'paper_epochs', 'kept_epochs']  # whole numbers, or NaN
_SCORES = [f'{metric}_{part}' for metric in scores.METRICS for part in ('mean', 'sd', 'low', 'high')]
_LEAKING = [*(f'best_on_test_{metric}' for metric in scores.METRICS), 'gap', 'guesser_uf1']
_PUBLISHED = ['published_uf1', 'published_uar', 'published_selects', 'published_source']
_TEST = ['difference_mean', 'difference_low', 'difference_high', 'p', 'p_holm', 'reference']


def compare(
    kept: Mapping[str, pd.DataFrame],
    failures: Mapping[str, str],
    *,
    inner: Mapping[str, pd.DataFrame] | None = None,
    metric: str = 'uf1',
    ensemble: Ensemble | None = None,
    reference: str = REFERENCE,
    resamples: int = 1000,
    shortened: str | None = None,
    synthetic: bool = False,
    systems: Mapping[str, System] = models.SYSTEMS,
    paper_epochs: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Scores every system, compares each with the reference, and puts the floor and the failures below.

    Args:
      kept: name of a system -> predictions at every kept epoch, see `selection`; all over the same clips.
      failures: system -> why it failed, or why some of its seeds did; it is in `kept` too by the others.
      inner: system -> inner predictions at every kept epoch, if the epoch is to be selected by them.
      metric: what the epoch is then selected by.
      ensemble: of what `honest` returns of these systems; it is one more row, `ensemble`.
      reference: the system that the others are compared with, or `ensemble`; the first of `kept` if it is not
        there.
      resamples: draws of the bootstrap over subjects.
      shortened: what was shortened, if the run was; None of one with each paper's own settings.
      synthetic: whether the clips are rendered: then no published score stands beside theirs.
      systems: the records of those of `kept` and `failures` that have one, by name.
      paper_epochs: of the training of a system's paper, by name.

    Returns:
      Systems, and the ensemble among them, by falling UF1, then the guesser, then systems that failed. NaN is
      unknown. Columns: `system`; `title`; `status`; `reason` of a failure; `shortened` and `synthetic`, in
      every row; `selection` of the epoch; `members` of the ensemble, in words, and empty in other rows;
      `seeds`, `clips`, `subjects`, `epochs` trained, `paper_epochs`, `kept_epochs` to select from; for
      all clips `METRIC_mean`, `METRIC_sd` (over seeds), `METRIC_low` and `METRIC_high` (95% bootstrap over
      subjects; of the guesser: sd and interval of its draws); the same by database, `DATABASE_METRIC_PART`,
      if there are several; `best_on_test_METRIC`, which LEAKS, and `gap`, by which its UF1 is above;
      `guesser_uf1`, of a guesser that keeps the best of as many guesses; `published_uf1`, `published_uar`,
      `published_selects`, `published_source`, which are empty beside synthetic clips; UF1 minus the
      reference's, `difference_mean`, `difference_low`, `difference_high`, its `p` and `p_holm` (see
      `report/sweep.py`), and `reference`, whether the row is it.

    Raises:
      InputError: there is no system, a system lacks its inner predictions, or see `selection`.
    """
    if not kept and not failures:
        raise InputError('a leaderboard of no system; expected the predictions of one, or why it failed')
    selected = honest(kept, inner, metric)
    known = {*kept, *([ENSEMBLE] if ensemble else [])}
    home = reference if reference in known else next(iter(kept), None)

    def at_seeds_of(name: str, other: str) -> pd.DataFrame:
        if name != ENSEMBLE:
            return selected[name]
        return ensemble.at(selected[other]['seed'].unique())

    def against_home(name: str) -> dict:
        if name == home:
            return {}
        return sweep_report.against(at_seeds_of(name, home), at_seeds_of(home, name), resamples)

    def named(name: str, status: str) -> dict:
        known = systems.get(name)
        row = {'system': name, 'title': known.title if known else name, 'status': status}
        row |= {'paper_epochs': (paper_epochs or {}).get(name, np.nan)}
        return row | _as_published(() if synthetic or not known else known.figures)

    rows = []
    for name, table in kept.items():
        rows.append(named(name, SCORED) | _scored(table, selected[name], resamples) | against_home(name))
    most = max((row['kept_epochs'] for row in rows), default=0)
    if ensemble:
        rows.append(_of_ensemble(ensemble, resamples) | against_home(ENSEMBLE))
    rows.sort(key=lambda row: -row['uf1_mean'])  # stable: equals stay in the order of `kept`
    if kept:
        rows += _floor(selected.get(home, next(iter(selected.values()))), most)
    failed = [name for name in failures if name not in kept]
    rows += [named(name, FAILED) for name in failed]
    frame = pd.DataFrame(rows)
    single = [f'{name}_{column}' for name in databases(frame) for column in _SCORES]
    columns = [*_STATED, *COUNTS, *_SCORES, *single, *_LEAKING, *_PUBLISHED, *_TEST]
    frame = frame.reindex(columns=columns)
    return frame.assign(
        reason=[failures.get(name, '') for name in frame['system']],
        members=np.where(frame['system'] == ENSEMBLE, ensemble.words if ensemble else '', ''),
        shortened=shortened or '',
        synthetic=synthetic,
        selection=np.where(
            frame['status'] == SCORED, selection.LAST if inner is None else selection.NESTED, ''
        ),
        p_holm=sweep_report.holm(frame['p']),
        reference=frame['system'] == home,
    )


def honest(
    kept: Mapping[str, pd.DataFrame], inner: Mapping[str, pd.DataFrame] | None = None, metric: str = 'uf1'
) -> dict[str, pd.DataFrame]:
    """The predictions by which systems are scored: of the last epoch, or of that which `inner` selects.

    Args and errors are those of `compare`.
    """
    if missing := set(kept) - set(kept if inner is None else inner):
        raise InputError(
            f'{", ".join(sorted(missing))}: no inner predictions to select the epoch by; expected those of '
            'every system, or of none'
        )
    return {
        name: selection.last(table) if inner is None else selection.nested(table, inner[name], metric)[0]
        for name, table in kept.items()
    }


def databases(frame: pd.DataFrame) -> list[str]:
    """The databases that have scores of their own in what `compare` returned."""
    end = '_uar_mean'
    return [name.removesuffix(end) for name in frame if name.endswith(end)]


def _as_published(figures: Sequence[Figure]) -> dict:
    """The first published figure, which is the authors' own if they have one."""
    if not figures:
        return {'published_selects': '', 'published_source': ''}
    figure = figures[0]
    return {
        'published_uf1': figure.uf1,
        'published_uar': figure.uar,
        'published_selects': figure.selects,
        'published_source': figure.source,
    }


def _scored(table: pd.DataFrame, honest: pd.DataFrame, resamples: int) -> dict:
    epochs = selection.kept_epochs(table)
    found = scores.score_run(honest, resamples=resamples)['scores']
    leaking = [scores.score(rows) for _, rows in selection.best_on_test(table).groupby('seed')]
    best = {metric: float(np.mean([values[metric] for values in leaking])) for metric in scores.METRICS}
    return {
        **_counts(honest),
        'epochs': epochs[-1],
        'kept_epochs': len(epochs),
        **sweep_report.score_columns(found),
        **{f'best_on_test_{metric}': value for metric, value in best.items()},
        'gap': best['uf1'] - found[schema.FULL]['uf1']['mean'],
        'guesser_uf1': guesser.floor(honest, len(epochs))[schema.FULL]['uf1']['mean'],
    }


def _counts(table: pd.DataFrame) -> dict[str, int]:
    clips, subjects = predictions.count(table)
    return {'seeds': table['seed'].nunique(), 'clips': clips, 'subjects': subjects}


def _of_ensemble(ensemble: Ensemble, resamples: int) -> dict:
    """Its row; it has no epochs of its own to be selected."""
    found = scores.score_run(ensemble.table, resamples=resamples)['scores']
    return {
        'system': ENSEMBLE,
        'title': ensemble.title,
        'status': SCORED,
        **_as_published(()),
        **_counts(ensemble.table),
        **sweep_report.score_columns(found),
    }


def _floor(truth: pd.DataFrame, best_of: int) -> list[dict]:
    """The guesser's two rows: one guess, and the best of `best_of`, which stands where scores leak."""
    single, best = guesser.floor(truth), guesser.floor(truth, best_of)[schema.FULL]
    row = {'status': FLOOR, 'published_selects': '', 'published_source': ''}
    return [
        row | {'system': GUESS, 'title': 'Guesser'} | sweep_report.score_columns(single),
        {
            **row,
            'system': BEST_GUESS,
            'title': f'Guesser, best of {best_of}',
            'kept_epochs': best_of,
            **{f'best_on_test_{metric}': best[metric]['mean'] for metric in scores.METRICS},
            'gap': best['uf1']['mean'] - single[schema.FULL]['uf1']['mean'],
        },
    ]
