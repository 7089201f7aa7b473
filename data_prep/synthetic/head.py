"""A person's head with hair, neck and shoulders: its texture, for frames that show more than a face."""

import dataclasses

import cv2
import numpy as np

from data_prep.synthetic import face as faces
from data_prep.synthetic.face import Face, bump, smooth_noise

# The texture: what of the template's plane it shows (left, top, right, bottom), at so many pixels a unit.
EXTENT = (-8, -8, 36, 38)
UNIT = 12

_EARS = 9.0  # y at which a head is widest, in template units as all positions and lengths
_HAIRLINE = -1.5
_SKULL_SQUARE, _JAW_SQUARE = 2.6, 2.0  # the outline's exponents: 2 is an ellipse, more is squarer
_CLOTH = 31.0
_EDGE = 0.2  # softness of outlines
_PORES = (0.125, 6.0)  # radius, and contrast in grey levels, of what the skin of a bare face does not have

# Landmarks, in iBUG's order: how far down from the ears to the chin; along the left brow's upper edge, x in
# its standard deviations; the nose, from the middle; an eye, from its own; the lips, from the mouth's.
_DOWN_JAW = (-0.03, 0.13, 0.29, 0.45, 0.6, 0.735, 0.86, 0.96, 1.0)
_BROW = ((-2.0, 0.0), (-1.3, -0.5), (-0.4, -0.7), (0.4, -0.7), (1.3, -0.5))
_NOSE = (
    (0, 8.4),
    (0, 10.6),
    (0, 12.8),
    (0, 14.9),
    (-2.4, 15.9),
    (-1.3, 16.5),
    (0, 16.7),
    (1.3, 16.5),
    (2.4, 15.9),
)
_EYE = ((-2.4, 8.2), (-0.9, 7.5), (0.9, 7.5), (2.4, 8.2), (0.9, 8.9), (-0.9, 8.9))
_UPPER_LIP = ((-2.6, -1.0), (-1.1, -1.5), (0, -1.4), (1.1, -1.5), (2.6, -1.0))
_LOWER_LIP = ((2.6, 1.4), (1.2, 1.9), (0, 2.0), (-1.2, 1.9), (-2.6, 1.4))
_INNER_UPPER_LIP = ((-1.4, -0.2), (0, -0.2), (1.4, -0.2))
_INNER_LOWER_LIP = ((1.4, 0.2), (0, 0.2), (-1.4, 0.2))


@dataclasses.dataclass(frozen=True)
class Person:
    """What makes one person's head differ from another's.

    Attributes:
      face: the face.
      jaw: half the width of the face.
      chin: y of the chin's lowest point.
      hair: grey level of the hair.
      cloth: grey level of the clothes.
      tint: (blue, green, red) of the skin by its grey level.
      cloth_tint: as tint, of the clothes.
    """

    face: Face
    jaw: float
    chin: float
    hair: float
    cloth: float
    tint: tuple[float, float, float]
    cloth_tint: tuple[float, float, float]


def draw(random: np.random.Generator) -> Person:
    """Returns another person."""
    return Person(
        face=faces.draw(random),
        jaw=random.normal(12.8, 0.3),
        chin=random.normal(27.4, 0.3),
        hair=random.uniform(25, 80),
        cloth=random.uniform(40, 160),
        tint=_tint((random.uniform(0.65, 0.8), random.uniform(0.9, 0.97), 1.25)),
        cloth_tint=_tint(tuple(random.uniform(0.7, 1.3, size=3))),
    )


def landmarks(person: Person) -> np.ndarray:
    """Returns the 68 points of iBUG 300-W of the neutral face, [68, 2] (x, y) in template units.

    They lie where the features are drawn: on the outline of the jaw, along the brows, on the bridge of the
    nose and below it, at the lids and corners of the eyes (whose mean is the iris), around the lips.
    """
    face, middle = person.face, person.face.middle
    half_width = person.jaw * (1 - np.maximum(0, _DOWN_JAW) ** _JAW_SQUARE) ** (1 / _JAW_SQUARE)
    jaw_x = middle + np.concatenate([-half_width, half_width[-2::-1]])
    jaw_y = _EARS + (person.chin - _EARS) * np.array(_DOWN_JAW + _DOWN_JAW[-2::-1])
    left, right = ((side * face.apart, width) for side, width in zip((-1, 1), face.brows, strict=True))
    slanted = [(left[0] + x * left[1], y - face.slant * x * left[1]) for x, y in _BROW]
    slanted += [(right[0] - x * right[1], y - face.slant * x * right[1]) for x, y in reversed(_BROW)]
    eyes = [(side * face.apart + x, y) for side in (-1, 1) for x, y in _EYE]
    corners = (-face.corners[0], face.corners[1])
    outer = [(corners[0], 0), *_UPPER_LIP, (corners[1], 0), *_LOWER_LIP]
    inner = [(corners[0] + 0.6, 0), *_INNER_UPPER_LIP, (corners[1] - 0.6, 0), *_INNER_LOWER_LIP]
    parts = [
        np.column_stack([jaw_x, jaw_y]),
        np.add(slanted, (middle, face.brow)),
        np.add(_NOSE, (middle, 0)),
        np.add(eyes, (middle, 0)),
        np.add(outer + inner, (middle, face.mouth)),
    ]
    return np.concatenate(parts)


def texture(random: np.random.Generator, person: Person, *, colour: bool) -> np.ndarray:
    """Returns what the neutral head looks like.

    Args:
      random: where hair, skin and cloth come from; the same numbers are drawn with colour and without.
      person: the owner of the head.
      colour: whether there are three channels, blue first, or one.

    Returns:
      [H, W, C + 1] float32 over `EXTENT`: grey levels times coverage, and last the coverage in [0, 1].
    """
    left, top, right, bottom = EXTENT
    shape = ((bottom - top) * UNIT, (right - left) * UNIT)
    y, x = ((axis + 0.5) / UNIT for axis in np.ogrid[: shape[0], : shape[1]])
    x, y = x + left, y + top
    skin = faces.paint(person.face, x, y) + faces.skin(random, shape, UNIT)
    radius, contrast = _PORES
    skin += contrast * smooth_noise(random, shape, radius * UNIT)
    strands = cv2.GaussianBlur(random.normal(size=shape), (0, 0), sigmaX=1.5, sigmaY=9)
    strands /= strands.std()
    skin += 10 * strands * _brows(person, x, y)
    weave = smooth_noise(random, shape, 2.0)
    layers = [  # from the back to the front: coverage, grey levels, tint
        (_trunk(person, x, y), 0.72 * (skin - 8), person.tint),
        (_trunk(person, x, y) * _step(y - _CLOTH), person.cloth + 8 * weave, person.cloth_tint),
        (_hair(person, x, y), person.hair + 12 * strands, (1.0, 1.0, 1.0)),
        (_mask(person, x, y), skin, person.tint),
    ]
    image = np.zeros((*shape, 3 if colour else 1))
    coverage = np.zeros((*shape, 1))
    for cover, grey, tint in layers:
        cover = cover[..., None]
        image += cover * (grey[..., None] * (tint if colour else 1.0) - image)
        coverage += cover * (1 - coverage)
    return np.dstack([image, coverage]).astype(np.float32)


def _brows(person: Person, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    face = person.face
    return sum(
        bump(x - (face.middle + side * face.apart), y - face.brow, width, 0.6)
        for side, width in zip((-1, 1), face.brows, strict=True)
    )


def _mask(person: Person, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns how much of each point the face covers, from the hairline to the chin."""
    return _oval(person, x, y, person.jaw, _EARS - _HAIRLINE, person.chin - _EARS)


def _hair(person: Person, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _oval(person, x, y, person.jaw + 1.5, 15.0, 7.0)


def _oval(
    person: Person, x: np.ndarray, y: np.ndarray, half_width: float, above: float, below: float
) -> np.ndarray:
    """Returns how much of each point an oval covers, which reaches so far around the middle of the ears."""
    dx = np.abs(x - person.face.middle) / half_width
    dy = np.abs(y - _EARS) / np.where(y < _EARS, above, below)
    square = np.where(y < _EARS, _SKULL_SQUARE, _JAW_SQUARE)
    radius = (dx**square + dy**square) ** (1 / square)
    return _step((1 - radius) * half_width)


def _trunk(person: Person, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns how much of each point the neck and the shoulders cover."""
    half_width = 8.0 + 2.5 * np.maximum(0, y - _CLOTH + 1)
    return _step(half_width - np.abs(x - person.face.middle)) * _step(y - 18)


def _step(distance: np.ndarray) -> np.ndarray:
    """Returns 0 outside, 1 inside, with a soft edge; `distance` is that to the edge, positive inside."""
    return 1 / (1 + np.exp(-np.clip(distance / _EDGE, -50, 50)))


def _tint(tint: tuple[float, float, float]) -> tuple[float, float, float]:
    """Scales a colour so that it does not change the grey level (ITU-R BT.601)."""
    grey = float(np.dot(tint, (0.114, 0.587, 0.299)))
    return tuple(float(channel) / grey for channel in tint)
