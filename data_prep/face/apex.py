"""Where the apex of a clip comes from: a table, the release's sheet, the middle, or spotting.

An apex lies after the onset and not after the offset, and there is a frame of it.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from data_prep.face.regions import Box
from data_prep.files import cells, sheet
from data_prep.releases.clip import Clip
from data_prep.releases.record import Release
from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.outside import workbook

CHOICES = ('table', 'sheet', 'middle', 'spotted')
COLUMNS = (schema.SUBJECT, schema.CLIP, schema.ONSET, schema.APEX, schema.OFFSET)

_HEADERS = {  # field -> the names under which its column is known
    'database': ('database', 'dataset'),
    'subject': ('subject', 'sub', 'participant', 'person'),
    'clip': ('clip', 'filename', 'file', 'video', 'sequence'),
    'onset': ('onset', 'onset_frame', 'start'),
    'apex': ('apex', 'apex_frame'),
    'offset': ('offset', 'offset_frame', 'end'),
}
_DECIMALS = re.compile(r'\A(\d+)\.0+\Z')  # a number typed as text
_SPOTTED = 'ENM'  # regions
_BLUR = 1 / 64  # of the face's size: standard deviation of the blur that takes the sensor's noise


@dataclasses.dataclass(frozen=True)
class ApexRow:
    """A clip's row in a table of apexes; frames that it does not give are `schema.UNKNOWN_FRAME`.

    Attributes:
      onset: frame number, as apex and offset.
      place: file and row.
    """

    onset: int
    apex: int
    offset: int
    place: str


ApexTable = Mapping[tuple[str, str], ApexRow]  # (subject, clip) -> row


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApexRule:
    """Where the apexes of a database come from.

    Attributes:
      choices: of `CHOICES`; a clip takes the first that gives it one.
      table: of the choice `table`, as `read_table` returns it.
    """

    choices: tuple[str, ...]
    table: ApexTable = dataclasses.field(default_factory=dict)


def read_table(path: str | os.PathLike, release: Release) -> ApexTable:
    """Reads a table of apexes: a workbook or a CSV file, its columns by their names, as label sheets are.

    Without a header, its columns are `COLUMNS`, and what follows them is not read.

    Args:
      path: the file. If it has a column `database`, rows of other databases are left out.
      release: of which database. Subjects and clips are read as its reader writes them (`Release.spelt`):
        `20` and `S20` are `s20` in SMIC.

    Raises:
      InputError: the file cannot be read, or is faulty: its row is named.
    """
    path = pathlib.Path(path)
    table: dict[tuple[str, str], ApexRow] = {}
    for row in _recognised(path).rows:
        names = {field: cells.text(row.cells.get(field)) for field in (schema.DATABASE, *COLUMNS[:2])}
        if (names.pop(schema.DATABASE) or release.database).casefold() != release.database:
            continue
        frames = {
            field: _frame(row.cells.get(field), f'{row.place}, column {field}') for field in COLUMNS[2:]
        }
        if missing := [field for field, name in names.items() if not name]:
            if set(frames.values()) == {schema.UNKNOWN_FRAME}:
                continue  # a remark
            raise InputError(f'{row.place}: the {missing[0]} is empty, but the row has frame numbers')
        subject, clip = names.values()
        key = release.spelt(_DECIMALS.sub(r'\1', subject), clip)
        if key in table:
            raise InputError(
                f'{row.place}: {"/".join(key)} stands in {table[key].place} already: keep one of them'
            )
        table[key] = ApexRow(*frames.values(), row.place)
    if not table:
        raise InputError(
            f'{path} has no row of {release.database}: expected one for each clip, {",".join(COLUMNS)}'
        )
    return table


def check_choices(choices: Sequence[str], *, has_table: bool) -> None:
    """Raises InputError unless all are of `CHOICES`, each once, and `table` among them as there is one."""
    unknown = [choice for choice in choices if choice not in CHOICES]
    if unknown or not choices:
        found = f'unknown choice {unknown[0]!r}' if unknown else 'no choice'
        raise InputError(f'--apex: {found}; expected some of {", ".join(CHOICES)}, with commas between them')
    if len(set(choices)) != len(choices):
        raise InputError(f'--apex {",".join(choices)}: expected each choice once')
    if 'table' in choices and not has_table:
        raise InputError('--apex names the choice table: say by --apex-table which file it is')
    if has_table and 'table' not in choices:
        raise InputError(
            f'--apex {",".join(choices)} makes no use of --apex-table: expected table among them'
        )


def with_span(clip: Clip) -> Clip:
    """Returns the clip with onset and offset: its first and last frame, where the clip does not give them.

    Its frames end where it surely does, so this is a span to work on, and no annotation of the release.

    Raises:
      InputError: it has no frames.
    """
    numbers = clip.frames.numbers if clip.frames else []
    if not numbers:
        raise InputError('the clip has no frames')
    onset = numbers[0] if clip.onset == schema.UNKNOWN_FRAME else clip.onset
    offset = numbers[-1] if clip.offset == schema.UNKNOWN_FRAME else clip.offset
    return dataclasses.replace(clip, onset=onset, offset=offset)


def span_numbers(clip: Clip) -> list[int]:
    """Returns the numbers of a clip's frames from onset to offset; see `with_span`."""
    whole = with_span(clip)
    return [number for number in whole.frames.numbers if whole.onset <= number <= whole.offset]


def choose(clip: Clip, choices: Sequence[str], table: ApexTable) -> tuple[int | None, str, str]:
    """Returns a clip's apex by the first choice that gives one.

    Args:
      clip: with frames, onset and offset (`with_span`).
      choices: of `CHOICES`.
      table: as `read_table` returns it.

    Returns:
      The number of the apex frame, None where it is to be spotted; the choice; and why the choices before it
      give no apex, empty if it is the first.

    Raises:
      InputError: no choice gives one.
    """
    reasons = []
    for choice in choices:
        try:
            number = None if choice == 'spotted' else _CHOOSERS[choice](clip, table)
        except InputError as error:
            reasons.append(str(error))
        else:
            return number, choice, '; '.join(reasons)
    if 'middle' not in choices:
        own = ','.join(choices)
        reasons.append(
            f'mend it, or name what is to be taken for such clips: --apex {own},middle or {own},spotted'
        )
    raise InputError('; '.join(reasons))


def spot(faces: Iterable[np.ndarray], boxes: Mapping[str, Box]) -> int:
    """Returns which face differs most from the first one around eyes, nose and mouth.

    Differences of frames to the onset in regions around landmarks show the apex (Quang et al., CapsuleNet for
    Micro-Expression Recognition, FG 2019). Theirs are divided by those to the previous frame, which leaves
    slow changes of light and slow movements of the head in. Here these are taken out first: what of a
    difference is explained by a change of brightness or contrast, or by a small shift, turn or nearing of the
    whole face (brightness constancy to the first order: Lucas and Kanade, IJCAI 1981). What remains is
    squared and averaged by region.

    Args:
      faces: [S, S] uint8 each, grey: the aligned faces from the onset on. One is in memory at a time.
      boxes: the regions, as `regions.boxes` returns them; those of eyes, nose and mouth that there are count.

    Returns:
      The place of the face, 1 or more; of equal ones the first.

    Raises:
      InputError: no face differs from the first one.
    """
    there = [boxes[each] for each in _SPOTTED if each in boxes]
    if not there:
        raise InputError('no apex can be spotted: eyes, nose and mouth all lie outside of the frame')
    blurred = (cv2.GaussianBlur(face.astype(np.float32), (0, 0), _BLUR * len(face)) for face in faces)
    onset = next(blurred, None)
    if onset is None:
        raise InputError('the clip has no frames')
    basis = _other_changes(onset)
    scores = [0.0]
    for face in blurred:
        change = (face - onset).ravel()
        own = (change - basis @ (basis.T @ change)).reshape(onset.shape)
        cuts = (own[top:bottom, left:right] for top, bottom, left, right in there)
        scores.append(float(np.mean([np.square(cut).mean() for cut in cuts])))
    if not max(scores) > 0:
        raise InputError(f'no apex can be spotted: none of {len(scores)} frames differs from the onset')
    return int(np.argmax(scores))


def _other_changes(face: np.ndarray) -> np.ndarray:
    """Returns an orthonormal basis, [S * S, 6], of the changes of a face that are no expression."""
    down, right = np.gradient(face)
    y, x = (np.indices(face.shape) + 0.5) / len(face) - 0.5
    light = np.ones_like(face), face
    head = right, down, down * x - right * y, right * x + down * y
    return np.linalg.qr(np.stack([*light, *head], axis=-1).reshape(face.size, -1))[0]


def _of_table(clip: Clip, table: ApexTable) -> int:
    row = table.get((clip.subject, clip.clip))
    if row is None:
        raise InputError(f'the apex table has no row of {clip.subject},{clip.clip}')
    if row.apex == schema.UNKNOWN_FRAME:
        raise InputError(f'{row.place}: no apex')
    if row.offset != schema.UNKNOWN_FRAME and row.apex > row.offset:
        raise InputError(f'{row.place}: the apex {row.apex} lies after the offset {row.offset}')
    if row.onset in (schema.UNKNOWN_FRAME, clip.onset):
        return _checked(row.apex, clip, row.place)
    # The table may count frames otherwise than the release; of a clip of another length it says nothing.
    length = row.offset - row.onset
    if row.offset != schema.UNKNOWN_FRAME and length != clip.offset - clip.onset:
        raise InputError(
            f'{row.place}: {row.onset} to {row.offset} with the apex {row.apex} is not the clip, '
            f'{clip.onset} to {clip.offset}: expected its numbers, or as many frames from another onset on'
        )
    shift = clip.onset - row.onset
    counted = f'{row.place} (onset {row.onset}, apex {row.apex}, here shifted by {shift:+})'
    return _checked(row.apex + shift, clip, counted)


def _of_sheet(clip: Clip, table: ApexTable) -> int:
    del table
    if clip.apex == schema.UNKNOWN_FRAME:
        raise InputError("the sheet has no apex ('/', empty or no such column)")
    return _checked(clip.apex, clip, 'the sheet')


def _middle(clip: Clip, table: ApexTable) -> int:
    del table
    after = [number for number in clip.frames.numbers if clip.onset < number <= clip.offset]
    if not after:
        raise InputError(f'there is no frame after the onset {clip.onset} up to the offset {clip.offset}')
    return min(after, key=lambda number: abs(2 * number - clip.onset - clip.offset))


_CHOOSERS = {'table': _of_table, 'sheet': _of_sheet, 'middle': _middle}


def _checked(apex: int, clip: Clip, place: str) -> int:
    if apex == clip.onset:
        raise InputError(f'{place}: the apex {apex} is the onset itself, and no motion lies between them')
    if not clip.onset < apex <= clip.offset:
        raise InputError(f'{place}: the apex {apex} lies outside of the clip, {clip.onset} to {clip.offset}')
    if apex not in clip.frames.numbers:
        raise InputError(f'{place}: there is no frame of the apex {apex}')
    return apex


def _recognise(worksheet: workbook.Worksheet) -> sheet.Table:
    if worksheet.rows and all(map(_is_frame, [*worksheet.rows[0], *[None] * 5][2:5])):
        return sheet.by_position(worksheet, COLUMNS)
    return sheet.by_columns(worksheet, _HEADERS, optional=(schema.DATABASE,))


def _recognised(path: pathlib.Path) -> sheet.Table:
    """Returns the only worksheet of a file that has the columns, or has no header but such cells."""
    found, refused = sheet.recognised(workbook.read(path), _recognise)
    if len(found) != 1:
        reasons = ': ' + '; '.join(refused) if refused else ''
        raise InputError(
            f'the apex table {path} has {len(found)} worksheets with the columns {",".join(COLUMNS)}, '
            f'expected one{reasons}'
        )
    return found[0]


def _is_frame(cell: Any) -> bool:
    try:
        return cells.frame(cell) != schema.UNKNOWN_FRAME
    except ValueError:
        return False


def _frame(cell: Any, place: str) -> int:
    try:
        return cells.frame(cell)
    except ValueError as error:
        found = cells.text(cell)[:80]
        raise InputError(
            f"{place}: {found!r}, expected a frame number, or '/' where there is none"
        ) from error
