"""Regions of an aligned face, and the puzzled face made of two of them (HARS).

Zhou et al., Dual-ATME, Entropy 25(3):460, 2023: an upper and a lower region of the face are resized to half
the height and the full width each and stacked. `H`, `W`, `C` are height, width and channels.
"""

import dataclasses
import functools
import itertools
from collections.abc import Collection, Mapping, Sequence

import cv2
import numpy as np

from data_prep.face.landmarks import ibug, template
from dualatme_jax.errors import InputError

GRID = template.GRID

Box = tuple[int, int, int, int]  # top, bottom, left, right in pixels, half-open


@dataclasses.dataclass(frozen=True)
class Region:
    """The box around some landmarks, widened by margins; their unit is the distance between the eyes."""

    landmarks: tuple[int, ...]
    top: float
    bottom: float
    sides: float


# Dual-ATME's letters. The paper names the regions but gives no bounds, and does not define F: our reading.
REGIONS = {
    'E': Region(
        (*ibug.BROWS, *ibug.RIGHT_EYE, *ibug.LEFT_EYE), top=0.12, bottom=0.1, sides=0.15
    ),  # eyes, brows
    'F': Region((*ibug.BROWS,), top=0.5, bottom=0.12, sides=0.15),  # forehead with the brows
    'N': Region((*ibug.NOSE[1:],), top=0.05, bottom=0.05, sides=0.4),  # nose, below its root between the eyes
    'M': Region((*ibug.MOUTH,), top=0.15, bottom=0.15, sides=0.3),  # mouth
}

# The upper region's letter, then the lower one's. `full` is the paper's control: the face itself.
PAIRS = (*map(''.join, itertools.permutations(REGIONS, 2)), 'full')


def letters(pair: str) -> str:
    """Returns the letters of the regions that a puzzled face is cut from: none if it is the face itself."""
    return '' if pair == 'full' else pair


def landmarks_of(pair: str) -> set[int]:
    """Returns the landmarks of the regions of a pair; of `full`, all but those of the jaw."""
    chosen = letters(pair) or REGIONS
    return {landmark for letter in chosen for landmark in REGIONS[letter].landmarks}


def boxes(
    landmarks: np.ndarray, shape: Sequence[int], needed: Collection[str] = tuple(REGIONS)
) -> dict[str, Box]:
    """Returns letter -> box of each region on an aligned face, without those that mostly lie outside of it.

    Args:
      landmarks: [68, 2], (x, y) in pixels of the aligned face.
      shape: (H, W, ...) of the aligned face; the boxes are clipped to it.
      needed: the letters of the regions that must not lie outside.

    Raises:
      InputError: more than half of a region that is needed lies outside.
    """
    bounds = {letter: _bounds(landmarks, region) for letter, region in REGIONS.items()}
    return _clipped(bounds, shape, needed)


@functools.cache
def template_boxes(shape: tuple[int, int] = (GRID, GRID), database: str | None = None) -> Mapping[str, Box]:
    """Returns the template's boxes, at a database's place, on a face of shape (H, W) filling its picture."""
    height, width = shape
    square = template.stretched((GRID, GRID), database)
    scale = np.array([height, height, width, width]) / GRID
    bounds = {letter: _bounds(square, region) * scale for letter, region in REGIONS.items()}
    return _clipped(bounds, shape, REGIONS)


def puzzle(image: np.ndarray, pair: str, boxes: Mapping[str, Box] | None = None) -> np.ndarray:
    """Stacks the two regions of `pair` into an image of the size of the whole face.

    Args:
      image: [H, W] or [H, W, C], an aligned face; any type that `cv2.resize` takes.
      pair: one of `PAIRS`: the upper region's letter, then the lower one's; `full` returns the face itself.
      boxes: the regions in this image; by default those of the template.

    Returns:
      [H, W] or [H, W, C], the type of `image`.

    Raises:
      InputError: unknown pair, or an image smaller than the template's grid.
    """
    check_pair(pair)
    height, width = image.shape[:2]
    if min(height, width) < GRID:
        raise InputError(f'an image of {width}x{height} pixels is too small to cut: at least {GRID}x{GRID}')
    if pair == 'full':
        return image
    boxes = template_boxes((height, width)) if boxes is None else boxes
    halves = []
    half = seam(height, pair)
    for letter, rows in zip(pair, (half, height - half), strict=True):
        top, bottom, left, right = boxes[letter]
        cut = image[top:bottom, left:right]
        halves.append(cv2.resize(cut, (width, rows), interpolation=cv2.INTER_LINEAR))
    return np.concatenate(halves)


def puzzled_motion(motion: np.ndarray, pair: str, boxes: Mapping[str, Box] | None = None) -> np.ndarray:
    """Stacks the two regions of a motion of the face as `puzzle` does its frames: a motion grows with them.

    Args:
      motion: [H, W, 2], (u, v) in pixels of the face.
      pair, boxes: as of `puzzle`.

    Returns:
      [H, W, 2], in pixels of the puzzled face.
    """
    stacked = puzzle(motion, pair, boxes)
    if pair == 'full':
        return stacked
    (height, width), half = motion.shape[:2], seam(len(motion), pair)
    boxes = template_boxes((height, width)) if boxes is None else boxes
    scales = []
    for letter, rows in zip(pair, (half, height - half), strict=True):
        top, bottom, left, right = boxes[letter]
        scales += [(width / (right - left), rows / (bottom - top))] * rows
    return stacked * np.array(scales, motion.dtype)[:, None]


def seam(height: int, pair: str) -> int:
    """Returns the row of a puzzled face of `height` pixels where its lower half begins; 0 if it has none."""
    return 0 if pair == 'full' else height // 2


def check_pair(pair: str) -> None:
    """Raises InputError unless `pair` is one of `PAIRS`."""
    if pair not in PAIRS:
        raise InputError(
            f'unknown pair of regions {pair!r}: expected two different letters of {", ".join(REGIONS)}, '
            "the upper region's first, such as EM, or full"
        )


def recipe(pair: str) -> dict:
    """Returns what the metadata says about the regions: the pair and how the regions are defined."""
    return {
        'pair': pair,
        'definition': {letter: dataclasses.asdict(region) for letter, region in REGIONS.items()},
        'unit': 'the distance between the centres of the eyes',
    }


def _bounds(landmarks: np.ndarray, region: Region) -> np.ndarray:
    """Returns top, bottom, left, right in pixels; 0 is the first pixel's edge."""
    eyes = ibug.eye_centres(np.asarray(landmarks, float))
    unit = np.linalg.norm(eyes[1] - eyes[0])
    points = np.asarray(landmarks, float)[list(region.landmarks)] + 0.5
    (left, top), (right, bottom) = points.min(0), points.max(0)
    margins = np.array([-region.top, region.bottom, -region.sides, region.sides])
    return np.array([top, bottom, left, right]) + margins * unit


def _clipped(
    bounds: Mapping[str, np.ndarray], shape: Sequence[int], needed: Collection[str]
) -> dict[str, Box]:
    height, width = shape[:2]
    clipped = {}
    for letter, bound in bounds.items():
        top, bottom, left, right = (round(float(each)) for each in bound)
        inside = (max(top, 0), min(bottom, height), max(left, 0), min(right, width))
        if not 2 * _area(inside) > _area((top, bottom, left, right)) > 0:
            if letter not in needed:
                continue
            raise InputError(
                f'the region {letter} lies for the most part outside of the aligned face (rows {top} to '
                f'{bottom}, columns {left} to {right} of {width}x{height} pixels): its landmarks are wrong'
            )
        clipped[letter] = inside
    return clipped


def _area(box: Box) -> int:
    top, bottom, left, right = box
    return max(bottom - top, 0) * max(right - left, 0)
