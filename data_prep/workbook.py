"""Reads the worksheets of a workbook, or a CSV file, as rows of cells.

Workbooks are read by pandas with openpyxl (.xlsx) or calamine (.xls), told apart by their content: the suffix
of a sheet that has been passed around tells little.
"""

import csv
import dataclasses
import io
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd

from data_prep import stderr
from dualatme_jax.errors import InputError

_XLSX, _XLS = b'PK\x03\x04', b'\xd0\xcf\x11\xe0'  # what the two kinds begin with
_DELIMITERS = ',;\t'


@dataclasses.dataclass(frozen=True)
class Worksheet:
    """The cells of one worksheet, or of a CSV file.

    Attributes:
      path: the file.
      name: of the worksheet; empty for CSV.
      rows: row 1 first; cells as the file types them.
    """

    path: pathlib.Path
    name: str
    rows: Sequence[Sequence[Any]]


def read(path: pathlib.Path) -> list[Worksheet]:
    """Reads every worksheet of a workbook (.xlsx, .xls: told apart by content, not by name), or a CSV file.

    Raises:
      InputError: no such file, damaged, protected by a password, or not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f'cannot read the sheet {path}: {error.strerror or error}') from error
    if content.startswith(_XLSX):
        return _workbook(path, content, 'openpyxl')
    if content.startswith(_XLS):
        with stderr.caught():  # calamine's panics write past Python
            return _workbook(path, content, 'calamine')
    return [Worksheet(path, '', _csv(path, content))]


def _workbook(path: pathlib.Path, content: bytes, engine: str) -> list[Worksheet]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of features of Excel that are not read
            book = pd.ExcelFile(io.BytesIO(content), engine=engine)
            sheets = book.parse(sheet_name=None, header=None, dtype=object, na_filter=False)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # calamine's panics are no Exception; openpyxl raises whatever comes up
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f'{path} is damaged, protected by a password, or no workbook of Excel ({reason}): '
            'open it in a spreadsheet program and save it again as .xlsx or .csv'
        ) from error
    return [Worksheet(path, str(name), cells.values.tolist()) for name, cells in sheets.items()]


def _csv(path: pathlib.Path, content: bytes) -> list[list[str]]:
    try:
        decoded = content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise InputError(
            f'the sheet {path} is neither a workbook of Excel nor text in UTF-8 ({error.reason}): '
            'save it as .xlsx, or as CSV in UTF-8'
        ) from error
    delimiter = max(_DELIMITERS, key=decoded.count)
    rows: list[list[str]] = []
    try:
        rows.extend(csv.reader(io.StringIO(decoded, newline=''), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f'{path.name}, row {len(rows) + 1}: not CSV ({error})') from error
    return rows
