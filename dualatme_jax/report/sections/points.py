"""What stands side by side: points of a sweep, systems of a leaderboard, members of an ensemble."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.report import ensemble as ensemble_report
from dualatme_jax.report import sweep as sweep_report
from dualatme_jax.report import tables
from dualatme_jax.report.leaderboard import FAILED, GUESS, SCORED
from dualatme_jax.report.page.blocks import Block, Column, Facts, Section, Table, Text
from dualatme_jax.report.record import Record
from dualatme_jax.report.sections import drawings, result

_COMPARED = [
    Column('UF1 - reference', number=True, hint='on the same subjects and seeds, with its 95 % interval'),
    Column('p', number=True, hint='randomisation test that swaps the two by subject'),
    Column('p, Holm', number=True, hint='p corrected for how many are compared'),
]


def sweep(record: Record) -> Section | None:
    """Every point, and those that were chosen."""
    frame = record.sweep
    if frame is None:
        return None
    fields = [*frame.columns[: frame.columns.get_loc('seeds')]]
    rows = [
        [*(_value(row[field]) for field in fields), str(row['seeds']), *_estimates(row), *_compared(row)]
        for row in frame.to_dict('records')
    ]
    columns = [
        *(Column(field, number=bool(pd.api.types.is_numeric_dtype(frame[field]))) for field in fields),
        Column('Seeds', number=True),
        *result.metric_columns(),
        *_COMPARED,
    ]
    blocks = [Text(sweep_report.WARNING), *drawings.pictures(record, 'sweep')]
    return Section('Sweep', [*blocks, Table(f'{len(rows)} points', columns, rows), *_chosen(record)])


def _chosen(record: Record) -> list[Block]:
    """How often each point was chosen, by nested selection or by the learner itself."""
    chosen = pd.DataFrame((record.results or {}).get('chosen') or [])
    if chosen.empty:
        return []
    metrics = [*tables.HEADINGS]
    fields = [name for name in chosen if name not in ('seed', schema.LEFT_OUT, *metrics)]
    words = chosen[fields].map(_value) if fields else chosen[[]]
    times = words.groupby(fields, sort=False, dropna=False).size().sort_values(ascending=False)
    rows = [[*(key if isinstance(key, tuple) else (key,)), int(count)] for key, count in times.items()]
    columns = [*map(Column, fields), Column('Times', number=True)]
    what = f'What was chosen for {len(chosen)} folds and seeds, by their other subjects'
    return [Table(what, columns, rows)]


def leaderboard(record: Record) -> Section | None:
    """Every system, honest beside leaking."""
    frame = record.leaderboard
    if frame is None:
        return None
    rows = [
        [
            row['title'],
            _value(row['epochs']) if row['status'] == SCORED else None,
            *_estimates(row),
            row['best_on_test_uf1'],
            row['gap'],
            row['guesser_uf1'],
            row['published_uf1'],
            row['published_selects'],
            *_compared(row),
        ]
        for row in frame.to_dict('records')
        if row['status'] != FAILED
    ]
    columns = [
        Column('System'),
        Column('Epochs', number=True),
        *result.metric_columns(),
        Column('LEAKS: best epoch', number=True, hint='UF1 of the epoch that is best on the test subject'),
        Column('Gap', number=True, hint='by how much that is above the honest UF1'),
        Column('LEAKS: guesser', number=True, hint='UF1 of a guesser that keeps the best of as many guesses'),
        Column('Published UF1', number=True, hint='as its paper reports it'),
        Column('Selects', hint='whether the published figure selects on the test subject'),
        *_COMPARED,
    ]
    count = sum(row['status'] == SCORED for row in frame.to_dict('records'))
    blocks: list[Block] = [*drawings.pictures(record, 'leaderboard')]
    blocks.append(Table(f'{count} system{"s" * (count != 1)} under one protocol', columns, rows))
    if failed := [row for row in frame.to_dict('records') if row['reason']]:
        rows = [[row['title'], row['reason']] for row in failed]
        blocks.append(Table('Failed', [Column('System'), Column('Why')], rows))
    return Section('Leaderboard', [*blocks, *_by_database(frame)])


def lead(record: Record) -> list[Block]:
    """The headline of a leaderboard: the first, the guesser, and the most that a leak gains."""
    frame = record.leaderboard
    scored = [] if frame is None else frame[frame['status'] == SCORED].to_dict('records')
    if not scored:
        return []
    first = scored[0]
    pairs = [
        ('First', f'{first["title"]}\nUF1 {_estimate(first, "uf1")}'),
        ('Systems', f'{len(scored)}\non {first["clips"]:.0f} clips of {first["subjects"]:.0f} subjects'),
    ]
    if guesses := frame.loc[frame['system'] == GUESS, 'uf1_mean'].tolist():
        pairs.append(('A guesser', f'{guesses[0]:.3f}\nUF1 without looking'))
    gained = max(scored, key=lambda row: -1 if np.isnan(row['gap']) else row['gap'])
    if gained['gap'] > 0:
        pairs.append(
            (
                'Leak',
                f'+{gained["gap"]:.3f}\nmost UF1 gained by the best epoch on the test: {gained["title"]}',
            )
        )
    return [
        Facts(pairs),
        Text(
            'All systems have the same clips, folds and seeds, and nothing is selected on the left-out '
            'subject, but in the columns that say so. The order says little where intervals overlap: the '
            'paired test against the reference, corrected by Holm, says which differences are findings.'
        ),
    ]


def _by_database(frame: pd.DataFrame) -> list[Block]:
    end = '_uar_mean'
    names = [name.removesuffix(end) for name in frame if name.endswith(end) and name != f'uar{end}']
    if not names:
        return []
    scored = frame[frame['status'] == SCORED].to_dict('records')
    rows = [[row['title'], *(_estimate(row, f'{name}_uf1') for name in names)] for row in scored]
    columns = [Column('System'), *(Column(f'UF1, {schema.title(name)}', number=True) for name in names)]
    return [Table('By database', columns, rows)]


def ensemble(record: Record) -> Section | None:
    """The members and what they are together."""
    own = (record.results or {}).get('ensemble')
    if not own or not own.get('scores'):
        return None
    rows = [
        [member['name'], *(result.cell(member['scores'][schema.FULL][name]) for name in tables.HEADINGS)]
        for member in own['members']
        if member.get('scores')
    ]
    together = [result.cell(own['scores'][schema.FULL][name]) for name in tables.HEADINGS]
    columns = [Column('Member'), *(Column(head, number=True) for head in tables.HEADINGS.values())]
    note = f'Combined by {own["how"]}, over {own["over"]}.{" LEAKS." if own.get("leaks") else ""}'
    rows.insert(0, [ensemble_report.NAME, *together])
    return Section('Ensemble', [Table('The ensemble and its members', columns, rows, note)])


def _estimates(row: Mapping[str, Any]) -> list[str]:
    return [_estimate(row, metric) for metric in result.METRICS]


def _estimate(row: Mapping[str, Any], name: str) -> str:
    return '' if np.isnan(row[f'{name}_mean']) else '\n'.join(tables.estimate(row, name)).strip()


def _compared(row: Mapping[str, Any]) -> list[Any]:
    if row['reference']:
        return ['reference', None, None]
    known = not np.isnan(row['difference_mean'])
    difference = '\n'.join(tables.estimate(row, 'difference', sign=True)).strip() if known else ''
    return [
        difference,
        *('' if np.isnan(row[name]) else tables.p_value(row[name]) for name in ('p', 'p_holm')),
    ]


def _value(value: Any) -> str:
    return f'{value:g}' if isinstance(value, float) else str(value)
