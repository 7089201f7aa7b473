"""The view `apex`: the aligned faces of the onset and the apex frame, for systems that read pictures."""

import argparse
import dataclasses

from data_prep.face.aligned_clip import AlignedClip
from data_prep.files import images
from data_prep.files.cache import Cache
from data_prep.views import magnification
from dualatme_jax import schema


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApexView:
    """Which faces are stored.

    Attributes:
      face_size: height and width, in pixels.
      magnify: the factor by which the motion of the apex is multiplied.
    """

    name = 'apex'
    span = False
    shared = ('face_size', 'magnify')

    face_size: int = 224
    magnify: float = 1.0

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """It has none of its own."""

    @classmethod
    def of(cls, options: argparse.Namespace) -> 'ApexView':
        """The view that the options ask for."""
        return cls(face_size=options.face_size, magnify=options.magnify)

    def recipe(self) -> dict:
        """What the metadata says, as JSON values."""
        return {
            'faces': {
                'size': [self.face_size, self.face_size],
                'colours': 'RGB and grey',
                'magnified': magnification.recipe(self.magnify),
            }
        }

    def features(self) -> dict:
        """The features of its dataset."""
        import tensorflow_datasets as tfds  # the workers that compute do without it

        def feature(frame: str, depth: int):
            shape = (self.face_size, self.face_size, depth)
            doc = tfds.features.Documentation(
                f'aligned face of the {frame} frame, {"grey" if depth == 1 else "RGB"}', '0..255'
            )
            return tfds.features.Image(shape=shape, encoding_format='png', doc=doc)

        return {
            schema.ONSET_FACE: feature('onset', 3),
            schema.APEX_FACE: feature('apex', 3),
            schema.ONSET_FACE_GREY: feature('onset', 1),
            schema.APEX_FACE_GREY: feature('apex', 1),
        }

    def make(self, aligned: AlignedClip, cache: Cache) -> dict[str, bytes]:
        """Makes the view of one clip: a value for each of `features`."""
        del cache  # decoding two frames is as fast as reading them back
        onset, apex = magnification.magnified(aligned.pair(self.face_size), self.magnify)
        return {
            schema.ONSET_FACE: images.encode_png(images.rgb(onset)),
            schema.APEX_FACE: images.encode_png(images.rgb(apex)),
            schema.ONSET_FACE_GREY: images.encode_png(images.grey(onset)),
            schema.APEX_FACE_GREY: images.encode_png(images.grey(apex)),
        }


VIEW = ApexView
