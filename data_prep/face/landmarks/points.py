"""The 68 points of a face as other programs write them to a text file: OpenFace, and the tools around dlib.

OpenFace (Baltrusaitis et al., FG 2018) writes a CSV with a row per frame, whose columns `x_0` to `x_67` and
`y_0` to `y_67` are pixels. Of one frame alone there are `.pts` files, as iBUG 300-W has them, and lists of 68
pairs or 136 numbers, x before y.
"""

import csv
import io
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from data_prep.face.landmarks import ibug
from dualatme_jax.errors import InputError
from dualatme_jax.files import open_regular, read_bytes
from dualatme_jax.outside import csv_file

OPENFACE = tuple(f'{axis}_{number}' for axis in 'xy' for number in range(ibug.NUMBER))

_MOST_BYTES = 256 * 2**20  # of a file, which is in memory
_MOST_BYTES_OF_FRAMES = 2**30  # of one that is read row by row: at most 0.7 GB of landmarks
_SPACES = re.compile(r'[\s,;]+')


def read(path: pathlib.Path, place: int, count: int | None) -> np.ndarray:
    """Reads the landmarks of one frame.

    Args:
      path: the file.
      place: which of the frames it is, from 0, where the file has a row for each.
      count: how many frames there are, where it is known: as many the file must have then.

    Returns:
      [68, 2] float32, (x, y) in pixels.

    Raises:
      InputError: the file cannot be read or is of another form, or has no such frame, no face in it or
        several.
    """
    text = csv_file.text(read_bytes(path, limit=_MOST_BYTES, what='landmark file'), str(path))
    try:
        header = [name.strip() for name in text.partition('\n')[0].split(',')]
        if set(OPENFACE) <= set(header):
            return ibug.checked(_of_openface(text, place, count))
        return ibug.checked(_of_one_frame(text))
    except (InputError, csv.Error) as error:
        raise InputError(f'{path}: {error}') from error


def _of_openface(text: str, place: int, count: int | None) -> np.ndarray:
    reader = csv.DictReader(io.StringIO(text, newline=''), skipinitialspace=True, restval='')
    reader.fieldnames = [name.strip() for name in reader.fieldnames]
    # A program for single images writes no number of the frame: each row is a face.
    rows = [(row.get('frame', '1'), row) for row in reader]
    frames = list(dict.fromkeys(frame for frame, _ in rows))
    if count is not None and len(frames) not in (1, count):
        raise InputError(f'it has {len(frames)} frames, and the clip {count}: run OpenFace on its folder')
    if len(frames) > 1 and place >= len(frames):
        raise InputError(f'it has {len(frames)} frames, and the onset is frame {place + 1}')
    wanted = frames[place if len(frames) > 1 else 0] if frames else None
    found = [row for frame, row in rows if frame == wanted and row.get('success', '1').strip() != '0']
    if len(found) != 1:
        raise InputError(f'it has {len(found)} faces in the onset frame, expected one')
    return _numbers([found[0][name] for name in OPENFACE]).reshape(2, ibug.NUMBER).T


def of_frames(path: pathlib.Path, numbers: Sequence[int] | None) -> dict[int, list[np.ndarray]]:
    """Reads the landmarks of all frames of a recording.

    Args:
      path: a CSV file with the columns `frame` and those of the points: OpenFace's, which counts frames from
        1, or `x0`, `y0` to `x67`, `y67` with the frames' own numbers, as `signals.csv` of `data_prep.video`
        has them.
      numbers: of the frames, ascending, where they do not count from 0 as those of a video.

    Returns:
      Number of the frame -> each face, [68, 2] float32, (x, y) in pixels. Frames without a face are missing.

    Raises:
      InputError: the file cannot be read or is of another form; its line is named.
    """
    with open_regular(path, 'landmark file') as file:
        if (size := os.fstat(file.fileno()).st_size) > _MOST_BYTES_OF_FRAMES:
            most = _MOST_BYTES_OF_FRAMES / 2**30
            raise InputError(f'{path} has {size / 2**30:.1f} GiB; expected {most:g} at most: cut the video')
        lines = io.TextIOWrapper(file, encoding='utf-8-sig', newline='')
        return _of_frames(csv_file.rows(lines, str(path)), path, numbers)


def _of_frames(
    rows: Iterable[tuple[int, list[str]]], path: pathlib.Path, numbers: Sequence[int] | None
) -> dict[int, list[np.ndarray]]:
    filled = ((line, row) for line, row in rows if any(map(str.strip, row)))
    header = [name.strip() for name in next(filled, (1, []))[1]]
    places = by_name(header)
    if places is None or 'frame' not in header:
        raise InputError(
            f'{path}: expected a CSV file with a header, `frame` and the 68 points in it: the columns '
            f'{OPENFACE[0]} to {OPENFACE[-1]} of OpenFace, or x0, y0 to x67, y67'
        )
    order = [places[f'{axis}{number}'] for number in range(ibug.NUMBER) for axis in 'xy']
    of_openface = set(OPENFACE) <= set(header)
    faces: dict[int, list[np.ndarray]] = {}
    for line, row in filled:
        place = f'{path}, line {line}'
        if len(row) != len(header):
            raise InputError(f'{place}: {len(row)} cells, expected {len(header)} as in the header')
        if 'success' in header and row[header.index('success')].strip() == '0':
            continue
        try:
            number = int(row[header.index('frame')])
            found = ibug.checked(_numbers([row[column] for column in order]).reshape(-1, 2))
        except (InputError, ValueError) as error:
            raise InputError(f'{place}: {error}') from error
        if of_openface:
            number -= 1
            if numbers is not None and 0 <= number < len(numbers):
                number = numbers[number]
        faces.setdefault(number, []).append(found)
    return faces


def _of_one_frame(text: str) -> np.ndarray:
    if text.lstrip().startswith('version'):
        text = text.partition('{')[2].partition('}')[0]
    fields = [field for field in _SPACES.split(text) if field]
    if len(fields) != 2 * ibug.NUMBER:
        raise InputError(
            f'{len(fields)} numbers, expected {ibug.NUMBER} points (a .pts file, or x and y of each), or '
            f'the CSV of OpenFace with the columns {OPENFACE[0]} to {OPENFACE[-1]}'
        )
    return _numbers(fields).reshape(ibug.NUMBER, 2)


def _numbers(fields: Sequence[str]) -> np.ndarray:
    try:
        return np.array([float(field) for field in fields])
    except ValueError as error:
        raise InputError(f'{error}; expected numbers of pixels') from error


def by_name(header: Sequence[str]) -> Mapping[str, int] | None:
    """Returns where the columns x0, y0 to x67, y67 stand in a header; None if it has no known names."""
    names = [name.strip().casefold() for name in header]
    for form in ('{axis}{number}', '{axis}_{number}'):
        for first in (0, 1):  # some count the points from 1
            wanted = {
                f'{axis}{number}': form.format(axis=axis, number=number + first)
                for number in range(ibug.NUMBER)
                for axis in 'xy'
            }
            if all(names.count(name) == 1 for name in wanted.values()):
                return {own: names.index(name) for own, name in wanted.items()}
    return None
