"""Label sheets: workbooks and CSV files, in which a table is found by the names of its columns.

Every release has its sheet in several versions: with titles above the header, blank columns, other spellings
of a header. Every message names the row as Excel counts it, from 1.
"""

import collections
import dataclasses
import pathlib
import re
import string
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from data_prep.files import cells
from data_prep.files.folders import Tree
from dualatme_jax.errors import InputError
from dualatme_jax.files import open_regular, read_bytes
from dualatme_jax.outside import workbook
from dualatme_jax.outside.workbook import Worksheet

# field -> the headers under which the column is known, the official one first.
Columns = Mapping[str, Sequence[str]]

HEADER_ROWS = 40  # the header stands in one of the first so many rows

_UNNAMED = 50  # more sheets are not looked into where no name says which
_SHOWN = 10  # of the sheets that are not the right one
_HEADERS = 30  # that a message names: a table of landmarks has more than 130


# What is noted of a hidden row.
HIDDEN = 'the row is hidden in the workbook; it is read all the same'


class NoSheetError(InputError):
    """There is no label sheet, or none that is one."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One row below a header.

    Attributes:
      place: file and row, such as `SAMM.xlsx, row 15`.
      cells: field -> cell, for every column that the table has.
    """

    place: str
    cells: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Table:
    """A worksheet whose columns are known.

    Attributes:
      path: the file.
      titles: field -> the column's header as it is written.
      rows: those below the header, without empty rows and repeated headers.
      variant: file, worksheet, header and columns, in words.
      hidden: the places of those rows that a spreadsheet program does not show.
    """

    path: pathlib.Path
    titles: Mapping[str, str]
    rows: Sequence[Row]
    variant: str
    hidden: Sequence[str] = ()


def find(
    tree: Tree,
    chosen: pathlib.Path | None,
    columns: Columns,
    *,
    official: str,
    optional: Collection[str] = (),
    named: Mapping[str, str] | None = None,
    flag: str = '--sheet',
) -> Table:
    """Finds and reads a release's sheet by its columns.

    Args:
      tree: where to look.
      chosen: the sheet that the user names; None to look for it.
      columns: field -> the headers under which the column is known, the official one first.
      official: what the file is called in the release, as a glob pattern for messages and for a first look.
      optional: the fields without which it is the right table still.
      named: field -> the header that the user names for it; None for none.
      flag: the option by which the user names the sheet.

    Raises:
      InputError: there is none, or more than one; or no such field.
    """
    named = named or {}
    if unknown := [field for field in named if field not in columns]:
        raise InputError(f'--column {unknown[0]}: no such field; expected one of {", ".join(columns)}')
    columns = {field: (named[field],) if field in named else names for field, names in columns.items()}
    optional = [field for field in optional if field not in named]

    def recognise(worksheet: Worksheet) -> Table:
        return by_columns(worksheet, columns, optional=optional, by_option=True)

    wanted = ', '.join(names[0] for field, names in columns.items() if field not in optional)
    return choose(tree, chosen, recognise, official=official, wanted=f'the columns {wanted}', flag=flag)


def choose(
    tree: Tree,
    chosen: pathlib.Path | None,
    recognise: Callable[[Worksheet], Table],
    *,
    official: str,
    wanted: str,
    flag: str = '--sheet',
) -> Table:
    """Finds the one worksheet of a source that `recognise` takes, which raises InputError on all others.

    Raises:
      InputError: there is none, or more than one.
    """
    if chosen is not None:
        open_regular(chosen, f'file of {flag}').close()  # the message names what it is instead
        candidates = [[chosen]]
    else:
        pattern = re.compile(re.escape(official).replace(r'\*', '.*'), re.IGNORECASE)
        named = [path for path in tree.sheets if pattern.search(path.name)]
        others = [path for path in tree.sheets if path not in named]
        candidates = [named, others if len(others) <= _UNNAMED else []]
    refusals = []
    for paths in candidates:
        found, refused = _recognised(paths, recognise)
        refusals += refused
        if len(found) == 1:
            return found[0]
        if found:
            _refuse_several(tree, found, flag)
    where = f'in {chosen}' if chosen else f'below {tree.source}'
    listing = ''.join(f'\n  {refusal}' for refusal in refusals[:_SHOWN])
    raise NoSheetError(
        f'no label sheet {where}: expected {official} (.xlsx, .xls or .csv) with {wanted}; '
        + f'name {"it" if chosen is None else "another"} by {flag}'
        + (f'; these are none:{listing}' if listing else '')
    )


def recognised(
    worksheets: Sequence[Worksheet], recognise: Callable[[Worksheet], Table]
) -> tuple[list[Table], list[str]]:
    """Returns the tables that `recognise` makes of worksheets, and why it refuses the others (InputError)."""
    tables, refused = [], []
    for worksheet in worksheets:
        try:
            tables.append(recognise(worksheet))
        except InputError as error:
            refused.append(str(error))
    return tables, refused


def by_columns(
    worksheet: Worksheet, columns: Columns, *, optional: Collection[str] = (), by_option: bool = False
) -> Table:
    """Finds the header in a worksheet, and so the columns.

    Args:
      worksheet: the cells.
      columns: as for `find`, and so is `optional`.
      by_option: whether the user can name a column by --column, as in a release's sheet.

    Raises:
      InputError: no row is the header, or it leaves open which column is meant; with what is there instead.
    """
    required = [field for field in columns if field not in optional]
    index, places, fitting = 0, {}, 0
    for number, line in enumerate(worksheet.rows[:HEADER_ROWS]):
        named = _named(line, columns)
        if (count := sum(field in named for field in required)) > fitting:
            index, places, fitting = number, named, count
    if not fitting:
        raise InputError(f'{_where(worksheet)}: none of the columns in the first {HEADER_ROWS} rows')
    place = _place(worksheet, index + 1)
    headers = _some([cells.text(cell) for cell in worksheet.rows[index] if cells.given(cell)])
    if missing := [columns[field][0] for field in required if field not in places]:
        lacking = ', '.join(missing)
        if len(missing) == 1 < len(required):
            names = next(names for names in columns.values() if names[0] == missing[0])
            lacking += f' (expected a column {" or ".join(names)})'
        advice = '; if one of them is it, ' + (
            f'say so: --column {_field(columns, missing[0])}=HEADER' if by_option else 'rename it in the file'
        )
        raise InputError(f'{place}: has the columns {headers}; without {lacking}{advice}')
    if double := [columns[field][0] for field, found in places.items() if len(found) > 1]:
        raise InputError(f'{place}: has the columns {headers}; two are called {double[0]}: keep one')
    places = {field: found[0] for field, found in places.items()}
    titles = {field: cells.text(worksheet.rows[index][column]) for field, column in places.items()}
    variant = f'{_where(worksheet)}, header in row {index + 1}: {", ".join(titles.values())}'
    return _table(worksheet, index, places, titles, variant)


def by_position(worksheet: Worksheet, fields: Sequence[str]) -> Table:
    """Returns the table in a worksheet that has no header, given its fields from left to right."""
    places = {field: column for column, field in enumerate(fields)}
    titles = {field: f'column {string.ascii_uppercase[column]} ({field})' for field, column in places.items()}
    return _table(worksheet, -1, places, titles, f'{_where(worksheet)}, without a header')


def normalise(header: Any) -> str:
    """Returns a header as headers are compared: letters and digits only, in one case."""
    return re.sub(r'[\W_]+', '', cells.text(header).casefold())


def _named(line: Sequence[Any], columns: Columns) -> dict[str, list[int]]:
    """Returns field -> the columns that carry the first of its names found in a row, for the fields found."""
    by_header = collections.defaultdict(list)
    for column, cell in enumerate(line):
        if isinstance(cell, str):
            by_header[normalise(cell)].append(column)
    found = {}
    for field, names in columns.items():
        known = [by_header[name] for name in map(normalise, names) if name in by_header]
        if known:
            found[field] = known[0]
    return found


def _some(headers: Sequence[str]) -> str:
    more = f' and {len(headers) - _HEADERS} more' if len(headers) > _HEADERS else ''
    return ', '.join(headers[:_HEADERS]) + more


def _field(columns: Columns, name: str) -> str:
    return next(field for field, names in columns.items() if names[0] == name)


def _table(
    worksheet: Worksheet, index: int, places: Mapping[str, int], titles: Mapping[str, str], variant: str
) -> Table:
    rows = list(_below(worksheet, index, places))
    hidden = {_place(worksheet, number) for number in worksheet.hidden}
    return Table(worksheet.path, titles, rows, variant, [row.place for row in rows if row.place in hidden])


def _below(worksheet: Worksheet, index: int, places: Mapping[str, int]) -> Iterator[Row]:
    header = [normalise(cell) for cell in worksheet.rows[index]] if index >= 0 else []
    for number, line in enumerate(worksheet.rows[index + 1 :], start=index + 2):
        if not any(map(cells.given, line)):
            continue
        if header and all(
            column < len(line) and normalise(line[column]) == header[column] for column in places.values()
        ):
            continue
        found = {field: line[column] if column < len(line) else None for field, column in places.items()}
        yield Row(_place(worksheet, number), found)


def _recognised(
    paths: Sequence[pathlib.Path], recognise: Callable[[Worksheet], Table]
) -> tuple[list[Table], list[str]]:
    """Returns the tables that were recognised in some sheets, and why the other sheets were not."""
    found, refused, seen = [], [], set()
    for path in paths:
        try:
            worksheets = workbook.read(path)
            # A copy of the sheet beside each kind of frames is one sheet.
            content = read_bytes(path, limit=workbook.MOST_BYTES, what='sheet')
            if content in seen:
                continue
            seen.add(content)
        except InputError as error:
            refused.append(str(error))
            continue
        tables, reasons = recognised(worksheets, recognise)
        # A worksheet with nothing below its header is a form, not a second table.
        found += [table for table in tables if table.rows] or tables
        refused += [] if tables else reasons[:3] or [f'{path.name}: it has no worksheet']
    return found, refused


def _refuse_several(tree: Tree, found: Sequence[Table], flag: str) -> None:
    names = ''.join(f'\n  {tree.show(table.path)}: {table.variant}' for table in found)
    advice = f'choose one by {flag}'
    if len({table.path for table in found}) == 1:
        advice = f'save the right worksheet as a file of its own, and name it by {flag}'
    raise InputError(f'{len(found)} tables could be the label sheet: {advice}{names}')


def _where(worksheet: Worksheet) -> str:
    return f'{worksheet.path.name}, worksheet {worksheet.name}' if worksheet.name else worksheet.path.name


def _place(worksheet: Worksheet, number: int) -> str:
    return f'{worksheet.path.name}, row {number}'
