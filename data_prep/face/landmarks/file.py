"""A source of landmarks: a CSV file with a row for each clip.

Its header is `database,subject,clip,x0,y0,...,x67,y67`; the numbers are pixels of the clip's onset frame, the
centre of whose first pixel is (0, 0). The points may have the names of OpenFace (`x_0`) or count from 1, and
other columns may stand between.
"""

import hashlib
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from data_prep import releases
from data_prep.face.landmarks import ibug, points
from data_prep.releases.clip import Clip
from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.files import read_bytes
from dualatme_jax.outside import csv_file

_KEYS = (schema.DATABASE, schema.SUBJECT, schema.CLIP)
_NUMBERS = tuple(f'{axis}{number}' for number in range(ibug.NUMBER) for axis in 'xy')
COLUMNS = (*_KEYS, *_NUMBERS)
_MOST_BYTES = 256 * 2**20  # landmarks of every frame of a release
_LARGEST = 1e6  # pixels; a frame has less
_HEADER = f'{",".join(COLUMNS[:5])},...,{",".join(COLUMNS[-2:])}'


class LandmarkFile:
    """The source that a file is.

    Args:
      path: the file.

    Raises:
      InputError: the file cannot be read, or is faulty: its row and column are named.
    """

    whole_frame = False

    def __init__(self, path: str | os.PathLike):
        self._path = pathlib.Path(path)
        self._landmarks = _parse(self._path)

    def recipe(self, clip: Clip | None = None) -> dict:
        """Returns what decides the landmarks, as JSON values: those of one clip, or of all in the file."""
        keys = [clip.key] if clip else sorted(self._landmarks)
        digest = hashlib.sha256()
        for key in keys:
            digest.update(repr(key).encode())
            digest.update(self._of(key).tobytes())
        return {'name': 'file', 'sha256': digest.hexdigest()}

    def find(self, frame: np.ndarray, clip: Clip) -> np.ndarray:
        """Returns the landmarks that the file has of a clip, [68, 2] float32 in pixels.

        Raises:
          InputError: it has none.
        """
        del frame
        return self._of(clip.key)

    def _of(self, key: tuple[str, str, str]) -> np.ndarray:
        if key not in self._landmarks:
            raise InputError(f'{self._path} has no landmarks of {",".join(key)}: add a row that begins so')
        return self._landmarks[key]


def _parse(path: pathlib.Path) -> dict[tuple[str, str, str], np.ndarray]:
    """Returns (database, subject, clip) -> [68, 2] float32."""
    landmarks, lines = {}, {}
    text = csv_file.text(read_bytes(path, limit=_MOST_BYTES, what='landmark file'), str(path))
    filled = (
        (line, fields) for line, fields in csv_file.rows(text, str(path)) if any(map(str.strip, fields))
    )
    rows = ((line, [field.strip() for field in fields]) for line, fields in filled)
    header = next(rows, (1, []))[1]
    places = _places(header, path)
    for line, fields in rows:
        place = f'{path}, row {line}'
        if len(fields) != len(header):
            raise InputError(f'{place}: {len(fields)} columns, expected {len(header)}: {_HEADER}')
        fields = [fields[places[name]] for name in COLUMNS]
        key = tuple(fields[: len(_KEYS)])
        if key[0] not in releases.FILES:
            known = ', '.join(releases.FILES)
            raise InputError(f'{place}: unknown database {key[0]!r}, expected one of {known}')
        first = lines.setdefault(key, line)
        if first != line:
            raise InputError(f'{place}: {",".join(key)} stands in row {first} too: keep one of them')
        landmarks[key] = _points(fields[len(_KEYS) :], place)
    if not landmarks:
        raise InputError(
            f'{path} holds no landmarks: expected a row for each clip below the header {_HEADER}'
        )
    return landmarks


def _places(header: Sequence[str], path: pathlib.Path) -> dict[str, int]:
    """Returns where each of `COLUMNS` stands."""
    names = [name.casefold() for name in header]
    found = points.by_name(header)
    if found and all(names.count(key) == 1 for key in _KEYS):
        return {key: names.index(key) for key in _KEYS} | dict(found)
    pairs = zip(header, COLUMNS, strict=False)
    wrong = [f'{found!r} instead of {name!r}' for found, name in pairs if found != name]
    fault = wrong[0] if wrong else f'{len(header)} columns'
    raise InputError(f'{path}, row 1: found {fault}, expected {len(COLUMNS)} columns: {_HEADER}')


def _points(fields: Sequence[str], place: str) -> np.ndarray:
    numbers = []
    for name, field in zip(_NUMBERS, fields, strict=True):
        try:
            number = float(field)
        except ValueError:
            number = np.nan
        if not abs(number) < _LARGEST:
            raise InputError(f'{place}, column {name}: {field!r}, expected a number of pixels')
        numbers.append(number)
    return ibug.checked(np.reshape(numbers, (ibug.NUMBER, 2)))
