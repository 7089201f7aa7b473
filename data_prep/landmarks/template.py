"""The landmarks of an aligned face that fills its picture: the same for every face."""

import csv
import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import numpy as np

from data_prep.clip import Clip
from data_prep.landmarks import ibug

# A symmetric face of usual proportions. Brows, eyes, nose and mouth stand where the mean strain of the public
# 28x28 flow images shows them.
FILE = pathlib.Path(__file__).with_name('template.csv')
GRID = 28  # its unit is the 28th part of the face's height and width


@functools.cache
def points() -> np.ndarray:
    """Returns the template, [68, 2]: (x, y) from 0 to `GRID`, (0, 0) the upper left corner of the picture."""
    with FILE.open(newline='') as file:
        rows = [(float(row['x']), float(row['y'])) for row in csv.DictReader(file)]
    template = np.array(rows)
    template.flags.writeable = False
    return template


def stretched(shape: Sequence[int]) -> np.ndarray:
    """Returns the template over a picture of shape (H, W, ...), [68, 2]: (x, y) in its pixels."""
    height, width = shape[:2]
    return points() * (width / GRID, height / GRID) - 0.5


@dataclasses.dataclass(frozen=True)
class Template:
    """The source `template`: for releases whose frames are faces that are cropped and aligned already."""

    whole_frame = True

    def recipe(self, clip: Clip | None = None) -> dict:
        """Returns what decides the landmarks, as JSON values."""
        del clip
        return {'name': 'template', 'points': points().tolist()}

    def find(self, frame: np.ndarray, clip: Clip) -> np.ndarray:
        """Returns the template stretched over the frame, [68, 2] float32 in pixels."""
        del clip
        return ibug.checked(stretched(frame.shape))
