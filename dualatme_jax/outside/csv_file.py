"""CSV files from people: text in UTF-8, row by row."""

import csv
import io
from collections.abc import Iterator
from typing import TextIO

from dualatme_jax.errors import InputError

_NO_TEXT = 'is not text in UTF-8 ({}): save it as CSV in UTF-8'


def text(content: bytes, what: str) -> str:
    """Returns a file's text; raises InputError, about `what`, where it is not UTF-8."""
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise InputError(f'{what} {_NO_TEXT.format(error)}') from error


def rows(text: str | TextIO, what: str, *, delimiter: str = ',') -> Iterator[tuple[int, list[str]]]:
    """Yields the number of each row's last line, from 1, and its fields; empty rows too.

    Args:
      text: of the file; or the file, open with `newline=''`, of which no more than a line is in memory then.
      what: the file, for messages.
      delimiter: what stands between fields.

    Raises:
      InputError: it is no CSV or no UTF-8, from some row on.
    """
    lines = io.StringIO(text, newline='') if isinstance(text, str) else text
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise InputError(f'{what}, line {reader.line_num}: {error}: expected CSV') from error
    except UnicodeDecodeError as error:
        raise InputError(f'{what} {_NO_TEXT.format(error)}') from error
