"""The flow of a face from onset to apex, drawn from action units: no picture is rendered, no flow computed.

All lengths are those of the template, whose square is `face.GRID` wide and high, displacements too: what is
stored is scaled by clip anyway. A flow is [`SIDE`, `SIDE`, 2], (u, v).
"""

import dataclasses
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from data_prep.face.landmarks.template import Place
from data_prep.synthetic import action_units, motion_units
from data_prep.synthetic.action_units import Bump
from data_prep.synthetic.face import GRID

FINE = 2  # points a template unit
SIDE = GRID * FINE


@dataclasses.dataclass(frozen=True)
class Statistics:
    """How faces, expressions and what else moves differ from clip to clip; pairs are the least and the most.

    Attributes:
      down, shift, across: of the place of a person's face in the picture, mean and standard deviation, see
        `template.Place`; about those of the three databases.
      alignment: standard deviation of a clip's place around its person's, units; of its scales a 14th of it.
      spread: by which bumps are wider than `motion_units.UNITS` has them.
      intensity: of the largest displacement by the expression.
      share: of a unit's strength against the others of its clip.
      asymmetry: the most by which one side of a unit is stronger than its mean, and the other weaker.
      one_side: of a unilateral unit, how much more than the mean the strong side has.
      place: standard deviation of where a unit pulls, units.
      turned: standard deviation of a unit's direction, radians.
      distraction: how often another unit is there as well, of any class.
      distracting: its share.
      blink: how often the lids move, down or up.
      gaze: how often both eyes turn to one side.
      head: standard deviation of the head's turn in the picture, degrees.
      approach: standard deviation of its change of size, a share.
      tilt: standard deviation of what a head that turns out of the picture adds in the middle of the face.
      noise: standard deviation of the errors of a computed flow, of the clip.
      grain: their correlation length.
      fine: standard deviation of errors that differ from point to point.
    """

    down: tuple[float, float] = (1.06, 0.08)
    shift: tuple[float, float] = (-0.2, 0.8)
    across: tuple[float, float] = (0.96, 0.06)
    alignment: float = 0.3
    spread: tuple[float, float] = (1.0, 1.5)
    intensity: tuple[float, float] = (0.4, 2.0)
    share: tuple[float, float] = (0.5, 1.3)
    asymmetry: float = 0.4
    one_side: tuple[float, float] = (0.6, 1.0)
    place: float = 0.5
    turned: float = 0.25
    distraction: float = 0.25
    distracting: tuple[float, float] = (0.2, 0.6)
    blink: float = 0.25
    gaze: float = 0.2
    head: float = 1.2
    approach: float = 0.012
    tilt: float = 0.0
    noise: tuple[float, float] = (0.05, 0.35)
    grain: tuple[float, float] = (1.0, 4.0)
    fine: float = 0.05


@dataclasses.dataclass(frozen=True)
class Person:
    """What one person's motions have in common.

    Attributes:
      place: of the face in the picture.
      spread: how much wider than another's all bumps are.
      brow: by how much lower what is above the nose lies, units.
      mouth: by how much lower the rest lies.
    """

    place: Place = Place()
    spread: float = 1.0
    brow: float = 0.0
    mouth: float = 0.0


def person(random: np.random.Generator, statistics: Statistics) -> Person:
    """Returns another person."""
    place = Place(*(random.normal(*getattr(statistics, name)) for name in ('down', 'shift', 'across')))
    return Person(place, random.uniform(0.85, 1.15), *random.normal(0, 0.3, size=2))


def chosen(random: np.random.Generator, label: str, statistics: Statistics) -> dict[str, float]:
    """Returns action unit -> its share of the expression, the class's own first; see `expression`."""
    units = dict.fromkeys(motion_units.draw(random, label).split('+'), 1.0)
    if random.random() < statistics.distraction:
        other = str(random.choice(list(motion_units.UNITS)))
        units.setdefault(other, random.uniform(*statistics.distracting))
    if random.random() < statistics.blink:
        units.setdefault(motion_units.BLINK, random.choice([-1, 1]) * random.uniform(0.2, 1))
    return units


def expression(
    random: np.random.Generator, units: Mapping[str, float], who: Person, statistics: Statistics
) -> list[Bump]:
    """Returns how a person shows action units once, at the person's place; not scaled.

    Args:
      random: consumed in the order of the units.
      units: action unit, with `u` behind it if it is on one side alone -> its share.
      who: the person.
      statistics: of all clips.
    """
    spread = who.spread * random.uniform(*statistics.spread)
    found = []
    for unit, share in units.items():
        own = share * _between(random, statistics.share)
        uneven = random.uniform(-1, 1) * statistics.asymmetry
        if unit.endswith('u'):
            uneven = random.choice([-1, 1]) * random.uniform(*statistics.one_side)
        x0, y0 = random.normal(0, statistics.place, size=2)
        turn = random.normal(0, statistics.turned)
        cosine, sine = np.cos(turn), np.sin(turn)
        for x, y, width, height, dx, dy in motion_units.UNITS[unit.rstrip('u')]:
            right, down = own * (cosine * dx - sine * dy), own * (sine * dx + cosine * dy)
            for mirror, side in ((1, 1 + uneven), (-1, 1 - uneven)):
                bump = Bump(x + x0, y + y0, spread * width, spread * height, side * right, side * down)
                found.append(_placed(mirrored(bump) if mirror < 0 else bump, who))
    if random.random() < statistics.gaze:
        x, y, width, height = motion_units.GAZE
        aside = random.choice([-1, 1]) * random.uniform(0.2, 1)
        found += [_placed(Bump(at, y, width, height, aside, 0.0), who) for at in (x, GRID - x)]
    return found


def mirrored(bump: Bump) -> Bump:
    """Returns the bump on the other side of the face."""
    return dataclasses.replace(bump, x=GRID - bump.x, dx=-bump.dx)


def field(bumps: Sequence[Bump]) -> np.ndarray:
    """Returns the displacement by the bumps, [`SIDE`, `SIDE`, 2]."""
    x, y = _grid()
    return action_units.displacement(bumps, x, y)


def flow(
    random: np.random.Generator, units: Mapping[str, float], who: Person, statistics: Statistics
) -> np.ndarray:
    """Returns the flow of a clip, [`SIDE`, `SIDE`, 2] float32: expression, head, and errors of the flow."""
    shaken = random.normal(0, statistics.alignment, size=3) / (14, 1, 14)
    down, shift, across = np.add(dataclasses.astuple(who.place), shaken)
    who = dataclasses.replace(who, place=Place(down, shift, across))
    moved = field(expression(random, units, who, statistics))
    moved *= _between(random, statistics.intensity) / np.linalg.norm(moved, axis=-1).max()
    return (moved + _head(random, statistics) + _errors(random, statistics)).astype(np.float32)


def _head(random: np.random.Generator, statistics: Statistics) -> np.ndarray:
    """The displacement by the head: it turns in the picture, comes nearer, and turns out of the picture.

    A shift of the whole face would not be seen in the stored flow, whose zero is lost.
    """
    x, y = (axis - GRID / 2 for axis in _grid())
    angle = np.deg2rad(random.normal(0, statistics.head))
    nearer = random.normal(0, statistics.approach)
    middle = np.exp(-((x / 9) ** 2 + (y / 11) ** 2) / 2)
    aside, down = random.normal(0, statistics.tilt, size=2)
    return np.stack([nearer * x - angle * y + aside * middle, angle * x + nearer * y + down * middle], -1)


def _errors(random: np.random.Generator, statistics: Statistics) -> np.ndarray:
    """Errors as a computed flow has them: smooth ones at two scales, and some from point to point."""
    strength = random.uniform(*statistics.noise)
    smooth = sum(smooth_noise(random, _between(random, statistics.grain)) for _ in range(2)) / np.sqrt(2)
    return strength * smooth + statistics.fine * random.standard_normal((SIDE, SIDE, 2), np.float32)


def smooth_noise(random: np.random.Generator, radius: float) -> np.ndarray:
    """Returns noise of standard deviation 1 that is smooth over `radius` units, [`SIDE`, `SIDE`, 2].

    Cubic between random numbers on a grid that lies anywhere: a Gaussian of such a width takes ten times as long.
    """
    step = max(1.0, 1.6 * radius * FINE)
    count = int(np.ceil(SIDE / step)) + 3
    coarse = random.standard_normal((count, count, 2), np.float32)
    right, down = -step * (1 + random.random(2))
    place = np.float32([[step, 0, right], [0, step, down]])
    return 1.16 * cv2.warpAffine(coarse, place, (SIDE, SIDE), flags=cv2.INTER_CUBIC)


def _placed(bump: Bump, who: Person) -> Bump:
    """The bump of the template at a person's place."""
    lower = who.brow if bump.y < GRID / 2 else who.mouth
    ((x, y),) = who.place.points(np.array([[bump.x, bump.y + lower]]))
    width, height = who.place.across * bump.width, who.place.down * bump.height
    return Bump(x, y, width, height, bump.dx, bump.dy)


def _between(random: np.random.Generator, ends: tuple[float, float]) -> float:
    """A number between two, each factor as likely."""
    return float(np.exp(random.uniform(*np.log(ends))))


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of the points, [1, `SIDE`] and [`SIDE`, 1]."""
    at = (np.arange(SIDE) + 0.5) / FINE
    return at[None], at[:, None]
