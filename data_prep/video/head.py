"""What a head does by moving and turning, in a flow between two aligned faces: it is taken out.

A rigid body seen from afar moves by an affine map of the picture, plus its depth times one vector: the
further a point comes out of the face, the further it goes as the head turns (Koenderink and van Doorn, Affine
structure from motion, JOSA A 8, 1991). The depth is that of an ellipsoid, to second order.

G is the grid that the face is divided into.
"""

import dataclasses

import cv2
import numpy as np

from data_prep.face.landmarks import ibug

# Half-axes of a head from the front, in distances of the eyes: half of 140 mm from cheekbone to cheekbone and
# of 230 mm from chin to crown, at 63 mm from pupil to pupil (means of adults).
_HALF = np.array([1.11, 1.83])
_ROUNDS = 10
_LEAST_SPREAD = 0.05  # pixels of the residual; below it a still face would have weights by chance


@dataclasses.dataclass(frozen=True)
class Head:
    """The motion of a head in the unit of the flow.

    Attributes:
      field: [G, G, 2] float32, in each cell.
      mean: [2], over the face.
      turn: [2], how far the middle of the face goes beyond its rim, which it does by turning.
    """

    field: np.ndarray
    mean: np.ndarray
    turn: np.ndarray


def of(flow: np.ndarray, points: np.ndarray) -> Head | None:
    """The motion of the head; None where the face has too few cells.

    Least squares, in which a cell counts the less the further it is from the fit (Geman and McClure's
    weights), so that an expression, which moves few cells, has no part in it.

    Args:
      flow: [G, G, 2], mean of each cell, in pixels.
      points: [68, 2], landmarks of the aligned face, from 0 to 1.
    """
    size = len(flow)
    basis = _basis(points, size)
    inside = covered(points, size) > 0.9
    if inside.sum() < 2 * basis.shape[-1]:
        return None
    known, moved = basis[inside], flow[inside].astype(float)
    weights = np.ones(len(moved))
    for _ in range(_ROUNDS):
        weighted = known * weights[:, None]
        factors = np.linalg.lstsq(weighted.T @ known, weighted.T @ moved, rcond=None)[0]
        residual = np.linalg.norm(moved - known @ factors, axis=-1)
        spread = max(1.4826 * float(np.median(residual)), _LEAST_SPREAD)
        weights = (1 + (residual / spread) ** 2) ** -2.0
    return Head((basis @ factors).astype(np.float32), (known @ factors).mean(0), factors[-1])


def _basis(points: np.ndarray, size: int) -> np.ndarray:
    """What moves a rigid head: 1, x, y and depth of each cell, [G, G, 4]."""
    places = (np.arange(size) + 0.5) / size
    grid = np.stack(np.meshgrid(places, places), axis=-1)
    x, y = np.moveaxis((grid - ibug.eye_centres(points).mean(0)) / ibug.eye_distance(points), -1, 0)
    return np.stack([np.ones_like(x), x, y, -((x / _HALF[0]) ** 2) - (y / _HALF[1]) ** 2], axis=-1)


def covered(points: np.ndarray, size: int, margin: float = 0.0) -> np.ndarray:
    """Which share of each cell the hull of some points covers, [G, G].

    Args:
      points: [N, 2], from 0 to 1.
      size: G.
      margin: by which the hull is larger, in cells.
    """
    fine = 10
    picture = np.zeros((size * fine, size * fine), np.uint8)
    cv2.fillConvexPoly(picture, cv2.convexHull(np.rint(points * size * fine).astype(np.int32)), 1)
    if margin:
        picture = cv2.dilate(picture, np.ones((2 * round(margin * fine / 2) + 1,) * 2, np.uint8))
    return cv2.resize(picture.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
