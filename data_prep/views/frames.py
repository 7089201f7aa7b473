"""The view `frames`: the frames of a clip that differ most from the onset, whole face and a second crop.

`T` is the number of frames, the same for every clip (`--frame-count`): of a longer clip those that differ
most are stored, those of a shorter one are repeated evenly. `S` is their height and width.
"""

import argparse
import dataclasses
import re
from collections.abc import Iterable

import cv2
import numpy as np

from data_prep.face import regions
from data_prep.face.aligned_clip import AlignedClip
from data_prep.face.alignment import LARGEST_FACE
from data_prep.files import images
from data_prep.files.cache import LARGEST_ENTRY, Cache, Form
from dualatme_jax import schema
from dualatme_jax.errors import InputError

# The regions in which an action unit shows: upper face, nose, lower face (Ekman, Friesen, Hager: FACS, 2002).
UNIT_REGIONS = {
    **dict.fromkeys((1, 2, 4, 5, 6, 7, 43, 44, 45, 46), 'E'),
    **dict.fromkeys((9, 11, 38, 39), 'N'),
    **dict.fromkeys((8, 10, *range(12, 29), 30, 32, 33, 34, 35), 'M'),
}
FRAMES = (1, 1000)  # of a clip: the least and the most
CROPS = {
    'regions': 'the puzzled face of the same regions for every clip',
    'action_units': "the box around the regions of the clip's annotated action units; without any, the face",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FramesView:
    """Which frames and crops are stored.

    Attributes:
      frames: `T`.
      size: `S`, in pixels.
      crop: a key of `CROPS`. `action_units` needs the annotation of the clip that is tested: a score with it
        says nothing about unannotated faces.
      pair: the regions of the crop `regions`.
    """

    name = 'frames'
    span = True
    shared = ()

    frames: int = 30
    size: int = 128
    crop: str = 'regions'
    pair: str = 'EM'

    def __post_init__(self):
        regions.check_pair(self.pair)
        if self.crop not in CROPS:
            raise InputError(f'unknown --frame-crop {self.crop!r}: expected one of {", ".join(CROPS)}')

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Adds the options of the frames."""
        parser.add_argument(
            '--frame-count', type=int, default=30, metavar='N', help='frames of each clip (default: 30)'
        )
        parser.add_argument(
            '--frame-size', type=int, default=128, metavar='N', help='pixels of a frame (default: 128)'
        )
        parser.add_argument(
            '--frame-crop',
            default='regions',
            choices=tuple(CROPS),
            help="the second crop: --regions, or by the clip's annotated action units, which a clip that is "
            'to be recognised does not have (default: regions)',
        )

    @classmethod
    def of(cls, options: argparse.Namespace) -> 'FramesView':
        """The view that the options ask for."""
        made = cls(
            frames=options.frame_count,
            size=options.frame_size,
            crop=options.frame_crop,
            pair=options.regions,
        )
        for option, value, (least, most) in (
            ('--frame-count', made.frames, FRAMES),
            ('--frame-size', made.size, (regions.GRID, LARGEST_FACE)),
        ):
            if not least <= value <= most:
                raise InputError(f'{option} {value}: expected {least} to {most}')
        if (size := made.frames * made.size**2 * 3) > LARGEST_ENTRY:
            raise InputError(
                f'--frame-count {made.frames} with --frame-size {made.size}: {size / 2**20:.0f} MiB '
                f'for each clip (expected {LARGEST_ENTRY / 2**20:.0f} at most)'
            )
        return made

    def recipe(self) -> dict:
        """What the metadata says, as JSON values."""
        return {
            'frames': {
                'number': self.frames,
                'size': [self.size, self.size],
                'choice': 'largest mean absolute difference from the onset frame, in order of time; '
                'shorter clips repeat frames evenly',
                'crop': CROPS[self.crop],
            },
            'regions': regions.recipe(self.pair),
        }

    def features(self) -> dict:
        """The features of its dataset."""
        import tensorflow_datasets as tfds  # the workers that compute do without it

        def feature(what: str):
            doc = tfds.features.Documentation(f'{what}, RGB', '0..255')
            frame = tfds.features.Image(shape=(self.size, self.size, 3), encoding_format='png', doc=doc)
            return tfds.features.Sequence(frame, length=self.frames)

        numbers = tfds.features.Tensor(
            shape=(self.frames,),
            dtype=np.int32,
            doc=tfds.features.Documentation('frame numbers as the release counts, ascending'),
        )
        return {
            schema.FACE_FRAMES: feature('aligned face'),
            schema.CROP_FRAMES: feature('second crop of the aligned face'),
            schema.FRAME_NUMBERS: numbers,
        }

    def make(self, aligned: AlignedClip, cache: Cache) -> dict[str, list[bytes] | np.ndarray]:
        """Makes the view of one clip: a value for each of `features`."""
        key = {
            'frames': aligned.span_digest(),
            'geometry': aligned.geometry(self.size),
            'number': self.frames,
        }
        numbers = aligned.span_numbers
        forms = {
            'faces': Form((self.frames, self.size, self.size, 3), np.uint8),
            'numbers': Form((self.frames,), np.int32, numbers[0], numbers[-1]),
        }
        kept = cache.arrays('frames', key, lambda: self._select(aligned), forms)
        faces = [images.rgb(face) for face in kept['faces']]
        return {
            schema.FACE_FRAMES: [images.encode_png(face) for face in faces],
            schema.CROP_FRAMES: [images.encode_png(self._cropped(face, aligned)) for face in faces],
            schema.FRAME_NUMBERS: kept['numbers'],
        }

    def _select(self, aligned: AlignedClip) -> dict[str, np.ndarray]:
        """Returns the chosen frames, `faces` [T, S, S, 3], and their `numbers` [T].

        Of a long clip every frame is read, but none is kept: the chosen ones are read a second time.
        """
        numbers = np.array(aligned.span_numbers, np.int32)
        if len(numbers) > self.frames:
            chosen = most_different(differences(aligned.span(self.size)), self.frames)
        else:
            chosen = repeated(len(numbers), self.frames)
        different, places = np.unique(chosen, return_inverse=True)
        faces = np.stack(list(aligned.aligned_faces(numbers[different].tolist(), self.size)))
        return {'faces': faces[places], 'numbers': numbers[chosen]}

    def _cropped(self, face: np.ndarray, aligned: AlignedClip) -> np.ndarray:
        boxes = aligned.boxes(self.size)
        if self.crop == 'regions':
            return regions.puzzle(face, self.pair, boxes)
        letters = {UNIT_REGIONS[unit] for unit in action_units(aligned.clip.action_units)}
        if not letters:
            return face
        if lacking := letters - boxes.keys():
            raise InputError(f'the region {min(lacking)} of its action units lies outside of the frame')
        tops, bottoms, lefts, rights = zip(*(boxes[letter] for letter in sorted(letters)), strict=True)
        cut = face[min(tops) : max(bottoms), min(lefts) : max(rights)]
        return cv2.resize(cut, (self.size, self.size), interpolation=cv2.INTER_LINEAR)


VIEW = FramesView


def differences(faces: Iterable[np.ndarray]) -> np.ndarray:
    """Returns by how much each of `faces`, [S, S, 3], differs from the first one in grey, summed up: [N]."""
    greys = (images.grey(face) for face in faces)
    first = next(greys)
    return np.array([0, *(cv2.absdiff(grey, first).sum(dtype=np.int64) for grey in greys)])


def most_different(difference: np.ndarray, number: int) -> np.ndarray:
    """Returns which frames differ most from the first one: [number] indices, ascending.

    Args:
      difference: [N], of the frames in order of time; of equal ones the earlier are chosen.
      number: how many to choose, at most N.
    """
    return np.sort(np.argsort(-difference, kind='stable')[:number])


def repeated(length: int, number: int) -> np.ndarray:
    """Returns every index below `length`, repeated evenly: [number], ascending."""
    return np.arange(number) * length // number


def action_units(text: str) -> list[int]:
    """Returns the action units of an annotation such as `4+R12` or `L14B` that have a region."""
    return [int(digits) for digits in re.findall(r'\d+', text) if int(digits) in UNIT_REGIONS]
