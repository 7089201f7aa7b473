"""The tables of the Dual-ATME paper, and ours beside them.

Zhou, Huang, Li, Wang: Dual-ATME: Dual-Branch Attention Network for Micro-Expression Recognition, Entropy
25(3):460, 2023. Every cell is UAR and UF1 on the 442 clips of MEGC2019-CD or on those of one of its
databases, from predictions pooled over the folds of one leave-one-subject-out run.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from rich.table import Table

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.files import replacing
from dualatme_jax.report import latex, predictions, scores, tables

MARKDOWN, LATEX = 'paper.md', 'paper.tex'
SETS = tuple(schema.MEGC2019_CD)  # the columns of every table
METRICS = ('uar', 'uf1')

Cell = tuple[float, float]  # UAR, UF1


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """One table of the paper.

    Attributes:
      source: which it is.
      fields: of the config, in which its rows differ.
      rows: the paper's name of a row, the values of those fields, and a cell for each of `SETS`, or for the
        first alone.
      board: whether its rows are systems, which may differ in other fields too; see configs/leaderboard.py.
    """

    source: str
    fields: tuple[str, ...]
    rows: tuple[tuple[str, tuple, tuple[Cell, ...]], ...]
    board: bool = False


# The same run of the paper is in all tables.
BEST = ((0.680, 0.679), (0.751, 0.765), (0.658, 0.646), (0.538, 0.562))

TABLES = {
    'modules': PaperTable(
        'Table 1, modules',
        ('model.variant',),
        (
            ('HARS', ('hars',), ((0.645, 0.648), (0.776, 0.785), (0.565, 0.563), (0.572, 0.576))),
            ('AARS', ('aars',), ((0.633, 0.632), (0.768, 0.796), (0.533, 0.535), (0.503, 0.516))),
            # Attention on both branches; the published code has one CBAM for the two.
            (
                'HARS with attention + AARS',
                ('code',),
                ((0.662, 0.662), (0.777, 0.784), (0.619, 0.614), (0.515, 0.527)),
            ),
            ('HARS + AARS', ('paper',), BEST),
        ),
    ),
    'regions': PaperTable(
        'the table of the regions',
        ('data.regions',),
        (
            ('E.&N.', ('EN',), ((0.630, 0.631), (0.774, 0.781), (0.557, 0.549), (0.487, 0.503))),
            ('E.&M.', ('EM',), BEST),
            ('F.&N.', ('FN',), ((0.624, 0.631), (0.767, 0.772), (0.527, 0.530), (0.557, 0.566))),
            ('F.&M.', ('FM',), ((0.622, 0.629), (0.760, 0.766), (0.542, 0.545), (0.526, 0.541))),
            ('Full face', ('full',), ((0.663, 0.670), (0.810, 0.828), (0.591, 0.591), (0.543, 0.553))),
        ),
    ),
    'lambda': PaperTable(
        'the table of lambda',
        ('loss.cosine_weight',),
        (
            ('0', (0.0,), ((0.647, 0.646), (0.749, 0.758), (0.602, 0.601), (0.522, 0.518))),
            ('0.0001', (1e-4,), ((0.668, 0.666), (0.741, 0.755), (0.637, 0.628), (0.546, 0.559))),
            ('0.001', (1e-3,), ((0.668, 0.668), (0.745, 0.762), (0.635, 0.623), (0.531, 0.547))),
            ('0.01', (1e-2,), BEST),
            ('0.1', (1e-1,), ((0.649, 0.651), (0.788, 0.794), (0.596, 0.594), (0.498, 0.503))),
        ),
    ),
    'loss': PaperTable(
        'Table 5, loss and optimizer',
        ('loss.name', 'optimizer.name'),
        (
            (
                'CE, SGD',
                ('cross_entropy', 'sgd'),
                ((0.644, 0.642), (0.765, 0.783), (0.591, 0.581), (0.504, 0.516)),
            ),
            (
                'CE, Adam',
                ('cross_entropy', 'adam'),
                ((0.673, 0.671), (0.748, 0.768), (0.643, 0.634), (0.514, 0.527)),
            ),
            (
                'weighted CE, Adam',
                ('weighted_cross_entropy', 'adam'),
                ((0.668, 0.666), (0.751, 0.769), (0.643, 0.634), (0.520, 0.533)),
            ),
            ('Focal, Adam', ('focal', 'adam'), BEST),
        ),
    ),
    'comparison': PaperTable(
        'Table 3, comparison',
        ('model.name',),
        (
            ('LBP-TOP', ('lbp_top',), ((0.575, 0.586),)),
            ('Bi-WOOF', ('bi_woof',), ((0.593, 0.604),)),
            # The row of LBP-TOP once more: a slip of the paper.
            ('ResNet18', ('resnet18',), ((0.575, 0.586),)),
            ('STSTNet', ('ststnet',), ((0.610, 0.624),)),
            ('Dual-Inception', ('dual_inception',), ((0.631, 0.629),)),
            ('RCN-a', ('rcn_a',), ((0.635, 0.634),)),
            ('RCN-w', ('rcn_w',), ((0.590, 0.600),)),
            ('RCN-c', ('rcn_c',), ((0.598, 0.616),)),
            ('RCN-f', ('rcn_f',), ((0.595, 0.607),)),
            ('KFC-MER', ('kfc_mer',), ((0.235, 0.255),)),
            ('MMNet', ('mmnet',), ((0.514, 0.528),)),
            ('Dual-ATME', ('dual_atme',), BEST),
        ),
        board=True,
    ),
}


def check(name: str, fields: Sequence[str]) -> None:
    """Raises InputError unless `name` is empty or a table whose rows differ in just the swept `fields`.

    Rows that are systems may differ in other fields too.
    """
    if not name:
        return
    if name not in TABLES:
        raise InputError(f"config.report.paper is {name!r}; expected '' or one of {', '.join(TABLES)}")
    expected = TABLES[name].fields
    alike = set(expected) <= set(fields) if TABLES[name].board else set(expected) == set(fields)
    if not alike:
        raise InputError(
            f'config.report.paper is {name!r}, a table whose rows differ in {", ".join(expected)}, but '
            f'config.sweep varies {", ".join(fields) or "nothing"}. '
            f"Use configs/table_{name}.py, or --config.report.paper='' for no table of the paper"
        )


def beside(
    table: pd.DataFrame, name: str, *, origin: str, notice: str = '', synthetic: bool = False
) -> tuple[Table, dict[str, str]]:
    """A table of the paper beside ours: for a terminal of 80 columns, and the texts of files by their names.

    Args:
      table: predictions of a sweep over the fields of that table.
      name: of the table, one of `TABLES`.
      origin: what our input is, in words, see `Dataset.origin`.
      notice: stands in the caption of LaTeX, such as that the scores leak.
      synthetic: whether our clips are rendered: then the paper's scores are left out.
    """
    source = f'The paper, {TABLES[name].source}, beside ours'
    if synthetic:
        source = f'The rows of {TABLES[name].source}, on synthetic clips'
    heads = ['UAR/UF1', '', *(schema.DATABASE_TITLES.get(part, 'MEGC2019-CD') for part in SETS)]
    rows = list(_rows(table, TABLES[name]))
    notes = _notes(table, origin)
    if synthetic:
        rows = [(title, ours) for title, _, ours, _ in rows]
        notes.append("The clips are synthetic: the paper's scores, of real faces, are not shown.")

    view = tables.plain(source, '\n' + ' '.join(notes))
    view.add_column(heads[0], max_width=16)
    for head in heads[1:]:
        view.add_column(head, justify='right', no_wrap=True)
    for title, *lines in rows:
        cells = zip(*lines, strict=True)
        view.add_row(title, *('\n'.join(parts) for parts in cells))
        view.add_section()
    lines = [
        [title if not place else '', *line] for title, *group in rows for place, line in enumerate(group)
    ]
    listing = '\n'.join(f'- {note}' for note in notes)
    return view, {
        MARKDOWN: f'# {source}\n\n{tables.markdown(heads, lines)}\n{listing}\n',
        LATEX: latex.table(
            heads, lines, caption=source, label=f'tab:{name}', notes=notes, notices=notice.splitlines()
        ),
    }


def write(files: Mapping[str, str], folder: str | os.PathLike) -> None:
    """Writes the files of `beside`, each whole or not at all."""
    for name, text in files.items():
        with replacing(pathlib.Path(folder) / name) as temporary:
            temporary.write_text(text, encoding='utf-8', newline='\n')


def _rows(table: pd.DataFrame, paper: PaperTable) -> Iterator[tuple]:
    """Yields (title, the paper's line, our line, the difference's); a line is a heading and a cell a set."""
    places = {values: place for place, (_, values, _) in enumerate(paper.rows)}
    ours = {values: _score(rows) for values, rows in table.groupby(list(paper.fields), sort=False)}
    known = [(title, cells, ours.get(values, {})) for title, values, cells in paper.rows]
    others = [
        (', '.join(map(str, values)), None, own) for values, own in ours.items() if values not in places
    ]
    for title, cells, own in known + others:
        theirs = dict(zip(SETS, cells or (), strict=False))
        yield (
            title,
            ['paper', *(_text(theirs.get(name)) for name in SETS)],
            ['ours', *(_text(own.get(name)) for name in SETS)],
            ['diff.', *(_difference(own.get(name), theirs.get(name)) for name in SETS)],
        )


def _score(rows: pd.DataFrame) -> Mapping[str, Cell]:
    """Set -> UAR and UF1, each the mean over seeds."""
    of_seeds = {
        name: [scores.score(part) for _, part in own.groupby('seed')]
        for name, own in predictions.subsets(rows).items()
    }
    return {
        name: tuple(float(np.mean([values[metric] for values in found])) for metric in METRICS)
        for name, found in of_seeds.items()
    }


def _text(cell: Cell | None, *, sign: bool = False) -> str:
    return '/'.join(tables.short(value, sign=sign) for value in cell) if cell else '-'


def _difference(ours: Cell | None, theirs: Cell | None) -> str:
    if not ours or not theirs:
        return '-'
    return _text(tuple(a - b for a, b in zip(ours, theirs, strict=True)), sign=True)


def _notes(table: pd.DataFrame, origin: str) -> list[str]:
    """What keeps the two from being compared one to one."""
    clips, subjects = predictions.count(table)
    seeds = table['seed'].nunique()
    at_reference = ' (at the reference)' if 'data.regions' in table else ''
    notes = [
        'Source: Zhou et al., Dual-ATME, Entropy 25(3):460, 2023.',
        f'Our input{at_reference}: {origin}. The paper computed its own optical flow from the frames of the '
        'releases, once of the face and once of the puzzled face.',
    ]
    if (clips, subjects) != schema.MEGC2019_CD[schema.FULL]:
        notes.append(
            f'Ours are {clips} clips of {subjects} subjects and not the 442 of 68 of MEGC2019-CD: the '
            'numbers cannot be compared.'
        )
    one = 'Ours is one seed, and another one gives other numbers'
    mean = f'Ours is the mean over {seeds} seeds'
    notes.append(f'{one if seeds == 1 else mean}; the paper gives one number per cell, without a spread.')
    return notes
