"""A picture for people: landmarks and regions on an aligned face, beside the puzzled face made of it."""

from collections.abc import Mapping

import cv2
import numpy as np

from data_prep.face import regions
from data_prep.face.aligned_clip import AlignedClip

SIZE = 448  # height and width of the face in the picture, in pixels

_COLOURS = {'E': (80, 220, 80), 'F': (230, 160, 60), 'N': (60, 200, 255), 'M': (110, 90, 255)}  # blue first
_POINT = (255, 255, 255)


def of(aligned: AlignedClip, pair: str = 'EM') -> np.ndarray:
    """Returns the picture of a clip's onset, [`SIZE`, 2 `SIZE`, 3] uint8, blue first."""
    face, _ = aligned.pair(SIZE)
    points = aligned.alignment(SIZE).points(aligned.landmarks)
    return draw(face, points, aligned.boxes(SIZE), pair)


def draw(
    face: np.ndarray, points: np.ndarray, boxes: Mapping[str, regions.Box], pair: str = 'EM'
) -> np.ndarray:
    """Draws landmarks and regions on a face, and sets the puzzled face at its right.

    Args:
      face: [S, S, 3] uint8, an aligned face.
      points: [68, 2], its landmarks in pixels.
      boxes: its regions, as `regions.boxes` returns them.
      pair: which regions make the puzzled face, one of `regions.PAIRS`.

    Returns:
      [S, 2 S, 3] uint8.
    """
    marked = face.copy()
    for letter, (top, bottom, left, right) in boxes.items():
        cv2.rectangle(marked, (left, top), (right - 1, bottom - 1), _COLOURS[letter], 1)
        # E and F share their left edge: each letter stands in its own corner.
        corner = (left + 4, bottom - 6) if letter == 'E' else (left + 4, top + 16)
        cv2.putText(marked, letter, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _COLOURS[letter], 1, cv2.LINE_AA)
    for x, y in np.rint(points).astype(int):
        cv2.circle(marked, (int(x), int(y)), 1, _POINT, -1)
    return np.hstack([marked, regions.puzzle(face, pair, boxes)])
