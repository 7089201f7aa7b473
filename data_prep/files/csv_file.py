"""CSV files that the user gives, row by row."""

import csv
import io
import pathlib
from collections.abc import Iterator

from dualatme_jax.errors import InputError
from dualatme_jax.files import read_bytes

MOST_BYTES = 256 * 2**20  # landmarks of every frame of a release


def rows(path: pathlib.Path, what: str) -> Iterator[tuple[int, list[str]]]:
    """Yields each row's line number and its fields without outer spaces, empty rows too.

    Args:
      path: the file, in UTF-8.
      what: what it is, for messages.

    Raises:
      InputError: the file cannot be read, is too large, or is no CSV in UTF-8.
    """
    try:
        text = read_bytes(path, limit=MOST_BYTES, what=what).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise InputError(f'{path} is not text in UTF-8 ({error}): save it as CSV in UTF-8') from error
    reader = csv.reader(io.StringIO(text, newline=''))
    try:
        for fields in reader:
            yield reader.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise InputError(f'{path}, row {reader.line_num}: {error}: expected CSV with commas') from error
