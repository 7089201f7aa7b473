"""CASME II (Yan et al., PLOS ONE 2014): one sheet; aligned faces, their numbers those of the sheet."""

import itertools
from collections.abc import Iterator, Sequence

from data_prep.synthetic import assign_subjects
from data_prep.synthetic.film import Camera
from data_prep.synthetic.layout import Layout, Listed, Sheet, SyntheticClip, times

SUBJECTS = tuple(f'sub{number:02}' for number in range(1, 27))

# What the challenge (MEGC2019) uses of it, and the rest: subjects who show nothing but others, two clips.
_USED = {'negative': 88, 'positive': 32, 'surprise': 25}
_NEGATIVE = {'disgust': 61, 'repression': 27}
_REST = {'others': 99, 'sadness': 7, 'fear': 2}
_ONLY_REST = ('sub10', 'sub18')
_NO_APEX = ('sub04', 'EP12_01f')
_EXCLUDED = (_NO_APEX, ('sub05', 'EP09_05f'))


def _rows(listed: Listed | None, frames: int) -> list[SyntheticClip]:
    subjects = [subject for subject in SUBJECTS if subject not in _ONLY_REST]
    used = listed or assign_subjects.titled(assign_subjects.dealt(_USED, subjects), _titles, _EXCLUDED)
    emotions = {
        'negative': itertools.cycle(assign_subjects.interleaved(_NEGATIVE)),
        'positive': itertools.repeat('happiness'),
        'surprise': itertools.repeat('surprise'),
    }
    clips = [(subject, clip, next(emotions[label])) for subject, clip, label in used]
    clips += [(*key, 'disgust') for key in _EXCLUDED]
    seen = {subject for subject, _, _ in clips}
    new_first = sorted(SUBJECTS, key=lambda subject: subject in seen)
    clips += assign_subjects.titled(
        assign_subjects.dealt(_REST, new_first), _titles, [(subject, clip) for subject, clip, _ in clips]
    )
    return [
        SyntheticClip(
            subject=subject, clip=clip, emotion=emotion, **times(20 + 13 * (place % 17), frames, place)
        )
        for place, (subject, clip, emotion) in enumerate(sorted(clips))
    ]


def _titles(subject: str, emotion: str) -> Iterator[str]:
    del subject, emotion
    return (f'EP{1 + number // 4:02}_{1 + number % 4:02}f' for number in itertools.count())


def _frame(row: SyntheticClip, number: int) -> str:
    return f'Cropped/{row.subject}/{row.clip}/reg_img{number}.jpg'


def _sheets(rows: Sequence[SyntheticClip]) -> list[Sheet]:
    header = ['Subject', 'Filename', None, 'OnsetFrame', 'ApexFrame', 'OffsetFrame', None]
    cells = [
        [
            int(row.subject.removeprefix('sub')),
            row.clip,
            None,
            row.onset,
            '/' if (row.subject, row.clip) == _NO_APEX else row.apex,
            row.offset,
            None,
            row.action_units,
            row.emotion,
        ]
        for row in rows
    ]
    return [
        Sheet(
            file='CASME2-coding-20140508.xlsx',
            header=[*header, 'Action Units', 'Estimated Emotion'],
            cells=cells,
            subject='Subject',
            apex='ApexFrame',
            offset='OffsetFrame',
            emotion='Estimated Emotion',
        )
    ]


LAYOUT = Layout(
    database='casme2',
    subjects=SUBJECTS,
    camera=Camera(width=280, height=340, colour=True, unit=None, noise=1.5),
    rows=_rows,
    frame=_frame,
    sheets=_sheets,
)
