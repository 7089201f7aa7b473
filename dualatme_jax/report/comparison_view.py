"""A comparison to read: Markdown, LaTeX, a page, and CSV; the picture is `pictures/comparison.py`.

Systems have numbers, by which the matrix and the clips name them.
"""

import os
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.files import replacing
from dualatme_jax.report import comparison as comparison_lib
from dualatme_jax.report import latex, scores, tables
from dualatme_jax.report.comparison import Comparison
from dualatme_jax.report.page import page
from dualatme_jax.report.page.blocks import Column, Facts, Listing, Picture, Section, Table, Text
from dualatme_jax.report.pictures import comparison as picture
from dualatme_jax.report.pictures import drawn

NAME = 'compare'  # of the files
FILES = tuple(
    f'{NAME}{end}'
    for end in ('.md', '.csv', '_pairs.csv', '_clips.csv', latex.SUFFIX, '.html', '.png', '.svg')
)

_TITLE = 'Comparison'
_MOST_CLIPS = 20  # in Markdown; the page and compare_clips.csv have all
_AGREEMENT = {
    'same': 'same',
    'kappa': "Cohen's kappa",
    'both_wrong': 'both wrong',
    'wrong_together': 'wrong together',
}
_AGREEMENT_NOTE = (
    'same, both wrong: shares of all clips; wrong together: of the clips that one of the two gets wrong, the '
    'share that both do.'
)
_WARNING = (
    'All rows are scored on the test subjects: to pick the best of them by this table is to pick on the test.'
)

_WORDS = ('System', 'and', 'Notice')  # heads of columns that are no numbers

_Rows = tuple[list[str], list[list[str]]]  # heads, and cells as plain text


def write(found: Comparison, folder: str | os.PathLike) -> str:
    """Writes all `FILES`, each whole or not at all; returns the Markdown."""
    folder = pathlib.Path(folder)
    text, tex = markdown(found), latex_text(found)
    figure = picture.figure(found)
    scored = found.scores.astype({'paired_seeds': 'Int64'})
    for frame, end in ((scored, ''), (found.pairs, '_pairs'), (_with_words(found), '_clips')):
        with replacing(folder / f'{NAME}{end}.csv') as temporary:
            frame.to_csv(temporary, index=False, lineterminator='\n')
    with replacing(folder / f'{NAME}.md') as temporary:
        temporary.write_text(text, encoding='utf-8', newline='\n')
    latex.write(tex, folder / f'{NAME}{latex.SUFFIX}')
    drawn.save(figure, folder, NAME)
    page.write(html(found, tex=tex, svg=drawn.svg(figure)), folder / f'{NAME}.html')
    return text


def markdown(found: Comparison) -> str:
    """The comparison in Markdown; names, which may hold anything, are shown as they are."""
    clips = _clips(found, _MOST_CLIPS)
    parts = [f'# {_TITLE}']
    parts += [f'**{tables.literal(line)}**' for line in found.systems.notice_lines]
    parts += [_markdown(_scores(found)), _listed(_notes(found))]
    if single := _by_database(found):
        parts += ['## By database', _markdown(single)]
    parts += ['## Pairs', _matrix_words(found), _markdown(_matrix(found))]
    parts += ['## Agreement', _markdown(_agreement(found)), _agreement_note(found)]
    parts += ['## Clips on which they differ', tables.literal(_clips_words(found))]
    if clips[1]:
        parts += [_markdown(clips)]
    return '\n\n'.join(part.rstrip('\n') for part in parts) + '\n'


def latex_text(found: Comparison) -> str:
    """The scores, whole and by database, and the matrix of pairs, each a table of booktabs."""
    notices = found.systems.notice_lines
    made = [
        latex.table(
            *_scores(found),
            caption='Systems on the same clips',
            label='tab:compare',
            notes=_notes(found),
            notices=notices,
        )
    ]
    if single := _by_database(found):
        caption = 'The same systems by database'
        made.append(latex.table(*single, caption=caption, label='tab:compare-databases', notices=notices))
    made.append(
        latex.table(
            *_matrix(found),
            caption='Paired tests',
            label='tab:compare-pairs',
            notes=[_matrix_words(found)],
            notices=notices,
        )
    )
    return '\n'.join(made)


def html(found: Comparison, *, tex: str, svg: str) -> str:
    """The page, see `page.html`.

    Args:
      found: the comparison.
      tex: what `latex_text` made of it, to be copied.
      svg: the picture.
    """
    first, names = found.scores.iloc[0], list(found.systems.tables)
    by_uf1 = found.scores.sort_values('uf1_mean', ascending=False, kind='stable')
    order = '; '.join(f'{row["system"]} {tables.short(row["uf1_mean"])}' for row in by_uf1.to_dict('records'))
    blocks = [
        Picture(
            'UF1 of each system; the line is its 95% bootstrap interval over subjects.',
            f'UF1 from the highest to the lowest: {order}.',
            svg=svg,
        ),
        _table('Scores', _scores(found)),
        Text('\n\n'.join(_notes(found))),
    ]
    if single := _by_database(found):
        blocks.append(_table('By database', single))
    pairs = [
        Text(_matrix_words(found)),
        _table('UF1 of the row minus that of the column', _matrix(found), hints=names),
        _table('Agreement', _agreement(found), _agreement_note(found)),
    ]
    return page.html(
        _TITLE,
        [
            Section('Scores', blocks),
            Section('Pairs', pairs),
            Section(
                'Clips on which they differ',
                [Text(_clips_words(found)), _table('Clips', _clips(found), numbers=False, hints=names)],
                name='clips',
            ),
            Section('LaTeX', [Listing('Scores and paired tests, with booktabs', tex)]),
        ],
        lead=[
            Facts(
                [
                    ('systems', str(len(found.scores))),
                    ('clips', f'{first["clips"]}\nof {first["subjects"]} subjects'),
                    ('reference', found.reference),
                    ('clips on which they differ', str(len(found.clips))),
                ]
            )
        ],
        notices=found.systems.notice_lines,
    )


def _numbered(found: Comparison) -> dict[str, str]:
    return {name: f'{place}. {name}' for place, name in enumerate(found.systems.tables, start=1)}


def _scores(found: Comparison) -> _Rows:
    names = _numbered(found)
    heads = ['System', 'Seeds', *(tables.HEADINGS[metric] for metric in scores.METRICS)]
    heads += ['UF1 - ref.', 'p', 'Holm']
    rows = []
    for row in found.scores.to_dict('records'):
        test = ['reference', '', '']
        if not row['reference']:
            test = [
                _estimate(row, 'difference', sign=True),
                *(map(tables.p_value, (row['p'], row['p_holm']))),
            ]
        rows.append(
            [
                names[row['system']],
                str(row['seeds']),
                *(_estimate(row, metric) for metric in scores.METRICS),
                *(['reference', '', ''] if row['reference'] else test),
            ]
        )
    return _with_notices(found, heads, rows)


def _by_database(found: Comparison) -> _Rows | None:
    """UAR and UF1 on each of several databases, with intervals."""
    end = '_uar_mean'
    single = [name.removesuffix(end) for name in found.scores if name.endswith(end)]
    if not single:
        return None
    shown = [(name, metric) for name in single for metric in ('uar', 'uf1')]
    names = _numbered(found)
    heads = ['System', *(f'{schema.title(name)} {tables.HEADINGS[metric]}' for name, metric in shown)]
    rows = [
        [names[row['system']], *(_estimate(row, f'{name}_{metric}') for name, metric in shown)]
        for row in found.scores.to_dict('records')
    ]
    return _with_notices(found, heads, rows)


def _with_notices(found: Comparison, heads: list[str], rows: list[list[str]]) -> _Rows:
    """The rows with what must stand beside the scores of each, if there is anything."""
    notices = found.scores['notice'].tolist()
    if not any(notices):
        return heads, rows
    return [*heads, 'Notice'], [[*row, notice] for row, notice in zip(rows, notices, strict=True)]


def _matrix(found: Comparison) -> _Rows:
    names = _numbered(found)
    heads = ['System', *map(str, range(1, len(names) + 1))]
    tests = comparison_lib.both_ways(found.pairs)

    def cell(name: str, other: str) -> str:
        if (test := tests.get((name, other))) is None:
            return ''
        return f'{tables.short(test["difference_mean"], sign=True)} ({tables.p_value(test["p_holm"])})'

    return heads, [[shown, *(cell(name, other) for other in names)] for name, shown in names.items()]


def _matrix_words(found: Comparison) -> str:
    left = ''
    if len(found.scores) > comparison_lib.MOST_PAIRS:
        left = f' Of {len(found.scores)} systems only the pairs with the reference are tested.'
    return (
        'UF1 of the row minus that of the column, and in brackets the p of the paired test, corrected by '
        f'Holm for the number of pairs, {len(found.pairs)}.{left}'
    )


def _agreement(found: Comparison) -> _Rows:
    names = _numbered(found)
    rows = [
        [
            names[row['a']],
            names[row['b']],
            str(row['paired_seeds']),
            _estimate(row, 'difference', sign=True),
            *map(tables.p_value, (row['p'], row['p_holm'])),
            *('-' if np.isnan(row[name]) else tables.short(row[name]) for name in _AGREEMENT),
        ]
        for row in found.pairs.to_dict('records')
    ]
    return ['System', 'and', 'seeds', 'UF1 - UF1', 'p', 'Holm', *_AGREEMENT.values()], rows


def _agreement_note(found: Comparison) -> str:
    return _AGREEMENT_NOTE + (' Means over pairs of seeds.' if _several(found) else '')


def _several(found: Comparison) -> bool:
    """Whether some system has more than one seed."""
    return found.scores['seeds'].max() > 1


def _clips(found: Comparison, most: int | None = None) -> _Rows:
    names = list(found.systems.tables)
    labels = found.systems.labels
    seeds = found.scores.set_index('system')['seeds']
    heads = ['Database', 'Subject', 'Clip', 'Label', *map(str, range(1, len(names) + 1)), 'Right']
    rows = []
    for row in found.clips[:most].to_dict('records'):
        cells = []
        for name in names:
            share = f' {row[f"right_{name}"] * seeds[name]:.0f}/{seeds[name]}' if seeds[name] > 1 else ''
            cells.append(f'{labels[row[f"predicted_{name}"]]}{share}')
        numbers = [
            str(place) for place, right in enumerate(comparison_lib.is_right(row, names), start=1) if right
        ]
        rows.append(
            [
                schema.title(row[schema.DATABASE]),
                row[schema.SUBJECT],
                row[schema.CLIP],
                labels[row[schema.LABEL]],
                *cells,
                ', '.join(numbers) or 'none',
            ]
        )
    return heads, rows


def _clips_words(found: Comparison) -> str:
    clips, total = len(found.clips), found.scores['clips'].iloc[0]
    if not clips:
        most = ', by most of their seeds' if _several(found) else ''
        return f'All systems predict the same of each of the {total} clips{most}.'
    what = 'that system predicts'
    if _several(found):
        what = 'most seeds of each system predict, and how many of its seeds are right'
    return (
        f'{clips} of {total} clips are predicted differently, those first that divide the systems most. '
        f'Below a number stands what {what}. Right: who is right. '
        f'{", ".join(_numbered(found).values())}. {NAME}_clips.csv has all of them.'
    )


def _notes(found: Comparison) -> list[str]:
    """What the columns are, in words."""
    first = found.scores.iloc[0]
    seeds = found.scores['seeds']
    spread = f'Mean ± sd over {_range(seeds)} seeds' if _several(found) else 'One seed'
    notes = [
        f'{first["clips"]} clips of {first["subjects"]} subjects; {len(found.systems.labels)} classes: '
        f'{", ".join(found.systems.labels)}.',
        f'{spread}; [low, high] is the 95% bootstrap over subjects.',
        f'UF1 - ref.: UF1 minus that of {found.reference}, on the same subjects; p: randomisation test that '
        'swaps the two by subject; Holm: p corrected for the number of systems.',
    ]
    if _several(found):
        notes.append(
            'Two systems are compared by their means over the seeds that both have; without a seed in '
            'common, over as many seeds as the one with fewer has: '
            f'{_range(found.pairs["paired_seeds"])} per pair.'
        )
    return [*notes, _WARNING, *found.systems.notes]


def _range(counts: pd.Series) -> str:
    return ' to '.join(map(str, sorted({counts.min(), counts.max()})))


def _with_words(found: Comparison) -> pd.DataFrame:
    """The clips with the names of classes in the place of their numbers, and of who is right."""
    names, words = list(found.systems.tables), dict(enumerate(found.systems.labels))
    columns = [schema.LABEL, *(f'predicted_{name}' for name in names)]
    right = [
        '; '.join(
            name for name, right in zip(names, comparison_lib.is_right(row, names), strict=True) if right
        )
        for row in found.clips.to_dict('records')
    ]
    return found.clips.assign(**{name: found.clips[name].map(words) for name in columns}, right_systems=right)


def _estimate(row: dict, name: str, *, sign: bool = False) -> str:
    return ' '.join(tables.estimate(row, name, sign=sign)).strip()


def _markdown(rows: _Rows) -> str:
    heads, cells = rows
    return tables.markdown(heads, [[tables.literal(cell) for cell in row] for row in cells])


def _listed(lines: Sequence[str]) -> str:
    return '\n'.join(f'- {tables.literal(line)}' for line in lines)


def _table(
    caption: str, rows: _Rows, note: str = '', *, numbers: bool = True, hints: Sequence[str] = ()
) -> Table:
    """A table of a page.

    Args:
      caption: its title.
      rows: its heads and cells.
      note: a remark below it.
      numbers: whether all columns but those of `_WORDS` are sorted as numbers.
      hints: the systems, if columns are headed by their numbers.
    """
    heads, cells = rows
    named = {str(place): name for place, name in enumerate(hints, start=1)}
    columns = [Column(head, numbers and head not in _WORDS, named.get(head, '')) for head in heads]
    return Table(caption, columns, cells, note)
