"""DFME (Zhao et al., IEEE TAC 2024), as `releases.dfme` reads it: three sets, a sheet and a folder each."""

import itertools
from collections.abc import Iterator, Sequence

from data_prep.synthetic import assign_subjects
from data_prep.synthetic.film import Camera
from data_prep.synthetic.layout import Layout, Listed, Sheet, SyntheticClip, times

# Set -> its sheet, its folder, how many people and which clips it has.
_SETS = {
    'train': ('training_full_with_AU.xlsx', 'train_data', 176, (548, 298, 278, 265, 206, 161, 100)),
    'test_a': ('testA_full_with_AU.xlsx', 'test_data_A', 42, (129, 101, 46, 62, 63, 39, 34)),
    'test_b': ('testB_full_with_AU.xlsx', 'test_data_B', 41, (58, 48, 35, 38, 42, 41, 37)),
}
_EMOTIONS = ('Disgust', 'Surprise', 'Sadness', 'Fear', 'Happiness', 'Anger', 'Contempt')

# Of all sets in turn, so that the first few people are of each.
_SET_OF = {
    f'sub{number:04}': name
    for number, name in enumerate(
        assign_subjects.interleaved({name: people for name, (_, _, people, _) in _SETS.items()}), start=1
    )
}
SUBJECTS = tuple(_SET_OF)


def _rows(listed: Listed | None, frames: int) -> list[SyntheticClip]:
    del listed  # the challenge's list has none of it
    rows = []
    for name, (_, folder, _, counts) in _SETS.items():
        people = [subject for subject in SUBJECTS if _SET_OF[subject] == name]
        pairs = assign_subjects.dealt(dict(zip(_EMOTIONS, counts, strict=True)), people)
        for subject, clip, emotion in assign_subjects.titled(pairs, _titles):
            when = times(7 * (len(rows) % 9), frames, len(rows))
            rows.append(SyntheticClip(subject=subject, clip=clip, emotion=emotion, folder=folder, **when))
    return rows


def _titles(subject: str, emotion: str) -> Iterator[str]:
    del emotion
    yield from (f'{subject}_{number:02}' for number in itertools.count(1))


def _frame(row: SyntheticClip, number: int) -> str:
    return f'{row.folder}/{row.clip}/{number:05}.png'


def _sheets(rows: Sequence[SyntheticClip]) -> list[Sheet]:
    header = ['Subject', 'Filename', 'OnsetFrame', 'ApexFrame', 'OffsetFrame', 'Emotion', 'AU']
    return [
        Sheet(
            file=file,
            header=header,
            cells=own,
            subject='Subject',
            apex='ApexFrame',
            offset='OffsetFrame',
            emotion='Emotion',
        )
        for file, folder, _, _ in _SETS.values()
        if (own := [_cells(row) for row in rows if row.folder == folder])
    ]


def _cells(row: SyntheticClip) -> list[str | int | None]:
    return [row.subject, row.clip, row.onset, row.apex, row.offset, row.emotion, row.action_units]


LAYOUT = Layout(
    database='dfme',
    subjects=SUBJECTS,
    camera=Camera(width=640, height=480, colour=True, unit=(11.1, 12.0), noise=1.5),
    rows=_rows,
    frame=_frame,
    sheets=_sheets,
)
