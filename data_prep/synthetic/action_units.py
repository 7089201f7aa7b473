"""Action units as smooth displacements of the face, in the template's coordinates."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from data_prep.synthetic.face import GRID, bump

# What an action unit does to the left half of the face: bumps (x, y, width, height, dx, dy); width and height
# are standard deviations, (dx, dy) the peak's direction, relative to the clip's intensity. The right half
# mirrors it.
ACTION_UNITS = {
    '1': [(11.0, 4.5, 2.0, 1.8, 0.0, -1.0)],  # inner brow raiser
    '2': [(6.5, 4.5, 2.0, 1.8, 0.0, -1.0)],  # outer brow raiser
    '4': [(10.5, 5.0, 2.4, 1.8, 0.5, 0.9)],  # brow lowerer
    '5': [(8.5, 7.4, 2.2, 0.9, 0.0, -0.8)],  # upper lid raiser
    '6': [(7.0, 11.0, 2.8, 1.6, 0.1, -0.8)],  # cheek raiser
    '7': [(8.5, 9.2, 2.4, 1.0, 0.1, -0.8)],  # lid tightener
    '9': [(12.4, 12.0, 1.8, 2.2, 0.0, -1.0)],  # nose wrinkler
    '10': [(12.0, 18.8, 1.8, 1.4, 0.0, -0.8)],  # upper lip raiser
    '12': [(9.5, 21.3, 2.0, 1.8, -0.7, -0.8)],  # lip corner puller
    '14': [(9.3, 21.5, 1.8, 1.8, -0.8, 0.0)],  # dimpler
    '15': [(9.6, 22.3, 1.9, 1.8, -0.2, 1.0)],  # lip corner depressor
    '17': [(13.0, 25.0, 2.4, 1.8, 0.0, -0.9)],  # chin raiser
    '25': [(12.5, 20.3, 2.4, 0.9, 0.0, -0.4), (12.5, 22.8, 2.4, 1.0, 0.0, 0.8)],  # lips part
    '26': [(12.5, 25.0, 3.6, 2.2, 0.0, 1.1)],  # jaw drop
}

# The combinations that show each class. Some nearly coincide with another class's, as on real faces:
# a cheek is raised much as a lid is tightened, a dimple is drawn much as a smile, 1+4 shares half of 1+2.
COMBINATIONS = {
    'negative': (
        ('4',),
        ('4', '7'),
        ('4', '9'),
        ('9', '10'),
        ('4', '15'),
        ('15', '17'),
        ('7',),
        ('14',),
        ('1', '4'),
    ),
    'positive': (('12',), ('6', '12'), ('6', '12', '25'), ('12', '14'), ('6',)),
    'surprise': (('1', '2'), ('1', '2', '5'), ('1', '2', '25'), ('5', '26'), ('25', '26'), ('2',)),
}

# The combinations that show the finer emotions that some databases name, and the two kinds of speakers.
EMOTIONS = COMBINATIONS | {
    'happiness': COMBINATIONS['positive'],
    'disgust': (('4', '9'), ('9', '10'), ('4', '7', '9')),
    'repression': (('14',), ('15', '17'), ('14', '17')),
    'anger': (('4',), ('4', '7'), ('7',)),
    'contempt': (('14',), ('10', '14')),
    'sadness': (('1', '4'), ('4', '15'), ('15',)),
    'fear': (('1', '4'), ('1', '4', '7'), ('4', '5')),
    'others': (('17',), ('4', '12'), ('1', '7'), ('10', '25'), ('14', '15')),
    'deceptive': (('1', '4'), ('14',), ('4', '15')),
    'truthful': (('6', '12'), ('1', '2'), ('1', '2', '5')),
}

# How often a clip shows one more action unit, of any emotion, at half the intensity.
DISTRACTION = 0.3


@dataclasses.dataclass(frozen=True)
class Bump:
    """A displacement that is strongest at a point and fades as a Gaussian.

    Attributes:
      x: where it is strongest, in template units as all others.
      y: where it is strongest.
      width: standard deviation along x.
      height: standard deviation along y.
      dx: displacement at its strongest; its unit is that of what comes out.
      dy: displacement at its strongest.
    """

    x: float
    y: float
    width: float
    height: float
    dx: float
    dy: float


def choose(random: np.random.Generator, combinations: Sequence[Sequence[str]]) -> dict[str, float]:
    """Returns action unit -> share of the clip's intensity, the clip's own units first."""
    units = dict.fromkeys(combinations[random.integers(len(combinations))], 1.0)
    if random.random() < DISTRACTION:
        units.setdefault(str(random.choice(list(ACTION_UNITS))), 0.5)
    return units


def bumps(random: np.random.Generator, units: Mapping[str, float], intensity: float) -> list[Bump]:
    """Returns how one person shows the units once: not quite where and as strongly as another does.

    Args:
      random: consumed in the order of the units.
      units: action unit -> share of the intensity.
      intensity: peak displacement of a unit, in any unit of length.
    """
    found = []
    for unit, share in units.items():
        own = intensity * share * random.uniform(0.7, 1.3)
        # Micro-expressions are often stronger on one side.
        sides = 1 + random.uniform(-0.4, 0.4) * np.array([1, -1])
        shift_x, shift_y = random.normal(0, 0.4, size=2)  # where this person's muscle pulls
        for x, y, width, height, dx, dy in ACTION_UNITS[unit]:
            for mirror, side in zip((1, -1), sides, strict=True):
                centre = GRID / 2 + mirror * (x + shift_x - GRID / 2)
                peak = float(own * side)
                found.append(Bump(centre, y + shift_y, width, height, mirror * dx * peak, dy * peak))
    return found


def displacement(bumps: Sequence[Bump], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the sum of the bumps at points (x, y) that broadcast together, [..., 2] (dx, dy)."""
    field = np.zeros((*np.broadcast_shapes(x.shape, y.shape), 2))
    for each in bumps:
        shape = bump(x - each.x, y - each.y, each.width, each.height)
        field[..., 0] += each.dx * shape
        field[..., 1] += each.dy * shape
    return field


def scaled(bumps: Sequence[Bump], peak: float) -> list[Bump]:
    """Returns the bumps, made so strong or weak that the face moves by `peak` where it moves most."""
    x, y = np.ogrid[: GRID + 1 : 0.25, : GRID + 1 : 0.25]
    factor = peak / np.linalg.norm(displacement(bumps, x, y), axis=-1).max()
    return [dataclasses.replace(each, dx=factor * each.dx, dy=factor * each.dy) for each in bumps]
