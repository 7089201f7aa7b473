"""SAMM (Davison et al., IEEE TAC 2018): one sheet, its header on row 14; grey frames of a whole scene."""

import itertools
from collections.abc import Iterator, Sequence

from data_prep.synthetic import assign_subjects
from data_prep.synthetic.film import Camera
from data_prep.synthetic.layout import Layout, Listed, Sheet, SyntheticClip, times

# Without leading zeros, as the challenge's list has them.
SUBJECTS = tuple(str(number) for number in (6, 7, *range(9, 27), 28, *range(30, 38)))

# What the challenge (MEGC2019) uses of it, and the rest.
_USED = {'negative': 92, 'positive': 26, 'surprise': 15}
_NEGATIVE = {'Anger': 57, 'Contempt': 12, 'Disgust': 9, 'Fear': 8, 'Sadness': 6}
_REST = {'Other': 26}
_ONLY_REST = '25'

# Clips whose frame files have another prefix than their subject.
_ODD_FILES = ('013_1_12', '013_1_8', '017_3_2', '026_1_1', '026_1_2', '035_7_2')

_CLASSES = {'Happiness': 1, 'Surprise': 2, 'Anger': 3, 'Disgust': 4, 'Sadness': 5, 'Fear': 6}


def _rows(listed: Listed | None, frames: int) -> list[SyntheticClip]:
    subjects = [subject for subject in SUBJECTS if subject != _ONLY_REST]
    used = listed or assign_subjects.titled(assign_subjects.dealt(_USED, subjects), _titles)
    emotions = {
        'negative': itertools.cycle(assign_subjects.interleaved(_NEGATIVE)),
        'positive': itertools.repeat('Happiness'),
        'surprise': itertools.repeat('Surprise'),
    }
    clips = [(subject, clip, next(emotions[label])) for subject, clip, label in used]
    seen = {subject for subject, _, _ in clips}
    new_first = sorted(SUBJECTS, key=lambda subject: subject in seen)
    clips += assign_subjects.titled(
        assign_subjects.dealt(_REST, new_first), _titles, [(subject, clip) for subject, clip, _ in clips]
    )
    return [
        SyntheticClip(
            subject=subject, clip=clip, emotion=emotion, **times(500 + 137 * (place % 60), frames, place)
        )
        for place, (subject, clip, emotion) in enumerate(sorted(clips, key=lambda clip: clip[1]))
    ]


def _titles(subject: str, emotion: str) -> Iterator[str]:
    del emotion
    folder = subject.zfill(3)
    yield from (clip for clip in _ODD_FILES if clip.startswith(folder))
    yield from (f'{folder}_{1 + number % 7}_{1 + number // 7}' for number in itertools.count())


def _frame(row: SyntheticClip, number: int) -> str:
    folder = row.subject.zfill(3)
    prefix = f'{int(folder) + 1:03}' if row.clip in _ODD_FILES else folder
    return f'{folder}/{row.clip}/{prefix}_{number:05}.jpg'


def _sheets(rows: Sequence[SyntheticClip]) -> list[Sheet]:
    header = [
        'Subject',
        'Filename',
        'Inducement Code',
        'Onset Frame',
        'Apex Frame',
        'Offset Frame',
        'Duration',
    ]
    header += ['Micro', 'Action Units', 'Estimated Emotion', 'Objective Classes', 'Notes']
    return [
        Sheet(
            file='SAMM_Micro_FACS_Codes_v2.xlsx',
            header=header,
            cells=[_cells(place, row) for place, row in enumerate(rows)],
            above=[['SAMM: micro-movements, coded by FACS'], *([None] for _ in range(12))],
            subject='Subject',
            apex='Apex Frame',
            offset='Offset Frame',
            emotion='Estimated Emotion',
        )
    ]


def _cells(place: int, row: SyntheticClip) -> list[str | int | None]:
    units = row.action_units
    if place % 32 == 5:  # coders in doubt
        units = units.replace('+', ' or ') if '+' in units else f'{units}/{int(units) + 1}'
    return [
        row.subject.zfill(3),
        row.clip,
        1 + place % 7,
        row.onset,
        row.apex,
        row.offset,
        row.offset - row.onset + 1,
        'Micro',
        units,
        row.emotion,
        _CLASSES.get(row.emotion, 7),
        None,
    ]


LAYOUT = Layout(
    database='samm',
    subjects=SUBJECTS,
    camera=Camera(width=640, height=480, colour=False, unit=(11.1, 12.0), noise=1.0),
    rows=_rows,
    frame=_frame,
    sheets=_sheets,
)
