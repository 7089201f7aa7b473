"""From a recording to its events: the whole way, and the tables that are left of it.

events.csv    one row per event: frames, seconds, kind, strength, flags; expressions and what is none
signals.csv   one row per frame: time, motion of face, lids, mouth and head, and whether there is a face
track.npz     `numbers` of the frames and `landmarks`, [N, 68, 2] pixels of the frame, NaN without a face
video.json    rate, frames, size, detector, threshold, flags of the whole recording
"""

import collections
import contextlib
import dataclasses
import itertools
import json
import math
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import cv2
import numpy as np
import pandas as pd

from data_prep.face import alignment
from data_prep.face.landmarks import ibug
from data_prep.video import kept, limits, motion, spotter
from data_prep.video.detectors import Detector
from data_prep.video.motion import Moved
from data_prep.video.recording import Recording
from data_prep.video.spotter import Event, Signals
from dualatme_jax.errors import InputError
from dualatme_jax.files import replacing

EVENTS, SIGNALS, VIDEO, TRACK = 'events.csv', 'signals.csv', 'video.json', 'track.npz'
NO_FACE = 'no face in part of it'
CUT = 'face partly outside'
SMALL = 'face too small'
DARK = 'too dark'
BLURRED = 'blurred'
TURNED = 'head turned'
UNSTEADY = 'frames come unevenly'
# Of a whole recording only.
SEVERAL = 'several faces'
SLOW = 'few frames a second'
BROKEN = 'breaks off'  # and how many frames are missing, as of the next
LOST = 'frames cannot be decoded'
COARSE = 'coarse landmarks'
STILL = 'nothing moves'
SHORT = 'too short'

Progress = Callable[[Iterable, str, int | None], Iterable]  # as `progress.tracked`


class NoFaceError(InputError):
    """Nowhere in a recording is the face that is looked for."""


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
    face: int | None = 0,
    keep: pathlib.Path | None = None,
    progress: Progress = lambda frames, *_: frames,
) -> Found:
    """Finds the events of a recording.

    Args:
      recording: the recording.
      detector: finds faces.
      face: which face, see `track.follow`.
      keep: where what is known of the frames is kept, see `kept`; None: nowhere.
      progress: wraps what yields frames.

    Raises:
      NoFaceError: no face anywhere.
      InputError: too few frames.
      OSError: what is known cannot be kept.
    """
    total = math.ceil(recording.promised / recording.step) or None
    moved = list(progress(kept.signal(recording, detector, keep, face=face), 'frames', total))
    faces = _with_face(moved)
    if len(moved) < 3:
        raise InputError(f'{recording.path}: {len(moved)} frames could be decoded; expected more, for motion')
    if not faces:
        raise NoFaceError(f'{recording.path}: {_without(moved, detector, face)}')
    shape = next(recording.frames(moved[0].number)).picture.shape[:2]
    cells = motion.cells(motion.mean_face(faces[:: max(1, len(faces) // 200)], shape))
    signals = spotter.signals(moved, cells)
    middle, deviation = signals.noise
    peaks = spotter.peaks(signals)
    apexes = {float(signals.times[place]): flags for place, flags in peaks}
    unexplained = [apex for apex, flags in apexes.items() if not flags]
    extents = _extents(recording, moved, unexplained, cells['face'], progress)
    found = []
    for place, flags in peaks:
        apex = float(signals.times[place])
        # Of an expression whose frames could not be aligned nobody knows when it begins.
        *ends, neutral = extents.get(apex, (apex, apex, bool(flags)))
        first, last = (int(np.abs(signals.times - end).argmin()) for end in ends)
        numbers = [int(signals.numbers[which]) for which in (first, last)]
        found.append(
            Event(
                onset=numbers[0],
                apex=int(signals.numbers[place]),
                offset=numbers[1],
                seconds=(ends[0], apex, ends[1]),
                strength=float(signals.strength[place]),
                score=float((signals.strength[place] - middle) / deviation) if deviation else float('inf'),
                flags=(
                    *flags,
                    *(() if neutral else (spotter.NO_NEUTRAL,)),
                    *_quality(recording, moved[max(0, first - 1) : last + 2], shape),
                ),
            )
        )
    flags = (*_quality(recording, moved, shape), *_of_all(recording, detector, moved, signals))
    return Found(recording, moved, signals, spotter.shadows(found), flags)


def _without(moved: Sequence[Moved], detector: Detector, face: int | None) -> str:
    """Says that a face was not found."""
    most = max(each.faces for each in moved)
    if most and face is not None:
        return (
            f'face {face + 1} was asked for, and {detector.name} found {most} at most in {len(moved)} frames'
        )
    return (
        f'no face was found in {len(moved)} frames by {detector.name}; expected one that looks into the '
        'camera, 80 pixels wide or more'
    )


def _with_face(moved: Iterable[Moved]) -> list[Moved]:
    return [each for each in moved if np.isfinite(each.landmarks).all()]


def _extents(
    recording: Recording,
    moved: Sequence[Moved],
    apexes: Sequence[float],
    cells: np.ndarray,
    progress: Progress,
) -> dict[float, tuple[float, float, bool]]:
    """Onset, offset and whether there was a neutral face, see `spotter.extent`, of each apex.

    The frames go by once, and only the aligned faces around an apex are in memory.
    """
    times = {each.number: each.time for each in moved}
    faces = _with_face(moved)
    seen = np.array([each.time for each in faces])
    waiting, found = collections.deque(sorted(apexes)), {}
    looks: list[tuple[float, alignment.Alignment, np.ndarray, list[float], list[np.ndarray]]] = []
    if not waiting:
        return found
    there = {each.number for each in faces}
    first = next(each.number for each in moved if each.time >= waiting[0] - limits.LONGEST)
    # One frame without an end, so that the last look ends too.
    again = recording.frames(first, moved[-1].number)
    again = progress(again, 'onsets and offsets', sum(each.number >= first for each in moved))
    for frame in itertools.chain(again, [None]):
        time = np.inf if frame is None else times.get(frame.number)
        if time is None:
            continue
        while waiting and waiting[0] - limits.LONGEST <= time:
            apex = waiting.popleft()
            landmarks = faces[int(np.abs(seen - apex).argmin())].landmarks
            shape = None if frame is None else frame.picture.shape
            with contextlib.suppress(InputError):  # of a face that lies partly outside there is no extent
                aligned = alignment.align(landmarks, shape, motion.SIZE)
                looks.append((apex, aligned, aligned.points(landmarks), [], []))
        for look in [look for look in looks if look[0] + limits.LONGEST < time]:
            looks.remove(look)
            apex, _, points, around, pictures = look
            found[apex] = spotter.extent(np.array(around), pictures, apex, points, cells)
        if looks and frame.number in there:
            grey = cv2.cvtColor(frame.picture, cv2.COLOR_BGR2GRAY)
            for _, aligned, _, around, pictures in looks:
                around.append(time)
                pictures.append(aligned.warp(grey))  # the last tenths of a pixel decide where it ends
    return found


def _quality(recording: Recording, moved: Sequence[Moved], shape: tuple[int, int]) -> tuple[str, ...]:
    """What makes the answer of some frames uncertain; every threshold is in `limits`."""
    faces = _with_face(moved)
    steps = np.diff([each.time for each in moved])
    usual = np.median(steps) if len(steps) else 0
    found = {
        NO_FACE: 1 - len(faces) / len(moved) >= limits.FACELESS,
        UNSTEADY: len(steps) and np.mean(np.abs(steps - usual) > 0.5 * usual) > limits.UNSTEADY,
    }
    if faces:
        eyes = [ibug.eye_distance(each.landmarks) * recording.shrinking for each in faces]
        size = np.array(shape[::-1])
        outside = [((each.landmarks < 0) | (each.landmarks > size - 1)).any(-1).mean() for each in faces]
        found |= {
            CUT: np.median(outside) > limits.OUTSIDE,
            SMALL: np.median(eyes) < limits.FACE_SIZE,
            DARK: np.median([each.grey for each in faces]) < limits.DARK,
            BLURRED: np.median([each.sharpness for each in faces]) < limits.BLURRED,
            TURNED: np.median([_turned(each.landmarks) for each in faces]) > limits.TURNED,
        }
    return tuple(name for name, is_so in found.items() if is_so)


def _of_all(
    recording: Recording, detector: Detector, moved: Sequence[Moved], signals: Signals
) -> tuple[str, ...]:
    """What makes the answer of a whole recording uncertain, beside the quality of its frames."""
    lasts = moved[-1].time - moved[0].time
    known = [part[np.isfinite(part)] for part in (signals.strength, signals.head)]
    found = {
        SEVERAL: np.median([each.faces for each in moved]) > 1,
        SLOW: (len(moved) - 1) / max(lasts, 1e-6) < limits.RATE,
        COARSE: detector.coarse,
        STILL: all(len(part) and np.percentile(part, 95) < limits.STILL for part in known),
        SHORT: lasts < 2 * limits.WINDOW,
    }
    return (*(name for name, is_so in found.items() if is_so), *_missing(recording, moved))


def _missing(recording: Recording, moved: Sequence[Moved]) -> Iterator[str]:
    """Yields which frames a video lacks, and how many.

    A header promises more or less, so of what it says only a second and more counts, if times show it too.
    """
    if recording.path.is_dir():
        return
    last, rate = moved[-1], recording.rate
    lost = last.number // recording.step + 1 - len(moved)
    short = recording.promised - last.number - 1
    if short > rate:
        if recording.promised / rate - last.time > 1 + 1 / rate:
            yield f'{BROKEN}: {short} are missing'
        elif np.diff([each.time for each in moved]).max() > 1:
            lost += short
    if lost:
        yield f'{LOST}: {lost}'


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
        'timed': found.recording.timed,
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
