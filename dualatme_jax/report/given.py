"""Predictions from anybody: which form a file has, and what it holds."""

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from dualatme_jax import files, schema
from dualatme_jax.errors import InputError
from dualatme_jax.outside import workbook
from dualatme_jax.report import challenge_log, predictions, printed_log, record, results

_RUN = record.PREDICTIONS  # of a run's folder


@dataclasses.dataclass(frozen=True)
class Given:
    """Predictions as they were read.

    Attributes:
      form: of the file, in words.
      table: a predictions table, see `predictions`.
      labels: its classes by their numbers.
      notes: what a reader must know, one sentence each.
      selection: how the epoch was selected, if the file says so.
      named: whether clips have names; else they are numbered within their subject.
      notice: what must stand wherever their scores are shown, or nothing.
    """

    form: str
    table: pd.DataFrame
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    selection: str | None = None
    named: bool = True
    notice: str = ''


def read(path: pathlib.Path, *, points: Sequence[str] = (), labels: Sequence[str] = ()) -> Given:
    """Reads a table of predictions (CSV or Excel), a run's folder, a challenge log, or a printed log.

    Args:
      path: the file or folder.
      points: columns of a table that are hyperparameters, see `predictions.unread`.
      labels: the classes, where labels are numbers and the file does not name them.

    Raises:
      InputError: the file has none of these forms, or is faulty in its own.
    """
    if path.is_dir():
        if not (path / _RUN).exists():
            raise InputError(
                f'{path} is a folder without {_RUN}; expected a file of predictions, or the folder of a run'
            )
        notice = _of_run(path)
        return dataclasses.replace(read(path / _RUN, points=points, labels=labels), notice=notice)
    with files.open_regular(path, 'predictions') as file:
        start = file.read(8)
    if workbook.is_one(start):
        return _workbook(path, points, labels)
    text = predictions.read_text(path)
    if printed_log.is_one(text):
        return _printed(text, path, labels)
    first = next(line for line in text.splitlines() if line.strip())
    if {',', ';'} & {*first} or first.strip().count('\t') > 1:
        return _table('a predictions table', predictions.csv_cells(text, path), path, points, labels)
    if len(first.split()) == 2:
        return Given('a challenge log', challenge_log.parse(text, path), schema.LABELS)
    raise InputError(
        f'{path}: the first line is {first[:60]!r}; expected a table whose first line names the columns '
        f'{",".join(predictions.REQUIRED)}, a challenge log (`database subject`), or the log of a PyTorch '
        'program with the lines `Subject:`, `Predicted:` and `Ground Truth:`.'
    )


def _of_run(folder: pathlib.Path) -> str:
    """What must stand wherever a run's scores are shown, by its results.json.

    Raises:
      InputError: the run says why it has no scores, or its predictions are not those that it has reported.
    """
    run = record.Record(folder)
    result = run.results or {}
    if result.get('reason'):
        raise InputError(f'{folder} has no scores: {result["reason"]}')
    if result.get(results.checksum_of(_RUN)) not in (None, files.sha256(folder / _RUN, 'predictions')):
        raise InputError(
            f'{folder / _RUN} is not what the run has reported: give the command of the run again, which '
            'writes it anew without training; if it was changed on purpose, copy it out of this folder'
        )
    return '\n'.join(run.notices_of_predictions)


def _table(
    form: str, cells: pd.DataFrame, path: pathlib.Path, points: Sequence[str], labels: Sequence[str]
) -> Given:
    table, classes = predictions.from_cells(cells, path, points=points, labels=labels)
    left = predictions.unread(cells, points)
    several = len(left) > 1
    note = f'Not read: the column{"s" * several} {", ".join(left)}; name '
    note += (
        'by --point those that are hyperparameters.'
        if several
        else 'it by --point if it is a hyperparameter.'
    )
    return Given(form, table, classes, (note,) if left else ())


def _printed(text: str, path: pathlib.Path, labels: Sequence[str]) -> Given:
    table, classes, kind = printed_log.read(text, path, labels=labels)
    known = set(table[schema.DATABASE]) != {schema.UNKNOWN_TEXT}
    notes = [
        'The log names no clips: they are numbered within their subject, as they stand there.',
        'The names of the subjects decide the databases (sub01: CASME II, s01: SMIC, 006 or 6: SAMM).'
        if known
        else 'The log names no databases, and its subjects are not called as those of MEGC2019-CD.',
    ]
    selection = None
    if kind == printed_log.BEST_PREDICTED:
        selection = 'best epoch on the left-out subject, WHICH LEAKS'
        notes.append(
            'LEAKS: `Best Predicted` is of the epoch that was best on the left-out subject itself: no score '
            'of a system.'
        )
    return Given('the log of a PyTorch program', table, classes, tuple(notes), selection, named=False)


def _workbook(path: pathlib.Path, points: Sequence[str], labels: Sequence[str]) -> Given:
    """Reads the first worksheet that has the header of a table of predictions, or any of its columns."""
    sheets = [sheet for sheet in workbook.read(path) if next(_rows(sheet), None)]
    if not sheets:
        raise InputError(f'{path}: an empty workbook; expected one line per clip.')

    def columns(sheet: workbook.Worksheet) -> int:
        _, header = next(_rows(sheet))
        return len({name.lower() for name in header} & {*predictions.REQUIRED})

    sheet = max(sheets, key=columns)
    cells = predictions.from_rows(_rows(sheet), f'{path}, worksheet {sheet.name!r}')
    given = _table('a workbook', cells, path, points, labels)
    hidden = len(sheet.hidden & {*cells.index})
    note = f'{hidden} hidden rows of the worksheet {sheet.name!r} are read too.'
    return dataclasses.replace(given, notes=given.notes + ((note,) if hidden else ()))


def _rows(sheet: workbook.Worksheet) -> Iterator[tuple[int, list[str]]]:
    """(number, cells as text) of the rows that are not blank."""
    for number, row in enumerate(sheet.rows, start=1):
        cells = [_text(cell) for cell in row]
        if any(cells):
            yield number, cells


def _text(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):  # the error of a formula
        return ''
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()
