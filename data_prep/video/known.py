"""What is known of every frame in a few numbers: 40 bytes, so that those of hours are in memory at once."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from data_prep.face.landmarks import ibug

# Of `motion.Moved`, which it is made of.
FIELDS = ('number', 'time', 'landmarks', 'faces', 'grey', 'sharpness')


@dataclasses.dataclass(frozen=True, eq=False)
class Frames:
    """Some frames in order, one number of each, [N].

    Attributes:
      numbers: of the frames.
      times: seconds.
      there: whether there is a face; what follows is NaN where there is none.
      faces: how many the last detection found.
      grey: mean grey level of the face.
      sharpness: variance of its Laplacian.
      eyes: distance of the eyes in pixels of the frame.
      turned: how far the tip of the nose is from the middle between the eyes, over their distance.
      outside: share of the landmarks outside of the frame.
    """

    numbers: np.ndarray
    times: np.ndarray
    there: np.ndarray
    faces: np.ndarray
    grey: np.ndarray
    sharpness: np.ndarray
    eyes: np.ndarray
    turned: np.ndarray
    outside: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, which: slice | np.ndarray) -> 'Frames':
        """Some of them: a slice, or a mask [N]."""
        return Frames(*(getattr(self, field.name)[which] for field in dataclasses.fields(self)))


def frames(parts: Iterable[Mapping[str, np.ndarray]], shape: tuple[int, int]) -> Frames:
    """What is known of all frames.

    Args:
      parts: the `FIELDS` of some frames after the other, [n, ...] each; one at least.
      shape: (H, W) of a frame.
    """
    columns = [_of_part(part, np.array(shape[::-1])) for part in parts]
    return Frames(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _of_part(part: Mapping[str, np.ndarray], size: np.ndarray) -> list[np.ndarray]:
    landmarks = part['landmarks']
    there = np.isfinite(landmarks).all((1, 2))
    right, left = (landmarks[:, list(eye)].mean(1) for eye in (ibug.RIGHT_EYE, ibug.LEFT_EYE))
    eyes = np.linalg.norm(left - right, axis=-1)
    aside = ((landmarks[:, ibug.NOSE[3]] - (right + left) / 2) * (left - right)).sum(-1)
    outside = np.where(there, ((landmarks < 0) | (landmarks > size - 1)).any(-1).mean(-1), np.nan)
    of_face = [part['grey'], part['sharpness'], eyes, np.abs(aside) / eyes**2, outside]
    return [
        part['number'],
        part['time'],
        there,
        part['faces'].astype(np.int16),
        *(values.astype(np.float32) for values in of_face),
    ]
