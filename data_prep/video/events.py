"""From a recording to its events: the whole way, and the tables that are left of it.

events.csv    one row per event: frames, seconds, kind, strength, flags; expressions and what is none
signals.csv   one row per frame: time, motion of face, lids, mouth and head, whether there is a face, and how
              the head turns there and back
track.npz     `numbers` of the frames and `landmarks`, [N, 68, 2] pixels of the frame, NaN without a face
video.json    rate, frames, size, detector, threshold, flags of the whole recording
"""

import collections
import dataclasses
import itertools
import json
import math
import pathlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence

import cv2
import numpy as np
import pandas as pd

from data_prep.files import npz_rows
from data_prep.video import known, limits, motion, spotter
from data_prep.video.detectors import Detector
from data_prep.video.kept import Kept
from data_prep.video.known import Frames
from data_prep.video.recording import RATE, Recording
from data_prep.video.spotter import Event, Signals
from dualatme_jax.errors import InputError
from dualatme_jax.files import replacing

EVENTS, SIGNALS, VIDEO, TRACK = 'events.csv', 'signals.csv', 'video.json', 'track.npz'
INPUTS, RECIPE = 'inputs.npz', 'inputs.json'  # see `clips`
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
ASSUMED = f'{RATE:g} frames a second are assumed; --fps says how many'
BROKEN = 'breaks off'  # and how many frames are missing, as of the next
LOST = 'frames cannot be decoded'
GAPS = 'images are missing'
COARSE = 'coarse landmarks'
STILL = 'nothing moves'
SHORT = 'too short'

_AT_ONCE = 2**16  # rows of a table that are made text

Progress = Callable[[Iterable, str, int | None], Iterable]  # as `progress.tracked`


class NoFaceError(InputError):
    """Nowhere in a recording is the face that is looked for."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found in a recording.

    Attributes:
      recording: the recording.
      kept: what is known of its frames, with landmarks.
      frames: the same in a few numbers each.
      signals: the signals of the spotter.
      events: what happened, in order of time.
      flags: of the whole recording: what makes its answer uncertain.
    """

    recording: Recording
    kept: Kept
    frames: Frames
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
      keep: the folder in which what is known of the frames is kept, see `Kept`.
      progress: wraps what yields frames.

    Raises:
      NoFaceError: no face anywhere.
      InputError: too few frames.
      OSError: what is known cannot be kept.
    """
    total = math.ceil(recording.promised / recording.step) or None
    kept = Kept(keep)
    count = sum(1 for _ in progress(kept.signal(recording, detector, face=face), 'frames', total))
    if count < 3:
        raise InputError(f'{recording.path}: {count} frames could be decoded; expected more, for motion')
    shape = next(recording.frames()).picture.shape[:2]
    frames = known.frames(kept.parts(*known.FIELDS), shape)
    faces = np.flatnonzero(frames.there)
    if not len(faces):
        raise NoFaceError(f'{recording.path}: {_without(frames, detector, face)}')
    some = kept.landmarks(faces[:: max(1, len(faces) // 200)])
    cells = motion.cells(motion.mean_face(some, shape))
    signals = spotter.signals(frames.numbers, frames.times, kept.parts('flow', 'head', 'turn'), cells)
    peaks = spotter.peaks(signals)
    unexplained = [float(signals.times[place]) for place, flags in peaks if not flags]
    extents = _extents(recording, kept, frames, unexplained, cells['face'], progress)
    found = []
    for place, flags in peaks:
        apex = float(signals.times[place])
        # Of what is no expression, how long the signal is above half of its peak.
        *ends, neutral = extents.get(apex, (*spotter.width(signals, place), True))
        first, last = spotter.nearest(signals.times, np.array(ends)).tolist()
        numbers = [int(signals.numbers[which]) for which in (first, last)]
        lost = () if flags or apex in extents else (spotter.UNSEEN,)
        found.append(
            Event(
                onset=numbers[0],
                apex=int(signals.numbers[place]),
                offset=numbers[1],
                seconds=(ends[0], apex, ends[1]),
                strength=float(signals.strength[place]),
                score=float(signals.strength[place] / signals.noise) if signals.noise else math.inf,
                flags=(
                    *flags,
                    *lost,
                    *(() if neutral else (spotter.NO_NEUTRAL,)),
                    *_quality(recording, frames[max(0, first - 1) : last + 2]),
                ),
            )
        )
    flags = (*_quality(recording, frames), *_of_all(recording, detector, frames, signals))
    return Found(recording, kept, frames, signals, spotter.shadows(found), flags)


def _without(frames: Frames, detector: Detector, face: int | None) -> str:
    """Says that a face was not found."""
    most = frames.faces.max()
    if most and face is not None:
        return (
            f'face {face + 1} was asked for, and {detector.name} found {most} at most in {len(frames)} frames'
        )
    return (
        f'no face was found in {len(frames)} frames by {detector.name}; expected one that looks into the '
        'camera, 80 pixels wide or more'
    )


def _extents(
    recording: Recording,
    kept: Kept,
    frames: Frames,
    apexes: Sequence[float],
    cells: np.ndarray,
    progress: Progress,
) -> dict[float, tuple[float, float, bool]]:
    """Onset, offset and whether there was a neutral face, see `spotter.extent`, of each apex, ascending.

    The frames go by once, and only the aligned faces around an apex are in memory.
    """
    if not apexes:
        return {}
    waiting, found = collections.deque(apexes), {}
    recent: collections.deque[tuple[float, motion.Face]] = collections.deque()
    first = int(np.searchsorted(frames.times, apexes[0] - limits.LONGEST))
    again = recording.frames(int(frames.numbers[first]), int(frames.numbers[-1]))
    again = progress(again, 'onsets and offsets', len(frames) - first)
    known_of = (row for part in kept.parts('number', 'landmarks') for row in zip(*part.values(), strict=True))
    # One frame without an end, so that the last look ends too.
    for frame in itertools.chain(again, [None]):
        place = -1 if frame is None else int(np.searchsorted(frames.numbers, frame.number))
        time = math.inf if frame is None else frames.times[place]
        while waiting and waiting[0] + limits.LONGEST < time:
            apex = waiting.popleft()
            around = [each for each in recent if each[0] >= apex - limits.LONGEST]
            if any(when == apex for when, _ in around):
                found[apex] = spotter.extent(*zip(*around, strict=True), apex, cells)
        if not waiting:
            break
        while recent and recent[0][0] < waiting[0] - limits.LONGEST:
            recent.popleft()
        if frames.there[place] and time >= waiting[0] - limits.LONGEST:
            landmarks = next(points for number, points in known_of if number == frame.number)
            grey = cv2.cvtColor(frame.picture, cv2.COLOR_BGR2GRAY)
            # The last tenths of a pixel decide where it ends: the face is not `shrunk`.
            if (face := motion.aligned(grey, landmarks)) is not None:
                recent.append((time, face))
    return found


def _quality(recording: Recording, frames: Frames) -> tuple[str, ...]:
    """What makes the answer of some frames uncertain; every threshold is in `limits`."""
    faces, steps = frames[frames.there], np.diff(frames.times)
    usual = np.median(steps) if len(steps) else 0
    found = {
        NO_FACE: 1 - len(faces) / len(frames) >= limits.FACELESS,
        UNSTEADY: len(steps) and np.mean(np.abs(steps - usual) > 0.5 * usual) > limits.UNSTEADY,
    }
    if len(faces):
        found |= {
            CUT: np.median(faces.outside) > limits.OUTSIDE,
            SMALL: np.median(faces.eyes) * recording.shrinking < limits.FACE_SIZE,
            DARK: np.median(faces.grey) < limits.DARK,
            BLURRED: np.median(faces.sharpness) < limits.BLURRED,
            TURNED: np.median(faces.turned) > limits.TURNED,
        }
    return tuple(name for name, is_so in found.items() if is_so)


def _of_all(recording: Recording, detector: Detector, frames: Frames, signals: Signals) -> tuple[str, ...]:
    """What makes the answer of a whole recording uncertain, beside the quality of its frames."""
    lasts = float(np.ptp(frames.times))
    motions = [part[np.isfinite(part)] for part in (signals.strength, signals.head)]
    found = {
        SEVERAL: np.median(frames.faces) > 1,
        ASSUMED: recording.assumed,
        SLOW: (len(frames) - 1) / max(lasts, 1e-6) < limits.RATE,
        COARSE: detector.coarse,
        STILL: all(len(part) and np.percentile(part, 95) < limits.STILL for part in motions),
        SHORT: lasts < 2 * limits.WINDOW,
    }
    return (*(name for name, is_so in found.items() if is_so), *_missing(recording, frames))


def _missing(recording: Recording, frames: Frames) -> Iterator[str]:
    """Yields which frames a video lacks, and how many.

    A header promises more or less, so of what it says only a second and more counts, if times show it too.
    """
    if recording.path.is_dir():
        missing = round(frames.times[-1] * recording.rate) - (len(frames) - 1) * recording.step
        if missing > 0:
            yield f'{GAPS}: {missing}'
        return
    last, rate = int(frames.numbers[-1]), recording.rate
    lost = last // recording.step + 1 - len(frames)
    short = recording.promised - last - 1
    if short > rate:
        if recording.promised / rate - frames.times[-1] > 1 + 1 / rate:
            yield f'{BROKEN}: {short} frames are missing'
        elif np.diff(frames.times).max() > 1:
            lost += short
    if lost:
        yield f'{LOST}: {lost}'


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


def _middle(found: Found) -> list[int]:
    """Where the face is on average, (x, y) in pixels of the recording."""
    sums = [np.nansum(part['landmarks'].mean(1), axis=0) for part in found.kept.parts('landmarks')]
    middle = np.sum(sums, axis=0) / found.frames.there.sum() * found.recording.shrinking
    return np.rint(middle).astype(int).tolist()


def write(found: Found, detector: Detector, out: pathlib.Path) -> None:
    """Writes the tables of a recording into a folder, which is made.

    Raises:
      OSError: they cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    columns = {
        'frame': found.signals.numbers,
        'seconds': found.signals.times,
        'strength_px': found.signals.strength,
        'lids_px': found.signals.lids,
        'mouth_px': found.signals.mouth,
        'head_px': found.signals.head,
        'face': found.frames.there,
        'turn_px': found.signals.turn,
    }
    about = {
        'path': str(found.recording.path),
        'frame_rate': found.recording.rate,
        'timed': found.recording.timed,
        'step': found.recording.step,
        'shrinking': found.recording.shrinking,
        'frames': int(found.frames.numbers[-1]) + 1,
        'detector': detector.name,
        'note': detector.note if detector.coarse else '',
        'middle': _middle(found),
        'threshold_px': found.signals.threshold,
        'noise_px': found.signals.noise,
        'flags': found.flags,
    }
    with replacing(out / SIGNALS) as temporary, temporary.open('w', encoding='utf-8', newline='') as file:
        for first in range(0, len(found.frames), _AT_ONCE):
            some = {name: column[first : first + _AT_ONCE] for name, column in columns.items()}
            rows = pd.DataFrame(some).astype({'face': int}).round(4)
            rows.to_csv(file, header=not first, index=False, lineterminator='\n')
    with replacing(out / EVENTS) as temporary:
        table(found).to_csv(temporary, index=False, lineterminator='\n')
    with replacing(out / TRACK) as temporary, zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED) as file:
        landmarks = (part['landmarks'] for part in found.kept.parts('landmarks'))
        npz_rows.write(file, 'numbers', [found.frames.numbers], len(found.frames))
        npz_rows.write(file, 'landmarks', landmarks, len(found.frames))
    with replacing(out / VIDEO) as temporary:
        temporary.write_text(json.dumps(about, indent=2) + '\n', encoding='utf-8')
