"""The landmarks of an aligned face that fills its picture: a template, and its place in each database.

The faces of the public 28x28 flow images were cropped in different ways. `PLACES` says where the template's
face stands in each, as `python -m benchmarks.template --source FOLDER` measures it on the mean strain of the
clips. With subjects drawn anew, the eyes move by 0.2 or 0.3 of the 28 rows and the mouth by 0.8 (standard
deviation).
"""

import csv
import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import numpy as np

from data_prep.face.landmarks import ibug
from data_prep.releases.clip import Clip

# A symmetric face of usual proportions. Brows, eyes, nose and mouth stand where the mean strain of the public
# 28x28 flow images shows them.
FILE = pathlib.Path(__file__).with_name('template.csv')
GRID = 28  # its unit is the 28th part of the face's height and width


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the template's face stands in a picture.

    Attributes:
      down: the scale of its rows about the middle of the picture.
      shift: by how many of the `GRID` rows it lies lower.
      across: the scale of its columns about the middle of the picture.
    """

    down: float = 1.0
    shift: float = 0.0
    across: float = 1.0

    def points(self, template: np.ndarray) -> np.ndarray:
        """Returns the template's points, [N, 2], at this place."""
        middle = GRID / 2
        return (template - middle) * (self.across, self.down) + (middle, middle + self.shift)


# In SMIC the template stands where it is. Databases that have no place take the template as it is, too.
PLACES = {'casme2': Place(1.08, 0.4, 1.0), 'smic': Place(), 'samm': Place(1.12, -1.1, 0.88)}


@functools.cache
def points(database: str | None = None) -> np.ndarray:
    """Returns the template, [68, 2]: (x, y) from 0 to `GRID`, (0, 0) the upper left corner of the picture.

    Args:
      database: at the place of its faces; None: as it is.
    """
    with FILE.open(newline='') as file:
        rows = [(float(row['x']), float(row['y'])) for row in csv.DictReader(file)]
    template = PLACES.get(database, Place()).points(np.array(rows))
    template.flags.writeable = False
    return template


def stretched(shape: Sequence[int], database: str | None = None) -> np.ndarray:
    """Returns the template over a picture of shape (H, W, ...), [68, 2]: (x, y) in its pixels."""
    height, width = shape[:2]
    return points(database) * (width / GRID, height / GRID) - 0.5


def recipe(database: str | None) -> str | dict[str, float]:
    """Returns what the metadata says about the place: `common`, or the database's own as JSON values."""
    return dataclasses.asdict(PLACES[database]) if database in PLACES else 'common'


@dataclasses.dataclass(frozen=True)
class Template:
    """The source `template`: for releases whose frames are faces that are cropped and aligned already.

    Attributes:
      database: the face stands at the place of its faces; None: as it is.
    """

    database: str | None = None

    whole_frame = True

    def recipe(self, clip: Clip | None = None) -> dict:
        """Returns what decides the landmarks, as JSON values."""
        del clip
        place = recipe(self.database)
        return {'name': 'template', 'place': place, 'points': points(self.database).tolist()}

    def find(self, frame: np.ndarray, clip: Clip) -> np.ndarray:
        """Returns the template stretched over the frame, [68, 2] float32 in pixels."""
        del clip
        return ibug.checked(stretched(frame.shape, self.database))
