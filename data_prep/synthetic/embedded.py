"""A synthetic release: rendered grey faces, moved by action units, whose flow OpenCV computes.

It needs no files: the frames of an aligned face are drawn for each clip, in memory, as the clip is read; two
of them, or as many as its views show.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from data_prep.dataset.example import Example
from data_prep.dataset.writer import Contents, ViewFormat
from data_prep.face import regions
from data_prep.face.aligned_clip import AlignedClip
from data_prep.face.landmarks.template import Template
from data_prep.files.cache import Cache
from data_prep.releases.clip import Clip
from data_prep.synthetic import action_units, camera_noise, face
from data_prep.views import View, optical_flow
from data_prep.views import flow as flow_view
from dualatme_jax import schema
from dualatme_jax.errors import InputError

# The difficulty. Peak displacement of an action unit, and the standard deviation of the head's shift between
# onset and apex, in pixels of a frame: the further the first stands above the second, the easier.
INTENSITY = (0.4, 2.0)
HEAD_SHIFT = 0.5

FRAME_SIZE = 112  # pixels
HEAD_TURN = 0.3  # degrees, standard deviation
SENSOR_NOISE = 1.5  # grey levels, standard deviation

# Clips of each subject by class (negative, positive, surprise), the same in each database: 84 clips, as
# imbalanced as MEGC2019-CD, and leaving out any subject loses no class even within one database.
CLIPS = ((5, 1, 0), (4, 2, 2), (4, 2, 1), (3, 2, 2))

# TV-L1 stops earlier than by OpenCV's 0.01: five times faster, and up to 0.005 px worse on a known motion.
_FLOW_SETTINGS = {'tvl1': {'Epsilon': 0.05}}


def render(
    seed: int = 0,
    *,
    pair: str = 'EM',
    algorithm: str = 'tvl1',
    show: Sequence[View] = (),
    flow: bool = True,
) -> Contents:
    """Returns the synthetic release; its clips are rendered as they are read.

    Args:
      seed: another seed gives other faces and other motions. Each clip has its own stream of random numbers,
        drawn from the seed, its subject and its place, so that no clip depends on another.
      pair: which regions make the puzzled frames, one of `regions.PAIRS`.
      algorithm: how the flow is computed, one of `optical_flow.ALGORITHMS`.
      show: the views besides `flow`, with their options, if they are asked for.
      flow: whether the view `flow` is.

    Raises:
      InputError: an unknown pair or algorithm, a negative seed, or an OpenCV without its contributed modules.
    """
    regions.check_pair(pair)
    if seed < 0:
        raise InputError(f'--seed {seed} is negative: expected 0 or more')
    solver = optical_flow.solver(algorithm, **_FLOW_SETTINGS.get(algorithm, {}))
    return Contents(
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
            'apex': 'rendered',
            'exclusions': [],
            'difficulty': {
                'intensity': INTENSITY,
                'head_shift': HEAD_SHIFT,
                'distraction': action_units.DISTRACTION,
            },
        },
        views=({'flow': _flow_format(pair, solver)} if flow else {})
        | {view.name: ViewFormat(features=view.features(), recipe=view.recipe()) for view in show},
        examples=_examples(seed, pair, solver, show, flow=flow),
        size=len(schema.COMPOSITE) * sum(map(sum, CLIPS)),
    )


def _flow_format(pair: str, solver: cv2.DenseOpticalFlow) -> ViewFormat:
    return ViewFormat(
        features=flow_view.features() | flow_view.measures(schema.VIEWS['flow']),
        recipe={
            'regions': regions.recipe(pair),
            'flow_puzzled': flow_view.PUZZLED['computed'],
            'flow': optical_flow.recipe(solver)
            | {
                'strain': {'variant': 'symmetric', 'smoothing_pixels': 0.0},
                'encoding': 'minmax_uint8',
                schema.COMPUTED_AT: [FRAME_SIZE, FRAME_SIZE],
                schema.UNIT: schema.PIXELS,
            },
        },
    )


def _examples(
    seed: int, pair: str, solver: cv2.DenseOpticalFlow, show: Sequence[View], *, flow: bool
) -> Iterator[Example]:
    number, back = _length(show), any(view.name == 'flow_steps' for view in show)
    for place, database in enumerate(schema.COMPOSITE):
        for subject, counts in enumerate(CLIPS):
            neutral = _face(_stream(seed, place, subject, 0))
            labels = [label for label, count in zip(schema.LABELS, counts, strict=True) for _ in range(count)]
            for clip, label in enumerate(labels):
                random = _stream(seed, place, subject, 1 + clip)  # 0 is the face: NumPy pads keys by zeros
                units = action_units.choose(random, action_units.COMBINATIONS[label])
                film = _film(random, neutral, units, number, back=back)
                words = {
                    'database': database,
                    'subject': f'sub{subject + 1:02}',
                    'clip': f'clip{clip + 1:02}',
                    'onset': 0,
                    'apex': number
                    - 1,  # frames are rendered after it only where a view goes on to the offset
                    'apex_choice': 'rendered',
                    'action_units': '+'.join(sorted(units, key=int)),
                }
                aligned = AlignedClip(Clip(**words, frames=_Rendered(film)), Template(), Cache(None), pair)
                eyes = {schema.EYE_DISTANCE: aligned.eye_distance(FRAME_SIZE)}
                yield Example(
                    views=({'flow': _flows(solver, film[0], film[number - 1], pair) | eyes} if flow else {})
                    | {view.name: view.make(aligned, Cache(None)) for view in show},
                    label=label,
                    **words,
                )


@dataclasses.dataclass(frozen=True)
class _Rendered:
    """A clip's frames in memory, numbered from 0, as `files.frames.Images` are read."""

    film: Sequence[np.ndarray]

    @property
    def numbers(self) -> list[int]:
        return list(range(len(self.film)))

    def read(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        return (cv2.cvtColor(self.film[number], cv2.COLOR_GRAY2BGR) for number in numbers)

    def digest(self, number: int) -> str:
        return hashlib.sha256(self.film[number]).hexdigest()

    def name(self, number: int) -> str:
        return f'the rendered frame {number}'


def _length(show: Sequence[View]) -> int:
    """How many frames a film has up to the apex: what the view `frames` stores, else what `lbp_top` takes."""
    shown = {view.name: view for view in show}
    least = 3 if 'flow_steps' in shown else 2  # it may ask for one between onset and apex
    if 'frames' in shown:
        return max(least, shown['frames'].frames)
    return max(least, shown['lbp_top'].frames, shown['lbp_top'].least) if 'lbp_top' in shown else least


def _stream(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(key))


def _flows(solver: cv2.DenseOpticalFlow, onset: np.ndarray, apex: np.ndarray, pair: str) -> dict:
    pairs = {
        schema.FLOW: (onset, apex),
        schema.FLOW_PUZZLED: (regions.puzzle(onset, pair), regions.puzzle(apex, pair)),
    }
    found = {}
    for key, frames in pairs.items():
        channels = optical_flow.channels(optical_flow.compute(solver, *frames))
        stored = optical_flow.resized(channels, schema.FLOW_SIZE)
        found |= {key: optical_flow.minmax(stored), schema.range_of(key): optical_flow.span(stored)}
    return found


def _film(
    random: np.random.Generator,
    neutral: np.ndarray,
    units: Mapping[str, float],
    number: int,
    *,
    back: bool = False,
) -> list[np.ndarray]:
    """Returns so many frames from onset to apex, [`FRAME_SIZE`, `FRAME_SIZE`] uint8 each.

    With `back` as many follow but one, in which all returns to where it was.
    """
    motion = _expression(random, units) + _head(random)
    y, x = _pixels()

    def warped(part: float) -> np.ndarray:
        # The apex shows at p what the onset shows at p - motion(p): for motions of a pixel, smooth over many,
        # this is the forward motion up to a small fraction of a pixel.
        return cv2.remap(
            neutral.astype(np.float32),
            (x - part * motion[..., 0]).astype(np.float32),
            (y - part * motion[..., 1]).astype(np.float32),
            interpolation=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        )

    onset = camera_noise.noisy(random, neutral, SENSOR_NOISE)
    light = camera_noise.illumination(
        random.normal(0, 0.015, size=3), x / FRAME_SIZE - 0.5, y / FRAME_SIZE - 0.5
    )
    apex = camera_noise.noisy(random, warped(1.0) * light, SENSOR_NOISE)
    # Drawn last, so that onset and apex are the same however many there are between and behind them.
    there = np.linspace(0, 1, number)
    between, behind = (
        [camera_noise.noisy(random, warped(part) * (1 + part * (light - 1)), SENSOR_NOISE) for part in parts]
        for parts in (there[1:-1], there[-2::-1] if back else ())
    )
    return [onset, *between, apex, *behind]


def _expression(random: np.random.Generator, units: Mapping[str, float]) -> np.ndarray:
    """Returns the displacement by the action units, [`FRAME_SIZE`, `FRAME_SIZE`, 2] pixels (dx, dy)."""
    intensity = np.exp(random.uniform(*np.log(INTENSITY)))
    return action_units.displacement(action_units.bumps(random, units, intensity), *_template_grid())


def _head(random: np.random.Generator) -> np.ndarray:
    """Returns the displacement by a shift and turn of the head, [`FRAME_SIZE`, `FRAME_SIZE`, 2] pixels."""
    y, x = (axis - FRAME_SIZE / 2 for axis in _pixels())
    angle = np.deg2rad(random.normal(0, HEAD_TURN))
    turn = np.dstack(np.broadcast_arrays(-angle * y, angle * x))
    return turn + random.normal(0, HEAD_SHIFT, size=2)


def _face(random: np.random.Generator) -> np.ndarray:
    """Draws a person's neutral face, [`FRAME_SIZE`, `FRAME_SIZE`] grey levels."""
    image = face.paint(face.draw(random), *_template_grid())
    image = image + face.skin(random, image.shape, FRAME_SIZE / face.GRID)
    return image.astype(np.float32).astype(float)


def _pixels() -> tuple[np.ndarray, np.ndarray]:
    """Returns the row and the column of every pixel, [`FRAME_SIZE`, 1] and [1, `FRAME_SIZE`]."""
    return np.ogrid[:FRAME_SIZE, :FRAME_SIZE]


def _template_grid() -> tuple[np.ndarray, np.ndarray]:
    """Returns x and y of every pixel on the template's grid, [1, `FRAME_SIZE`] and [`FRAME_SIZE`, 1]."""
    y, x = ((axis + 0.5) * face.GRID / FRAME_SIZE for axis in _pixels())
    return x, y
