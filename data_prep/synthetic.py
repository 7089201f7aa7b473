"""A synthetic release: rendered grey faces, moved by action units, whose flow OpenCV computes.

It stands in for the databases where their licences keep them away: to learn the tools, and to test them from
frames to scores. It is no model of any database, and scores on it say nothing about scores on real faces.

Coordinates are those of the region template: x rightwards and y downwards on a 28x28 aligned face.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from data_prep import flow, regions
from data_prep.builder import Example, Release
from dualatme_jax import schema
from dualatme_jax.errors import InputError

# The difficulty. Peak displacement of an action unit, and the standard deviation of the head's shift between
# onset and apex, in pixels of a frame: the further the first stands above the second, the easier.
INTENSITY = (0.4, 2.0)
HEAD_SHIFT = 0.5
# How often a clip shows one more action unit, of any emotion, at half the intensity.
DISTRACTION = 0.3

FRAME_SIZE = 112  # pixels
HEAD_TURN = 0.3  # degrees, standard deviation
SENSOR_NOISE = 1.5  # grey levels, standard deviation

# Clips of each subject by class (negative, positive, surprise), the same in each database: 84 clips, as
# imbalanced as MEGC2019-CD, and leaving out any subject loses no class even within one database.
CLIPS = ((5, 1, 0), (4, 2, 2), (4, 2, 1), (3, 2, 2))

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

# The combinations that show each emotion. Some nearly coincide with another class's, as on real faces:
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

# TV-L1 stops earlier than by OpenCV's 0.01: five times faster, and up to 0.005 px worse on a known motion.
_FLOW_SETTINGS = {'tvl1': {'Epsilon': 0.05}}


def render(seed: int = 0, *, pair: str = 'EM', algorithm: str = 'tvl1') -> Release:
    """Returns the synthetic release; its clips are rendered as they are read.

    Args:
      seed: another seed gives other faces and other motions. Each clip has its own stream of random numbers,
        drawn from the seed, its subject and its place, so that no clip depends on another.
      pair: which regions make the puzzled frames, one of `regions.PAIRS`.
      algorithm: how the flow is computed, one of `flow.ALGORITHMS`.

    Raises:
      InputError: an unknown pair or algorithm, a negative seed, or an OpenCV without its contributed modules.
    """
    regions.check_pair(pair)
    if seed < 0:
        raise InputError(f'--seed {seed} is negative: expected 0 or more')
    solver = flow.solver(algorithm, **_FLOW_SETTINGS.get(algorithm, {}))
    return Release(
        name='synthetic',
        description=(
            'Rendered grey faces moved by action units from onset to apex; flow by OpenCV. No real person, '
            'no real database: the names of the databases only give it the shape of MEGC2019-CD.'
        ),
        citation='The synthetic release of dualatme_jax.',
        licence='Free of rights: rendered from random numbers.',
        recipe={
            'release': 'synthetic',
            'seed': seed,
            'list': 'generated',
            'regions': regions.recipe(pair),
            'flow_puzzled': 'computed on puzzled frames',
            'flow': flow.recipe(solver),
            'apex': 'rendered',
            'cv2': cv2.__version__,
            'exclusions': [],
            'difficulty': {'intensity': INTENSITY, 'head_shift': HEAD_SHIFT, 'distraction': DISTRACTION},
        },
        examples=_examples(seed, pair, solver),
        size=len(schema.COMPOSITE) * sum(map(sum, CLIPS)),
    )


def _examples(seed: int, pair: str, solver: cv2.DenseOpticalFlow) -> Iterator[Example]:
    for place, database in enumerate(schema.COMPOSITE):
        for subject, counts in enumerate(CLIPS):
            face = _face(_stream(seed, place, subject, 0))
            labels = [label for label, count in zip(schema.LABELS, counts, strict=True) for _ in range(count)]
            for clip, label in enumerate(labels):
                random = _stream(seed, place, subject, 1 + clip)  # 0 is the face: NumPy pads keys by zeros
                units = _choose_units(random, label)
                onset, apex = _frames(random, face, units)
                yield Example(
                    flow=flow.flow_image(flow.optical_flow(solver, onset, apex)),
                    flow_puzzled=flow.flow_image(
                        flow.optical_flow(solver, regions.puzzle(onset, pair), regions.puzzle(apex, pair))
                    ),
                    label=label,
                    database=database,
                    subject=f'sub{subject + 1:02}',
                    clip=f'clip{clip + 1:02}',
                    # Two frames are rendered, and none after the apex.
                    onset=0,
                    apex=1,
                    action_units='+'.join(sorted(units, key=int)),
                )


def _stream(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(key))


def _choose_units(random: np.random.Generator, label: str) -> dict[str, float]:
    """Returns action unit -> share of the clip's intensity, the clip's own units first."""
    combinations = COMBINATIONS[label]
    units = dict.fromkeys(combinations[random.integers(len(combinations))], 1.0)
    if random.random() < DISTRACTION:
        units.setdefault(str(random.choice(list(ACTION_UNITS))), 0.5)
    return units


def _frames(
    random: np.random.Generator, face: np.ndarray, units: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the onset and the apex frame, [`FRAME_SIZE`, `FRAME_SIZE`] uint8 each."""
    motion = _expression(random, units) + _head(random)
    y, x = _grid().astype(np.float32)
    # The apex shows at p what the onset shows at p - motion(p): for motions of a pixel, smooth over many,
    # this is the forward motion up to a small fraction of a pixel.
    warped = cv2.remap(
        face,
        x - motion[..., 0].astype(np.float32),
        y - motion[..., 1].astype(np.float32),
        interpolation=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    return _sensed(random, face), _sensed(random, warped * _light(random))


def _expression(random: np.random.Generator, units: dict[str, float]) -> np.ndarray:
    """Returns the displacement by the action units, [`FRAME_SIZE`, `FRAME_SIZE`, 2] pixels (dx, dy)."""
    y, x = _template_grid()
    intensity = np.exp(random.uniform(*np.log(INTENSITY)))
    motion = np.zeros((FRAME_SIZE, FRAME_SIZE, 2))
    for unit, share in units.items():
        own = intensity * share * random.uniform(0.7, 1.3)
        # Micro-expressions are often stronger on one side.
        sides = 1 + random.uniform(-0.4, 0.4) * np.array([1, -1])
        shift = random.normal(0, 0.4, size=2)  # where this person's muscle pulls
        for bump_x, bump_y, width, height, dx, dy in ACTION_UNITS[unit]:
            for mirror, side in zip((1, -1), sides, strict=True):
                centre_x = regions.GRID / 2 + mirror * (bump_x + shift[0] - regions.GRID / 2)
                bump = _bump(x - centre_x, y - bump_y - shift[1], width, height)
                motion += own * side * bump[..., None] * (mirror * dx, dy)
    return motion


def _head(random: np.random.Generator) -> np.ndarray:
    """Returns the displacement by a shift and turn of the head, [`FRAME_SIZE`, `FRAME_SIZE`, 2] pixels."""
    y, x = _grid() - FRAME_SIZE / 2
    angle = np.deg2rad(random.normal(0, HEAD_TURN))
    return np.dstack([-angle * y, angle * x]) + random.normal(0, HEAD_SHIFT, size=2)


def _light(random: np.random.Generator) -> np.ndarray:
    """Returns the factor by which the light changes until the apex, [`FRAME_SIZE`, `FRAME_SIZE`]."""
    y, x = _grid() / FRAME_SIZE - 0.5
    gain, across, down = random.normal(0, 0.015, size=3)
    return 1 + gain + across * x + down * y


def _sensed(random: np.random.Generator, light: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(light + random.normal(0, SENSOR_NOISE, light.shape)), 0, 255).astype(np.uint8)


def _face(random: np.random.Generator) -> np.ndarray:
    """Draws a person's neutral face, [`FRAME_SIZE`, `FRAME_SIZE`] float32 grey levels."""
    y, x = _template_grid()
    image = random.uniform(130, 190) + random.uniform(-25, 25) * (x / regions.GRID - 0.5)
    image = image - 25 * ((x / 14 - 1) ** 2 + (y / 14 - 1) ** 2)  # a head is round
    for x0, y0, width, height, tilt, grey in _features(random):
        image = image + grey * _bump(x - x0, y - y0 - tilt * (x - x0), width, height)
    return (image + _skin(random)).astype(np.float32)


def _features(random: np.random.Generator) -> Iterator[tuple[float, float, float, float, float, float]]:
    """Yields the soft spots that a face is made of: (x, y, width, height, tilt, grey level added)."""
    middle = regions.GRID / 2 + random.normal(0, 0.2)
    apart, brow, mouth = random.normal(5.5, 0.3), random.normal(5.0, 0.3), random.normal(21.3, 0.3)
    slant, dark = random.normal(0, 0.08), random.uniform(0.7, 1.2)
    for side in (-1, 1):
        eye = middle + side * apart
        yield eye, brow, random.uniform(2.0, 2.6), 0.6, side * slant, -70 * dark  # brow
        yield eye, 8.2, 2.0, 0.9, 0, 35  # white of the eye
        yield eye, 7.5, 2.1, 0.3, 0, -45 * dark  # upper lid
        yield eye, 8.2, 0.8, 0.8, 0, -80 * dark  # iris
        yield eye, 9.4, 2.0, 0.4, 0, -20 * dark  # lower lid
        yield middle + side * 1.6, 16.2, 0.7, 0.5, 0, -60 * dark  # nostril
        yield middle + side * 5.0, 17.5, 0.5, 2.0, 0, -14 * dark  # fold from the nose to the mouth
        yield middle + side * random.uniform(4.0, 4.8), mouth, 0.5, 0.5, 0, -25 * dark  # lip corner
    yield middle, 12.5, 0.9, 3.0, 0, 25  # bridge of the nose
    yield middle, mouth, random.uniform(2.6, 3.2), 0.35, 0, -70 * dark  # between the lips
    yield middle, mouth - 0.9, 2.6, 0.6, 0, -22 * dark  # upper lip
    yield middle, mouth + 1.1, 2.4, 0.8, 0, -18 * dark  # lower lip
    yield middle, mouth + 2.4, 1.8, 0.4, 0, -20 * dark  # hollow above the chin


def _skin(random: np.random.Generator) -> np.ndarray:
    """Returns the texture of skin in grey levels: pores, spots and blotches, one octave each."""
    octaves = []
    for radius, contrast in ((1.0, 5.0), (2.0, 5.0), (4.0, 4.0), (9.0, 4.0)):
        noise = cv2.GaussianBlur(random.normal(size=(FRAME_SIZE, FRAME_SIZE)), (0, 0), radius)
        octaves.append(contrast * noise / noise.std())
    return np.sum(octaves, axis=0)


def _bump(x: np.ndarray, y: np.ndarray, width: float, height: float) -> np.ndarray:
    return np.exp(-((x / width) ** 2 + (y / height) ** 2) / 2)


def _grid() -> np.ndarray:
    """Returns the row and the column of every pixel, [2, `FRAME_SIZE`, `FRAME_SIZE`]."""
    return np.indices((FRAME_SIZE, FRAME_SIZE)).astype(float)


def _template_grid() -> np.ndarray:
    """Returns y and x of every pixel on the template's grid, [2, `FRAME_SIZE`, `FRAME_SIZE`]."""
    return (_grid() + 0.5) * regions.GRID / FRAME_SIZE
