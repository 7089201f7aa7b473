"""`results.tex`: the tables of a run, as the terminal shows them, for a paper."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from dualatme_jax.report import as_published, latex, selection, tables, two_classes

NAME = 'results.tex'


def write(
    table: pd.DataFrame,
    result: Mapping[str, Any],
    folder: str | os.PathLike,
    *,
    heading: str,
    selected: str,
    notice: str = '',
) -> None:
    """Writes the scores, and if there are some the selections of the epoch, two classes and a paper's leaks.

    Args:
      table: the predictions that were scored.
      result: what results.json holds.
      folder: where the file goes.
      heading: what was scored, in lines; the first is the caption.
      selected: how the epoch was chosen.
      notice: stands in every caption.
    """
    caption, *about = heading.splitlines()
    notes = [f'{line}.' for line in about] + tables.score_notes(result, selected)
    made = [(caption, 'results', tables.score_cells(table, result), notes)]
    if 'by_subject' in result:
        cells = tables.score_cells(table, result, two_classes.HEADINGS)
        made.append((two_classes.TITLE, 'two-classes', cells, notes))
    if found := result.get('selections'):
        made.append((selection.TITLE, 'selections', selection.cells(found), [selection.NOTE]))
    if rows := result.get('as_published'):
        cells, told = as_published.cells(rows), as_published.notes(rows)
        made.append((as_published.TITLE, 'as-published', cells, told))
    parts = [
        latex.table(*cells, caption=caption, label=f'tab:{label}', notes=notes, notices=notice.splitlines())
        for caption, label, cells, notes in made
    ]
    latex.write('\n'.join(parts), pathlib.Path(folder) / NAME)
