"""Films a clip: the frames of a head that moves, shows an expression and is lit, and what truly moved.

Every frame is drawn from the head's texture by one interpolation, so that all are equally sharp.
`H` and `W` are height and width of a frame in pixels, whose centres have whole coordinates.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from data_prep.synthetic import camera_noise, head
from data_prep.synthetic.action_units import Bump, displacement
from data_prep.synthetic.face import GRID, smooth_noise
from data_prep.synthetic.truth import TrueMotion

# How far the head drifts from onset to apex, at most: template units (8 pixels of an aligned face of 224),
# degrees, and relative to its size.
HEAD_SHIFT = 0.04
HEAD_TURN = 0.15
HEAD_NEARING = 0.001
EXPOSURE = -0.12  # the mean gain, so that bright skin stays below white
# Standard deviation of the light's gain and gradients at the onset, and of their change until the apex. Flow
# algorithms take a change of brightness for motion: at 0.015 TV-L1 errs by several tenths of a pixel.
LIGHT = 0.04
LIGHT_DRIFT = 0.002


@dataclasses.dataclass(frozen=True, kw_only=True)
class Camera:
    """How a release looks at people.

    Attributes:
      width: of a frame, pixels.
      height: of a frame, pixels.
      colour: whether frames have colours; the others are grey.
      unit: (least, most) pixels a template unit; None where the release has aligned the faces, so that the
        template is stretched over the frame.
      noise: standard deviation of the sensor's noise in grey levels, of each channel.
    """

    width: int
    height: int
    colour: bool
    unit: tuple[float, float] | None
    noise: float


@dataclasses.dataclass(frozen=True)
class Expression:
    """Displacements of the face that come and go together.

    Attributes:
      bumps: their peaks in template units.
      strength: [frames], which share of them each frame shows; 0 in the first.
    """

    bumps: Sequence[Bump]
    strength: np.ndarray


class Film:
    """One clip.

    Args:
      random: where all that is this clip's own comes from.
      camera: what films it.
      person: who is filmed.
      texture: of the person's head, from `head.texture`.
      expressions: what the face does.
      apex: the frame, counted from 0, up to which motion is known and by which drifts are measured.
      still: whether head and light keep still, so that nothing but the expression moves.
      light_drift: by how much the light changes until the apex, as `LIGHT_DRIFT`.
      path: [frames, 4], where else the head is in each frame: x and y in template units, turn in degrees, and
        by how much it is nearer, relative to its size. None: it drifts only.
    """

    def __init__(
        self,
        random: np.random.Generator,
        camera: Camera,
        person: head.Person,
        texture: np.ndarray,
        expressions: Sequence[Expression],
        apex: int,
        *,
        still: bool = False,
        light_drift: float = LIGHT_DRIFT,
        path: np.ndarray | None = None,
    ):
        self._random = random
        self._camera = camera
        self._person = person
        self._texture = texture
        self._expressions = expressions
        self._apex = apex
        self._path = np.zeros((len(expressions[0].strength), 4)) if path is None else path
        self._pose = _pose(random, camera)
        self._drift = random.uniform(-1, 1, size=4) * (HEAD_SHIFT, HEAD_SHIFT, HEAD_TURN, HEAD_NEARING)
        self._light = random.normal((EXPOSURE, 0, 0), LIGHT)
        self._light_drift = random.normal(0, light_drift, size=3)
        self._wall = _wall(random, camera)
        if still:
            self._drift, self._light_drift = np.zeros(4), np.zeros(3)

    def landmarks(self) -> np.ndarray:
        """Returns the 68 landmarks in the first frame, [68, 2] (x, y) in pixels."""
        return _apply(self._placed(0), head.landmarks(self._person))

    def frames(self) -> Iterator[np.ndarray]:
        """Yields the frames, [H, W, 3] uint8, blue first, or [H, W]."""
        camera = self._camera
        fields = [_texels(displacement(each.bumps, *_texture_points())) for each in self._expressions]
        y, x = np.ogrid[: camera.height, : camera.width]
        across, down = x / camera.width - 0.5, y / camera.height - 0.5
        for number in range(len(self._expressions[0].strength)):
            field = sum(
                field * np.float32(each.strength[number])
                for field, each in zip(fields, self._expressions, strict=True)
                if each.strength[number]
            )
            image = self._composed(self._placed(number), field)
            light = self._light + self._light_drift * number / self._apex
            image *= camera_noise.illumination(light, across, down)[..., None].astype(np.float32)
            frame = camera_noise.noisy(self._random, image, camera.noise)
            yield frame if camera.colour else frame[..., 0]

    def truth(self, step: int = 2, *, ends: tuple[int, int] | None = None) -> TrueMotion:
        """Returns what moved between two frames, on a grid of points `step` pixels apart.

        Args:
          step: pixels.
          ends: the frames, counted from 0; by default the first one and the apex.
        """
        start, end = ends or (0, self._apex)
        first, last = self._placed(start), self._placed(end)
        corners = _apply(first, np.array([(0, 0), (GRID, 0), (0, GRID), (GRID, GRID)]))
        low = np.maximum(np.ceil(corners.min(0)), 0).astype(int)
        high = np.minimum(corners.max(0), (self._camera.width - 1, self._camera.height - 1))
        x, y = np.meshgrid(*(np.arange(a, b + 1e-9, step) for a, b in zip(low, high, strict=True)))
        begun = np.dstack([x, y]).astype(float)
        shown = _apply(np.linalg.inv(first), begun)
        neutral = shown - self._displacement(shown, start)
        moved = neutral
        # A point shows in a frame where it came by the displacement of the place where it is then: a fixed
        # point, quickly found since displacements vary by less than a third of the way.
        for _ in range(20):
            moved = neutral + self._displacement(moved, end)
        coverage = cv2.remap(
            self._texture[..., -1],
            *(axis.astype(np.float32) for axis in np.moveaxis(_apply(_TO_TEXELS, neutral), -1, 0)),
            cv2.INTER_LINEAR,
        )
        return TrueMotion(
            flow=(_apply(last, moved) - begun).astype(np.float32),
            expression=(_apply(first, moved) - begun).astype(np.float32),
            head=coverage > 0.99,
            origin=low,
            step=step,
        )

    def _displacement(self, points: np.ndarray, number: int) -> np.ndarray:
        """Returns the displacement in a frame by which each of [..., 2] points came there."""
        return sum(
            each.strength[number] * displacement(each.bumps, points[..., 0], points[..., 1])
            for each in self._expressions
        )

    def _placed(self, number: int) -> np.ndarray:
        """Returns [3, 3], from the template to the pixels of a frame."""
        x, y, turn, nearing = self._drift * number / self._apex + self._path[number]
        return self._pose @ _about_centre(x, y, np.deg2rad(turn), 1 + nearing)

    def _composed(self, placed: np.ndarray, field: np.ndarray | int) -> np.ndarray:
        """Returns a frame without light and noise, [H, W, C] float32; a field of 0 moves nothing."""
        to_texels = _TO_TEXELS @ np.linalg.inv(placed)
        y, x = np.ogrid[: self._camera.height, : self._camera.width]
        u, v = ((a * x + b * y + c).astype(np.float32) for a, b, c in to_texels[:2])
        if np.any(field):
            shift = cv2.remap(field, u, v, cv2.INTER_LINEAR)
            u, v = u - shift[..., 0], v - shift[..., 1]
        drawn = cv2.remap(self._texture, u, v, cv2.INTER_CUBIC)
        return drawn[..., :-1] + (1 - drawn[..., -1:]) * self._wall


def _pose(random: np.random.Generator, camera: Camera) -> np.ndarray:
    """Returns [3, 3], from the template to the pixels of a frame in which nothing has moved yet."""
    to_centres = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    if camera.unit is None:
        return to_centres @ np.diag([camera.width / GRID, camera.height / GRID, 1.0])
    unit = random.uniform(*camera.unit)
    x, y = random.uniform(-1, 1, size=2) * (0.06 * camera.width, 0.02 * camera.height)
    turn = np.deg2rad(random.uniform(-5, 5))
    middle = np.array([[unit, 0, 0.5 * camera.width + x], [0, unit, 0.56 * camera.height + y], [0, 0, 1]])
    return to_centres @ middle @ _about_centre(-GRID / 2, -GRID / 2, turn, 1.0)


def _about_centre(x: float, y: float, turn: float, size: float) -> np.ndarray:
    """Returns [3, 3]: turned and scaled about the centre of the template, then shifted."""
    cos, sin, centre = size * np.cos(turn), size * np.sin(turn), GRID / 2
    return np.array(
        [
            [cos, -sin, x + centre - centre * cos + centre * sin],
            [sin, cos, y + centre - centre * sin - centre * cos],
            [0, 0, 1],
        ]
    )


def _wall(random: np.random.Generator, camera: Camera) -> np.ndarray:
    """Returns what is behind the head, [H, W, 1] float32."""
    shape = (camera.height, camera.width)
    grain = 3 * smooth_noise(random, shape, 1.5) + 6 * smooth_noise(random, shape, 12)
    return (random.uniform(90, 180) + grain)[..., None].astype(np.float32)


_LEFT, _TOP = head.EXTENT[:2]
# From the template to the texture's pixels.
_TO_TEXELS = np.array(
    [[head.UNIT, 0, -head.UNIT * _LEFT - 0.5], [0, head.UNIT, -head.UNIT * _TOP - 0.5], [0, 0, 1]]
)


def _texture_points() -> tuple[np.ndarray, np.ndarray]:
    """Returns x and y of the texture's pixels in template units, [1, columns] and [rows, 1]."""
    left, top, right, bottom = head.EXTENT
    y, x = np.ogrid[: (bottom - top) * head.UNIT, : (right - left) * head.UNIT]
    return (x + 0.5) / head.UNIT + left, (y + 0.5) / head.UNIT + top


def _texels(displacement: np.ndarray) -> np.ndarray:
    return (head.UNIT * displacement).astype(np.float32)


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Maps points [..., 2] by an affine [3, 3]."""
    return points @ matrix[:2, :2].T + matrix[:2, 2]
