"""`results.json`: the numbers of a run, for programs."""

import json
import math
import os
import pathlib

from dualatme_jax.errors import InputError
from dualatme_jax.files import read_bytes, replacing

_MOST_BYTES = 2**28  # of a file, far more than a sweep of thousands of points has


def checksum_of(table: str) -> str:
    """The key of the SHA-256 of a table of predictions that was reported, such as `predictions.csv`."""
    return f'{pathlib.PurePath(table).stem}_sha256'


def write(result: dict, path: str | os.PathLike) -> None:
    """Writes the result as JSON, whole or not at all.

    Raises:
      ValueError: a number is NaN or infinite, which JSON has no word for; what is unknown is None.
    """
    refuse_nan(result)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2, allow_nan=False) + '\n', encoding='utf-8')


def read(path: str | os.PathLike) -> dict:
    """Reads a result back.

    Raises:
      InputError: the file is missing or is not a JSON object.
    """
    try:
        result = json.loads(read_bytes(path, limit=_MOST_BYTES, what='results'))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # of the encoding or of JSON
        raise InputError(f'{path}: not JSON ({error}); expected the results.json of a run.') from error
    if not isinstance(result, dict):
        raise InputError(f'{path}: a JSON {type(result).__name__}; expected the object of a results.json.')
    return result


def refuse_nan(value: object, place: str = 'result') -> None:
    """Raises a ValueError that names the first number, at any depth, that is NaN or infinite."""
    if isinstance(value, dict):
        for key, part in value.items():
            refuse_nan(part, f'{place}.{key}')
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            refuse_nan(part, f'{place}[{number}]')
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f'{place} is {value}; write None for what is unknown')
