"""How a face moves away from where it was and back again, frame by frame: the signal of the spotter.

A frame is compared with those `limits.WINDOW` before and after it. Both pairs are aligned by one map each, so
that alignment adds no motion, and what the head did is taken out of the flow. An expression that comes and
goes moves the face there and back: the two motions are opposite, and minus their product is large at the
apex. Noise of the two flows is not alike, so its product is about 0. (Feature difference analysis compares a
frame with the same two: Moilanen, Zhao and Pietikainen, ICPR 2014; theirs is of textures, without a sign.)

Motion is in pixels of an aligned face of 224. G is the grid that the face is divided into.
"""

import collections
import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from data_prep.face import alignment
from data_prep.face.landmarks import ibug, template
from data_prep.video import limits
from data_prep.video.track import Tracked
from data_prep.views import head_motion
from dualatme_jax.errors import InputError

SIZE = 128  # pixels of the aligned face on which the flow is computed
GRID = 16
UNIT = 224 / SIZE
_CHIN = range(6, 11)
_UNKNOWN = np.full((GRID, GRID, 2), np.nan, np.float16), np.full(2, np.nan)


@dataclasses.dataclass(frozen=True)
class Moved:
    """What is known of one frame.

    Attributes:
      number: of the frame.
      time: seconds.
      flow: [G, G, 2] float16, from the frame `WINDOW` before to this one, without the head; NaN where there
        is none.
      head: [2] the mean motion of the head in that time; NaN where there is none.
      landmarks: [68, 2] in pixels of the frame; NaN without a face.
      faces: how many the last detection found.
      grey: mean grey level of the aligned face; NaN without a face.
      sharpness: variance of its Laplacian.
      found: as of `Tracked`.
    """

    number: int
    time: float
    flow: np.ndarray
    head: np.ndarray
    landmarks: np.ndarray
    faces: int
    grey: float
    sharpness: float
    found: bool


def solver() -> cv2.DenseOpticalFlow:
    """What computes the flow: DIS, which takes a few milliseconds."""
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def signal(tracked: Iterable[Tracked]) -> Iterator[Moved]:
    """Yields what is known of each frame; only the frames of one `WINDOW` are in memory."""
    flow_of = solver()
    recent: collections.deque[Tracked] = collections.deque()
    for each in tracked:
        recent.append(each)
        while len(recent) > 1 and recent[1].frame.time <= each.frame.time - limits.WINDOW + 1e-6:
            recent.popleft()
        before, middle = recent[0], recent[len(recent) // 2]
        flow, head = _UNKNOWN
        far_enough = each.frame.time - before.frame.time >= 0.9 * limits.WINDOW
        if far_enough and all(part.landmarks is not None for part in recent):
            with contextlib.suppress(InputError):  # the face lies partly outside
                aligned = alignment.align(middle.landmarks, each.grey.shape, SIZE)
                faces = [shrunk(aligned, part.grey) for part in (before, each)]
                flow, head = between(flow_of, *faces, aligned.points(middle.landmarks))
        yield _described(each, flow, head)


def shrunk(aligned: alignment.Alignment, grey: np.ndarray) -> np.ndarray:
    """The aligned face of a frame, [S, S] uint8; faster than by `Alignment.warp`, and free of aliases too.

    The frame is shrunk by a whole number first, each pixel the mean over its area.
    """
    times = int(1 / np.linalg.svd(aligned.matrix[:, :2], compute_uv=False).max())
    if times < 2:
        return aligned.warp(grey)
    height, width = (side // times for side in grey.shape)
    small = cv2.resize(grey[: height * times, : width * times], (width, height), interpolation=cv2.INTER_AREA)
    matrix = aligned.matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ np.full(2, (times - 1) / 2)  # where the first small pixel's centre lies
    matrix[:, :2] *= times
    size = (aligned.size, aligned.size)
    return cv2.warpAffine(small, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def between(
    flow_of: cv2.DenseOpticalFlow, before: np.ndarray, after: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The motion between two faces and that of the head; NaN if none is found.

    Args:
      flow_of: what computes it.
      before: [S, S] uint8, aligned.
      after: the same, by the same map.
      points: [68, 2], landmarks of the aligned face in its pixels.

    Returns:
      [G, G, 2] float16 without the head, and the head's mean motion, [2].
    """
    found = flow_of.calc(before, after, None)
    try:
        head = head_motion.of(found, points, 'affine')
    except InputError:  # it turns so fast that nothing is common
        return _UNKNOWN
    small = cv2.resize((found - head) * np.float32(UNIT), (GRID, GRID), interpolation=cv2.INTER_AREA)
    return small.astype(np.float16), head.mean((0, 1)) * UNIT


def _described(each: Tracked, flow: np.ndarray, head: np.ndarray) -> Moved:
    grey = sharpness = float('nan')
    landmarks = np.full((ibug.NUMBER, 2), np.nan, np.float32)
    if each.landmarks is not None:
        landmarks = each.landmarks
        low, high = np.floor(landmarks.min(0)).astype(int), np.ceil(landmarks.max(0)).astype(int)
        face = each.grey[max(0, low[1]) : high[1] + 1, max(0, low[0]) : high[0] + 1]
        if face.size:
            grey, sharpness = float(face.mean()), float(cv2.Laplacian(face, cv2.CV_32F).var())
    time = each.frame.time
    return Moved(each.frame.number, time, flow, head, landmarks, each.faces, grey, sharpness, each.found)


def cells(points: np.ndarray) -> dict[str, np.ndarray]:
    """Which cells of the grid show what, [G, G] bool each.

    Args:
      points: [68, 2], landmarks of the aligned face, from 0 to 1.

    Returns:
      `face` without the lids, `eyes`, and `mouth` with the chin, which moves as it speaks.
    """
    points = points * GRID
    eyes = np.maximum(*(_covered(points[list(eye)], 1.4) for eye in (ibug.RIGHT_EYE, ibug.LEFT_EYE))) > 0.3
    return {
        'face': (_covered(points, 0.0) > 0.9) & ~eyes,
        'eyes': eyes,
        'mouth': _covered(points[[*ibug.MOUTH, *_CHIN]], 1.0) > 0.5,
    }


def mean_face(landmarks: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The mean of the faces with these landmarks, aligned, [68, 2] in 0..1; the template's without any."""
    found = []
    for each in landmarks:
        with contextlib.suppress(InputError):
            aligned = alignment.align(each, shape, SIZE)
            found.append((aligned.points(each) + 0.5) / SIZE)
    return np.mean(found, axis=0) if found else template.points() / template.GRID


def _covered(points: np.ndarray, margin: float) -> np.ndarray:
    """Which share of each cell the hull of some points and a margin, in cells, covers, [G, G]."""
    fine = 10
    picture = np.zeros((GRID * fine, GRID * fine), np.uint8)
    cv2.fillConvexPoly(picture, cv2.convexHull(np.rint(points * fine).astype(np.int32)), 1)
    if margin:
        picture = cv2.dilate(picture, np.ones((2 * round(margin * fine / 2) + 1,) * 2, np.uint8))
    return cv2.resize(picture.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
