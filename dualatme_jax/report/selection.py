"""Which epoch's predictions count: three answers from the predictions that one training kept.

A table of kept predictions is a predictions table (see `predictions`) with the further columns `left_out`,
the fold, and `epoch`: from 1, the last one always among them, every clip once at each kept epoch of its seed
and point. Each selection returns a predictions table without `epoch`. `last` is the default and `nested` is
honest too; `best_on_test` takes for each fold the best epoch on its left-out subjects, as some papers do.
"""

from collections.abc import Mapping

import pandas as pd
from rich.table import Table

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import nested as nested_lib
from dualatme_jax.report import predictions, scores, tables
from dualatme_jax.schema import EPOCH

# Names of the selections, in configs and results.
LAST, NESTED, BEST_ON_TEST = 'last', 'nested', 'best_on_test'

TITLE = 'Selections of the epoch, from the same training'
NOTE = (
    f'{BEST_ON_TEST} LEAKS: for each fold the epoch with the best accuracy on the very clips that it '
    'leaves out; no result. Pooled over folds the score mostly rises by it, and need not.'
)


def last(table: pd.DataFrame) -> pd.DataFrame:
    """The predictions of the last epoch of each seed and point.

    Raises:
      InputError: `table` is not one of kept predictions.
    """
    training = ['seed', *_fields(table)]
    _check(table, training)
    final = table.groupby(training, sort=False, dropna=False)[EPOCH].transform('max')
    return table[table[EPOCH] == final].drop(columns=EPOCH)


def best_on_test(table: pd.DataFrame) -> pd.DataFrame:
    """For each seed, point and fold the predictions of the epoch that is most accurate on its left-out clips.

    THIS LEAKS: the epoch is chosen by the labels that are then scored, so the score is above that of any
    system that could be built; even a guesser gains by it, see `guesser`. It is here to reproduce papers that
    do so, is never a default, and is to be shown beside an honest selection and marked as leaking.

    Of equally accurate epochs the earliest is taken.

    Raises:
      InputError: `table` is not one of kept predictions.
    """
    training = ['seed', *_fields(table)]
    _check(table, training)
    fold = [*training, schema.LEFT_OUT]
    right = (table[schema.LABEL] == table['prediction']).rename('right')
    rows = pd.concat([table[[*fold, EPOCH]], right], axis=1)
    # Sorted by epoch within a fold; idxmax takes the first of equals, and counts are equal exactly.
    counts = rows.groupby([*fold, EPOCH], dropna=False, as_index=False)['right'].sum()
    best = counts.groupby(fold, dropna=False)['right'].idxmax()
    chosen = counts.loc[best, [*fold, EPOCH]]
    return table.merge(chosen, on=[*fold, EPOCH]).drop(columns=EPOCH)


def nested(
    table: pd.DataFrame, inner: pd.DataFrame, metric: str = 'uf1', *, train_subjects: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """For each seed and fold the epoch and the point of a sweep that are best on other subjects.

    Args:
      table: kept predictions of the folds; or those of a sweep's last epochs, without the column `epoch`.
      inner: predictions of the inner trainings at the same epochs, see `report/nested.py`.
      metric: one of `scores.METRICS`.
      train_subjects: how many of its subjects a fold trains on, see `splits.few`; 0: all.

    Returns:
      A predictions table of one point, without the swept fields; and what was chosen, see `nested.choose`.

    Raises:
      InputError: a table is not one of kept predictions, see also `nested.choose` and `nested.predictions`.
    """
    fields = _fields(table)
    if EPOCH in inner:
        _check(table, ['seed', *fields])
        fields.append(EPOCH)
    chosen = nested_lib.choose(inner, table, fields, metric, train_subjects=train_subjects)
    return nested_lib.predictions(table, chosen), chosen


def beside(
    selected: Mapping[str, pd.DataFrame], *, resamples: int = 1000, leaks: bool = False
) -> dict[str, dict]:
    """The scores of several selections from one training.

    Args:
      selected: name of the selection -> predictions of one point; `last` is among them.
      resamples: draws of the bootstrap over subjects.
      leaks: whether all of them do, whatever the selection.

    Returns:
      name -> `leaks`, `scores` as results.json has them, and `gap`, by which its mean UF1 is above that of
      the last epoch.
    """
    found = {name: scores.score_run(rows, resamples=resamples)['scores'] for name, rows in selected.items()}
    honest = found[LAST][schema.FULL]['uf1']['mean']
    return {
        name: {
            'leaks': leaks or name == BEST_ON_TEST,
            'scores': own,
            'gap': own[schema.FULL]['uf1']['mean'] - honest,
        }
        for name, own in found.items()
    }


def rich_table(rows: Mapping[str, Mapping], *, notice: str = '') -> Table:
    """What `beside` returned, all clips together, for a terminal of 80 columns; `notice` stands above it."""
    view = tables.plain('\n'.join(filter(None, [TITLE, notice])), f'\n{NOTE}')
    heads, lines = cells(rows)
    view.add_column('')
    for head in heads[1:]:
        view.add_column(head, justify='right', no_wrap=True)
    for line in lines:
        view.add_row(*line)
    return view


def cells(rows: Mapping[str, Mapping]) -> tables.Cells:
    """What `beside` returned, all clips together."""
    lines = [
        [
            f'{name}, LEAKS' if row['leaks'] else name,
            *(tables.short(row['scores'][schema.FULL][metric]['mean']) for metric in tables.HEADINGS),
            tables.short(row['gap'], sign=True),
        ]
        for name, row in rows.items()
    ]
    return ['', *tables.HEADINGS.values(), 'UF1 - last'], lines


def kept_epochs(table: pd.DataFrame) -> list[int]:
    """The epochs whose predictions were kept, in order."""
    return sorted(table[EPOCH].unique().tolist())


def _fields(table: pd.DataFrame) -> list[str]:
    """The swept fields; the epoch is none of them."""
    return [name for name in predictions.hyperparameters(table) if name != EPOCH]


def _check(table: pd.DataFrame, training: list[str]) -> None:
    """Every clip must stand once at each kept epoch of its seed and point."""
    if EPOCH not in table:
        raise InputError(
            f'the predictions have no column {EPOCH!r}, so there is no epoch to select; expected those of '
            'several epochs: keep them, and train in another --workdir'
        )
    kept = table.groupby(training, sort=False, dropna=False)[EPOCH].transform('nunique')
    epochs = table.groupby([*training, *predictions.CLIP_KEY], sort=False, dropna=False)[EPOCH]
    times, distinct = epochs.transform('size'), epochs.transform('nunique')
    wrong = (times != kept) | (distinct != kept)
    if wrong.any():
        place = wrong.to_numpy().argmax()
        row = table.iloc[place]
        where = ', '.join(f'{name} {row[name]}' for name in training)
        raise InputError(
            f'{where}: the clip {"/".join(row[predictions.CLIP_KEY])} has {times.iloc[place]} predictions at '
            f'{distinct.iloc[place]} epochs, of {kept.iloc[place]} that were kept; expected one at each. '
            'Complete the run by the same command, or start it anew in another --workdir'
        )
