"""One face through a recording: found once a second, and anew where it is lost; followed in between.

Where the landmarks of every frame are known, nothing is followed.

Between two detections the head's similarity is followed from frame to frame by points on the face (Lucas and
Kanade, with a check backwards). What the next detection says otherwise is dealt out evenly over the frames
between, so that landmarks do not jump.
"""

import collections
import dataclasses
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from data_prep.face.landmarks import ibug
from data_prep.video.detectors import Detector
from data_prep.video.recording import Frame

AGAIN = 0.2  # seconds between two detections while there is no face
TRUSTED = 5.0  # seconds for which a face is followed that is not detected any more, since it is turned
_POINTS, _LEAST = 80, 12  # that are followed, and of which so many must agree
_WAY_BACK = 0.7  # pixels from where a point began, once followed there and back
_FIT = 1.5  # pixels from the similarity, of points that agree with it
_REACH = 0.25  # of the face's size, around it: further it does not go from one frame to the next
_SAME = 0.5  # of the distance of the eyes: how far a face found is from the one followed, at most


@dataclasses.dataclass(frozen=True)
class Tracked:
    """A frame with its face.

    Attributes:
      frame: the frame.
      grey: [H, W] uint8.
      landmarks: [68, 2] float32 in pixels; None where there is no face.
      faces: how many the last detection found.
      found: whether the detector was asked in this very frame and its word holds: the face, or that there is
        none.
    """

    frame: Frame
    grey: np.ndarray
    landmarks: np.ndarray | None
    faces: int
    found: bool = False


def follow(
    frames: Iterable[Frame],
    detector: Detector,
    *,
    face: int | None = 0,
    last: Tracked | None = None,
    lost: np.ndarray | None = None,
) -> Iterator[Tracked]:
    """Yields every frame with the landmarks of one face.

    Args:
      frames: in order.
      detector: finds faces.
      face: which face at the first detection that finds so many, 0 the largest; afterwards the one nearest
        to it. One that was lost is looked for anew in the same way, so that it may be another; with None,
        of the largest, only where it was lost.
      last: the frame before them, with `found`: it goes on from there, and yields it first.
      lost: the landmarks of the last frame before `last` that has a face, if that has none.
    """
    waiting: collections.deque[Tracked] = collections.deque()  # since the last detection
    due, seen, faces = -np.inf, -np.inf, 0
    if last is not None:
        due = last.frame.time + _wait(detector, last.landmarks is not None)
        seen, faces = last.frame.time, last.faces
        waiting.append(last)
    for frame in frames:
        grey = cv2.cvtColor(frame.picture, cv2.COLOR_BGR2GRAY)
        before = last and last.landmarks
        lost = lost if before is None else before
        moved = _moved(last.grey, grey, before) if before is not None and detector.every else None
        chosen, asked = None, frame.time >= due or (before is not None and moved is None)
        if asked:
            found = detector.faces(frame)
            faces = len(found)
            near = moved if moved is not None else before
            if near is None and face is None and lost is not None:
                chosen = _nearest(found, lost, np.ptp(lost, axis=0).max())
            else:
                chosen = _chosen(found, near, face or 0)
            seen = frame.time if chosen is not None else seen
            if frame.time - seen >= TRUSTED:
                moved = None
            there = chosen is not None or moved is not None
            due = frame.time + _wait(detector, there)
            if chosen is not None and moved is not None:
                yield from _dealt_out(waiting, chosen - moved)
            else:
                yield from waiting
            waiting.clear()
            moved = chosen if chosen is not None else moved
        last = Tracked(frame, grey, moved, faces, asked and (moved is None or chosen is not None))
        waiting.append(last)
    yield from waiting


def _wait(detector: Detector, there: bool) -> float:
    """Seconds until the detector is asked again, by whether there is a face."""
    return (detector.every if there else min(AGAIN, detector.every)) - 1e-6


def _dealt_out(waiting: Iterable[Tracked], error: np.ndarray) -> Iterator[Tracked]:
    rows = list(waiting)
    for place, each in enumerate(rows):
        yield dataclasses.replace(each, landmarks=each.landmarks + error * np.float32(place / len(rows)))


def _chosen(found: np.ndarray, near: np.ndarray | None, face: int) -> np.ndarray | None:
    """The face that is followed; None where it is not among those found."""
    if near is None:
        return found[face] if face < len(found) else None
    return _nearest(found, near, _SAME * 2 * ibug.eye_distance(near))


def _nearest(found: np.ndarray, near: np.ndarray, reach: float) -> np.ndarray | None:
    """The face nearest to another one; None if that is further away than `reach`, in pixels."""
    if not len(found):
        return None
    distances = np.linalg.norm(found.mean(1) - near.mean(0), axis=-1)
    nearest = int(distances.argmin())
    return found[nearest] if distances[nearest] <= reach else None


def _moved(before: np.ndarray, after: np.ndarray, landmarks: np.ndarray) -> np.ndarray | None:
    """Where the landmarks of a frame went in the next one; None where too few points agree."""
    # Only the face and what it can reach: most of the time goes by the number of pixels.
    margin = _REACH * np.ptp(landmarks, axis=0).max()
    low = np.maximum(np.floor(landmarks.min(0) - margin), 0).astype(int)
    high = np.maximum(np.ceil(landmarks.max(0) + margin), low + 1).astype(int)
    box = slice(low[1], high[1]), slice(low[0], high[0])
    before, after = np.ascontiguousarray(before[box]), np.ascontiguousarray(after[box])
    if not before.size:
        return None
    mask = np.zeros_like(before)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(landmarks - low).astype(np.int32)), 255)
    start = cv2.goodFeaturesToTrack(before, _POINTS, 0.01, 5, mask=mask)
    if start is None or len(start) < _LEAST:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, start, None)
    back, _, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None)
    good = (found[:, 0] > 0) & (np.linalg.norm((back - start)[:, 0], axis=-1) < _WAY_BACK)
    if good.sum() < _LEAST:
        return None
    matrix, inside = cv2.estimateAffinePartial2D(start[good], there[good], ransacReprojThreshold=_FIT)
    if matrix is None or inside.sum() < _LEAST:
        return None
    return ((landmarks - low) @ matrix[:, :2].T + matrix[:, 2] + low).astype(np.float32)
