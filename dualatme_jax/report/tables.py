"""The result as a table for the terminal, 80 columns wide, and the form that all tables share."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from dualatme_jax import schema
from dualatme_jax.errors import printable
from dualatme_jax.report import predictions

# What Markdown would take for more than a character: code, emphasis, formulas; tags and entities; links.
_MARKS = re.compile(
    r'[\\`*~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|<(?=[A-Za-z/!?])|&(?=[A-Za-z#])|\](?=[\[(:])'
)

HEADINGS = {'acc': 'Acc', 'uar': 'UAR', 'uf1': 'UF1'}

# Heads and rows, as `markdown` and `latex.table` take them.
Cells = tuple[Sequence[str], Sequence[Sequence[str]]]


def scores_table(
    table: pd.DataFrame,
    result: dict,
    *,
    selection: str | None = None,
    title: str | None = None,
    headings: Mapping[str, str] = HEADINGS,
    members: str | None = None,
) -> Table:
    """The scores of one run, one row per set; printing is the caller's.

    Args:
      table: the predictions that were scored.
      result: what `scores.score_run` made of them.
      selection: how the epoch was chosen, e.g. `last epoch`; None where the predictions' origin is unknown.
      title: stands above the table, e.g. a hyperparameter point.
      headings: metric -> its column; `-` stands where a set has none.
      members: what is combined and scored once, such as `3 seeds`, if it is an ensemble without seeds.
    """
    view = plain(title, '\n' + '\n'.join(score_notes(result, selection, members)))
    view.add_column('')
    for heading in ('clips', 'subjects', *headings.values()):
        view.add_column(heading, justify='right', no_wrap=True)
    for *named, own in _sets(table, result):
        view.add_row(
            *map(Text, named), *(_cell(own[metric]) if metric in own else '-' for metric in headings)
        )
    return view


def score_cells(table: pd.DataFrame, result: dict, headings: Mapping[str, str] = HEADINGS) -> Cells:
    """The rows of `scores_table`, with intervals beside their scores."""
    rows = [
        [*named, *(_estimate_of(own.get(metric)) for metric in headings)]
        for *named, own in _sets(table, result)
    ]
    return ['', 'Clips', 'Subjects', *headings.values()], rows


def score_notes(result: dict, selection: str | None, members: str | None = None) -> list[str]:
    """What stands below `scores_table`."""
    seeds = len(result['per_seed'])
    spread = 'One seed' if seeds == 1 else f'Mean ± sd over {seeds} seeds'
    return [
        f'{f"{members} as one" if members else spread}; selection: {selection or "not stated"}.',
        '[low, high]: 95% bootstrap over subjects.',
    ]


def _sets(table: pd.DataFrame, result: dict) -> Iterator[tuple[str, str, str, Mapping]]:
    """Yields title, clips, subjects and scores of each set."""
    for name, (heading, rows) in predictions.titled_subsets(table).items():
        yield heading, *map(str, predictions.count(rows)), result['scores'][name]


def plain(title: str | None, caption: str) -> Table:
    """An empty table: lines below the head only, the caption in words below it all."""
    return Table(
        title=Text(title, style='bold') if title else None,
        title_justify='left',
        caption=Text(caption, style='dim'),
        caption_justify='left',
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
        show_edge=False,
    )


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; the first column is words, the others are numbers."""
    lines = [heads, ['---', *['---:'] * (len(heads) - 1)], *rows]
    # A bar in a cell would begin another one.
    return ''.join('| ' + ' | '.join(cell.replace('|', '\\|') for cell in line) + ' |\n' for line in lines)


def literal(text: str) -> str:
    """Text from outside, such as a name, as Markdown shows it character by character, on one line.

    It does not begin a block: something of ours, or the edge of a cell, stands before it.
    """
    return _MARKS.sub(r'\\\g<0>', printable(' '.join(text.split())))


def by_database(rows: Sequence[Mapping]) -> Cells | None:
    """UAR and UF1 on each database with their intervals; None where there is but one.

    Args:
      rows: hold a `title`, and of each database what `estimate` takes, named `DATABASE_METRIC`.
    """
    end = '_uar_mean'
    names = [name.removesuffix(end) for name in rows[0] if name.endswith(end)]
    shown = [f'{name}_{metric}' for name in names for metric in ('uar', 'uf1')]
    heads = [f'{schema.title(name)} {HEADINGS[metric]}' for name in names for metric in ('uar', 'uf1')]
    cells = [[row['title'], *(' '.join(estimate(row, name)).strip() for name in shown)] for row in rows]
    return (['', *heads], cells) if names else None


def short(value: float, digits: int = 3, *, sign: bool = False) -> str:
    """`.680` for 0.68, `1.000` for 1, `+.012` with its sign."""
    return f'{value:{"+" if sign else ""}.{digits}f}'.replace('0.', '.', 1 if abs(value) < 1 else 0)


def estimate(row: Mapping, name: str, *, sign: bool = False) -> tuple[str, str]:
    """`.680 ± .012` and `[.62, .73]`, each as far as it is known.

    Args:
      row: holds `NAME_mean`, `NAME_low`, `NAME_high` and perhaps `NAME_sd`; NaN is unknown.
      name: of the estimate.
      sign: whether numbers show their sign.
    """
    if np.isnan(row[f'{name}_mean']):
        return '-', ''
    value = short(row[f'{name}_mean'], sign=sign)
    if not np.isnan(row.get(f'{name}_sd', np.nan)):
        value += f' ± {short(row[f"{name}_sd"])}'
    if np.isnan(row[f'{name}_low']):
        return value, ''
    low, high = (short(row[f'{name}_{end}'], 2, sign=sign) for end in ('low', 'high'))
    return value, f'[{low}, {high}]'


def estimate_lines(row: Mapping, name: str, *, sign: bool = False) -> Text:
    """What `estimate` returns, the interval below the value."""
    value, interval = estimate(row, name, sign=sign)
    cell = Text(value)
    if interval:
        cell.append(f'\n{interval}', style='dim')
    return cell


def p_value(value: float) -> str:
    """`.012`; `<.001` below that, `-` for what is unknown."""
    if np.isnan(value):
        return '-'
    return short(value) if value >= 0.001 else '<.001'


def _cell(spread: dict) -> Text:
    """`0.680 ± 0.012` over `[0.62, 0.73]`, each where it is known."""
    text = f'{spread["mean"]:.3f}'
    if spread['sd'] is not None:
        text += f' ± {spread["sd"]:.3f}'
    cell = Text(text)
    if spread['interval'] is not None:
        low, high = spread['interval']
        cell.append(f'\n[{low:.2f}, {high:.2f}]', style='dim')
    return cell


def _estimate_of(spread: dict | None) -> str:
    """`.680 ± .012 [.62, .73]`, each where it is known."""
    if spread is None:
        return '-'
    low, high = spread['interval'] or (np.nan, np.nan)
    sd = np.nan if spread['sd'] is None else spread['sd']
    row = {'_mean': spread['mean'], '_sd': sd, '_low': low, '_high': high}
    return ' '.join(estimate(row, '')).strip()
