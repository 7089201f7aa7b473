"""The motion of the head, which is taken out of a flow: what a face does as a whole is no expression.

`S` is the height and width of the aligned face in pixels, `N` a number of points on it. Motion is (u, v) in
pixels, rightwards and downwards.
"""

import cv2
import numpy as np

from data_prep.face.landmarks import ibug
from dualatme_jax.errors import InputError

HEAD_MOTIONS = {
    'none': 'left in the flow',
    'median': 'the median of the flow over the face is subtracted',
    'points': 'the similarity that fits the flow at the bridge of the nose and the inner corners of the eyes '
    'is subtracted',
    'affine': 'the affine motion that most of the face follows is subtracted',
}

# Points that hardly move by themselves: the bridge of the nose and the inner corners of the eyes. Each stands
# for the disc around it, whose radius has the distance of the eyes for its unit.
STABLE = (*ibug.NOSE[:4], ibug.RIGHT_EYE[3], ibug.LEFT_EYE[0])
_RADIUS = 0.12

_SPACING = 1 / 56  # of points over the face, as a share of its size: 4 pixels at 224
# How far the flow of a point that is still may be from the motion of the head, as a share of the face's size:
# 0.1 pixels at 224. What moves further shows an expression, and does not count.
_TOLERANCE = 0.1 / 224


def of(flow: np.ndarray, points: np.ndarray, kind: str) -> np.ndarray:
    """Returns the motion of the head, [S, S, 2] float32.

    `affine` and `points` are fitted by RANSAC (Fischler and Bolles, CACM 24(6), 1981) as OpenCV has it, whose
    random numbers are the same every time: points of the face that move otherwise than most do not count.

    Args:
      flow: [S, S, 2], of an aligned face.
      points: [68, 2], its landmarks, (x, y) in its pixels.
      kind: a key of `HEAD_MOTIONS`.

    Raises:
      InputError: too few points move together.
    """
    size = len(flow)
    if kind == 'none':
        return np.zeros_like(flow)
    x, y = np.nonzero((_discs if kind == 'points' else _grid)(points, size))[::-1]
    moved = flow[y, x]
    if kind == 'median' and len(x):
        return np.broadcast_to(np.median(moved, axis=0).astype(np.float32), flow.shape)
    fit = cv2.estimateAffinePartial2D if kind == 'points' else cv2.estimateAffine2D
    start = np.stack([x, y], -1).astype(np.float32)
    matrix = None
    if len(x) >= 3:
        matrix, _ = fit(start, start + moved, method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE * size)
    if matrix is None:
        raise InputError(
            f'no motion of the head is found, since none of it is common to {len(x)} points of the face: '
            'its landmarks are wrong or its flow is; look at --overlays, or take --head-motion none'
        )
    y, x = np.mgrid[:size, :size]
    matrix[:, :2] -= np.eye(2)
    return (np.dstack([x, y]) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def _discs(points: np.ndarray, size: int) -> np.ndarray:
    """Which pixels lie around the points that hardly move by themselves, [S, S]."""
    y, x = np.ogrid[:size, :size]
    radius = _RADIUS * ibug.eye_distance(points)
    return np.any([np.hypot(x - a, y - b) <= radius for a, b in points[list(STABLE)]], axis=0)


def _grid(points: np.ndarray, size: int) -> np.ndarray:
    """Which pixels are evenly spaced points between the landmarks, [S, S]."""
    inside = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    spacing = max(1, round(_SPACING * size))
    spaced = np.zeros((size, size), bool)
    spaced[spacing // 2 :: spacing, spacing // 2 :: spacing] = True
    return spaced & (inside > 0)
