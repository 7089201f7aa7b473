"""Every face of a recording, one after the other: each is followed where no face before it is.

Nobody is recognised. A face that leaves and comes back elsewhere, further away than it is large, is another.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from data_prep.video import events, limits
from data_prep.video.detectors import Detector
from data_prep.video.events import Found
from data_prep.video.recording import Frame, Recording
from dualatme_jax.errors import InputError

MOST = 10  # faces: the recording is looked through once for each


class Others:
    """The faces that a detector finds without those that are followed already.

    Args:
      detector: finds faces.
      followed: of each face the numbers of the frames, [N] ascending, and where it is in each, [N, 3]: middle
        and reach in pixels, NaN where it is not seen.
    """

    def __init__(self, detector: Detector, followed: Sequence[tuple[np.ndarray, np.ndarray]]):
        self.name, self.every, self.coarse = detector.name, detector.every, detector.coarse
        self._detector, self._followed = detector, followed

    def faces(self, frame: Frame) -> np.ndarray:
        found = self._detector.faces(frame)
        for numbers, places in self._followed:
            *middle, reach = places[np.searchsorted(numbers, frame.number)]
            found = found[~(np.linalg.norm(found.mean(1) - middle, axis=-1) <= reach)]
        return found


def folder(out: pathlib.Path, number: int) -> pathlib.Path:
    """Where what is found of a face lies; they are counted from 1."""
    return out / f'face_{number}'


def remove(out: pathlib.Path, *, after: int) -> None:
    """Removes what was found of further faces, which are none any more."""
    while (own := folder(out, after + 1)).is_dir():
        shutil.rmtree(own)
        after += 1


def find(
    recording: Recording, detector: Detector, *, keep: pathlib.Path, progress: events.Progress
) -> Iterator[Found]:
    """Yields what is found of each face that is there for `limits.SEEN`, the largest first.

    Args:
      recording: the recording.
      detector: finds faces.
      keep: where what is known of the frames is kept, see `kept`.
      progress: wraps what yields frames.

    Raises:
      NoFaceError: there is none, or none for so long.
      InputError: the detector is coarse; or as `events.find` does.
      OSError: as `events.find` does.
    """
    if detector.coarse:  # it sees faces where there are none, for seconds
        raise InputError(
            f'--face all by {detector.name}, which sees faces where there are none: install better landmarks '
            "(`pip install -e '.[dlib]'`), or give --face 1, the largest"
        )
    followed: list[tuple[np.ndarray, np.ndarray]] = []
    there = False
    while len(followed) < MOST:
        others = Others(detector, followed) if followed else detector
        own = _of_another(progress) if followed else progress
        try:
            found = events.find(recording, others, face=None, keep=keep, progress=own)
        except events.NoFaceError:
            if not followed:
                raise
            break
        keep = keep / 'others'  # which goes with what is kept of those before, on which it depends
        frames = found.frames
        followed.append((frames.numbers, np.concatenate([*map(_place, found.kept.parts('landmarks'))])))
        more = frames.faces > frames.there
        seconds, least = np.gradient(frames.times), min(limits.SEEN, np.ptp(frames.times) / 2)
        if seconds @ frames.there >= least:
            there = True
            flags = tuple(flag for flag in found.flags if flag != events.SEVERAL)  # who have their answers
            yield dataclasses.replace(found, flags=flags)
        if seconds @ more < least:
            break
    if not there:
        raise events.NoFaceError(
            f'{recording.path}: faces found: {len(followed)}, each for less than {limits.SEEN:g} s; '
            '`--face 1` looks at the largest'
        )


def _of_another(progress: events.Progress) -> events.Progress:
    return lambda frames, what, total: progress(frames, f'another face: {what}', total)


def _place(part: Mapping[str, np.ndarray]) -> np.ndarray:
    landmarks = part['landmarks']
    reach = np.ptp(landmarks, axis=1).max(-1, keepdims=True) / 2
    return np.concatenate([landmarks.mean(1), reach], axis=1)
