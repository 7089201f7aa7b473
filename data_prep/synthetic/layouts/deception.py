"""The real-life trial data (Perez-Rosas et al., ICMI 2015): videos of speakers, a table of their gestures.

The release does not say who speaks; the table of speakers is what a user would have to supply.
"""

import collections
from collections.abc import Sequence

from data_prep.synthetic import assign_subjects
from data_prep.synthetic.film import Camera
from data_prep.synthetic.layout import Layout, Listed, Sheet, SyntheticClip, times

SPEAKERS = tuple(f'speaker{number:02}' for number in range(1, 57))

_CLASSES = {'deceptive': 61, 'truthful': 60}
_SHORT = {'deceptive': 'lie', 'truthful': 'truth'}

# The gestures of the release's table, as it names them.
_GESTURES = """
    OtherGestures Smile Laugh Scowl otherEyebrowMovement Frown Raise OtherEyeMovements Close-R X-Open
    Close-BE gazeInterlocutor gazeDown gazeUp otherGaze gazeSide openMouth closeMouth lipsDown lipsUp
    lipsRetracted lipsProtruded SideTurn downR sideTilt backHead otherHeadM sideTurnR sideTiltR waggle
    forwardHead downRHead singleHand bothHands otherHandM complexHandM sidewaysHand downHands upHands
""".split()  # noqa: SIM905, a list of names is easier to read so
# Which of them an action unit shows as.
_SHOWN = {'12': 'Smile', '4': 'Frown', '1': 'Raise', '2': 'Raise', '15': 'lipsDown', '14': 'lipsRetracted'}


def _rows(listed: Listed | None, frames: int) -> list[SyntheticClip]:
    del listed  # the challenge's list has none of it
    numbers: collections.Counter[str] = collections.Counter()
    rows = []
    for speaker, kind in assign_subjects.dealt(_CLASSES, SPEAKERS):
        numbers[kind] += 1
        clip = f'trial_{_SHORT[kind]}_{numbers[kind]:03}'
        rows.append(SyntheticClip(subject=speaker, clip=clip, emotion=kind, **times(0, frames, len(rows))))
    return sorted(rows, key=lambda row: row.clip)


def _frame(row: SyntheticClip, number: int) -> str:
    del number
    return f'Clips/{row.emotion.capitalize()}/{row.clip}.mp4'


def _sheets(rows: Sequence[SyntheticClip]) -> list[Sheet]:
    gestures = Sheet(
        file='Annotation/All_Gestures_Deceptive and Truthful.csv',
        header=['id', *_GESTURES, 'class'],
        cells=[_gestures(row) for row in rows],
        emotion='class',
    )
    speakers = Sheet(
        file='speakers.csv', header=['clip', 'speaker'], cells=[[row.clip, row.subject] for row in rows]
    )
    return [gestures, speakers]


def _gestures(row: SyntheticClip) -> list[str | int]:
    shown = {'openMouth'} | {_SHOWN[unit] for unit in row.units if unit in _SHOWN}
    return [f'{row.clip}.mp4', *(int(gesture in shown) for gesture in _GESTURES), row.emotion]


LAYOUT = Layout(
    database='deception',
    subjects=SPEAKERS,
    camera=Camera(width=320, height=240, colour=True, unit=(5.5, 6.0), noise=1.5),
    rows=_rows,
    frame=_frame,
    sheets=_sheets,
    video=True,
    frames=30,
)
