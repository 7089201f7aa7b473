"""The 68 landmarks of a face: which is which, and the two faults that every source can have.

Sagonas et al.: 300 Faces in-the-Wild Challenge, ICCV workshops 2013, numbered from 0. Right and left are the
person's: the right eye stands at the left of the picture.
"""

from collections.abc import Sequence

import numpy as np

from dualatme_jax.errors import InputError

NUMBER = 68
JAW = range(17)
BROWS = range(17, 27)
NOSE = range(27, 36)
RIGHT_EYE = range(36, 42)
LEFT_EYE = range(42, 48)
MOUTH = range(48, 68)

PARTS = {'jaw': JAW, 'brows': BROWS, 'nose': NOSE, 'eyes': range(36, 48), 'mouth': MOUTH}


def eye_centres(landmarks: np.ndarray) -> np.ndarray:
    """Returns the centres of the right and the left eye, [2, 2], of landmarks [68, 2]."""
    return np.stack([landmarks[eye].mean(0) for eye in (RIGHT_EYE, LEFT_EYE)])


def eye_distance(landmarks: np.ndarray) -> float:
    """Returns the distance of the eyes' centres of landmarks [68, 2], in their unit."""
    right, left = eye_centres(landmarks)
    return float(np.linalg.norm(left - right))


def check_one(boxes: Sequence[Sequence[float]], shape: Sequence[int]) -> None:
    """Raises InputError unless exactly one face was found.

    Args:
      boxes: (left, top, right, bottom) in pixels of each face.
      shape: (H, W, ...) of the frame.
    """
    height, width = shape[:2]
    place = f'in the onset frame ({width}x{height} pixels)'
    remedy = 'or give the landmarks in a file (--landmarks FILE)'
    if not boxes:
        raise InputError(
            f'no face was found {place}; expected one, upright and not too small: crop the frames to the '
            f'face, {remedy}'
        )
    if len(boxes) > 1:
        places = ', '.join(
            f'x {left:.0f}..{right:.0f} y {top:.0f}..{bottom:.0f}' for left, top, right, bottom in boxes[:4]
        )
        raise InputError(
            f'{len(boxes)} faces were found {place}, at {places}; expected one: '
            f'crop the frames to the right one, {remedy}'
        )


def checked(landmarks: np.ndarray) -> np.ndarray:
    """Returns the landmarks as [68, 2] float32.

    Raises:
      InputError: they are of another number, or not finite.
    """
    landmarks = np.asarray(landmarks, np.float32)
    if landmarks.shape != (NUMBER, 2):
        raise InputError(f'landmarks of shape {landmarks.shape} were found, expected {(NUMBER, 2)}')
    bad = np.flatnonzero(~np.isfinite(landmarks).all(1))
    if bad.size:
        raise InputError(f'the landmarks {", ".join(map(str, bad))} are not finite numbers')
    return landmarks
