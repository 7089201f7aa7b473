"""What published scores gain by leaks, one after the other, from the predictions of one run.

Some papers report a number that no system could have on unseen people. `LEAKS` names the reasons; the table
begins with the honest score and adds them in this order, so that its last row is scored as the paper is.

Axes: F folds, K classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from rich.table import Table

from dualatme_jax import schema
from dualatme_jax.report import scores, tables

ACTION_UNITS, WHOLE_SET_SCALING, BEST_EPOCH = 'action_units', 'whole_set_scaling', 'best_epoch'
FOLDS_AVERAGED, UF1_OF_ONE = 'folds_averaged', 'uf1_of_one'

LEAKS = {
    ACTION_UNITS: 'crops by the annotated action units of the tested clip',
    WHOLE_SET_SCALING: 'inputs scaled by all clips, the left-out ones too',
    BEST_EPOCH: 'the epoch that is best on the left-out subjects',
    FOLDS_AVERAGED: 'scores of folds averaged, not those of all predictions',
    UF1_OF_ONE: 'UF1 and UAR of a fold without an error are 1, whatever classes it has',
}

HONEST = 'honest'

TITLE = 'As published: each row has one leak more than the row above'


def averaged(table: pd.DataFrame, *, of_one: bool) -> dict[str, float]:
    """The mean of the folds' scores, `{'acc', 'uar', 'uf1'}`, as the dual-branch 3DCNN's scripts have them.

    The classes of a fold are those up to the last one that its clips or predictions have; one of them that it
    has not counts 0. So the score of a fold of one class without an error may be 1/3.

    Args:
      table: predictions of one seed and point, one trial per fold.
      of_one: whether UF1 and UAR of a fold whose accuracy is 1 are 1 instead.
    """
    folds = table.groupby('trial').ngroup()
    truth, prediction = table[schema.LABEL], table['prediction']
    classes = max(truth.max(), prediction.max()) + 1
    confusions = np.zeros((folds.max() + 1, classes, classes))
    np.add.at(confusions, (folds, truth, prediction), 1)
    right, had, predicted = np.diagonal(confusions, 0, 1, 2), confusions.sum(2), confusions.sum(1)
    occurs = had + predicted > 0
    number = classes - np.argmax(occurs[:, ::-1], 1)
    acc = right.sum(1) / had.sum(1)
    found = {
        'uar': (right / np.maximum(had, 1)).sum(1) / number,
        'uf1': (2 * right / np.maximum(had + predicted, 1)).sum(1) / number,
    }
    if of_one:
        found = {metric: np.where(acc == 1, 1, values) for metric, values in found.items()}
    return {metric: float(values.mean()) for metric, values in ({'acc': acc} | found).items()}


def compare(steps: Sequence[tuple[str, pd.DataFrame]]) -> list[dict]:
    """The scores of each step, the mean over seeds.

    Args:
      steps: name, `HONEST` or one of `LEAKS`, and predictions of one point by which it is scored; each step
        adds to those before.

    Returns:
      One row per step: `step`, `leaks`, the metrics, and `gap`, by which its UF1 is above that of the first.
    """
    rows, taken = [], set()
    for name, table in steps:
        taken.add(name)
        of_seeds = [
            averaged(own, of_one=UF1_OF_ONE in taken) if FOLDS_AVERAGED in taken else scores.score(own)
            for _, own in table.groupby('seed')
        ]
        found = {metric: float(np.mean([seed[metric] for seed in of_seeds])) for metric in scores.METRICS}
        rows.append({'step': name, 'leaks': name != HONEST} | found)
    return [row | {'gap': row['uf1'] - rows[0]['uf1']} for row in rows]


def rich_table(rows: Sequence[Mapping], *, notice: str = '') -> Table:
    """What `compare` returned, for a terminal of 80 columns; `notice` stands above it."""
    heads, lines = cells(rows)
    view = tables.plain('\n'.join(filter(None, [TITLE, notice])), '\n' + '\n'.join(notes(rows)))
    view.add_column('')
    for head in heads[1:]:
        view.add_column(head, justify='right', no_wrap=True)
    for line in lines:
        view.add_row(*line)
    return view


def notes(rows: Sequence[Mapping]) -> list[str]:
    """What each leak is."""
    return [f'{row["step"]}: {LEAKS[row["step"]]}' for row in rows if row['leaks']]


def cells(rows: Sequence[Mapping]) -> tables.Cells:
    """What `compare` returned."""
    lines = [
        [
            f'+ {row["step"]}, LEAKS' if row['leaks'] else row['step'],
            *(tables.short(row[metric]) for metric in tables.HEADINGS),
            tables.short(row['gap'], sign=True),
        ]
        for row in rows
    ]
    return ['', *tables.HEADINGS.values(), 'UF1 - first'], lines
