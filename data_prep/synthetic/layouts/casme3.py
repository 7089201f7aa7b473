"""CAS(ME)3 part A (Li et al., IEEE TPAMI 2023): one sheet; several clips lie in one folder of frames."""

import collections
import string
from collections.abc import Sequence

from data_prep.synthetic import assign_subjects
from data_prep.synthetic.film import Camera
from data_prep.synthetic.layout import Layout, Listed, Sheet, SyntheticClip, times

SUBJECTS = tuple(f'spNO.{number}' for number in range(1, 95))

_EMOTIONS = {
    'disgust': 250,
    'surprise': 187,
    'others': 161,
    'fear': 86,
    'anger': 64,
    'sad': 57,
    'happy': 55,
}
_CLASSES = {'happy': 1, 'surprise': 2, 'anger': 3, 'disgust': 4, 'sad': 5, 'fear': 6}


def _rows(listed: Listed | None, frames: int) -> list[SyntheticClip]:
    del listed  # the challenge's list has none of it
    places: collections.Counter[str] = collections.Counter()
    rows = []
    for subject, emotion in assign_subjects.dealt(_EMOTIONS, SUBJECTS):
        place = places[subject]
        places[subject] += 1
        # Three clips in one folder, the next one alone, and so on; a folder's clips do not overlap.
        folder = string.ascii_lowercase[place // 4 * 2 + place % 4 // 3]
        when = times(21 + 11 * (place % 5) + place % 4 % 3 * (100 + frames), frames, place)
        clip = f'{folder}_{when["onset"]}'
        rows.append(SyntheticClip(subject=subject, clip=clip, emotion=emotion, folder=folder, **when))
    return rows


def _frame(row: SyntheticClip, number: int) -> str:
    return f'{row.subject}/{row.folder}/color/{number}.jpg'


def _sheets(rows: Sequence[SyntheticClip]) -> list[Sheet]:
    cells = [
        [
            row.subject,
            row.folder,
            row.onset,
            row.apex,
            row.offset,
            row.action_units,
            _CLASSES.get(row.emotion, 7),
            row.emotion,
        ]
        for row in rows
    ]
    return [
        Sheet(
            file='CAS(ME)3_part_A_ME_label_JpgIndex_v2.xlsx',
            header=['Subject', 'Filename', 'Onset', 'Apex', 'Offset', 'AU', 'Objective class', 'emotion'],
            cells=cells,
            subject='Subject',
            apex='Apex',
            offset='Offset',
            emotion='emotion',
        )
    ]


LAYOUT = Layout(
    database='casme3',
    subjects=SUBJECTS,
    camera=Camera(width=640, height=480, colour=True, unit=(11.1, 12.0), noise=1.5),
    rows=_rows,
    frame=_frame,
    sheets=_sheets,
)
