"""Crops and aligns a face: one map for all frames of a clip, so that alignment adds no motion of its own.

`H`, `W`, `C` are height, width and channels of a frame, `S` height and width of the aligned face. Positions
are (x, y) in pixels; the centre of the first pixel is (0, 0).
"""

import dataclasses
from collections.abc import Collection, Sequence

import cv2
import numpy as np

from data_prep.face import regions
from data_prep.face.landmarks import ibug, template
from dualatme_jax.errors import InputError

SMALLEST_EYE_DISTANCE = 8.0  # pixels: below, a motion of the face is a small part of a pixel
LARGEST_OUTSIDE = 0.5  # of a region's area

LARGEST_FACE = 1024  # pixels of an aligned face; no release has larger ones
SMALLEST_CROP = 4.0  # pixels of the frame: each side of the box around some landmarks


@dataclasses.dataclass(frozen=True, eq=False)
class Alignment:
    """A map from a frame to the aligned face.

    Attributes:
      matrix: [2, 3], takes (x, y, 1) in the frame to (x, y) in the aligned face.
      size: `S`.
      frame: (H, W) of the frame.
    """

    matrix: np.ndarray
    size: int
    frame: tuple[int, int]

    def recipe(self) -> dict:
        """All that decides a picture besides the frame, as JSON values."""
        return {'size': self.size, 'matrix': np.asarray(self.matrix, float).tolist()}

    def points(self, landmarks: np.ndarray) -> np.ndarray:
        """Returns where points [N, 2] of the frame lie in the aligned face, [N, 2]."""
        return np.asarray(landmarks, float) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def warp(self, frame: np.ndarray) -> np.ndarray:
        """Returns the aligned face, [S, S] or [S, S, C], the type of `frame`.

        Each pixel is the mean over its area, so that shrinking does not alias; what lies outside the frame
        mirrors what lies inside.

        Args:
          frame: [H, W] or [H, W, C].
        """
        # The map at a multiple of the size that keeps every pixel of the frame, then the mean of each block.
        shrinking = 1 / np.linalg.svd(self.matrix[:, :2], compute_uv=False).min()
        fine = max(1, int(np.ceil(shrinking - 1e-6)))
        matrix = self.matrix * fine
        matrix[:, 2] += (fine - 1) / 2
        side = self.size * fine
        warped = cv2.warpAffine(
            frame, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        return cv2.resize(warped, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def outside(self, box: regions.Box | None = None) -> float:
        """Returns which share of a box of the aligned face, or of all of it, lies outside of the frame."""
        top, bottom, left, right = box or (0, self.size, 0, self.size)
        steps = (np.arange(64) + 0.5) / 64
        x, y = left + steps * (right - left) - 0.5, top + steps * (bottom - top) - 0.5
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        inverse = cv2.invertAffineTransform(self.matrix)
        return 1 - float(_inside(points @ inverse[:, :2].T + inverse[:, 2], self.frame).mean())

    def around(self, landmarks: np.ndarray, numbers: Collection[int]) -> 'Alignment':
        """Returns the map to the box around some landmarks, without a margin, which then fills the picture.

        Args:
          landmarks: [68, 2], in pixels of the frame.
          numbers: of those that the box is around, from 0.

        Raises:
          InputError: there is no face for a crop: the box is tiny, or lies mostly outside of the frame.
        """
        points = self.points(landmarks)[sorted(numbers)] + 0.5  # 0 is the first pixel's edge
        low, high = points.min(0), points.max(0)
        listed = ', '.join(map(str, sorted(numbers)))
        remedy = 'look at the landmarks by --overlays, or choose another --frame-crop'
        smallest = (high - low).min() / np.linalg.svd(self.matrix[:, :2], compute_uv=False).max()
        if not smallest >= SMALLEST_CROP:
            raise InputError(
                f'no face for a crop: the box around the landmarks {listed} is {smallest:.1f} pixels of the '
                f'frame wide or high, expected at least {SMALLEST_CROP:g}: {remedy}'
            )
        scale = self.size / (high - low)
        matrix = scale[:, None] * self.matrix
        matrix[:, 2] += scale * (0.5 - low) - 0.5
        found = Alignment(matrix, self.size, self.frame)
        if (outside := found.outside()) > LARGEST_OUTSIDE:
            raise InputError(
                f'no face for a crop: {outside:.0%} of the box around the landmarks {listed} lie outside of '
                f'the frame, expected at most {LARGEST_OUTSIDE:.0%}: {remedy}'
            )
        return found

    def boxes(self, landmarks: np.ndarray, pair: str) -> dict[str, regions.Box]:
        """Returns letter -> box of each region on the aligned face, without those that mostly lie outside.

        Args:
          landmarks: [68, 2], in pixels of the frame.
          pair: the regions that must lie inside, one of `regions.PAIRS`.

        Raises:
          InputError: one of them lies for the most part outside of the aligned face or of the frame.
        """
        found = regions.boxes(self.points(landmarks), (self.size, self.size), regions.letters(pair))
        shares = {letter: self.outside(box) for letter, box in found.items()}
        for letter in regions.letters(pair):
            if shares[letter] > LARGEST_OUTSIDE:
                raise InputError(
                    f'{shares[letter]:.0%} of the region {letter} lie outside of the frame '
                    f'({self.frame[1]}x{self.frame[0]} pixels), expected at most {LARGEST_OUTSIDE:.0%}: the '
                    'frame cuts it off; choose other --regions'
                )
        return {letter: box for letter, box in found.items() if shares[letter] <= LARGEST_OUTSIDE}


def align(landmarks: np.ndarray, shape: Sequence[int], size: int, pair: str = 'full') -> Alignment:
    """Returns the similarity that puts the eyes' centres level, where the template has them.

    Args:
      landmarks: [68, 2], those of the onset frame.
      shape: (H, W, ...) of the frame.
      size: `S`.
      pair: the regions that must lie inside the frame, one of `regions.PAIRS`; the eyes must in any case.

    Raises:
      InputError: what must not lies outside of the frame, or landmarks that are no upright face.
    """
    landmarks = np.asarray(landmarks, float)
    right, left = ibug.eye_centres(landmarks)
    _check_upright(landmarks, right, left)
    # A similarity is a multiplication and an addition of complex numbers.
    target_right, target_left = ibug.eye_centres(template.stretched((size, size))) @ (1, 1j)
    turn = (target_left - target_right) / ((left - right) @ (1, 1j))
    shift = target_right - turn * (right @ (1, 1j))
    matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    _check_inside(landmarks, shape, {*ibug.PARTS['eyes'], *regions.landmarks_of(pair)})
    return Alignment(matrix, size, (shape[0], shape[1]))


def whole_frame(shape: Sequence[int], size: int) -> Alignment:
    """Returns the scaling of a whole frame, (H, W, ...), to S x S: for frames that are aligned faces."""
    height, width = shape[:2]
    scale = np.array([size / width, size / height])
    return Alignment(np.column_stack([np.diag(scale), scale / 2 - 0.5]), size, (height, width))


def _check_upright(landmarks: np.ndarray, right: np.ndarray, left: np.ndarray) -> None:
    across = left - right
    distance = np.linalg.norm(across)
    if not distance >= SMALLEST_EYE_DISTANCE:
        raise InputError(
            f'the eyes are {distance:.1f} pixels apart, expected at least {SMALLEST_EYE_DISTANCE:g}: '
            'the face is too small, or its landmarks are wrong'
        )
    down = np.array([-across[1], across[0]])  # as the person sees it
    mouth = landmarks[list(ibug.MOUTH)].mean(0) - (right + left) / 2
    if across[0] <= 0 or mouth @ down <= 0:
        raise InputError(
            'the landmarks are no upright face: expected the right eye (36 to 41) at the left of the '
            'picture, the left eye (42 to 47) at its right and the mouth (48 to 67) below them; found them '
            f'around {_place(right)}, {_place(left)} and {_place(mouth + (right + left) / 2)}'
        )


def _check_inside(landmarks: np.ndarray, shape: Sequence[int], needed: Collection[int]) -> None:
    height, width = shape[:2]
    out = [number for number in sorted(needed) if not _inside(landmarks[number], shape)]
    if out:
        parts = [name for name, part in ibug.PARTS.items() if set(part) & set(out)]
        raise InputError(
            f'the face lies partly outside of the frame ({width}x{height} pixels): landmarks of '
            f'{" and ".join(parts)} do, such as {out[0]} at {_place(landmarks[out[0]])}'
        )


def _inside(points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    height, width = shape[:2]
    return ((points >= -0.5) & (points <= (width - 0.5, height - 0.5))).all(-1)


def _place(point: np.ndarray) -> str:
    return f'({point[0]:.0f}, {point[1]:.0f})'
