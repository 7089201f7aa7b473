"""The leaderboard to read: a table for the terminal, and leaderboard.csv, .md, .tex and .png."""

import os
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from dualatme_jax import models, schema
from dualatme_jax.files import replacing
from dualatme_jax.models.system import System
from dualatme_jax.report import latex, scores, tables
from dualatme_jax.report.leaderboard import COUNTS, FAILED, FLOOR, SCORED, databases
from dualatme_jax.report.pictures import leaderboard_plot
from dualatme_jax.report.selection import LAST, NESTED

CSV, MARKDOWN, PLOT = 'leaderboard.csv', 'leaderboard.md', 'leaderboard.png'
LATEX = 'leaderboard.tex'
_PUBLISHED = ['Published UF1/UAR', 'Selects on the test subject']


def write(
    frame: pd.DataFrame,
    folder: str | os.PathLike,
    *,
    origin: str,
    systems: Mapping[str, System] = models.SYSTEMS,
    notice: str = '',
) -> None:
    """Writes what `leaderboard.compare` returned as leaderboard.csv, .md, .tex and .png.

    Each is whole or not there; without any score there is no picture.

    Args:
      frame: of `leaderboard.compare`.
      folder: where the files go.
      origin: what the input is, in words, see `Dataset.origin`.
      systems: as `leaderboard.compare` had them.
      notice: stands below the heading, such as that the scores leak.
    """
    folder = pathlib.Path(folder)
    with replacing(folder / CSV) as temporary:
        frame.astype(dict.fromkeys(COUNTS, 'Int64')).to_csv(temporary, index=False, lineterminator='\n')
    with replacing(folder / MARKDOWN) as temporary:
        temporary.write_text(_markdown(frame, origin, systems, notice), encoding='utf-8', newline='\n')
    latex.write(_latex(frame, origin, notice), folder / LATEX)
    if (frame['status'] == SCORED).any():
        leaderboard_plot.draw(frame, folder / PLOT, title=_title(frame, notice))


def rich_table(frame: pd.DataFrame, *, notice: str = '') -> Table:
    """The leaderboard for a terminal of 80 columns; Acc and single databases stand in the files only."""
    notes = [*_notes(frame), *_failures(frame)]
    view = tables.plain(_title(frame, notice), '\n' + '\n'.join(notes))
    view.add_column('system\nepochs', overflow='fold', max_width=14)
    heads = ['UF1', 'UAR', 'LEAKS\nbest\nepoch', 'published\nselects', 'UF1 - ref.', 'p\nHolm']
    synthetic = frame['synthetic'].any()
    for head in heads:
        if not (synthetic and head.startswith('published')):
            view.add_column(head, justify='right', no_wrap=True)
    for row in frame.to_dict('records'):
        leaking = f'{_short(row["best_on_test_uf1"])}\n{_short(row["gap"], sign=True)}'
        figure = f'{_pair(row, "published")}\n{row["published_selects"]}'
        view.add_row(
            Text(f'{row["title"]}\n{_epochs(row)}'.strip()),
            'failed' if row['status'] == FAILED else tables.estimate_lines(row, 'uf1'),
            _short(row['uar_mean']),
            '' if row['status'] == FAILED else leaking,
            *([] if synthetic else ['' if row['status'] == FLOOR else figure]),
            tables.estimate_lines(row, 'difference', sign=True) if _is_compared(row) else _role(row),
            f'{tables.p_value(row["p"])}\n{tables.p_value(row["p_holm"])}' if _is_compared(row) else '',
        )
    return view


def _is_compared(row: Mapping) -> bool:
    return row['status'] == SCORED and not row['reference']


def _role(row: Mapping) -> str:
    return 'reference' if row['reference'] else ''


def _short(value: float, *, sign: bool = False) -> str:
    return '' if np.isnan(value) else tables.short(value, sign=sign)


def _pair(row: Mapping, name: str) -> str:
    """`.735/.719`: UF1 and UAR."""
    if np.isnan(row[f'{name}_uf1']):
        return '-'
    return '/'.join(tables.short(row[f'{name}_{metric}']) for metric in ('uf1', 'uar'))


def _scores(row: Mapping, database: str) -> str:
    """`.735/.719/.801`: UF1, UAR and Acc on one database."""
    values = [row[f'{database}_{metric}_mean'] for metric in ('uf1', 'uar', 'acc')]
    return '-' if np.isnan(values[0]) else '/'.join(map(tables.short, values))


def _epochs(row: Mapping) -> str:
    """`800`, or `80 of 800` where the paper's training has another number."""
    if np.isnan(row['epochs']):
        return ''
    if np.isnan(row['paper_epochs']) or row['epochs'] == row['paper_epochs']:
        return f'{row["epochs"]:.0f}'
    return f'{row["epochs"]:.0f} of {row["paper_epochs"]:.0f}'


def _title(frame: pd.DataFrame, notice: str) -> str:
    """The heading, and below it the notice and what was shortened."""
    heading = '\n'.join(filter(None, ['Leaderboard', notice]))
    shortened = frame['shortened'].iloc[0]
    if not shortened:
        return heading
    scored = frame[frame['status'] == SCORED].to_dict('records')
    epochs = ', '.join(f'{row["title"]} {_epochs(row)}' for row in scored if ' of ' in _epochs(row))
    return f'{heading}\nSHORTENED RUN: {shortened}{f"; epochs: {epochs}" if epochs else ""}'


def _notes(frame: pd.DataFrame) -> Iterator[str]:
    """What the columns are, in words."""
    scored = frame[frame['status'] == SCORED]
    if not len(scored):
        yield 'No system was scored.'
        return
    seeds = sorted(set(scored[scored['members'] == '']['seeds'].astype(int)))
    by = {LAST: 'the last epoch', NESTED: 'the epoch that is best on other subjects (nested)'}
    spread = 'One seed' if seeds == [1] else f'Mean ± sd over {" to ".join(map(str, seeds))} seeds'
    yield (
        f'{spread}, scored at {by[scored["selection"].iloc[0]]}; [low, high]: 95% bootstrap over subjects.'
    )
    yield (
        'LEAKS: UF1 when for each left-out subject the epoch with the best accuracy on that very subject is '
        'taken, and by how much that is above the honest UF1. It is not a score of a system.'
    )
    yield (
        "Guesser: draws each clip's class from the shares of the classes among other subjects (± and "
        'interval: of its draws); best of N: keeps the best of N guesses of each subject, as many as the '
        'most epochs that a system is selected from. Epochs of one training resemble each other, '
        'guesses do not.'
    )
    for row in scored[scored['members'] != ''].to_dict('records'):
        yield f'{row["title"]}: {row["members"]}. Members that were chosen by this table would leak.'
    home = scored[scored['reference']]['title'].iloc[0]
    yield (
        f'UF1 - ref.: UF1 minus that of {home}, on the same subjects and seeds; p: randomisation test that '
        'swaps the two by subject; Holm: p corrected for the number of systems.'
    )
    if scored['synthetic'].any():
        yield 'The clips are synthetic: published scores, of real faces, are not shown.'
        return
    yield (
        'Published: UF1/UAR, and whether the epoch or run behind it was selected on the test subject, as far '
        'as papers and public programs say. One number each, most on optical flow of their own.'
    )
    clips, subjects = int(scored['clips'].iloc[0]), int(scored['subjects'].iloc[0])
    if (clips, subjects) != schema.MEGC2019_CD[schema.FULL]:
        yield (
            f'These are {clips} clips of {subjects} subjects and not the 442 of 68 of MEGC2019-CD: published '
            'numbers cannot be compared with them.'
        )


def _failures(frame: pd.DataFrame) -> list[str]:
    """One line per failure; a system with seeds left is scored on those."""
    return [
        f'{row["title"]} failed{" in part" if row["status"] == SCORED else ""}: {row["reason"]}'
        for row in frame.to_dict('records')
        if row['reason']
    ]


def _cells(frame: pd.DataFrame) -> tables.Cells:
    single, synthetic = databases(frame), frame['synthetic'].any()
    heads = [
        'System',
        'Epochs',
        *map(tables.HEADINGS.get, scores.METRICS),
        *(f'{schema.DATABASE_TITLES.get(name, name)} UF1/UAR/Acc' for name in single),
        'LEAKS: best epoch on the test subject, UF1',
        'Gap',
        'Guesser, best of as many, UF1',
        *([] if synthetic else _PUBLISHED),
        'UF1 - ref.',
        'p',
        'Holm',
    ]
    rows = []
    for row in frame.to_dict('records'):
        compared = _is_compared(row)
        rows.append(
            [
                f'{row["title"]}{" (failed)" if row["status"] == FAILED else ""}',
                _epochs(row),
                *(' '.join(tables.estimate(row, metric)).strip() for metric in scores.METRICS),
                *(_scores(row, name) for name in single),
                _short(row['best_on_test_uf1']),
                _short(row['gap'], sign=True),
                _short(row['guesser_uf1']),
                *([] if synthetic else ['' if row['status'] == FLOOR else _pair(row, 'published')]),
                *([] if synthetic else [row['published_selects']]),
                ' '.join(tables.estimate(row, 'difference', sign=True)).strip() if compared else _role(row),
                tables.p_value(row['p']) if compared else '',
                tables.p_value(row['p_holm']) if compared else '',
            ]
        )
    return heads, rows


def _by_database(frame: pd.DataFrame) -> tables.Cells | None:
    return (
        tables.by_database(frame[frame['status'] == SCORED].to_dict('records')) if databases(frame) else None
    )


def _markdown(frame: pd.DataFrame, origin: str, systems: Mapping[str, System], notice: str) -> str:
    title, *warnings = _title(frame, notice).split('\n')
    parts = [f'# {title}']
    parts += [f'**{warning}**' for warning in warnings]
    parts += [tables.markdown(*_cells(frame)).rstrip('\n')]
    parts += [_listed([*_notes(frame), f'Input: {origin}.'])]
    if _failures(frame):
        parts += ['## Failed', _listed(_failures(frame))]
    if single := _by_database(frame):
        parts += ['## By database', tables.markdown(*single).rstrip('\n')]
    if figures := _figures(frame, systems):
        parts += ['## Published figures', _listed(figures)]
    return '\n\n'.join(parts) + '\n'


def _latex(frame: pd.DataFrame, origin: str, notice: str) -> str:
    title, *notices = _title(frame, notice).split('\n')
    notes = [*_notes(frame), f'Input: {origin}.']
    made = latex.table(
        *_cells(frame),
        caption=title,
        label='tab:leaderboard',
        notes=[*notes, *_failures(frame)],
        notices=notices,
    )
    if single := _by_database(frame):
        caption, label = f'{title}, by database', 'tab:leaderboard-databases'
        made += '\n' + latex.table(*single, caption=caption, label=label, notes=notes[:1], notices=notices)
    return made


def _figures(frame: pd.DataFrame, systems: Mapping[str, System]) -> list[str]:
    """Every published figure of the systems of the table; none beside synthetic clips."""
    if frame['synthetic'].any():
        return []
    return [
        f'{known.title}: UF1 {tables.short(figure.uf1, 4)}, UAR {tables.short(figure.uar, 4)}; '
        f'{figure.source}. Selects on the test subject: {figure.selects}; {figure.basis}.'
        for name in frame['system']
        if (known := systems.get(name))
        for figure in known.figures
    ]


def _listed(lines: list[str]) -> str:
    return '\n'.join(f'- {line}' for line in lines)
