"""A folder of long videos with its tables, as `data_prep synthesize --release long_videos` leaves one.

videos.csv has one row per video, `subject,video,frames,frame_rate`; truth.csv one row per expression,
`subject,video,onset,offset` and if known `apex`, `emotion` and `kind`, frames as OpenCV counts them, from 0,
or as images are numbered; there may be more columns. `VIDEO.mp4`, of any suffix, or a folder of images
`VIDEO` lies in `videos/`.
"""

import csv
import dataclasses
import pathlib
from typing import NamedTuple

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.files import read_bytes
from dualatme_jax.outside import csv_file

TRUTH, VIDEOS, FOLDER = 'truth.csv', 'videos.csv', 'videos'
_MOST = 2**28  # bytes of a table


class Expression(NamedTuple):
    """One expression; onset and offset are frames, both within it, kind is `micro` or `macro`."""

    onset: int
    offset: int
    emotion: str = ''
    kind: str = ''
    apex: int = schema.UNKNOWN_FRAME


@dataclasses.dataclass(frozen=True)
class LongVideo:
    """One video.

    Attributes:
      subject: who.
      name: of the video, unique within the subject.
      path: where it lies.
      frames: how many.
      rate: frames a second.
      expressions: what is true of it.
    """

    subject: str
    name: str
    path: pathlib.Path
    frames: int
    rate: float
    expressions: tuple[Expression, ...]


def read(source: pathlib.Path, table: pathlib.Path | None = None) -> list[LongVideo]:
    """Reads the tables and finds the videos; none is decoded.

    Args:
      source: the folder.
      table: of intervals that were found, which may begin before the first frame; None: truth.csv.

    Raises:
      InputError: a table is missing or faulty, names a video that the other or the folder lacks, or the
        folder holds one that no table names.
    """
    videos = {}
    for place, row in _rows(source / VIDEOS, ('subject', 'video', 'frames', schema.FRAME_RATE)):
        key = row['subject'], row['video']
        if key in videos:
            raise InputError(f'{place}: the video {"/".join(key)} is there twice; expected each once')
        frames, rate = _frame(row, 'frames', place), _number(row, schema.FRAME_RATE, place)
        if frames < 1 or rate <= 0:
            raise InputError(f'{place}: {frames} frames, {rate:g} a second; expected both above 0')
        videos[key] = frames, rate
    if not videos:
        raise InputError(f'{source / VIDEOS} names no video; expected one row per video')
    expressions = {key: [] for key in videos}
    columns = ('subject', 'video', schema.ONSET, schema.OFFSET)
    for place, row in _rows(table or source / TRUTH, columns, (schema.APEX, schema.EMOTION, 'kind')):
        key = row['subject'], row['video']
        if key not in expressions:
            raise InputError(
                f'{place}: the video {"/".join(key)} is not in {VIDEOS}; expected one row of it there'
            )
        onset, offset = (_frame(row, name, place) for name in (schema.ONSET, schema.OFFSET))
        if onset > offset or (onset < 0 and not table):
            raise InputError(f'{place}: from frame {onset} to {offset}; expected 0 or more, in this order')
        apex = _frame(row, schema.APEX, place) if row[schema.APEX] else schema.UNKNOWN_FRAME
        expressions[key].append(Expression(onset, offset, row[schema.EMOTION], row['kind'], apex))
    found = _found(source / FOLDER)
    if surplus := sorted(found.keys() - {name for _, name in videos}):
        raise InputError(
            f'{found[surplus[0]]} is not in {source / VIDEOS}; expected one row there for each video of the '
            'folder, without an expression too'
        )
    return [
        LongVideo(subject, name, _path(found, name, source), *length, tuple(expressions[subject, name]))
        for (subject, name), length in videos.items()
    ]


def _found(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    if not folder.is_dir():
        raise InputError(f'no folder {folder}; expected it, with the videos that {VIDEOS} names')
    shown = (path for path in sorted(folder.iterdir()) if not path.name.startswith('.'))
    return {path.name if path.is_dir() else path.stem: path for path in shown}


def _path(found: dict[str, pathlib.Path], name: str, source: pathlib.Path) -> pathlib.Path:
    if name not in found:
        raise InputError(f'{source / VIDEOS} names {name}, and {source / FOLDER} has no such video')
    return found[name]


def _rows(
    path: pathlib.Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> list[tuple[str, dict[str, str]]]:
    """(place, cells by column) of each row of a table; of `optional` ones empty where there is none."""
    text = csv_file.text(read_bytes(path, limit=_MOST, what='table'), str(path))
    table = csv.DictReader(text.splitlines(), skipinitialspace=True)
    if lacking := [name for name in columns if name not in (table.fieldnames or ())]:
        raise InputError(
            f'{path}: the columns {", ".join(lacking)} are missing; expected {", ".join(columns)}'
        )
    found = []
    for row in table:
        place = f'{path}, line {table.line_num}'
        if empty := [name for name in columns if not (row[name] or '').strip()]:
            raise InputError(f'{place}: {", ".join(empty)} is empty; expected a value')
        found.append((place, {name: (row.get(name) or '').strip() for name in (*columns, *optional)}))
    return found


def _number(row: dict[str, str], name: str, place: str) -> float:
    try:
        number = float(row[name])
    except ValueError:
        number = float('nan')
    if not abs(number) < 1e9:
        raise InputError(f'{place}: {name} is {row[name]!r}; expected a number')
    return number


def _frame(row: dict[str, str], name: str, place: str) -> int:
    number = _number(row, name, place)
    if not number.is_integer():
        raise InputError(f'{place}: {name} is {row[name]!r}; expected a whole number')
    return int(number)
