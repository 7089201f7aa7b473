"""The view `flow`: motion from onset to apex, of the entire face and of the puzzled face."""

import argparse
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np

from data_prep.face import regions
from data_prep.face.aligned_clip import AlignedClip
from data_prep.files import images
from data_prep.files.cache import Cache, Form
from data_prep.views import contrast, head_motion, optical_flow
from dualatme_jax import schema
from dualatme_jax.errors import InputError

ENCODINGS = ('minmax_uint8', 'raw')
UNITS = {
    schema.PIXELS: 'u and v in pixels of the face at computed_at, strain without unit',
    schema.EYE_DISTANCES_PER_SECOND: 'u and v in distances of the eyes per second, strain per second: '
    'divided by the time from the first frame to the second, and u and v by the distance of the eyes',
}
PUZZLED = {
    'computed': 'computed on puzzled frames',  # as the Dual-ATME paper does
    'cut': 'cut from flow and strain of the entire face',
}

_FURTHEST = 1e6  # pixels that a flow may be long, for its strain to be finite


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowView:
    """How the flow is computed and stored.

    Attributes:
      pair: which regions make the puzzled face, one of `regions.PAIRS`.
      puzzled: a key of `PUZZLED`.
      algorithm: a key of `optical_flow.ALGORITHMS`.
      settings: what departs from OpenCV's own values, in OpenCV's names.
      face_size: height and width of the face on which the flow is computed, in pixels.
      size: height and width at which it is stored.
      encoding: one of `ENCODINGS`.
      strain: a key of `optical_flow.STRAINS`.
      smoothing: of the strain, in pixels of the face.
      contrast: a key of `contrast.CONTRASTS`, of the faces before the flow is computed.
      head_motion: a key of `head_motion.HEAD_MOTIONS`, taken out before the strain is.
      units: a key of `UNITS`.
    """

    name = 'flow'
    span = False
    shared = ('face_size', 'size')

    pair: str = 'EM'
    puzzled: str = 'computed'
    algorithm: str = 'tvl1'
    settings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    face_size: int = 224
    size: int = schema.FLOW_SIZE
    encoding: str = 'minmax_uint8'
    strain: str = 'symmetric'
    smoothing: float = 0.0
    contrast: str = 'none'
    head_motion: str = 'none'
    units: str = schema.PIXELS

    def __post_init__(self):
        regions.check_pair(self.pair)
        for option, value, known in (
            ('--puzzled', self.puzzled, PUZZLED),
            ('--encoding', self.encoding, ENCODINGS),
            ('--strain', self.strain, optical_flow.STRAINS),
            ('--contrast', self.contrast, contrast.CONTRASTS),
            ('--head-motion', self.head_motion, head_motion.HEAD_MOTIONS),
            ('--flow-units', self.units, UNITS),
        ):
            if value not in known:
                raise InputError(f'unknown {option} {value!r}: expected one of {", ".join(known)}')
        if not regions.GRID <= self.size <= self.face_size:
            raise InputError(
                f'--size {self.size} with --face-size {self.face_size}: expected at least {regions.GRID} '
                'pixels, and no more than those of the face on which the flow is computed'
            )
        if not 0 <= self.smoothing < self.face_size:
            raise InputError(
                f'--strain-smoothing {self.smoothing}: expected a width in pixels, 0 or more, '
                f'and less than the {self.face_size} of the face'
            )
        if self.units != schema.PIXELS and self.encoding != 'raw':
            raise InputError(
                f'--flow-units {self.units} with --encoding {self.encoding}, which scales each clip by its '
                'own extremes, so that no unit is left: expected --encoding raw'
            )
        optical_flow.solver(self.algorithm, **self.settings)

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Adds the options of the flow."""
        parser.add_argument(
            '--flow', choices=tuple(optical_flow.ALGORITHMS), help='the algorithm (default: tvl1)'
        )
        parser.add_argument(
            '--flow-setting', action='append', default=[], metavar='NAME=NUMBER', help="in OpenCV's names"
        )
        parser.add_argument(
            '--puzzled',
            default='computed',
            choices=tuple(PUZZLED),
            help='the flow of the puzzled face: computed on puzzled frames, or cut from that of the entire '
            'face (default: computed)',
        )
        parser.add_argument(
            '--encoding',
            default='minmax_uint8',
            choices=ENCODINGS,
            help='minmax_uint8: PNG, each channel scaled by clip; raw: float pixels (default: '
            'minmax_uint8); config.input.encoding=raw reads both',
        )
        parser.add_argument(
            '--strain',
            default='symmetric',
            choices=tuple(optical_flow.STRAINS),
            help='symmetric is right; the others are found in older work (default: symmetric)',
        )
        parser.add_argument(
            '--strain-smoothing',
            type=float,
            metavar='PIXELS',
            help='of the face, before the strain is taken; 0 for none (default: 4 at a --face-size of 224)',
        )
        parser.add_argument(
            '--contrast',
            default='none',
            choices=tuple(contrast.CONTRASTS),
            help='of the faces before the flow is computed: local mean and deviation normalised, or CLAHE '
            '(default: none)',
        )
        parser.add_argument(
            '--head-motion',
            default='none',
            choices=tuple(head_motion.HEAD_MOTIONS),
            help='taken out of the flow: its median over the face, what fits points that hardly move by '
            'themselves, or the affine motion that most of the face follows (default: none, it stays)',
        )
        parser.add_argument(
            '--flow-units',
            default='pixels',
            choices=tuple(UNITS),
            help='of --encoding raw: pixels of the aligned face, or what does not depend on the size of the '
            'face and the time to the apex (default: pixels)',
        )

    @classmethod
    def of(cls, options: argparse.Namespace) -> 'FlowView':
        """The view that the options ask for."""
        algorithm = options.flow or 'tvl1'
        smoothing = options.strain_smoothing
        return cls(
            pair=options.regions,
            puzzled=options.puzzled,
            algorithm=algorithm,
            settings=optical_flow.SETTINGS.get(algorithm, {}) | _settings(options.flow_setting),
            face_size=options.face_size,
            size=schema.FLOW_SIZE if options.size is None else options.size,
            encoding=options.encoding,
            strain=options.strain,
            smoothing=optical_flow.SMOOTHING * options.face_size if smoothing is None else smoothing,
            contrast=options.contrast,
            head_motion=options.head_motion,
            units=options.flow_units,
        )

    def recipe(self) -> dict:
        """What the metadata says, as JSON values."""
        return {
            'flow': self.motion_recipe() | self.stored_recipe(),
            'flow_puzzled': PUZZLED[self.puzzled],
            'regions': regions.recipe(self.pair),
        }

    def motion_recipe(self) -> dict:
        """What decides the motion of the entire face, as JSON values."""
        return optical_flow.recipe(self.solver()) | {
            schema.COMPUTED_AT: [self.face_size, self.face_size],
            'strain': {'variant': self.strain, 'smoothing_pixels': self.smoothing},
            'contrast': contrast.CONTRASTS[self.contrast],
            'head_motion': head_motion.HEAD_MOTIONS[self.head_motion],
        }

    def stored_recipe(self) -> dict:
        """How the motion is stored, as JSON values."""
        return {
            'encoding': self.encoding,
            'size': [self.size, self.size],
            schema.UNIT: self.units,
            'units': 'minmax_uint8: each channel min-max scaled to 0..255 by clip, from its range; '
            f'raw: {UNITS[self.units]}',
        }

    def features(self) -> dict:
        """The features of its dataset."""
        return features((self.size, self.size), self.encoding) | measures(schema.VIEWS['flow'])

    def make(self, aligned: AlignedClip, cache: Cache) -> dict[str, bytes | np.ndarray]:
        """Computes the view of one clip: a value for each of `features`.

        Raises:
          InputError: nothing moves, or the units need what is not known of the clip.
        """
        ends = aligned.clip.onset, aligned.clip.apex
        channels = self.motion(aligned, cache)
        if self.puzzled == 'computed' and self.pair != 'full':
            stacked = self.flow(aligned, cache, ends, self.pair)
            puzzled = self.channels(stacked, seam=regions.seam(self.face_size, self.pair))
        else:
            puzzled = regions.puzzle(channels, self.pair, aligned.boxes(self.face_size))
        _check_moves(puzzled, 'puzzled face')
        units = self.units_of(aligned, ends)
        found = {schema.EYE_DISTANCE: aligned.eye_distance(self.face_size)}
        for key, motion in ((schema.FLOW, channels), (schema.FLOW_PUZZLED, puzzled)):
            stored = optical_flow.resized(motion, self.size) / units
            found |= {key: self._encode(stored), schema.range_of(key): optical_flow.span(stored)}
        return found

    def motion(self, aligned: AlignedClip, cache: Cache) -> np.ndarray:
        """Computes u, v (pixels) and strain of the entire face, [`face_size`, `face_size`, 3] float32.

        Raises:
          InputError: nothing moves.
        """
        found = self.channels(self.flow(aligned, cache, (aligned.clip.onset, aligned.clip.apex)))
        _check_moves(found, 'face')
        return found

    def channels(self, flow: np.ndarray, seam: int = 0) -> np.ndarray:
        """u, v and strain of a flow; see `optical_flow.channels`."""
        return optical_flow.channels(flow, self.strain, smoothing=self.smoothing, seam=seam)

    def solver(self) -> cv2.DenseOpticalFlow:
        """What computes the flow."""
        return optical_flow.solver(self.algorithm, **self.settings)

    def flow(
        self, aligned: AlignedClip, cache: Cache, ends: tuple[int, int], pair: str = 'full'
    ) -> np.ndarray:
        """The flow between two frames, without the head's motion, [`face_size`, `face_size`, 2] in pixels.

        Args:
          aligned: the clip.
          cache: what keeps the flow as it is computed.
          ends: the numbers of the frames.
          pair: the regions of the puzzled face, if it is of that.
        """
        found = self._computed(aligned, cache, ends, pair)
        if self.head_motion == 'none':
            return found
        whole = found if pair == 'full' else self._computed(aligned, cache, ends, 'full')
        points = aligned.alignment(self.face_size).points(aligned.landmarks)
        head = head_motion.of(whole, points, self.head_motion)
        return found - regions.puzzled_motion(head, pair, aligned.boxes(self.face_size))

    def units_of(self, aligned: AlignedClip, ends: tuple[int, int]) -> np.ndarray:
        """What u, v (pixels) and strain between two frames are divided by, [3] float32.

        Raises:
          InputError: a frame rate that is not known.
        """
        if self.units == schema.PIXELS:
            return np.ones(3, np.float32)
        try:
            seconds = (ends[1] - ends[0]) / aligned.frame_rate
        except InputError as error:
            raise InputError(f'--flow-units {self.units}: {error}; expected --flow-units pixels') from error
        eyes = aligned.eye_distance(self.face_size)
        return np.float32([eyes * seconds, eyes * seconds, seconds])

    def _computed(self, aligned: AlignedClip, cache: Cache, ends: tuple[int, int], pair: str) -> np.ndarray:
        key = {
            'frames': aligned.digests(ends),
            'geometry': aligned.geometry(self.face_size),
            'flow': optical_flow.recipe(self.solver()),
        }
        if pair != 'full':
            key |= {'pair': pair, 'boxes': aligned.boxes(self.face_size)}
        if self.contrast != 'none':
            key |= {'contrast': contrast.CONTRASTS[self.contrast]}
        forms = {'flow': Form((self.face_size, self.face_size, 2), np.float32, -_FURTHEST, _FURTHEST)}
        return cache.arrays('flow', key, lambda: self._compute(aligned, ends, pair), forms)['flow']

    def _compute(self, aligned: AlignedClip, ends: tuple[int, int], pair: str) -> dict[str, np.ndarray]:
        boxes = aligned.boxes(self.face_size)
        if ends == (aligned.clip.onset, aligned.clip.apex):
            faces = aligned.pair(self.face_size)
        else:
            faces = aligned.faces(ends, self.face_size)
        grey = (contrast.normalised(images.grey(face), self.contrast) for face in faces)
        frames = [regions.puzzle(face, pair, boxes) for face in grey]
        return {'flow': optical_flow.compute(self.solver(), *frames)}

    def _encode(self, stored: np.ndarray) -> bytes | np.ndarray:
        return images.encode_png(optical_flow.minmax(stored)) if self.encoding == 'minmax_uint8' else stored


VIEW = FlowView


def _check_moves(motion: np.ndarray, whose: str) -> None:
    if not optical_flow.moves(motion):
        raise InputError(f'no motion: the flow of the {whose} is the same everywhere')


def _settings(given: Sequence[str]) -> dict[str, float]:
    settings = {}
    for each in given:
        name, _, value = each.partition('=')
        try:
            settings[name] = float(value)
        except ValueError as error:
            raise InputError(f'--flow-setting {each!r}: expected NAME=NUMBER, such as Lambda=0.15') from error
    return settings


def features(size: tuple[int, int] = schema.FLOW_SHAPE[:2], encoding: str = 'minmax_uint8') -> dict:
    """The features of a dataset of flow, of `size` (height, width): schema key -> TFDS feature."""
    import tensorflow_datasets as tfds  # the workers that compute do without it

    def feature(whose: str):
        shape = (*size, len(schema.FLOW_CHANNELS))
        motion = f'motion of the {whose} from onset to apex: u rightwards, v downwards, strain'
        if encoding == 'minmax_uint8':
            doc = tfds.features.Documentation(f'{motion}; each min-max scaled by clip', '0..255')
            return tfds.features.Image(shape=shape, encoding_format='png', doc=doc)
        doc = tfds.features.Documentation(f'{motion}; u and v in pixels of the face at which it was computed')
        return tfds.features.Tensor(shape=shape, dtype=np.float32, doc=doc)

    return {schema.FLOW: feature('entire face'), schema.FLOW_PUZZLED: feature('puzzled face')}


def measures(keys: Iterable[str]) -> dict:
    """The features by which motion that is stored under some keys has a unit, see `schema.range_of`."""
    import tensorflow_datasets as tfds

    def doc(what: str):
        return tfds.features.Documentation(what)

    found = {
        schema.EYE_DISTANCE: tfds.features.Scalar(
            np.float32,
            doc=doc(
                'between the centres of the eyes of the onset frame, in pixels of the face at computed_at; '
                "the template's where a release comes aligned"
            ),
        )
    }
    for key in keys:
        names = schema.CHANNELS[key]
        found[schema.range_of(key)] = tfds.features.Tensor(
            shape=(len(names), 2),
            dtype=np.float32,
            doc=doc(
                f'least and largest {", ".join(names)} of {key}, in the unit of flow in the metadata: what '
                'bytes 0 and 255 stand for'
            ),
        )
    return found
