"""The view `frames`: some frames of a clip, each as a first picture and as a second crop of it.

`T` is the number of frames, the same for every clip (`--frame-count`), `S` their height and width. The
defaults are honest. The Dual-branch 3DCNN (Fang, Liu, Liu, 2024) reads, of CASME II,

    --frame-face frame --frame-choice next --frame-crop action_units --short-clips refuse

which LEAKS: the crop of a clip needs its annotation. The authors find landmarks on every frame and, where
they find none, reuse the crop before. Here the landmarks of the onset place the box of all frames, so that it
adds no motion of its own.
"""

import argparse
import dataclasses
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator

import cv2
import numpy as np

from data_prep.face import apex, regions
from data_prep.face.aligned_clip import AlignedClip
from data_prep.face.alignment import LARGEST_FACE, Alignment
from data_prep.face.landmarks import ibug
from data_prep.files import images
from data_prep.files.cache import LARGEST_ENTRY, Cache, Form
from data_prep.releases.clip import Clip
from data_prep.views import magnification
from dualatme_jax import schema
from dualatme_jax.errors import InputError

FRAMES = (1, 1000)  # of a clip: the least and the most
CHOICES = {
    'onset': 'largest mean absolute difference from the onset frame',
    'previous': 'largest sum of absolute differences from the frame before, of which the first has none',
    'next': 'largest sum of absolute differences from the frame after, of which the last has none',
    'even': 'evenly spaced from the first to the last',
    'first': 'the first ones',
}
FROM_ONSET = ('even', 'first')  # the choices whose first frame is always the onset
FACES = {
    'aligned': 'the aligned face',
    'frame': 'the whole frame, neither cropped nor aligned, each pixel the mean over its area',
}
CROPS = {
    'regions': 'the puzzled face of the same regions for every clip',
    'landmarks': 'the box around the landmarks of the regions, without a margin; around all if they are full',
    'action_units': "the box around the landmarks of the clip's annotated action units, without a margin: "
    'the first of the rules of Fang, Liu and Liu (2024) that has any of them, else all landmarks',
    'whole': 'the same pictures as the first',
}
SHORT_CLIPS = {
    'repeat': 'a clip with fewer frames repeats them evenly',
    'refuse': 'a clip with fewer frames is refused',
}
LEAK = (
    'the second crop (--frame-crop action_units) is placed by the annotated action units of the very clip '
    'that is recognised'
)

# Landmarks, from 0, between which an action unit shows: the five rules of Fang, Liu and Liu, the last for all
# other units.
RULES = (
    (frozenset({4, 5, 7, 43}), (19, 24, 15, 1)),
    (frozenset({10, 12, 14, 15, 17}), (3, 5, 11, 13)),
    (frozenset({1, 2}), (17, 19, 24, 26)),
    (frozenset({6, 9}), (1, 29, 15, 3, 13)),
    (frozenset(), tuple(range(ibug.NUMBER))),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FramesView:
    """Which frames and crops are stored.

    Attributes:
      frames: `T`.
      size: `S`, in pixels.
      choice: a key of `CHOICES`.
      short: a key of `SHORT_CLIPS`.
      face: a key of `FACES`.
      crop: a key of `CROPS`. `action_units` needs the annotation of the clip that is tested: a score with it
        says nothing about unannotated faces, and every report says so.
      magnify: the factor by which motion from the onset is multiplied.
      pair: the regions of the crops `regions` and `landmarks`.
    """

    name = 'frames'
    span = True
    shared = ('magnify',)

    frames: int = 30
    size: int = 128
    choice: str = 'onset'
    short: str = 'repeat'
    face: str = 'aligned'
    crop: str = 'regions'
    magnify: float = 1.0
    pair: str = 'EM'

    def __post_init__(self):
        regions.check_pair(self.pair)
        for option, value, known in (
            ('--frame-choice', self.choice, CHOICES),
            ('--short-clips', self.short, SHORT_CLIPS),
            ('--frame-face', self.face, FACES),
            ('--frame-crop', self.crop, CROPS),
        ):
            if value not in known:
                raise InputError(f'unknown {option} {value!r}: expected one of {", ".join(known)}')

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
            '--frame-choice',
            default='onset',
            choices=tuple(CHOICES),
            help='of a longer clip, those that differ most from the onset, or from the previous or the next '
            'frame; evenly spaced ones; or the first (default: onset)',
        )
        parser.add_argument(
            '--short-clips',
            default='repeat',
            choices=tuple(SHORT_CLIPS),
            help='clips with fewer frames: repeat them evenly, or refuse the clip (default: repeat)',
        )
        parser.add_argument(
            '--frame-face',
            default='aligned',
            choices=tuple(FACES),
            help='the aligned face, or the whole frame as it was filmed (default: aligned)',
        )
        parser.add_argument(
            '--frame-crop',
            default='regions',
            choices=tuple(CROPS),
            help='the second picture: the puzzled face of --regions, the box around their landmarks, the box '
            "by the clip's annotated action units, which LEAKS, or the first picture again "
            '(default: regions)',
        )

    @classmethod
    def of(cls, options: argparse.Namespace) -> 'FramesView':
        """The view that the options ask for."""
        made = cls(
            frames=options.frame_count,
            size=options.frame_size,
            choice=options.frame_choice,
            short=options.short_clips,
            face=options.frame_face,
            crop=options.frame_crop,
            magnify=options.magnify,
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
        leaks = {schema.CROP_FRAMES: LEAK} if self.crop == 'action_units' else {}
        return {
            'frames': {
                'number': self.frames,
                'size': [self.size, self.size],
                'face': FACES[self.face],
                'choice': f'{CHOICES[self.choice]}; in order of time',
                'first_is_onset': self.choice in FROM_ONSET,
                'short_clips': SHORT_CLIPS[self.short],
                'crop': CROPS[self.crop],
                'magnified': magnification.recipe(self.magnify),
            },
            'regions': regions.recipe(self.pair),
            schema.LEAKS: leaks,
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
            schema.FACE_FRAMES: feature(FACES[self.face]),
            schema.CROP_FRAMES: feature(CROPS[self.crop]),
            schema.FRAME_NUMBERS: numbers,
        }

    def check(self, clip: Clip) -> None:
        """Raises InputError, before a frame is decoded, for a clip that is too short or has no annotation."""
        if self.crop == 'action_units':
            action_units(clip.action_units)
        if self.short == 'refuse':
            length = len(apex.span_numbers(clip))
            if length < self.frames:
                raise InputError(
                    f'{length} frames from onset to offset, and --frame-count {self.frames} of them are '
                    'asked for: ask for fewer, or repeat some by --short-clips repeat'
                )

    def make(self, aligned: AlignedClip, cache: Cache) -> dict[str, list[bytes] | np.ndarray]:
        """Makes the view of one clip: a value for each of `features`.

        Raises:
          InputError: a frame that cannot be decoded, a clip that is too short, no face for the crop, or no
            annotated action units.
        """
        self.check(aligned.clip)
        numbers = aligned.span_numbers
        face = aligned.alignment(self.size) if self.face == 'aligned' else aligned.whole_frame(self.size)
        crop = self._crop(aligned, face)
        key = {
            'frames': aligned.span_digest(),
            'geometry': face.recipe(),
            'number': self.frames,
            'choice': self.choice,
            'magnified': magnification.recipe(self.magnify),
        }
        forms = {
            'faces': Form((self.frames, self.size, self.size, 3), np.uint8),
            'numbers': Form((self.frames,), np.int32, numbers[0], numbers[-1]),
        }
        kept = cache.arrays('frames', key, lambda: self._select(aligned, face), forms)
        faces = crops = kept['faces']
        if crop is not face:
            key |= {'crop': crop.recipe()}
            pictures = cache.arrays(
                'frames',
                key,
                lambda: {'faces': self._shown(aligned, kept['numbers'], crop)},
                {'faces': forms['faces']},
            )
            crops = pictures['faces']
        if self.crop == 'regions':
            boxes = aligned.boxes(self.size)
            crops = [regions.puzzle(each, self.pair, boxes) for each in crops]
        return {
            schema.FACE_FRAMES: [images.encode_png(images.rgb(each)) for each in faces],
            schema.CROP_FRAMES: [images.encode_png(images.rgb(each)) for each in crops],
            schema.FRAME_NUMBERS: kept['numbers'],
        }

    def _crop(self, aligned: AlignedClip, face: Alignment) -> Alignment:
        """Returns the map to what the second crop is cut from; `face` itself where it is cut from that."""
        if self.crop == 'whole' or (self.crop == 'regions' and self.face == 'aligned'):
            return face
        if self.crop == 'regions':
            return aligned.alignment(self.size)
        if self.crop == 'action_units':
            return face.around(aligned.landmarks, points_of(action_units(aligned.clip.action_units)))
        whole = range(ibug.NUMBER)
        return face.around(
            aligned.landmarks, whole if self.pair == 'full' else regions.landmarks_of(self.pair)
        )

    def _select(self, aligned: AlignedClip, face: Alignment) -> dict[str, np.ndarray]:
        """Returns the chosen frames, `faces` [T, S, S, 3], and their `numbers` [T].

        Of a long clip every frame may be read, but none is kept: the chosen ones are read a second time.
        """
        numbers = np.array(aligned.span_numbers, np.int32)
        if len(numbers) > self.frames:
            chosen = chosen_frames(
                self.choice, self.frames, len(numbers), lambda: aligned.seen(numbers.tolist(), face)
            )
        else:
            chosen = repeated(len(numbers), self.frames)
        return {'faces': self._shown(aligned, numbers[chosen], face), 'numbers': numbers[chosen]}

    def _shown(self, aligned: AlignedClip, numbers: np.ndarray, shown: Alignment) -> np.ndarray:
        """Returns the frames of ascending `numbers` as a map shows them, magnified, [T, S, S, 3]."""
        different, places = np.unique(numbers, return_inverse=True)
        read = different.tolist()
        # Motion is magnified from the onset, whether it is among the frames or not.
        ahead = [aligned.span_numbers[0]] if self.magnify != 1 and read[0] != aligned.span_numbers[0] else []
        found = magnification.magnified(aligned.seen(ahead + read, shown), self.magnify)
        return np.stack(list(found)[len(ahead) :])[places]


VIEW = FramesView


def chosen_frames(
    choice: str, number: int, length: int, faces: Callable[[], Iterator[np.ndarray]]
) -> np.ndarray:
    """Returns which of a clip's frames are stored: [number] indices, ascending.

    Args:
      choice: a key of `CHOICES`.
      number: how many, at most `length`.
      length: how many frames the clip has.
      faces: returns its frames in order of time, [S, S, 3] each, if they are needed.
    """
    if choice == 'first':
        return np.arange(number)
    if choice == 'even':
        return np.linspace(0, length - 1, number, dtype=int)
    if choice == 'onset':
        return most_different(differences(faces()), number)
    between, none = steps(faces()), [-1]
    return most_different(
        np.concatenate([none, between] if choice == 'previous' else [between, none]), number
    )


def differences(faces: Iterable[np.ndarray]) -> np.ndarray:
    """Returns by how much each of `faces`, [S, S, 3], differs from the first one in grey, summed up: [N]."""
    greys = (images.grey(face) for face in faces)
    first = next(greys)
    return np.array([0, *(cv2.absdiff(grey, first).sum(dtype=np.int64) for grey in greys)])


def steps(faces: Iterable[np.ndarray]) -> np.ndarray:
    """Returns by how much each of `faces`, [S, S, 3], differs from the next, in grey, summed up: [N - 1]."""
    return np.array(
        [
            images.grey(cv2.absdiff(face, following)).sum(dtype=np.int64)
            for face, following in itertools.pairwise(faces)
        ]
    )


def most_different(difference: np.ndarray, number: int) -> np.ndarray:
    """Returns which frames differ most: [number] indices, ascending.

    Args:
      difference: [N], of the frames in order of time; of equal ones the earlier are chosen.
      number: how many to choose, at most N.
    """
    return np.sort(np.argsort(-difference, kind='stable')[:number])


def repeated(length: int, number: int) -> np.ndarray:
    """Returns every index below `length`, repeated evenly: [number], ascending."""
    return np.arange(number) * length // number


def action_units(text: str) -> list[int]:
    """Returns the numbers in an annotation such as `4+R12` or `L14B`.

    Raises:
      InputError: it has none.
    """
    units = [int(digits) for digits in re.findall(r'\d+', text)]
    if not units:
        raise InputError(
            f'its annotation has no action units ({text!r}), and --frame-crop action_units needs them: write '
            'them into the sheet, leave the clip out by --on-error skip, or take --frame-crop landmarks, '
            'which needs no annotation'
        )
    return units


def points_of(units: Collection[int]) -> tuple[int, ...]:
    """Returns the landmarks, from 0, of the first rule that has any of some action units."""
    return next(points for known, points in RULES if not known or known & set(units))
