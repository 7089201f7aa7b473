"""Makes a synthetic release as untidy as real ones are, and keeps the record of it.

`fault` names what a check must report, `harmless` what a reader must see through.
"""

import collections
import dataclasses
import itertools
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from data_prep.synthetic.layout import Layout, Sheet, SyntheticClip

FAULT, HARMLESS = 'fault', 'harmless'

Cells = Sequence[str | int | None]


@dataclasses.dataclass(frozen=True)
class Corruption:
    """One thing that was corrupted, a row of `truth/dirty.csv`.

    Attributes:
      kind: `fault` or `harmless`.
      what: in words.
      subject: of the clip that it concerns, '' if none.
      clip: which clip it concerns, '' if none.
      line: the row of the sheet, counted from 1; '' if it is not in the sheet.
    """

    kind: str
    what: str
    subject: str = ''
    clip: str = ''
    line: int | str = ''


def choose(
    random: np.random.Generator, layout: Layout, rows: Sequence[SyntheticClip], used: Sequence[SyntheticClip]
) -> dict[str, SyntheticClip]:
    """Returns fault -> the row that gets it, as many as there are rows for.

    Args:
      random: decides.
      layout: of the release.
      rows: of the release.
      used: those that may get a fault; of these only clips whose folder holds no other clip are taken.
    """
    if layout.video:
        faults = [DUPLICATE, *_VIDEO_FAULTS]
    elif layout.sheets(rows):
        faults = [DUPLICATE, *_SHEET_FAULTS, *_FOLDER_FAULTS, *_SHEET_FOLDER_FAULTS]
    else:
        faults = [*_FOLDER_FAULTS]
    clips = collections.Counter(_folder(layout, row) for row in rows)
    alone = [row for row in used if layout.video or clips[_folder(layout, row)] == 1]
    return {fault: alone[place] for fault, place in zip(faults, random.permutation(len(alone)), strict=False)}


def corrupt_sheet(
    random: np.random.Generator,
    sheet: Sheet,
    rows: Sequence[SyntheticClip],
    faults: Mapping[str, SyntheticClip],
) -> tuple[list[Cells], list[Corruption]]:
    """Returns the sheet's rows from the first to the last, corrupted, and what was done.

    Args:
      random: decides.
      sheet: a clean one.
      rows: what its cells stand for.
      faults: from `choose`; those that are no faults of sheets are left alone.
    """
    lines: list[Cells] = []
    record: list[Corruption] = []

    def add(cells: Cells, *found: Corruption) -> None:
        lines.append(cells)
        record.extend(dataclasses.replace(each, line=len(lines)) for each in found)

    habits = itertools.cycle(_HABITS)
    by_hand = sheet.file.endswith('.xlsx')  # nobody writes notes into a table of commas
    if by_hand:
        add([f'{sheet.file}: coded by hand, do not edit'], Corruption(HARMLESS, 'title row above the header'))
    for cells in (*sheet.above, sheet.header):
        add(cells)
    for row, clean in zip(rows, sheet.cells, strict=True):
        named = {'subject': row.subject, 'clip': row.clip}
        cells, found = list(clean), []
        for fault, change in _SHEET_FAULTS.items():
            if faults.get(fault) == row:
                change(sheet, cells)
                found.append(Corruption(FAULT, fault, **named))
        if random.random() < 0.3:
            what, change = next(habits)
            before = list(cells)
            change(sheet, cells)
            if cells != before:
                found.append(Corruption(HARMLESS, what, **named))
        add(cells, *found)
        if faults.get(DUPLICATE) == row:
            add(cells, Corruption(FAULT, DUPLICATE, **named))
        if random.random() < 0.04:
            add([None], Corruption(HARMLESS, 'empty row'))
    if by_hand:
        add([None], Corruption(HARMLESS, 'empty row'))
        note = 'Note: frames are counted from the start of the recording'
        add([note], Corruption(HARMLESS, 'note below the table'))
    return lines, record


def corrupt_files(
    folder: pathlib.Path, layout: Layout, faults: Mapping[str, SyntheticClip]
) -> list[Corruption]:
    """Spoils files of the release in `folder`; returns what was done."""
    record = []
    for fault, row in faults.items():
        change = (_FOLDER_FAULTS | _SHEET_FOLDER_FAULTS | _VIDEO_FAULTS).get(fault)
        if change:
            change([folder / file for file in _files(layout, row)], row)
            record.append(Corruption(FAULT, fault, subject=row.subject, clip=row.clip))
    return record


def _folder(layout: Layout, row: SyntheticClip) -> str:
    return layout.frame(row, row.onset).rpartition('/')[0]


def _files(layout: Layout, row: SyntheticClip) -> list[str]:
    return [layout.frame(row, number) for number in row.numbers]


def _change(column: str, change: Callable) -> Callable[[Sheet, list], None]:
    """Returns a function that changes the cell of one of `Sheet`'s named columns, if it has that column."""

    def apply(sheet: Sheet, cells: list) -> None:
        if getattr(sheet, column):
            place = sheet.header.index(getattr(sheet, column))
            cells[place] = change(cells[place])

    return apply


def _apex_outside(sheet: Sheet, cells: list) -> None:
    cells[sheet.header.index(sheet.apex)] = cells[sheet.header.index(sheet.offset)] + 40


def _numbers_as_text(sheet: Sheet, cells: list) -> None:
    cells[:] = [str(cell) if isinstance(cell, int) else cell for cell in cells]


def _trailing_spaces(sheet: Sheet, cells: list) -> None:
    cells[:] = [f'{cell} ' if isinstance(cell, str) else cell for cell in cells]


def _other_digits(subject: str | int) -> str | int:
    """1 becomes 01, 006 becomes 6."""
    if isinstance(subject, int):
        return f'{subject:02}'
    return int(subject) if subject.isdigit() else subject


def _truncate(files: Sequence[pathlib.Path], row: SyntheticClip) -> None:
    content = files[0].read_bytes()
    files[0].write_bytes(content[: len(content) // 2])


def _resize(files: Sequence[pathlib.Path], row: SyntheticClip) -> None:
    frame = cv2.imread(str(files[0]))
    smaller = cv2.resize(frame, (frame.shape[1] - 16, frame.shape[0] - 16))
    files[0].write_bytes(cv2.imencode(files[0].suffix, smaller)[1].tobytes())


def _lose_all(files: Sequence[pathlib.Path], row: SyntheticClip) -> None:
    for file in files:
        file.unlink()


def _lose_one_between(files: Sequence[pathlib.Path], row: SyntheticClip) -> None:
    before_apex = row.apex - row.onset - 1
    files[before_apex if before_apex > 0 else row.apex - row.onset + 1].unlink()


DUPLICATE = 'duplicate row'
_SHEET_FAULTS = {
    'apex outside onset..offset': _apex_outside,
    'empty apex': _change('apex', lambda apex: None),
}
_FOLDER_FAULTS = {
    'truncated image': _truncate,
    'frame of another size': _resize,
    'empty folder': _lose_all,
    'missing frame': _lose_one_between,
}
# What can only be known where a sheet names the clip and its apex.
_SHEET_FOLDER_FAULTS = {
    'missing folder': lambda files, row: shutil.rmtree(files[0].parent),
    'missing apex frame': lambda files, row: files[row.apex - row.onset].unlink(),
}
_VIDEO_FAULTS = {
    'missing video': lambda files, row: files[0].unlink(),
    'truncated video': _truncate,
}
_HABITS = (
    ('numbers as text', _numbers_as_text),
    ('trailing spaces', _trailing_spaces),
    ('emotion in capitals', _change('emotion', lambda emotion: emotion.upper())),
    ('subject with other digits', _change('subject', _other_digits)),
)
