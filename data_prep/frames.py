"""Frames of a clip: image files or a video, read by the frame numbers of the release.

`H` and `W` are the height and width of a frame; colours are in OpenCV's order, blue first.
"""

import contextlib
import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from data_prep import images
from dualatme_jax.errors import InputError


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

    def read(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """Yields the frames of ascending `numbers`, [H, W, 3] uint8 each.

        Raises:
          InputError: no such frame, or a file that cannot be decoded.
        """
        for number in numbers:
            if number not in self.paths:
                raise InputError(_no_such_frame(number, self.numbers))
            path = self.paths[number]
            try:
                yield images.decode(_bytes(path))
            except InputError as error:
                raise InputError(f'{path}: {error}') from error

    def digest(self, number: int) -> str:
        """Returns what tells the content of a frame from any other.

        Raises:
          InputError: no such frame, or a file that cannot be read.
        """
        if number not in self.paths:
            raise InputError(_no_such_frame(number, self.numbers))
        return hashlib.sha256(_bytes(self.paths[number])).hexdigest()

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

    def read(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """Yields the frames of ascending `numbers`, [H, W, 3] uint8 each.

        Raises:
          InputError: no such frame, or a video that cannot be opened or decoded so far.
        """
        with _opened(self.path) as capture:
            position = 0
            for number in numbers:
                # Decoded one after another: seeking lands on a neighbouring frame in many formats.
                while position < number and capture.grab():
                    position += 1
                there, frame = capture.read()
                if position != number or not there:
                    raise InputError(f'{self.path}: frame {number} of {self.count} cannot be decoded')
                position += 1
                yield frame

    def digest(self, number: int) -> str:
        """Returns what tells the content of a frame from any other.

        Raises:
          InputError: a file that cannot be read.
        """
        return f'{_file_digest(self.path)} {number}'

    def name(self, number: int) -> str:
        """The frame in words."""
        return f'{self.path}, frame {number}'


def count(path: pathlib.Path) -> int:
    """Returns how many frames of a video can be decoded, whatever its header promises: that is an estimate.

    Raises:
      InputError: no video, or none of its frames can be decoded.
    """
    with _opened(path) as capture:
        decoded = 0
        while capture.grab():
            decoded += 1
    if not decoded:
        raise InputError(f'{path}: no frame of the video can be decoded')
    return decoded


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[cv2.VideoCapture]:
    try:
        name = str(path).encode().decode()
    except UnicodeEncodeError as error:  # of which OpenCV's own code dies
        shown = str(path).encode(errors='backslashreplace').decode()
        raise InputError(f'{shown}: the name is not text in UTF-8: rename it') from error
    capture = cv2.VideoCapture(name)
    try:
        if not capture.isOpened():
            raise InputError(f'{path}: not a video that OpenCV can decode')
        yield capture
    finally:
        capture.release()


def _bytes(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror or error}') from error


@functools.lru_cache(maxsize=1)  # a clip asks for all its frames, one after another
def _file_digest(path: pathlib.Path) -> str:
    try:
        with path.open('rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror or error}') from error


def _no_such_frame(number: int, there: Sequence[int]) -> str:
    span = f'there are {len(there)} from {there[0]} to {there[-1]}' if there else 'there is none'
    return f'frame {number} is missing: {span}'
