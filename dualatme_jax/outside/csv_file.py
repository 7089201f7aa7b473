"""CSV files from people: text in UTF-8, row by row."""

import csv
import io
from collections.abc import Iterator

from dualatme_jax.errors import InputError


def text(content: bytes, what: str) -> str:
    """Returns a file's text; raises InputError, about `what`, where it is not UTF-8."""
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise InputError(f'{what} is not text in UTF-8 ({error}): save it as CSV in UTF-8') from error


def rows(text: str, what: str, *, delimiter: str = ',') -> Iterator[tuple[int, list[str]]]:
    """Yields the number of each row's last line, from 1, and its fields; empty rows too.

    Args:
      text: of the file.
      what: the file, for messages.
      delimiter: what stands between fields.

    Raises:
      InputError: it is no CSV, from some row on.
    """
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter)
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise InputError(f'{what}, line {reader.line_num}: {error}: expected CSV') from error
