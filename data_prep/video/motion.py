"""How a face moves away from where it was and back again, frame by frame: the signal of the spotter.

A frame is compared with those `limits.WINDOW` before and after it. Each is aligned by its own landmarks, and
what the head did is taken out of the flow. An expression that comes and goes moves the face there and back:
the two motions are opposite, and minus their product is large at the apex. Noise of the two flows is not
alike, so its product is about 0. (Feature difference analysis compares a frame with the same two: Moilanen,
Zhao and Pietikainen, ICPR 2014; theirs is of textures, without a sign.) What is held for longer than two
windows is not seen.

Motion is in pixels of an aligned face of 224. G is the grid that the face is divided into.
"""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from data_prep.face import alignment
from data_prep.face.landmarks import ibug, template
from data_prep.video import head, limits
from data_prep.video.track import Tracked
from dualatme_jax.errors import InputError

SIZE = 128  # pixels of the aligned face on which the flow is computed
GRID = 16
UNIT = 224 / SIZE
_CHIN = range(6, 11)
_FOREHEAD = 0.25  # distances of the eyes above the brows that belong to the face
_UNKNOWN = np.full((GRID, GRID, 2), np.nan, np.float16), np.full(2, np.nan), np.full(2, np.nan)


@dataclasses.dataclass(frozen=True)
class Moved:
    """What is known of one frame.

    Attributes:
      number: of the frame.
      time: seconds.
      flow: [G, G, 2] float16, from the frame `WINDOW` before to this one, without the head; NaN where there
        is none.
      head: [2] the mean motion of the head in that time; NaN where there is none.
      turn: [2] how far the middle of the face went beyond its rim, see `head`; NaN where there is none.
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
    turn: np.ndarray
    landmarks: np.ndarray
    faces: int
    grey: float
    sharpness: float
    found: bool


@dataclasses.dataclass(frozen=True)
class Face:
    """The face of a frame, aligned by its own landmarks.

    Attributes:
      picture: [S, S] uint8.
      matrix: [2, 3], of `Alignment`.
      points: [68, 2], the landmarks in the picture, from 0 to 1.
    """

    picture: np.ndarray
    matrix: np.ndarray
    points: np.ndarray


def solver() -> cv2.DenseOpticalFlow:
    """What computes the flow: DIS, which takes a few milliseconds."""
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def signal(tracked: Iterable[Tracked]) -> Iterator[Moved]:
    """Yields what is known of each frame; only the frames of one `WINDOW` are in memory."""
    flow_of = solver()
    recent: collections.deque[tuple[float, Face | None]] = collections.deque()
    for each in tracked:
        time, face = each.frame.time, None
        if each.landmarks is not None:
            face = aligned(each.grey, each.landmarks, shrunk)
        recent.append((time, face))
        while len(recent) > 1 and recent[1][0] <= time - limits.WINDOW + 1e-6:
            recent.popleft()
        found = _UNKNOWN
        if time - recent[0][0] >= 0.9 * limits.WINDOW and all(known is not None for _, known in recent):
            found = between(flow_of, recent[0][1], face)
        yield _described(each, *found)


def aligned(
    grey: np.ndarray,
    landmarks: np.ndarray,
    warp: Callable[[alignment.Alignment, np.ndarray], np.ndarray] = alignment.Alignment.warp,
) -> Face | None:
    """The face of a frame; None where it lies partly outside.

    Args:
      grey: [H, W] uint8.
      landmarks: [68, 2], in its pixels.
      warp: `shrunk`, which is faster, or `Alignment.warp`, which keeps the last tenths of a pixel.
    """
    try:
        found = alignment.align(landmarks, grey.shape, SIZE)
    except InputError:
        return None
    return Face(warp(found, grey), found.matrix, (found.points(landmarks) + 0.5) / SIZE)


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
    flow_of: cv2.DenseOpticalFlow, before: Face, after: Face
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The motion between two faces without the head's, and the head's, see `Moved`; NaN if none is found.

    Each face is aligned by its own landmarks, so that the flow has little to bridge. The two maps differ by a
    similarity, which is part of what `head.of` takes out: alignment adds no motion.

    Args:
      flow_of: what computes it.
      before: a face.
      after: another one.

    Returns:
      [G, G, 2] float16, and of the head [2] and [2].
    """
    flow = cv2.resize(
        flow_of.calc(before.picture, after.picture, None), (GRID, GRID), interpolation=cv2.INTER_AREA
    )
    found = head.of(flow, after.points)
    if found is None:
        return _UNKNOWN
    # Where the middle of the face would be if the head had not moved.
    back = cv2.invertAffineTransform(before.matrix)
    middle = np.full(2, (SIZE - 1) / 2)
    stayed = after.matrix[:, :2] @ (back[:, :2] @ middle + back[:, 2]) + after.matrix[:, 2]
    moved = found.mean + middle - stayed
    return ((flow - found.field) * UNIT).astype(np.float16), moved * UNIT, found.turn * UNIT


def _described(each: Tracked, flow: np.ndarray, moved: np.ndarray, turn: np.ndarray) -> Moved:
    grey = sharpness = float('nan')
    landmarks = np.full((ibug.NUMBER, 2), np.nan, np.float32)
    if each.landmarks is not None:
        landmarks = each.landmarks
        low, high = np.floor(landmarks.min(0)).astype(int), np.ceil(landmarks.max(0)).astype(int)
        face = each.grey[max(0, low[1]) : high[1] + 1, max(0, low[0]) : high[0] + 1]
        if face.size:
            grey, sharpness = float(face.mean()), float(cv2.Laplacian(face, cv2.CV_32F).var())
    time = each.frame.time
    number, faces = each.frame.number, each.faces
    return Moved(number, time, flow, moved, turn, landmarks, faces, grey, sharpness, each.found)


def cells(points: np.ndarray) -> dict[str, np.ndarray]:
    """Which cells of the grid show what, [G, G] bool each.

    Args:
      points: [68, 2], landmarks of the aligned face, from 0 to 1.

    Returns:
      `face` without the lids, `eyes`, and `mouth` with the chin, which moves as it speaks.
    """
    eyes = np.maximum(
        *(head.covered(points[list(eye)], GRID, 1.4) for eye in (ibug.RIGHT_EYE, ibug.LEFT_EYE))
    )
    # Brows move the skin above them, where there are no landmarks.
    forehead = points[list(ibug.BROWS)] - [0, _FOREHEAD * ibug.eye_distance(points)]
    return {
        'face': (head.covered(np.concatenate([points, forehead]), GRID) > 0.9) & (eyes <= 0.3),
        'eyes': eyes > 0.3,
        'mouth': head.covered(points[[*ibug.MOUTH, *_CHIN]], GRID, 1.0) > 0.5,
    }


def mean_face(landmarks: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The mean of the faces with these landmarks, aligned, [68, 2] in 0..1; the template's without any."""
    found = []
    for each in landmarks:
        with contextlib.suppress(InputError):
            placed = alignment.align(each, shape, SIZE)
            found.append((placed.points(each) + 0.5) / SIZE)
    return np.mean(found, axis=0) if found else template.points() / template.GRID
