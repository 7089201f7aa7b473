"""A clip made ready for the views: its face is found and aligned once, its apex spotted where it must be.

`S` is the height and width of the aligned face in pixels; colours are in OpenCV's order, blue first.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from data_prep import releases
from data_prep.face import alignment, apex, landmarks, regions
from data_prep.face.alignment import Alignment
from data_prep.face.landmarks import ibug
from data_prep.files import frames, images
from data_prep.files.cache import Cache, Form
from data_prep.releases.clip import Clip
from dualatme_jax import schema
from dualatme_jax.errors import InputError

SPOTTING_SIZE = 128  # pixels of the face on which an apex is spotted

_FOUND = {  # what the cache keeps of a face
    'landmarks': Form((ibug.NUMBER, 2), np.float32),
    'shape': Form((2,), np.int64, 1, 2**20),
}


class AlignedClip:
    """A clip with its face and apex. Frames are decoded when a view first asks for them.

    Args:
      clip: it must have frames, and an apex unless it is to be spotted.
      source: where its landmarks come from.
      cache: what keeps landmarks and apexes that took long to find.
      pair: the regions that must be on the face, one of `regions.PAIRS`.

    Attributes:
      clip: the clip, with its onset, apex and offset settled.
      landmarks: [68, 2] float32, (x, y) in pixels of the onset frame.

    Raises:
      InputError: a frame that cannot be decoded, no face or several, a face partly outside, or no apex.
    """

    def __init__(self, clip: Clip, source: landmarks.Source, cache: Cache, pair: str = 'full'):
        self._kept: dict[int, np.ndarray] = {}  # decoded frames between which a flow is computed
        self._aligned: dict[tuple[int, int], np.ndarray] = {}  # their faces by number and size
        self._digests: dict[int, str] = {}
        self.clip = apex.with_span(clip)
        key = {'frame': self._digest(self.clip.onset), 'source': source.recipe(clip)}
        found = cache.arrays('landmarks', key, lambda: self._find(source), _FOUND)
        self._shape = tuple(int(length) for length in found['shape'])
        self._whole_frame = source.whole_frame
        self._pair = pair
        self.landmarks = found['landmarks']
        if clip.apex_choice == 'spotted':
            self.clip = dataclasses.replace(self.clip, apex=self._spotted(cache))

    @property
    def span_numbers(self) -> list[int]:
        """The numbers of the frames from onset to offset."""
        return apex.span_numbers(self.clip)

    def alignment(self, size: int) -> Alignment:
        """The map from frames to an aligned face of `size` pixels: the same for every frame."""
        if self._whole_frame:
            return alignment.whole_frame(self._shape, size)
        return alignment.align(self.landmarks, self._shape, size, self._pair)

    def whole_frame(self, size: int) -> Alignment:
        """The map from frames to pictures of `size` pixels that show all of them."""
        return alignment.whole_frame(self._shape, size)

    def eye_distance(self, size: int) -> float:
        """The distance of the eyes' centres on an aligned face of `size` pixels, in its pixels.

        Of frames that are aligned faces already it is that of the landmarks that their source gives: the
        template's are the same for every clip.
        """
        return ibug.eye_distance(self.alignment(size).points(self.landmarks))

    @property
    def frame_rate(self) -> float:
        """Frames a second: what the video says, or of pictures what the release does.

        Raises:
          InputError: neither says it.
        """
        images = isinstance(self.clip.frames, frames.Images)
        rate = releases.of(self.clip.database).frame_rate if images else self.clip.frames.rate
        if rate is None:
            whose = schema.title(self.clip.database) if images else self.clip.frames.path
            raise InputError(f'the frame rate of {whose} is not known, so neither are seconds')
        return rate

    def boxes(self, size: int) -> dict[str, tuple[int, int, int, int]]:
        """The regions on an aligned face of `size` pixels, as `Alignment.boxes` returns them."""
        return self.alignment(size).boxes(self.landmarks, self._pair)

    def geometry(self, size: int) -> dict:
        """All that decides an aligned face besides the frame, as JSON values."""
        return self.alignment(size).recipe()

    def digests(self, numbers: Sequence[int]) -> list[str]:
        """What distinguishes the frames of these numbers from any other."""
        return [self._digest(number) for number in numbers]

    def span_digest(self) -> list[str]:
        """What distinguishes the frames from onset to offset from any other."""
        return self.digests(self.span_numbers)

    def pair(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The aligned faces of the onset and the apex frame, [S, S, 3] uint8 each.

        Raises:
          InputError: a frame that cannot be decoded, or one picture twice.
        """
        onset, apex = self.faces([self.clip.onset, self.clip.apex], size)
        if np.array_equal(onset, apex):
            names = ' and '.join(map(self.clip.frames.name, (self.clip.onset, self.clip.apex)))
            raise InputError(
                f'no motion: {names}, onset and apex, show the same picture; one of them is a copy, or the '
                'apex is wrong'
            )
        return onset, apex

    def faces(self, numbers: Sequence[int], size: int) -> list[np.ndarray]:
        """The aligned faces of the frames of these numbers, [S, S, 3] uint8 each; they stay in memory.

        Raises:
          InputError: a frame that cannot be decoded.
        """
        return [self._aligned_frame(number, size) for number in numbers]

    def span(self, size: int) -> Iterator[np.ndarray]:
        """Yields the aligned faces from onset to offset, [S, S, 3] uint8 each, one at a time."""
        return self.seen(self.span_numbers, self.alignment(size))

    def seen(self, numbers: Sequence[int], alignment: Alignment) -> Iterator[np.ndarray]:
        """Yields the frames of ascending `numbers` as a map shows them, [S, S, 3] uint8, one at a time."""
        others = self.clip.frames.read([number for number in numbers if number not in self._kept])
        for number in numbers:
            frame = self._kept[number] if number in self._kept else self._checked(next(others), number)
            yield alignment.warp(frame)

    def _find(self, source: landmarks.Source) -> dict[str, np.ndarray]:
        onset = self._frame(self.clip.onset)
        return {'landmarks': source.find(onset, self.clip), 'shape': np.array(onset.shape[:2])}

    def _spotted(self, cache: Cache) -> int:
        boxes = self.boxes(SPOTTING_SIZE)
        key = {'frames': self.span_digest(), 'geometry': self.geometry(SPOTTING_SIZE), 'boxes': boxes}
        forms = {'place': Form((), np.int64, 1, len(self.span_numbers) - 1)}
        place = cache.arrays('spotted', key, lambda: self._spot(boxes), forms)['place']
        return self.span_numbers[int(place)]

    def _spot(self, boxes: Mapping[str, regions.Box]) -> dict[str, np.ndarray]:
        grey = (images.grey(face) for face in self.span(SPOTTING_SIZE))
        return {'place': np.array(apex.spot(grey, boxes))}

    def _aligned_frame(self, number: int, size: int) -> np.ndarray:
        if (number, size) not in self._aligned:
            self._aligned[number, size] = self.alignment(size).warp(self._frame(number))
        return self._aligned[number, size]

    def _digest(self, number: int) -> str:
        if number not in self._digests:
            self._digests[number] = self.clip.frames.digest(number)
        return self._digests[number]

    def _frame(self, number: int) -> np.ndarray:
        if number not in self._kept:
            frame = next(self.clip.frames.read([number]))
            self._kept[number] = frame if not self._kept else self._checked(frame, number)
        return self._kept[number]

    def _checked(self, frame: np.ndarray, number: int) -> np.ndarray:
        if frame.shape[:2] != self._shape:
            (height, width), (own_height, own_width) = self._shape, frame.shape[:2]
            raise InputError(
                f'{self.clip.frames.name(number)}: {own_width}x{own_height} pixels, but the onset frame has '
                f'{width}x{height}: all frames of a clip must have one size'
            )
        return frame
