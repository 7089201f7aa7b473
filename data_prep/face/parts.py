"""Maps of the parts of a face: where skin, brows, eyes, nose and mouth are.

The parts are ten classes of face parsers such as BiSeNet's (Yu et al., ECCV 2018) on CelebAMask-HQ. No parser
is run here: maps are drawn as polygons of the 68 landmarks, or read from files of one.
"""

import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from data_prep.face.alignment import Alignment
from data_prep.face.landmarks import ibug
from data_prep.files import images
from data_prep.releases.clip import Clip
from dualatme_jax import schema
from dualatme_jax.errors import InputError

# Their unit is the distance between the eyes.
_BROW = 0.06  # half of the height of a brow around its landmarks
_FOREHEAD = 0.5  # how far the skin reaches above the brows

_OUTER, _INNER = [*range(48, 60)], [*range(60, 68)]  # the mouth's landmarks, around the lips and within them
_UPPER_LIP = [*_OUTER[:7], *_INNER[4::-1]]
_LOWER_LIP = [*_OUTER[6:], _OUTER[0], _INNER[0], *_INNER[:3:-1]]
_FINE = 4  # pixels along the edge of one, since polygons are drawn with whole pixels at their border
_SUBPIXEL = 4  # bits of a position behind the point


def drawn(points: np.ndarray, size: int) -> np.ndarray:
    """Draws the parts from landmarks.

    Args:
      points: [68, 2], (x, y) in pixels of the aligned face.
      size: `S`, its height and width.

    Returns:
      [S, S, 10] uint8 in the order of `schema.PARTS`, 255 within a part; the skin has holes where other parts
      are. Landmarks show no glasses, whose map is 0 everywhere.
    """
    points = np.asarray(points, float)
    right, left = ibug.eye_centres(points)
    unit = np.linalg.norm(left - right)
    brows = points[list(ibug.BROWS)]
    forehead = brows - (0, _FOREHEAD * unit)
    outlines = {
        'left_brow': _around(brows[5:], _BROW * unit),
        'right_brow': _around(brows[:5], _BROW * unit),
        'left_eye': points[list(ibug.LEFT_EYE)],
        'right_eye': points[list(ibug.RIGHT_EYE)],
        'nose': _hull(points[list(ibug.NOSE)]),
        'mouth': points[_INNER],
        'upper_lip': points[_UPPER_LIP],
        'lower_lip': points[_LOWER_LIP],
    }
    maps = {part: _filled(outline, size) for part, outline in outlines.items()}
    whole = _filled(_hull(np.concatenate([points[list(ibug.JAW)], forehead])), size)
    maps['skin'] = np.minimum(whole, 255 - np.max(list(maps.values()), axis=0))
    maps['glasses'] = np.zeros_like(whole)
    return np.dstack([maps[part] for part in schema.PARTS])


def _around(line: np.ndarray, reach: float) -> np.ndarray:
    """The outline of what lies up to `reach` above and below a line of points."""
    return np.concatenate([line - np.array([0, reach]), line[::-1] + np.array([0, reach])])


def _hull(points: np.ndarray) -> np.ndarray:
    return cv2.convexHull(points.astype(np.float32))[:, 0]


def _filled(outline: np.ndarray, size: int) -> np.ndarray:
    """A polygon, [S, S] uint8: 255 within, less on its edge."""
    fine = (outline + 0.5) * _FINE - 0.5
    drawn = np.zeros((size * _FINE, size * _FINE), np.uint8)
    cv2.fillPoly(drawn, [np.rint(fine * 2**_SUBPIXEL).astype(np.int32)], 255, shift=_SUBPIXEL)
    return cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA)


class PartFolder:
    """Maps that a parser made of the apex frames: a folder with a grey picture of each clip and part.

    They are called DATABASE/SUBJECT/CLIP/PART.png (or .jpg, ...), have the size of the frames, and show where
    the part is from 0 (nowhere) to 255.

    Args:
      path: the folder.

    Raises:
      InputError: there is no such folder.
    """

    def __init__(self, path: pathlib.Path):
        if not path.is_dir():
            raise InputError(f'--part-maps: {path} is not a folder; expected one of pictures of parts')
        self._path = path

    def read(self, clip: Clip, alignment: Alignment) -> np.ndarray:
        """Reads the maps of a clip, [S, S, 10] uint8, aligned as its frames are.

        Raises:
          InputError: one is missing, cannot be read, or has another size than the frames.
        """
        return np.dstack([self._aligned(file, alignment) for file in self.files(clip)])

    def files(self, clip: Clip) -> list[pathlib.Path]:
        """The picture of each part of a clip; raises InputError where one is missing."""
        folder = self._path / clip.database / clip.subject / clip.clip
        files = {part: sorted(folder.glob(f'{part}.*')) for part in schema.PARTS}
        if missing := [part for part, found in files.items() if len(found) != 1]:
            raise InputError(
                f'{folder} has no map of {", ".join(missing)}, or several; expected one grey picture of each '
                f'part, such as {folder / missing[0]}.png'
            )
        return [found for (found,) in files.values()]

    def _aligned(self, file: pathlib.Path, alignment: Alignment) -> np.ndarray:
        try:
            picture = images.grey(images.decode(images.read(file)))
        except InputError as error:
            raise InputError(f'{file}: {error}') from error
        if picture.shape != alignment.frame:
            sizes = f'{_size(picture.shape)} pixels, and the frames of its clip {_size(alignment.frame)}'
            raise InputError(f'{file} has {sizes}; expected a map of the apex frame')
        return alignment.warp(picture)


def _size(shape: Sequence[int]) -> str:
    return f'{shape[1]}x{shape[0]}'
