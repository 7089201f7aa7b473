"""From a recording to its events: the whole way, and the tables that are left of it.

events.csv    one row per event: frames, seconds, kind, strength, flags; expressions and what is none
signals.csv   one row per frame: time, motion of face, lids, mouth and head, and whether there is a face
track.npz     `numbers` of the frames and `landmarks`, [N, 68, 2] pixels of the frame, NaN without a face
video.json    rate, frames, size, detector, threshold, flags of the whole recording
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import cv2
import numpy as np
import pandas as pd

from data_prep.face.landmarks import ibug
from data_prep.video import limits, motion, spotter, track
from data_prep.video.detectors import Detector
from data_prep.video.motion import Moved
from data_prep.video.recording import Frame, Recording
from data_prep.video.spotter import Event, Signals
from data_prep.video.track import Tracked
from dualatme_jax.errors import InputError
from dualatme_jax.files import replacing

EVENTS, SIGNALS, VIDEO, TRACK = 'events.csv', 'signals.csv', 'video.json', 'track.npz'
NO_FACE, SEVERAL, SMALL, DARK, BLURRED, TURNED, SLOW, BROKEN, COARSE = (
    'no face in part of it',
    'several faces',
    'face too small',
    'too dark',
    'blurred',
    'head turned',
    'few frames a second',
    'breaks off',
    'coarse landmarks',
)

Progress = Callable[[Iterable[Moved]], Iterable[Moved]]


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found in a recording.

    Attributes:
      recording: the recording.
      moved: what is known of each frame.
      signals: the signals of the spotter.
      events: what happened, in order of time.
      flags: of the whole recording: what makes its answer uncertain.
    """

    recording: Recording
    moved: Sequence[Moved]
    signals: Signals
    events: Sequence[Event]
    flags: tuple[str, ...]


def find(
    recording: Recording,
    detector: Detector,
    *,
    face: int = 0,
    progress: Progress = lambda frames: frames,
) -> Found:
    """Finds the events of a recording.

    Args:
      recording: the recording.
      detector: finds faces.
      face: which face, 0 the largest.
      progress: wraps what yields as each frame is done.

    Raises:
      InputError: no face anywhere, or too few frames.
    """
    moved = list(progress(motion.signal(track.follow(recording.frames(), detector, face=face))))
    faces = [each for each in moved if np.isfinite(each.landmarks).all()]
    if len(moved) < 3:
        raise InputError(f'{recording.path}: {len(moved)} frames could be decoded; expected more, for motion')
    if not faces:
        raise InputError(f'{recording.path}: {_without(moved, detector, face)}')
    shape = next(recording.frames()).picture.shape[:2]
    cells = motion.cells(motion.mean_face(faces[:: max(1, len(faces) // 200)], shape))
    signals = spotter.signals(moved, cells)
    middle, deviation = signals.noise
    found = []
    for place, flags in spotter.peaks(signals):
        number, apex = int(signals.numbers[place]), float(signals.times[place])
        ends, neutral = (apex, apex), True
        if not flags:
            around = _around(recording, moved, apex)
            *ends, neutral = spotter.extent(around, apex, cells['face'])
        numbers = [int(signals.numbers[np.abs(signals.times - end).argmin()]) for end in ends]
        found.append(
            Event(
                onset=numbers[0],
                apex=number,
                offset=numbers[1],
                seconds=(ends[0], apex, ends[1]),
                strength=float(signals.strength[place]),
                score=float((signals.strength[place] - middle) / deviation) if deviation else float('inf'),
                flags=flags if neutral else (*flags, spotter.NO_NEUTRAL),
            )
        )
    flags = _flags(recording, moved, faces) + ((COARSE,) if detector.coarse else ())
    return Found(recording, moved, signals, spotter.shadows(found), flags)


def _without(moved: Sequence[Moved], detector: Detector, face: int) -> str:
    """Says that a face was not found."""
    most = max(each.faces for each in moved)
    if most:
        return (
            f'face {face + 1} was asked for, and {detector.name} found {most} at most in {len(moved)} frames'
        )
    return (
        f'no face was found in {len(moved)} frames by {detector.name}; expected one that looks into the '
        'camera, 80 pixels wide or more'
    )


def _around(recording: Recording, moved: Sequence[Moved], apex: float) -> Iterator[Tracked]:
    """The frames within `limits.LONGEST` of an apex, with their landmarks."""
    near = {each.number: each for each in moved if abs(each.time - apex) <= limits.LONGEST}
    for frame in recording.frames(min(near), max(near)):
        if frame.number in near:
            yield _tracked(frame, near[frame.number])


def _tracked(frame: Frame, moved: Moved) -> Tracked:
    landmarks = moved.landmarks if np.isfinite(moved.landmarks).all() else None
    frame = dataclasses.replace(frame, time=moved.time)
    return Tracked(frame, cv2.cvtColor(frame.picture, cv2.COLOR_BGR2GRAY), landmarks, moved.faces)


def _flags(recording: Recording, moved: Sequence[Moved], faces: Sequence[Moved]) -> tuple[str, ...]:
    """What makes the answer of a whole recording uncertain; every threshold is in `limits`."""
    eyes = [ibug.eye_distance(each.landmarks) * recording.shrinking for each in faces]
    decoded = moved[-1].number + 1
    found = {
        NO_FACE: 1 - len(faces) / len(moved) >= limits.FACELESS,
        SEVERAL: np.median([each.faces for each in moved]) > 1,
        SMALL: np.median(eyes) < limits.FACE_SIZE,
        DARK: np.median([each.grey for each in faces]) < limits.DARK,
        BLURRED: np.median([each.sharpness for each in faces]) < limits.BLURRED,
        TURNED: np.median([_turned(each.landmarks) for each in faces]) > limits.TURNED,
        SLOW: recording.rate < limits.RATE,
        BROKEN: not recording.path.is_dir() and decoded < 0.9 * recording.promised,
    }
    return tuple(name for name, is_so in found.items() if is_so)


def _turned(landmarks: np.ndarray) -> float:
    """How far the tip of the nose is from the middle between the eyes, over their distance."""
    right, left = ibug.eye_centres(landmarks)
    across = (left - right) / np.linalg.norm(left - right)
    return abs(float((landmarks[ibug.NOSE[3]] - (right + left) / 2) @ across)) / ibug.eye_distance(landmarks)


def table(found: Found) -> pd.DataFrame:
    """One row per event, see the module."""
    rows = [
        {
            'onset': each.onset,
            'apex': each.apex,
            'offset': each.offset,
            **dict(zip(('onset_s', 'apex_s', 'offset_s'), np.round(each.seconds, 3), strict=True)),
            'kind': each.kind if each.expression else each.flags[0],
            'expression': each.expression,
            'strength_px': round(each.strength, 3),
            'score': round(each.score, 1),
            'flags': '; '.join(each.flags),
        }
        for each in found.events
    ]
    columns = ['onset', 'apex', 'offset', 'onset_s', 'apex_s', 'offset_s', 'kind', 'expression']
    return pd.DataFrame(rows, columns=[*columns, 'strength_px', 'score', 'flags'])


def write(found: Found, detector: Detector, out: pathlib.Path) -> None:
    """Writes the tables of a recording into a folder, which is made.

    Raises:
      OSError: they cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    signals = pd.DataFrame(
        {
            'frame': found.signals.numbers,
            'seconds': np.round(found.signals.times, 4),
            'strength_px': found.signals.strength,
            'lids_px': found.signals.lids,
            'mouth_px': found.signals.mouth,
            'head_px': found.signals.head,
            'face': [int(np.isfinite(each.landmarks).all()) for each in found.moved],
        }
    )
    about = {
        'path': str(found.recording.path),
        'frame_rate': found.recording.rate,
        'step': found.recording.step,
        'shrinking': found.recording.shrinking,
        'frames': int(found.moved[-1].number) + 1,
        'detector': detector.name,
        'threshold_px': found.signals.threshold,
        'noise_px': found.signals.noise,
        'flags': found.flags,
    }
    for name, own in ((SIGNALS, signals.round(4)), (EVENTS, table(found))):
        with replacing(out / name) as temporary:
            own.to_csv(temporary, index=False, lineterminator='\n')
    with replacing(out / TRACK) as temporary, temporary.open('wb') as file:
        landmarks = np.stack([each.landmarks for each in found.moved]).astype(np.float32)
        np.savez_compressed(file, numbers=found.signals.numbers, landmarks=landmarks)
    with replacing(out / VIDEO) as temporary:
        temporary.write_text(json.dumps(about, indent=2) + '\n', encoding='utf-8')
