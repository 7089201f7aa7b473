"""CSV files that the user gives, row by row."""

import csv
import pathlib
from collections.abc import Iterator

from dualatme_jax.errors import InputError


def rows(path: pathlib.Path, what: str) -> Iterator[tuple[int, list[str]]]:
    """Yields each row's line number and its fields without outer spaces, empty rows too.

    Args:
      path: the file, in UTF-8.
      what: what it is, for messages.

    Raises:
      InputError: the file cannot be read, or is no CSV in UTF-8.
    """
    try:
        with path.open(encoding='utf-8-sig', newline='') as file:
            reader = csv.reader(file)
            for fields in reader:
                yield reader.line_num, [field.strip() for field in fields]
    except OSError as error:
        raise InputError(f'cannot read the {what} {path}: {error.strerror or error}') from error
    except UnicodeDecodeError as error:
        raise InputError(f'{path} is not text in UTF-8 ({error}): save it as CSV in UTF-8') from error
    except csv.Error as error:
        raise InputError(f'{path}, row {reader.line_num}: {error}: expected CSV with commas') from error
