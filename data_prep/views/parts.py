"""The view `parts`: how a face moves and deforms, and where its parts are, as KFC-MER reads it.

Three pictures of the size of the aligned face: u, v and magnitude of the flow from onset to apex; the strain
tensor; ten maps of parts of the face. The options of the flow are those of `--view flow`.
"""

import argparse
import dataclasses

import numpy as np

from data_prep.face import parts
from data_prep.face.aligned_clip import AlignedClip
from data_prep.files import images
from data_prep.files.cache import Cache
from data_prep.releases.clip import Clip
from data_prep.views import optical_flow
from data_prep.views.flow import FlowView, measures
from dualatme_jax import schema
from dualatme_jax.files import expanded


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartsView:
    """How the flow is computed, and where the maps come from.

    Attributes:
      flow: the view whose flow is taken, at the size of the face.
      maps: where the maps are read; None: they are drawn from the landmarks.
    """

    name = 'parts'
    span = False
    shared = ('face_size', 'flow', 'flow_setting', 'strain_smoothing', 'contrast', 'head_motion')

    flow: FlowView = dataclasses.field(default_factory=FlowView)
    maps: parts.PartFolder | None = None

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Adds the options of the maps."""
        parser.add_argument(
            '--part-maps',
            metavar='DIR',
            help='maps of the parts of the face at the apex, by a face parser, as grey pictures of the size '
            'of the frames: DATABASE/SUBJECT/CLIP/PART.png with the parts '
            f'{", ".join(schema.PARTS)} (default: polygons of the landmarks)',
        )

    @classmethod
    def of(cls, options: argparse.Namespace) -> 'PartsView':
        """The view that the options ask for; raises InputError where there is no folder of maps."""
        folder = options.part_maps
        maps = None if folder is None else parts.PartFolder(expanded(folder, '--part-maps'))
        return cls(flow=FlowView.of(options), maps=maps)

    def recipe(self) -> dict:
        """What the metadata says, as JSON values."""
        return {
            'flow': self.flow.motion_recipe()
            | {schema.UNIT: schema.PIXELS, 'encoding': 'minmax_uint8: each channel scaled by clip'},
            'face_parts': {
                'parts': list(schema.PARTS),
                'maps': 'files of --part-maps, aligned as the frames'
                if self.maps
                else 'polygons of the landmarks of the onset frame, which `landmarks` says; those of the '
                'template are the same for every clip',
            },
        }

    def features(self) -> dict:
        """The features of its dataset."""
        import tensorflow_datasets as tfds  # the workers that compute do without it

        size = self.flow.face_size

        def image(what: str):
            doc = tfds.features.Documentation(f'{what}; each min-max scaled by clip', '0..255')
            return tfds.features.Image(shape=(size, size, 3), encoding_format='png', doc=doc)

        doc = tfds.features.Documentation(f'where the face has {", ".join(schema.PARTS)}', '0..255')
        return {
            schema.FACE_FLOW: image('motion from onset to apex: u rightwards, v downwards, magnitude'),
            schema.FACE_STRAIN: image('strain tensor of that motion: exx, eyy, exy'),
            schema.FACE_PARTS: tfds.features.Tensor(
                shape=(size, size, len(schema.PARTS)), dtype=np.uint8, doc=doc
            ),
        } | measures((schema.FACE_FLOW, schema.FACE_STRAIN))

    def make(self, aligned: AlignedClip, cache: Cache) -> dict[str, bytes | np.ndarray]:
        """Makes the view of one clip: a value for each of `features`.

        Raises:
          InputError: nothing moves, or a map is missing or of another size.
        """
        alignment = aligned.alignment(self.flow.face_size)
        if self.maps:
            maps = self.maps.read(aligned.clip, alignment)
        else:
            maps = parts.drawn(alignment.points(aligned.landmarks), alignment.size)
        return self.pictures(self.flow.motion(aligned, cache)[..., :2]) | {
            schema.FACE_PARTS: maps,
            schema.EYE_DISTANCE: aligned.eye_distance(self.flow.face_size),
        }

    def check(self, clip: Clip) -> None:
        """Raises InputError where a clip has no maps."""
        if self.maps:
            self.maps.files(clip)

    def pictures(self, flow: np.ndarray) -> dict[str, bytes | np.ndarray]:
        """The two pictures of a flow [S, S, 2], (u, v) in pixels, with what their bytes stand for."""
        magnitude = np.linalg.norm(flow, axis=-1, keepdims=True)
        strain = optical_flow.strain_tensor(flow, smoothing=self.flow.smoothing)
        motion = {schema.FACE_FLOW: np.concatenate([flow, magnitude], -1), schema.FACE_STRAIN: strain}
        found = {key: images.encode_png(optical_flow.minmax(channels)) for key, channels in motion.items()}
        return found | {schema.range_of(key): optical_flow.span(channels) for key, channels in motion.items()}


VIEW = PartsView
