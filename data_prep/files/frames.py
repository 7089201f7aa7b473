"""Frames of a clip: image files or a video, read by the frame numbers of the release.

`H` and `W` are the height and width of a frame; colours are in OpenCV's order, blue first.
"""

import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from data_prep.files import images
from dualatme_jax.errors import InputError
from dualatme_jax.files import open_regular, sha256
from dualatme_jax.outside import guarded

MOST_FRAMES = 2**20  # of a video: three hours at 100 a second
RATES = (0.1, 1000.0)  # frames a second, the least and the most
MOST_DAMAGED = 1000  # frames one after the other that cannot be decoded; then nothing more comes

# FFmpeg writes thousands of lines about one damaged frame; what cannot be decoded is said by its number.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

_MEMORY = 2**30  # bytes, of counting a video's frames
_SECONDS, _BYTES_A_SECOND = 9.0, 50_000  # of computing: a few, and more for long files


@dataclasses.dataclass(frozen=True)
class Images:
    """A clip's frames as image files.

    Attributes:
      paths: frame number -> file.
    """

    paths: Mapping[int, pathlib.Path]

    @property
    def numbers(self) -> list[int]:
        """The frame numbers, ascending."""
        return sorted(self.paths)

    @property
    def place(self) -> pathlib.Path:
        """The folder in which they lie."""
        return next(iter(self.paths.values())).parent

    def read(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """Yields the frames of ascending `numbers`, [H, W, 3] uint8 each.

        Raises:
          InputError: no such frame, or a file that cannot be decoded.
        """
        for number in numbers:
            if number not in self.paths:
                raise InputError(_no_such_frame(number, self.numbers))
            path = self.paths[number]
            data = images.read(path)
            try:
                yield images.decode(data)
            except InputError as error:
                raise InputError(f'{path}: {error}') from error

    def digest(self, number: int) -> str:
        """Returns what distinguishes the content of a frame from any other.

        Raises:
          InputError: no such frame, or a file that cannot be read.
        """
        if number not in self.paths:
            raise InputError(_no_such_frame(number, self.numbers))
        return hashlib.sha256(images.read(self.paths[number])).hexdigest()

    def name(self, number: int) -> str:
        """The frame in words."""
        return str(self.paths[number])


@dataclasses.dataclass(frozen=True)
class Video:
    """A clip's frames in a video file, numbered from 0.

    Attributes:
      path: the file.
      count: how many frames it holds; `count` counts them.
    """

    path: pathlib.Path
    count: int

    @property
    def numbers(self) -> list[int]:
        """The frame numbers, ascending."""
        return list(range(self.count))

    @property
    def place(self) -> pathlib.Path:
        """The folder in which they lie."""
        return self.path.parent

    @property
    def rate(self) -> float | None:
        """Frames a second, see `rate`."""
        return rate(self.path)

    def read(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """Yields the frames of ascending `numbers`, [H, W, 3] uint8 each.

        Raises:
          InputError: no such frame, or a video that cannot be opened or decoded so far.
        """
        with opened(self.path) as capture:
            places = grabbed(capture)
            for number in numbers:
                # Decoded one after another: seeking lands on a neighbouring frame in many formats.
                place = next((place for place in places if place >= number), None)
                there, frame = capture.retrieve() if place == number else (False, None)
                if not there:
                    raise InputError(f'{self.path}: frame {number} of {self.count} cannot be decoded')
                yield frame

    def digest(self, number: int) -> str:
        """Returns what distinguishes the content of a frame from any other.

        Raises:
          InputError: a file that cannot be read.
        """
        return f'{_file_digest(self.path)} {number}'

    def name(self, number: int) -> str:
        """The frame in words."""
        return f'{self.path}, frame {number}'


def count(path: pathlib.Path) -> int:
    """Returns how many frames a video has up to the last that can be decoded.

    Whatever its header promises: that is an estimate.
    A process of its own decodes them, whose memory is limited, and whose time by the length of the file.

    Raises:
      InputError: no regular file or no video, none of its frames can be decoded, or it has more of them, or
        larger ones, than a clip's video.
    """
    with open_regular(path, 'video') as file:
        status = os.fstat(file.fileno())
    return _counted(path, status.st_size, status.st_mtime_ns)


def rate(path: pathlib.Path) -> float | None:
    """Returns the frames a second that a video's header says; None where it says none that can be.

    Raises:
      InputError: no regular file or no video.
    """
    with opened(path) as capture:
        found = capture.get(cv2.CAP_PROP_FPS)
    return found if RATES[0] <= found <= RATES[1] else None


@functools.lru_cache(maxsize=1024)
def _counted(path: pathlib.Path, size: int, changed: int) -> int:
    del changed
    seconds = _SECONDS + size / _BYTES_A_SECOND
    return guarded.call(_count, path, memory=_MEMORY, seconds=seconds, what=f'the video {path}')


def _count(path: pathlib.Path) -> int:
    with opened(path) as capture:
        found = 0
        for number in grabbed(capture):
            found = number + 1
            if found > MOST_FRAMES:
                raise InputError(f'{path}: more than {MOST_FRAMES} frames: cut the clips out of it')
    if not found:
        raise InputError(f'{path}: no frame of the video can be decoded')
    return found


def grabbed(capture: cv2.VideoCapture) -> Iterator[int]:
    """Yields the number of each frame of an open video once it is grabbed, for `retrieve` to decode.

    A frame that cannot be decoded has a number too and is skipped. OpenCV says of it what it says at the end,
    so nothing but going on shows which it is.
    """
    number = damaged = 0
    while damaged < MOST_DAMAGED:
        if not capture.grab():
            damaged += 1
            continue
        number, damaged = number + damaged, 0
        yield number
        number += 1


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[cv2.VideoCapture]:
    """Yields a video, opened.

    Raises:
      InputError: no regular file or no video, or frames that are too large.
    """
    try:
        name = str(path).encode().decode()
    except UnicodeEncodeError as error:  # of which OpenCV's own code dies
        shown = str(path).encode(errors='backslashreplace').decode()
        raise InputError(f'{shown}: the name is not text in UTF-8: rename it') from error
    open_regular(path, 'video').close()  # of a pipe, OpenCV would wait for ever
    capture = cv2.VideoCapture(name)
    try:
        if not capture.isOpened():
            raise InputError(
                f'{path}: not a video that OpenCV can decode: it is none, or broke off before its end; '
                'expected one that a player shows, such as an MP4 of H.264'
            )
        width, height = (capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if not 0 < width * height <= images.LARGEST:
            raise InputError(
                f'{path}: a video of {width:.0f}x{height:.0f} pixels; expected {images.LARGEST} in all, '
                'at the most'
            )
        yield capture
    finally:
        capture.release()


@functools.lru_cache(maxsize=1)  # a clip asks for all its frames, one after another
def _file_digest(path: pathlib.Path) -> str:
    return sha256(path, 'video')


def _no_such_frame(number: int, there: Sequence[int]) -> str:
    span = f'there are {len(there)} from {there[0]} to {there[-1]}' if there else 'there is none'
    return f'frame {number} is missing: {span}'
