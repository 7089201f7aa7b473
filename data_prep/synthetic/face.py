"""A person's face: its geometry, its landmarks, and what it looks like."""

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np

from data_prep.face.landmarks import template

GRID = template.GRID  # the side of the aligned face's square


@dataclasses.dataclass(frozen=True)
class Face:
    """What makes one person's face differ from another's; pairs are (left, right) in the image.

    Attributes:
      tone: grey level of the skin.
      side_light: grey levels by which the right edge of the face is brighter than the left one.
      middle: x of the face's middle, in template units as all positions and lengths.
      apart: from the middle to each eye.
      brow: y of the brows.
      mouth: y of the mouth.
      slant: slope of the brows, downwards from the nose.
      dark: contrast of all features, about 1.
      brows: standard deviation along x of each brow.
      corners: from the middle to each corner of the mouth.
      lips: standard deviation along x of the line between the lips.
    """

    tone: float
    side_light: float
    middle: float
    apart: float
    brow: float
    mouth: float
    slant: float
    dark: float
    brows: tuple[float, float]
    corners: tuple[float, float]
    lips: float


def draw(random: np.random.Generator) -> Face:
    """Returns another person's face."""
    tone, side_light = random.uniform(130, 190), random.uniform(-25, 25)
    middle = GRID / 2 + random.normal(0, 0.2)
    apart, brow, mouth = random.normal(5.5, 0.3), random.normal(5.0, 0.3), random.normal(21.3, 0.3)
    slant, dark = random.normal(0, 0.08), random.uniform(0.7, 1.2)
    (left_brow, left_corner), (right_brow, right_corner) = (
        (random.uniform(2.0, 2.6), random.uniform(4.0, 4.8)) for _ in range(2)
    )
    return Face(
        tone=tone,
        side_light=side_light,
        middle=middle,
        apart=apart,
        brow=brow,
        mouth=mouth,
        slant=slant,
        dark=dark,
        brows=(left_brow, right_brow),
        corners=(left_corner, right_corner),
        lips=random.uniform(2.6, 3.2),
    )


def paint(face: Face, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the neutral face without its texture, grey levels at points (x, y) that broadcast together."""
    image = face.tone + face.side_light * (x / GRID - 0.5)
    image = image - 25 * ((x / 14 - 1) ** 2 + (y / 14 - 1) ** 2)  # a head is round
    for x0, y0, width, height, tilt, grey in _features(face):
        image = image + grey * bump(x - x0, y - y0 - tilt * (x - x0), width, height)
    return image


def _features(face: Face) -> Iterator[tuple[float, float, float, float, float, float]]:
    """Yields the soft spots that a face is made of: (x, y, width, height, tilt, grey level added)."""
    middle, mouth, dark = face.middle, face.mouth, face.dark
    for side, brow, corner in zip((-1, 1), face.brows, face.corners, strict=True):
        eye = middle + side * face.apart
        yield eye, face.brow, brow, 0.6, side * face.slant, -70 * dark  # brow
        yield eye, 8.2, 2.0, 0.9, 0, 35  # white of the eye
        yield eye, 7.5, 2.1, 0.3, 0, -45 * dark  # upper lid
        yield eye, 8.2, 0.8, 0.8, 0, -80 * dark  # iris
        yield eye, 9.4, 2.0, 0.4, 0, -20 * dark  # lower lid
        yield middle + side * 1.6, 16.2, 0.7, 0.5, 0, -60 * dark  # nostril
        yield middle + side * 5.0, 17.5, 0.5, 2.0, 0, -14 * dark  # fold from the nose to the mouth
        yield middle + side * corner, mouth, 0.5, 0.5, 0, -25 * dark  # lip corner
    yield middle, 12.5, 0.9, 3.0, 0, 25  # bridge of the nose
    yield middle, mouth, face.lips, 0.35, 0, -70 * dark  # between the lips
    yield middle, mouth - 0.9, 2.6, 0.6, 0, -22 * dark  # upper lip
    yield middle, mouth + 1.1, 2.4, 0.8, 0, -18 * dark  # lower lip
    yield middle, mouth + 2.4, 1.8, 0.4, 0, -20 * dark  # hollow above the chin


def skin(random: np.random.Generator, shape: tuple[int, int], unit: float) -> np.ndarray:
    """Returns the texture of skin in grey levels: pores, spots and blotches, one octave each.

    Args:
      random: where the texture comes from.
      shape: (height, width) in pixels.
      unit: pixels a template unit.
    """
    octaves = []
    for radius, contrast in ((0.25, 5.0), (0.5, 5.0), (1.0, 4.0), (2.25, 4.0)):
        octaves.append(contrast * smooth_noise(random, shape, radius * unit))
    return np.sum(octaves, axis=0)


def smooth_noise(random: np.random.Generator, shape: tuple[int, int], radius: float) -> np.ndarray:
    """Returns noise of standard deviation 1, smoothed by a Gaussian of `radius` pixels."""
    noise = cv2.GaussianBlur(random.normal(size=shape), (0, 0), radius)
    return noise / noise.std()


def bump(x: np.ndarray, y: np.ndarray, width: float, height: float) -> np.ndarray:
    """Returns a Gaussian of height 1 around the origin."""
    return np.exp(-((x / width) ** 2 + (y / height) ** 2) / 2)
