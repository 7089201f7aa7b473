"""The view `bi_woof`: bi-weighted oriented optical flow of onset and apex (Liong, See, Wong, Phan, 2018).

In each block of the face the directions of the flow are counted, each pixel with its magnitude; the histogram
is divided by its sum and multiplied by the sum of the optical strain in the block; the whole is divided by
its norm. Blocks lie as in the authors' program: neighbours share two rows or columns. The options of the
flow, which that program does not compute, are those of `--view flow`.

Directions are atan2(v, u), with v downwards, in degrees. Axes: H, W rows and columns of the face.
"""

import argparse
import dataclasses
import itertools

import numpy as np

from data_prep.face.aligned_clip import AlignedClip
from data_prep.face.regions import GRID
from data_prep.files.cache import Cache
from data_prep.views.flow import FlowView
from dualatme_jax import schema
from dualatme_jax.errors import InputError

HISTOGRAMS = {
    'published': 'as the public program counts: bins of 45 degrees from -180 to 135; the eighth takes 135 '
    'itself alone, and what points further is not counted',
    'full-circle': 'eight bins of 45 degrees from -180 to 180',
}
BINS = 8
BLOCKS = (1, GRID // 2)  # along each axis: the least and the most


@dataclasses.dataclass(frozen=True, kw_only=True)
class BiWoofView:
    """How the flow is computed, and how it is counted.

    Attributes:
      flow: the view whose flow and strain are taken, at the size of the face.
      blocks: along each axis of the face.
      histogram: a key of `HISTOGRAMS`.
    """

    name = 'bi_woof'
    span = False
    shared = ('face_size', 'flow', 'flow_setting', 'strain', 'strain_smoothing', 'contrast', 'head_motion')

    flow: FlowView = dataclasses.field(default_factory=FlowView)
    blocks: int = 5
    histogram: str = 'published'

    def __post_init__(self):
        if self.histogram not in HISTOGRAMS:
            raise InputError(
                f'unknown --bi-woof-histogram {self.histogram!r}: expected one of {", ".join(HISTOGRAMS)}'
            )
        least, most = BLOCKS
        if not least <= self.blocks <= most:
            raise InputError(f'--bi-woof-blocks {self.blocks}: expected {least} to {most}')

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Adds the options of the histograms."""
        parser.add_argument(
            '--bi-woof-blocks', type=int, default=5, metavar='N', help='along each axis (default: 5)'
        )
        parser.add_argument(
            '--bi-woof-histogram',
            default='published',
            choices=tuple(HISTOGRAMS),
            help='published: as the public program counts, which drops the directions above 135 degrees; '
            'full-circle: all of them (default: published)',
        )

    @classmethod
    def of(cls, options: argparse.Namespace) -> 'BiWoofView':
        """The view that the options ask for."""
        return cls(
            flow=FlowView.of(options), blocks=options.bi_woof_blocks, histogram=options.bi_woof_histogram
        )

    def recipe(self) -> dict:
        """What the metadata says, as JSON values."""
        return {
            'flow': self.flow.motion_recipe(),
            'bi_woof': {
                'blocks': [self.blocks, self.blocks],
                'bins': BINS,
                'histogram': HISTOGRAMS[self.histogram],
                'order': 'blocks row by row, then bins from -180 degrees on',
            },
        }

    def features(self) -> dict:
        """The features of its dataset."""
        import tensorflow_datasets as tfds  # the workers that compute do without it

        doc = tfds.features.Documentation(
            f'directions of the flow from onset to apex in {self.blocks}x{self.blocks} blocks, weighted by '
            'magnitude and strain',
            '0..1',
        )
        shape = (self.blocks**2 * BINS,)
        return {schema.BI_WOOF: tfds.features.Tensor(shape=shape, dtype=np.float32, doc=doc)}

    def make(self, aligned: AlignedClip, cache: Cache) -> dict[str, np.ndarray]:
        """Computes the view of one clip: a value for each of `features`."""
        return {schema.BI_WOOF: self.vector(self.flow.motion(aligned, cache))}

    def vector(self, motion: np.ndarray) -> np.ndarray:
        """The numbers of one clip, [D] float32; `motion` is [H, W, 3], u, v and strain."""
        return bi_woof(motion, blocks=self.blocks, histogram=self.histogram)


VIEW = BiWoofView


def bi_woof(motion: np.ndarray, *, blocks: int = 5, histogram: str = 'published') -> np.ndarray:
    """Returns the weighted histograms of all blocks, [blocks * blocks * BINS] float32, of norm 1.

    A block in which nothing moves (0/0 in the authors' program) has zeros; if there is no strain in any, all
    are zeros.

    Args:
      motion: [H, W, 3], u and v in pixels, and strain.
      blocks: along each axis, at most half of its pixels.
      histogram: a key of `HISTOGRAMS`.
    """
    u, v, strain = np.moveaxis(motion.astype(float), -1, 0)
    magnitude, angle = np.hypot(u, v), np.degrees(np.arctan2(v, u))
    rows, columns = (block_bounds(length, blocks) for length in motion.shape[:2])
    found = np.empty((blocks, blocks, BINS))
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        counts = _counts(angle[row, column], magnitude[row, column], histogram)
        total = counts.sum()
        found[i, j] = counts / (total or 1) * strain[row, column].sum()
    return (found.ravel() / (np.linalg.norm(found) or 1)).astype(np.float32)


def block_bounds(length: int, blocks: int) -> list[slice]:
    """The rows, or columns, of each block: those next to each other share two of them."""
    step = length // blocks
    starts = [max(place * step - 1, 0) for place in range(blocks)]
    stops = [(place + 1) * step + 1 for place in range(blocks - 1)] + [length]
    return [slice(*bounds) for bounds in zip(starts, stops, strict=True)]


def _counts(angle: np.ndarray, magnitude: np.ndarray, histogram: str) -> np.ndarray:
    """How much points into each bin, [BINS]."""
    edges = np.linspace(-180, 180, BINS + 1)
    if histogram == 'published':  # whose last bin has no width
        edges[-1] = edges[-2]
    return np.histogram(angle, edges, weights=magnitude)[0]
