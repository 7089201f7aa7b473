"""SMIC-HS (Li et al., FG 2013): no sheet; one folder per clip, with its frames from onset to offset."""

import itertools
from collections.abc import Iterator

from data_prep.synthetic import assign_subjects
from data_prep.synthetic.film import Camera
from data_prep.synthetic.layout import Layout, Listed, SyntheticClip, times

SUBJECTS = tuple(f's{number:02}' for number in (*range(1, 7), 8, 9, *range(11, 16), 18, 19, 20))

_CLASSES = {'negative': 70, 'positive': 51, 'surprise': 43}
_SHORT = {'negative': 'ne', 'positive': 'po', 'surprise': 'sur'}


def _rows(listed: Listed | None, frames: int) -> list[SyntheticClip]:
    clips = listed or assign_subjects.titled(assign_subjects.dealt(_CLASSES, SUBJECTS), _titles)
    return [
        SyntheticClip(
            subject=subject, clip=clip, emotion=label, **times(100_000 + 1_117 * place, frames, place)
        )
        for place, (subject, clip, label) in enumerate(sorted(clips))
    ]


def _titles(subject: str, label: str) -> Iterator[str]:
    return (f'{subject}_{_SHORT[label]}_{number:02}' for number in itertools.count(1))


def _frame(row: SyntheticClip, number: int) -> str:
    return f'HS/{row.subject}/micro/{row.emotion}/{row.clip}/image{number:06}.jpg'


LAYOUT = Layout(
    database='smic',
    subjects=SUBJECTS,
    camera=Camera(width=640, height=480, colour=True, unit=(11.1, 12.0), noise=1.5),
    rows=_rows,
    frame=_frame,
    sheets=lambda rows: [],
)
