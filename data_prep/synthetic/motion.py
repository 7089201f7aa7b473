"""The flow of a face from onset to apex, drawn from action units: no picture is rendered, no flow computed.

All lengths are those of the template, whose square is `face.GRID` wide and high, displacements too: what is
stored is scaled by clip anyway. A flow is [`SIDE`, `SIDE`, 2], (u, v).
"""

import dataclasses
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from data_prep.face.landmarks.template import Place
from data_prep.synthetic import motion_units
from data_prep.synthetic.action_units import Bump
from data_prep.synthetic.face import GRID

FINE = 2  # points a template unit
SIDE = GRID * FINE

# Where a head that moves is seen, in u and in v: (x, y, width, height) of edges in the left half. A flow is
# found at edges across it; smooth skin, and edges along it, hardly show that they move.
EDGES = (
    (  # upright: nose, fold to the mouth, corners of the eye, outline, corner of the mouth
        (11.2, 12.0, 0.9, 4.0),
        (8.5, 18.0, 1.0, 3.0),
        (5.5, 8.0, 1.0, 1.2),
        (10.5, 8.0, 1.0, 1.2),
        (2.0, 16.0, 1.0, 6.0),
        (9.3, 21.3, 1.0, 1.0),
    ),
    (  # level: brow, eye, nostrils, mouth, hollow above the chin, hairline
        (7.5, 5.0, 3.0, 0.9),
        (7.5, 7.9, 2.4, 1.0),
        (12.5, 16.0, 2.5, 0.9),
        (12.0, 21.3, 3.2, 0.8),
        (12.5, 24.0, 2.2, 0.8),
        (10.0, 1.5, 4.0, 1.0),
    ),
)


@dataclasses.dataclass(frozen=True)
class Statistics:
    """How faces, expressions and what else moves differ from clip to clip.

    Pairs are the least and the most, of `down`, `shift` and `across` mean and standard deviation. What is
    said to be a deviation is a standard deviation.

    Attributes:
      down, shift, across: of a person's place in the picture, see `template.Place`.
      alignment: deviation of a clip's place from its person's, units; of its scales a 14th of it.
      spread: by which bumps are wider than `motion_units.UNITS` has them.
      sharpness: exponent of their profile: 1 is a Gaussian, more a plateau with an edge, as TV-L1 leaves it.
      intensity: of the expression, against everything else.
      share: of a unit's strength against the others of its clip.
      part: deviation of the logarithm of a bump's strength against the others of its unit.
      asymmetry: the most by which one side of a unit is stronger than its mean, and the other weaker.
      one_side: the same of a unit on one side.
      site: deviation of where a unit pulls, units.
      direction: deviation of where to, radians.
      distraction: how often another unit is there as well, of any class.
      distracting: its share.
      blink: how often the lids move.
      closing: how many of these blinks close the eyes from onset to apex; the others open them.
      lids: their share.
      gaze: how often both eyes turn to one side.
      turn: deviation of the head's turn in the picture, degrees.
      approach: deviation of its change of size, a share.
      drift: deviation of its shift, units.
      seen: of the head's motion, what smooth skin shows.
      noise: deviation of smooth errors of the flow, units.
      grain: over which they are smooth, units.
      fine: deviation of errors that differ from point to point, units.
      spots: mean number of small spots where the flow is wrong.
      border: how often hair or clothes move at the border.
    """

    down: tuple[float, float] = (1.03, 0.06)
    shift: tuple[float, float] = (-0.2, 0.7)
    across: tuple[float, float] = (0.97, 0.05)
    alignment: float = 0.3
    spread: tuple[float, float] = (0.75, 1.25)
    sharpness: tuple[float, float] = (1.0, 2.5)
    intensity: tuple[float, float] = (0.5, 2.0)
    share: tuple[float, float] = (0.5, 1.3)
    part: float = 0.25
    asymmetry: float = 0.4
    one_side: tuple[float, float] = (0.6, 1.0)
    site: float = 0.45
    direction: float = 0.25
    distraction: float = 0.25
    distracting: tuple[float, float] = (0.2, 0.6)
    blink: float = 0.5
    closing: float = 0.8
    lids: tuple[float, float] = (0.3, 1.8)
    gaze: float = 0.2
    turn: float = 1.2
    approach: float = 0.012
    drift: float = 0.9
    seen: tuple[float, float] = (0.05, 0.6)
    noise: tuple[float, float] = (0.01, 0.15)
    grain: tuple[float, float] = (1.5, 5.0)
    fine: float = 0.015
    spots: float = 3.0
    border: float = 0.3


@dataclasses.dataclass(frozen=True)
class Person:
    """What one person's motions have in common.

    Attributes:
      place: of the face in the picture.
      spread: how much wider than another's all bumps are.
      brow: by how much lower what is above the middle of the nose lies, units.
      mouth: by how much lower the rest lies.
    """

    place: Place
    spread: float = 1.0
    brow: float = 0.0
    mouth: float = 0.0

    def at(self, bump: Bump) -> Bump:
        """Returns a bump of the template where this person has it."""
        lower = self.brow if bump.y < 10 else self.mouth
        ((x, y),) = self.place.points(np.array([[bump.x, bump.y + lower]]))
        width, height = self.place.across * bump.width, self.place.down * bump.height
        return Bump(x, y, width, height, bump.dx, bump.dy)


def person(random: np.random.Generator, statistics: Statistics) -> Person:
    """Returns another person."""
    place = Place(*(random.normal(*getattr(statistics, name)) for name in ('down', 'shift', 'across')))
    return Person(place, random.uniform(0.85, 1.15), *random.normal(0, 0.3, size=2))


def choose(random: np.random.Generator, label: str, statistics: Statistics) -> dict[str, float]:
    """Returns action unit -> its share of the expression, the class's own first; see `expression`."""
    units = dict.fromkeys(motion_units.draw(random, label).split('+'), 1.0)
    if random.random() < statistics.distraction:
        units.setdefault(
            str(random.choice(list(motion_units.UNITS))), random.uniform(*statistics.distracting)
        )
    if random.random() < statistics.blink:
        way = 1 if random.random() < statistics.closing else -1
        units.setdefault(motion_units.BLINK, way * _between(random, statistics.lids))
    return units


def expression(
    random: np.random.Generator, units: Mapping[str, float], who: Person, statistics: Statistics
) -> list[Bump]:
    """Returns how a person shows action units once.

    Args:
      random: consumed in the order of the units.
      units: action unit, with `u` behind it if it is mostly on one side -> its share.
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
        x0, y0 = random.normal(0, statistics.site, size=2)
        turn = random.normal(0, statistics.direction)
        for x, y, width, height, dx, dy in motion_units.UNITS[unit.rstrip('u')]:
            peak = own * np.exp(random.normal(0, statistics.part))
            right = peak * (np.cos(turn) * dx - np.sin(turn) * dy)
            down = peak * (np.sin(turn) * dx + np.cos(turn) * dy)
            left = Bump(x + x0, y + y0, spread * width, spread * height, right, down)
            for bump, side in ((left, 1 + uneven), (mirrored(left), 1 - uneven)):
                found.append(who.at(dataclasses.replace(bump, dx=side * bump.dx, dy=side * bump.dy)))
    if random.random() < statistics.gaze:
        x, y, width, height, dx, dy = motion_units.GAZE
        aside = random.choice([-1, 1]) * random.uniform(0.2, 1)
        found += [who.at(Bump(eye, y, width, height, aside * dx, aside * dy)) for eye in (x, GRID - x)]
    return found


def mirrored(bump: Bump) -> Bump:
    """Returns the bump on the other side of the face."""
    return dataclasses.replace(bump, x=GRID - bump.x, dx=-bump.dx)


def field(bumps: Sequence[Bump], sharpness: float = 1.0) -> np.ndarray:
    """Returns the displacement by the bumps, [`SIDE`, `SIDE`, 2]."""
    shapes = _shapes([(each.x, each.y, each.width, each.height) for each in bumps], sharpness)
    return np.einsum('bhw,bc->hwc', shapes, np.array([(each.dx, each.dy) for each in bumps]))


def flow(
    random: np.random.Generator, units: Mapping[str, float], who: Person, statistics: Statistics
) -> np.ndarray:
    """Returns the flow of a clip, [`SIDE`, `SIDE`, 2] float32: expression, head, and errors of the flow."""
    shaken = random.normal(0, statistics.alignment, size=3) / (14, 1, 14)
    who = dataclasses.replace(who, place=Place(*np.add(dataclasses.astuple(who.place), shaken)))
    bumps = expression(random, units, who, statistics)
    moved = _between(random, statistics.intensity) * field(bumps, random.uniform(*statistics.sharpness))
    moved += _head(random, statistics) * _seen(random, who, statistics)
    return (moved + _errors(random, statistics)).astype(np.float32)


def _head(random: np.random.Generator, statistics: Statistics) -> np.ndarray:
    """The displacement by the head, which turns in the picture, comes nearer and shifts."""
    x, y = (axis - GRID / 2 for axis in _grid())
    angle = np.deg2rad(random.normal(0, statistics.turn))
    nearer = random.normal(0, statistics.approach)
    aside, down = random.normal(0, statistics.drift, size=2) * np.exp(random.normal(0, 0.5))
    return np.stack([nearer * x - angle * y + aside, angle * x + nearer * y + down], -1)


def _seen(random: np.random.Generator, who: Person, statistics: Statistics) -> np.ndarray:
    """How much of the head's motion the flow shows, [`SIDE`, `SIDE`, 2] of 0..1: at edges most of it."""
    found = []
    for edges in EDGES:
        bumps = [who.at(at) for edge in edges for at in (Bump(*edge, 0, 0), mirrored(Bump(*edge, 0, 0)))]
        shapes = _shapes([(each.x, each.y, each.width, each.height) for each in bumps])
        edge = np.einsum('bhw,b->hw', shapes, random.uniform(0.4, 1, size=len(bumps)))
        skin = random.uniform(*statistics.seen)
        found.append(skin + (1 - skin) * np.minimum(edge, 1))
    return np.stack(found, -1)


def _errors(random: np.random.Generator, statistics: Statistics) -> np.ndarray:
    """Errors as a computed flow has them: smooth at two scales, grain, spots, and motion at the border."""
    strength = random.uniform(*statistics.noise) / np.sqrt(2)
    found = statistics.fine * random.standard_normal((SIDE, SIDE, 2), np.float32)
    for _ in range(2):
        found = found + strength * smooth_noise(random, _between(random, statistics.grain))
    wrong = []
    for _ in range(random.poisson(statistics.spots)):
        x, y = random.uniform(1, GRID - 1, size=2)
        wrong.append(Bump(x, y, random.uniform(0.4, 1.2), random.uniform(0.4, 1), *random.normal(0, 0.7, 2)))
    if random.random() < statistics.border:
        for _ in range(random.integers(1, 3)):
            along, far = random.uniform(0, GRID), random.choice([0, GRID])
            x, y = (along, far) if random.random() < 0.5 else (far, along)
            wrong.append(Bump(x, y, random.uniform(2, 5), random.uniform(1.5, 4), *random.normal(0, 1.2, 2)))
    return found + field(wrong, 2.0) if wrong else found


def smooth_noise(random: np.random.Generator, radius: float) -> np.ndarray:
    """Returns noise of standard deviation 1 that is smooth over `radius` units, [`SIDE`, `SIDE`, 2].

    Cubic between random numbers on a grid that lies anywhere: a Gaussian filter takes ten times as long.
    """
    step = max(1.0, 1.6 * radius * FINE)
    count = int(np.ceil(SIDE / step)) + 3
    coarse = random.standard_normal((count, count, 2), np.float32)
    right, down = -step * (1 + random.random(2))
    place = np.float32([[step, 0, right], [0, step, down]])
    # 1.16: what lies between two random numbers deviates less than they do.
    return 1.16 * cv2.warpAffine(coarse, place, (SIDE, SIDE), flags=cv2.INTER_CUBIC)


def _shapes(places: Sequence[tuple[float, ...]], sharpness: float = 1.0) -> np.ndarray:
    """Bumps of height 1 at (x, y, width, height), [len(places), `SIDE`, `SIDE`]."""
    x0, y0, width, height = np.array(places).T[..., None, None]
    x, y = _grid()
    half = (((x - x0) / width) ** 2 + ((y - y0) / height) ** 2) / 2
    return np.exp(-half if sharpness == 1 else -(half**sharpness))


def _between(random: np.random.Generator, ends: tuple[float, float]) -> float:
    """A number between two, each factor as likely."""
    return float(np.exp(random.uniform(*np.log(ends))))


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of the points, [1, `SIDE`] and [`SIDE`, 1]."""
    at = (np.arange(SIDE) + 0.5) / FINE
    return at[None], at[:, None]
