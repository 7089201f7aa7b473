"""The view `lbp_top`: local binary patterns on three orthogonal planes (Zhao, Pietikäinen, PAMI 2007).

Each pixel of a clip is compared with its neighbours on an ellipse in each of the planes XY, XT and YT; which
of them are not darker is a code, and the codes are counted by blocks of the face. The defaults are those of
the MEGC2019 guideline: radii 1, 1 and 4, 4 neighbours, 5x5 blocks that do not overlap, 10 frames by temporal
interpolation. It does not name the size of the face, nor whether codes are plain or uniform: here they are
plain, on the face of `--face-size`. Centres are the pixels that have all neighbours of all planes, so of 10
frames the fifth and the sixth; the blocks divide these.

Axes: T, H, W frames, rows and columns of a clip.
"""

import argparse
import dataclasses
import itertools
import math
from collections.abc import Iterable

import numpy as np

from data_prep.face import apex
from data_prep.face.aligned_clip import AlignedClip
from data_prep.face.regions import GRID
from data_prep.files import images
from data_prep.files.cache import Cache, Form
from data_prep.releases.clip import Clip
from data_prep.views import temporal_interpolation
from dualatme_jax import schema
from dualatme_jax.errors import InputError

PLANES = ('XY', 'XT', 'YT')
CODES = {
    'plain': 'one bin for each of the 2^P codes',
    'uniform': 'one bin for each code of at most two changes around the circle, and one for all others '
    '(Ojala et al., PAMI 2002)',
}
NEIGHBOURS = (2, 8)  # the least and the most
BLOCKS = (1, GRID // 2)  # along each axis
FRAMES = 1000  # the most


@dataclasses.dataclass(frozen=True, kw_only=True)
class LbpTopView:
    """How the patterns are taken and counted.

    Attributes:
      face_size: height and width of the face, in pixels.
      frames: what the clip is interpolated to; 0: it is taken as it is.
      radii: in x and y (pixels) and in time (frames).
      neighbours: P, of each pixel in each plane.
      blocks: along each axis of the face.
      codes: a key of `CODES`.
    """

    name = 'lbp_top'
    span = True
    shared = ('face_size',)

    face_size: int = 224
    frames: int = 10
    radii: tuple[int, int, int] = (1, 1, 4)
    neighbours: int = 4
    blocks: int = 5
    codes: str = 'plain'

    def __post_init__(self):
        if self.codes not in CODES:
            raise InputError(f'unknown --lbp-codes {self.codes!r}: expected one of {", ".join(CODES)}')
        for option, value, (least, most) in (
            ('--lbp-neighbours', self.neighbours, NEIGHBOURS),
            ('--lbp-blocks', self.blocks, BLOCKS),
        ):
            if not least <= value <= most:
                raise InputError(f'{option} {value}: expected {least} to {most}')
        most = (self.face_size - self.blocks) // 2
        if not all(1 <= radius <= most for radius in self.radii[:2]) or not 1 <= self.radii[2] <= FRAMES // 2:
            raise InputError(
                f'--lbp-radii {" ".join(map(str, self.radii))}: expected 1 to {most} pixels in x and y, on a '
                f'face of {self.face_size}, and 1 to {FRAMES // 2} frames in time'
            )
        if self.frames and not self.least <= self.frames <= FRAMES:
            raise InputError(
                f'--lbp-frames {self.frames}: with a radius of {self.radii[2]} frames (--lbp-radii) expected '
                f'{self.least} to {FRAMES}, or 0 to take clips as they are'
            )

    @property
    def least(self) -> int:
        """Frames that a clip must have for one of them to be a centre."""
        return 2 * self.radii[2] + 1

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Adds the options of the patterns."""
        parser.add_argument(
            '--lbp-frames',
            type=int,
            default=10,
            metavar='N',
            help='frames that each clip is interpolated to; 0: as it is (default: 10)',
        )
        parser.add_argument(
            '--lbp-radii',
            type=int,
            nargs=3,
            default=[1, 1, 4],
            metavar=('X', 'Y', 'T'),
            help='of the neighbours, in pixels, pixels and frames (default: 1 1 4)',
        )
        parser.add_argument(
            '--lbp-neighbours', type=int, default=4, metavar='N', help='in each plane (default: 4)'
        )
        parser.add_argument(
            '--lbp-blocks', type=int, default=5, metavar='N', help='along each axis (default: 5)'
        )
        parser.add_argument(
            '--lbp-codes',
            default='plain',
            choices=tuple(CODES),
            help='plain: all codes are counted; uniform: those of two changes at most, and the rest together '
            '(default: plain)',
        )

    @classmethod
    def of(cls, options: argparse.Namespace) -> 'LbpTopView':
        """The view that the options ask for."""
        return cls(
            face_size=options.face_size,
            frames=options.lbp_frames,
            radii=tuple(options.lbp_radii),
            neighbours=options.lbp_neighbours,
            blocks=options.lbp_blocks,
            codes=options.lbp_codes,
        )

    def recipe(self) -> dict:
        """What the metadata says, as JSON values."""
        return {
            'lbp_top': {
                'face': [self.face_size, self.face_size],
                'frames': self.frames or 'as they are, from onset to offset',
                'interpolation': 'cosine series through the frames (TIM)' if self.frames else 'none',
                'radii': list(self.radii),
                'neighbours': self.neighbours,
                'blocks': [self.blocks, self.blocks],
                'codes': CODES[self.codes],
                'order': 'blocks row by row, then planes XY, XT, YT, then codes; each histogram sums to 1',
            }
        }

    def features(self) -> dict:
        """The features of its dataset."""
        import tensorflow_datasets as tfds  # the workers that compute do without it

        doc = tfds.features.Documentation(
            f'histograms of local binary patterns in {self.blocks}x{self.blocks} blocks and the planes '
            + ', '.join(PLANES),
            '0..1',
        )
        return {schema.LBP_TOP: tfds.features.Tensor(shape=(self._numbers,), dtype=np.float32, doc=doc)}

    def check(self, clip: Clip) -> None:
        """Raises InputError, before a frame is decoded, for a clip that is too short."""
        self._check_length(len(apex.span_numbers(clip)))

    def make(self, aligned: AlignedClip, cache: Cache) -> dict[str, np.ndarray]:
        """Makes the view of one clip: a value for each of `features`."""
        key = {
            'frames': aligned.span_digest(),
            'geometry': aligned.geometry(self.face_size),
            'recipe': self.recipe(),
        }
        forms = {'vector': Form((self._numbers,), np.float32, 0, 1)}
        kept = cache.arrays('lbp_top', key, lambda: {'vector': self._of_clip(aligned)}, forms)
        return {schema.LBP_TOP: kept['vector']}

    def _of_clip(self, aligned: AlignedClip) -> np.ndarray:
        greys = (images.grey(face) for face in aligned.span(self.face_size))
        return self.vector(greys, len(aligned.span_numbers))

    def vector(self, frames: Iterable[np.ndarray], length: int) -> np.ndarray:
        """The histograms of one clip, [D] float32.

        Args:
          frames: grey, [H, W] uint8, one at a time.
          length: how many.

        Raises:
          InputError: they are too few for the radius in time.
        """
        self._check_length(length)
        if self.frames:
            clip = temporal_interpolation.interpolated(frames, length, self.frames)
        else:
            clip = np.stack(list(frames))
        found = patterns(clip, self.radii, self.neighbours)
        if self.codes == 'uniform':
            found = uniform(self.neighbours)[found]
        return histograms(found, self.blocks, self._bins).ravel()

    def _check_length(self, length: int) -> None:
        if not self.frames and length < self.least:
            raise InputError(
                f'{length} frames from onset to offset, and patterns with a radius of {self.radii[2]} frames '
                f'need {self.least}: interpolate the clips by --lbp-frames {max(10, self.least)}, or take a '
                'smaller radius by --lbp-radii'
            )

    @property
    def _bins(self) -> int:
        return int(uniform(self.neighbours).max()) + 1 if self.codes == 'uniform' else 2**self.neighbours

    @property
    def _numbers(self) -> int:
        return self.blocks**2 * len(PLANES) * self._bins


VIEW = LbpTopView


def patterns(clip: np.ndarray, radii: tuple[int, int, int], neighbours: int) -> np.ndarray:
    """Returns the codes of the pixels that have all neighbours, [3, T - 2 RT, H - 2 RY, W - 2 RX] uint8.

    Neighbour p of P, at the angle 2 pi p / P, is the pixel nearest to (x + RX cos, y - RY sin) in XY, to
    (x + RX cos, t + RT sin) in XT and to (y + RY cos, t + RT sin) in YT. It adds 2^p if it is not darker than
    the centre.

    Args:
      clip: [T, H, W], grey.
      radii: RX, RY, RT, in pixels and frames.
      neighbours: P.
    """
    rx, ry, rt = radii
    frames, height, width = clip.shape

    def moved(t: int, y: int, x: int) -> np.ndarray:
        return clip[rt + t : frames - rt + t, ry + y : height - ry + y, rx + x : width - rx + x]

    centre = moved(0, 0, 0)
    found = np.zeros((len(PLANES), *centre.shape), np.uint8)
    for p in range(neighbours):
        cos, sin = math.cos(2 * math.pi * p / neighbours), math.sin(2 * math.pi * p / neighbours)
        steps = ((0, -ry * sin, rx * cos), (rt * sin, 0, rx * cos), (rt * sin, ry * cos, 0))
        for plane, step in enumerate(steps):
            # Rounded twice, lest the last bit of a cosine decides about half a pixel.
            t, y, x = (round(round(length, 6)) for length in step)
            found[plane] |= (moved(t, y, x) >= centre).astype(np.uint8) << p
    return found


def uniform(neighbours: int) -> np.ndarray:
    """Returns the bin of each of the 2^P codes: that of a uniform one its place among them, or the last bin.

    Uniform are the P (P - 1) + 2 codes whose bits change at most twice around the circle.
    """
    found = np.arange(2**neighbours)
    turned = (found >> 1) | ((found & 1) << (neighbours - 1))
    is_uniform = np.array([int(changes).bit_count() <= 2 for changes in found ^ turned])
    return np.where(is_uniform, np.cumsum(is_uniform) - 1, is_uniform.sum())


def histograms(found: np.ndarray, blocks: int, bins: int) -> np.ndarray:
    """Returns the histograms of each block, [blocks, blocks, planes, bins] float32, each of sum 1.

    Args:
      found: [planes, T, H, W], bins of the pixels.
      blocks: along H and along W, which they divide as evenly as whole pixels can.
      bins: how many.
    """
    planes, _, height, width = found.shape
    rows, columns = (np.arange(blocks + 1) * length // blocks for length in (height, width))
    counts = np.empty((blocks, blocks, planes, bins))
    for row, column, plane in itertools.product(range(blocks), range(blocks), range(planes)):
        block = found[plane, :, rows[row] : rows[row + 1], columns[column] : columns[column + 1]]
        counts[row, column, plane] = np.bincount(block.ravel(), minlength=bins)
    return (counts / counts.sum(-1, keepdims=True)).astype(np.float32)
