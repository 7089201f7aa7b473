"""Reads the worksheets of a workbook, or a CSV file, as rows of cells.

The content decides what a file is: the suffix of a sheet that has been passed around is not reliable.
Workbooks come from outside, and a few kilobytes can unpack to gigabytes, so a separate process reads them, by
openpyxl (.xlsx) or by pandas with calamine (.xls).
"""

import dataclasses
import functools
import io
import math
import pathlib
import warnings
import zipfile
from collections.abc import Sequence
from typing import Any

from dualatme_jax.errors import InputError
from dualatme_jax.files import read_bytes
from dualatme_jax.outside import csv_file, guarded

# Of the largest sheets of the field, one has 860 rows; the longest of their files one of 5 MB.
MOST_BYTES = 64 * 2**20  # of a file, and of all that an .xlsx holds when it is unpacked
MOST_ROWS, MOST_COLUMNS = 100_000, 1_000

_MEMORY, _SECONDS = 700 * 2**20, 8.0  # of reading a workbook
_XLSX, _XLS = b'PK\x03\x04', b'\xd0\xcf\x11\xe0'  # what the two kinds begin with
_DELIMITERS = ',;\t'


@dataclasses.dataclass(frozen=True)
class Worksheet:
    """The cells of one worksheet, or of a CSV file.

    Attributes:
      path: the file.
      name: of the worksheet; empty for CSV.
      rows: row 1 first; cells as the file types them.
      hidden: the numbers, from 1, of rows that a spreadsheet program does not show; known of .xlsx only.
    """

    path: pathlib.Path
    name: str
    rows: Sequence[Sequence[Any]]
    hidden: frozenset[int] = frozenset()


def is_one(start: bytes) -> bool:
    """Whether a file that begins like this is a workbook, and no text."""
    return start.startswith((_XLSX, _XLS))


def read(path: pathlib.Path) -> list[Worksheet]:
    """Reads every worksheet of a workbook (.xlsx, .xls: by content, not by name), or a CSV file.

    Raises:
      InputError: no such file, damaged, protected by a password, not UTF-8, or larger than any label sheet.
    """
    content = read_bytes(path, limit=MOST_BYTES, what='sheet')
    if not is_one(content):
        return [Worksheet(path, '', _csv(path, content))]
    return [
        Worksheet(path, name, rows, frozenset(hidden)) for name, rows, hidden in _cells(content, str(path))
    ]


@functools.lru_cache(maxsize=4)  # copies of a sheet lie beside each kind of frames
def _cells(content: bytes, path: str) -> list[tuple[str, list[list[Any]], list[int]]]:
    """The name, the rows and the numbers of hidden rows of each worksheet."""
    function = _xlsx if content.startswith(_XLSX) else _xls
    try:
        return guarded.call(function, content, memory=_MEMORY, seconds=_SECONDS, what=f'the sheet {path}')
    except _TooLargeError as error:
        raise InputError(f'the sheet {path} {error}: delete what is no table from it') from error
    except _DamagedError as error:
        raise InputError(
            f'{path} is damaged, protected by a password, or no workbook of Excel ({error}): '
            'open it in a spreadsheet program and save it again as .xlsx or .csv'
        ) from error


class _DamagedError(Exception):
    """A workbook that its reader refuses."""


class _TooLargeError(Exception):
    """A workbook that holds more than a table would."""


def _xlsx(content: bytes) -> list[tuple[str, list[list[Any]], list[int]]]:
    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MOST_BYTES:
            raise _TooLargeError(
                f'unpacks to {size / 2**20:.0f} MiB (expected {MOST_BYTES / 2**20:.0f} at most)'
            )
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of features of Excel that are not read
            book = openpyxl.load_workbook(io.BytesIO(content), data_only=True, keep_links=False)
        found = []
        for sheet in book.worksheets:
            hidden = [number for number, row in sheet.row_dimensions.items() if row.hidden]
            found.append((sheet.title, _rows(sheet), hidden))
    except (MemoryError, _TooLargeError):
        raise
    except Exception as error:  # openpyxl raises whatever comes up
        raise _damaged(error) from error
    return found


def _xls(content: bytes) -> list[tuple[str, list[list[Any]], list[int]]]:
    import pandas as pd

    try:
        sheets = pd.read_excel(
            io.BytesIO(content), None, header=None, dtype=object, na_filter=False, engine='calamine'
        )
    except MemoryError:
        raise
    except BaseException as error:  # calamine's panics are no Exception
        raise _damaged(error) from error
    for name, cells in sheets.items():
        _check_size(str(name), *cells.shape)
    return [(str(name), cells.values.tolist(), []) for name, cells in sheets.items()]


def _rows(sheet: Any) -> list[list[Any]]:
    """The cells of a worksheet of openpyxl, up to the last row and column that hold any."""
    # Not by its own iterator, which makes every cell up to the last one that has a format.
    cells = {place: _typed(cell) for place, cell in sheet._cells.items() if cell.value is not None}
    height, width = (max((place[axis] for place in cells), default=0) for axis in (0, 1))
    _check_size(sheet.title, height, width)
    rows: list[list[Any]] = [[''] * width for _ in range(height)]
    for (row, column), value in cells.items():
        rows[row - 1][column - 1] = value
    return rows


def _typed(cell: Any) -> Any:
    """The value of a cell of openpyxl: whole numbers as int, an error of a formula as NaN."""
    if cell.data_type == 'e':
        return math.nan
    if isinstance(cell.value, float) and cell.value.is_integer():
        return int(cell.value)
    return cell.value


def _check_size(name: str, rows: int, columns: int) -> None:
    if rows > MOST_ROWS or columns > MOST_COLUMNS:
        raise _TooLargeError(
            f'has a worksheet {name!r} of {rows} rows and {columns} columns '
            f'(expected {MOST_ROWS} and {MOST_COLUMNS} at most)'
        )


def _damaged(error: BaseException) -> _DamagedError:
    return _DamagedError(' '.join(str(error).split())[:200] or type(error).__name__)


def _csv(path: pathlib.Path, content: bytes) -> list[list[str]]:
    decoded = csv_file.text(content, f'the sheet {path} is no workbook of Excel, and')
    delimiter = max(_DELIMITERS, key=decoded.count)
    rows: list[list[str]] = []
    try:
        for _, row in csv_file.rows(decoded, path.name, delimiter=delimiter):
            rows.append(row)
            _check_size(path.name, len(rows), len(row))
    except _TooLargeError as error:
        raise InputError(f'the sheet {path} {error}: delete what is no table from it') from error
    return rows
