"""A film: the frames of a clip in order, read from a folder or a video, written as images, a GIF or a video.

`H` and `W` are the height and width of a frame; colours are in OpenCV's order, blue first.
"""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from PIL import Image

from data_prep.files import folders, frames, images
from dualatme_jax import scratch
from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded, replacing

RATE = 25.0  # frames a second, where nothing says how many
MOST_IN_GIF = 2**28  # pixels of all frames together: it is made in memory
GIF_RATE = 50.0  # viewers show a frame of a GIF for 20 ms at least

_GIF, _VIDEO, _IMAGES = '.gif', '.mp4', ''
FORMS = {
    _IMAGES: 'a folder of PNG images',
    _GIF: 'a GIF',
    _VIDEO: 'a video',
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Film:
    """Frames that were found, of which none has been decoded.

    Attributes:
      frames: by their numbers.
      numbers: which of them are shown, ascending.
      rate: frames a second; None of images.
    """

    frames: frames.Images | frames.Video
    numbers: list[int]
    rate: float | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields the frames, [H, W, 3] uint8 each; raises InputError for one that cannot be decoded."""
        return self.frames.read(self.numbers)


def find(source: str | os.PathLike, *, first: int | None = None, last: int | None = None) -> Film:
    """Finds the frames of a film.

    Args:
      source: a video, or a folder of images, whose numbers are the last digits of their names.
      first: the number of the frame that it begins with; by default the first there is. A video's count
        from 0.
      last: the number of the frame that it ends with; by default the last there is.

    Raises:
      InputError: no such file or folder, no frames in it, two of one number, or none from `first` to `last`.
    """
    path = expanded(source, 'SOURCE')
    if path.is_dir():
        found, rate = _images(path), None
    elif path.exists():
        found, rate = frames.Video(path, frames.count(path)), frames.rate(path)
    else:
        raise InputError(f'no such file or folder: {path}; expected a video, or a folder of images')
    numbers = found.numbers
    low, high = numbers[0] if first is None else first, numbers[-1] if last is None else last
    kept = [number for number in numbers if low <= number <= high]
    if not kept:
        raise InputError(
            f'{path}: no frame from {low} to {high}; it has {len(numbers)}, '
            f'from {numbers[0]} to {numbers[-1]}'
        )
    return Film(frames=found, numbers=kept, rate=rate)


def _images(path: pathlib.Path) -> frames.Images:
    listing = folders.listing(path)
    if not listing.paths:
        suffixes = ', '.join(sorted(folders.IMAGES))
        videos = sorted(each.name for each in path.iterdir() if each.suffix[1:].lower() in folders.VIDEOS)
        raise InputError(
            f'{path} holds no frames: expected images ({suffixes}) with numbers in their names'
            + (f'; a video is given by its own name: {path / videos[0]}' if videos else '')
        )
    for number, names in listing.doubles.items():
        raise InputError(f'{path}: {" and ".join(names)} are both frame {number}: keep one of them')
    return frames.Images(listing.paths)


def form_of(out: str | os.PathLike) -> str:
    """Returns what is written to a path, in words; raises InputError for a suffix of another form."""
    suffix = pathlib.PurePath(out).suffix.lower()
    if not os.fspath(out) or suffix not in FORMS:
        raise InputError(
            f'--out {out}: expected a folder, which gets one PNG for each frame, or a file that ends in '
            f'{_GIF} or {_VIDEO}'
        )
    return FORMS[suffix]


def write(film: Iterable[np.ndarray], out: str | os.PathLike, *, rate: float | None = None) -> None:
    """Writes a film, whole or not at all.

    Args:
      film: [H, W, 3] uint8 each, all of one size. Only a GIF keeps them in memory.
      out: a folder that is new or empty, or a file, which is replaced: its suffix says which of `FORMS`.
      rate: frames a second; None for `RATE`. Images have none, and a GIF `GIF_RATE` at the most.

    Raises:
      InputError: a path or a rate that cannot be, frames of several sizes, no frame, too many for a GIF, or
        `out` cannot be written.
    """
    form_of(out)
    path, rate = expanded(out, '--out'), RATE if rate is None else rate
    if not frames.RATES[0] <= rate <= frames.RATES[1]:
        least, most = frames.RATES
        raise InputError(f'--fps {rate:g}: expected {least:g} to {most:g} frames a second')
    suffix, checked = path.suffix.lower(), _of_one_size(film)
    if suffix == _IMAGES:
        with scratch.new_folder(path) as folder:
            _write_images(checked, folder)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            (_write_gif if suffix == _GIF else _write_video)(checked, temporary, rate)
    except OSError as error:
        raise InputError(f'cannot write --out {path}: {error.strerror or error}') from error


def _of_one_size(film: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    shape = None
    for number, frame in enumerate(film, start=1):
        shape = shape or frame.shape
        if frame.shape != shape:
            raise InputError(
                f'frame {number} of the film has {frame.shape[1]}x{frame.shape[0]} pixels, and the first '
                f'{shape[1]}x{shape[0]}: all frames of a film must have one size'
            )
        yield frame
    if shape is None:
        raise InputError('the film has no frame')


def _write_images(film: Iterator[np.ndarray], folder: pathlib.Path) -> None:
    for number, frame in enumerate(film, start=1):
        (folder / f'{number:05}.png').write_bytes(images.encode_png(images.rgb(frame)))


def _write_gif(film: Iterator[np.ndarray], path: pathlib.Path, rate: float) -> None:
    first = next(film)
    most = MOST_IN_GIF // (first.shape[0] * first.shape[1])
    pictures = []
    for frame in itertools.chain([first], film):
        if len(pictures) == most:
            raise InputError(f'more than {most} frames of this size are too many for a GIF: write {_VIDEO}')
        pictures.append(Image.fromarray(images.rgb(frame)))
    milliseconds = round(100 / min(rate, GIF_RATE)) * 10  # a GIF counts hundredths of a second
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0)


def _write_video(film: Iterator[np.ndarray], path: pathlib.Path, rate: float) -> None:
    first = next(film)
    odd = [length % 2 for length in first.shape[:2]]  # MPEG-4 has even sides only: the last line stands twice
    size = (first.shape[1] + odd[1], first.shape[0] + odd[0])
    # MPEG-4 has at most 65535 parts of a second, of which OpenCV takes 1000 a frame where digits are needed.
    rate = round(rate, 3 if rate < 65 else 2 if rate < 650 else 1)
    writer = cv2.VideoWriter(os.fspath(path), cv2.VideoWriter_fourcc(*'mp4v'), rate, size)
    try:
        if not writer.isOpened():
            raise InputError(f'OpenCV cannot write the video {path}: write a folder or {_GIF}')
        count = 0
        for frame in itertools.chain([first], film):
            count += 1
            writer.write(cv2.copyMakeBorder(frame, 0, odd[0], 0, odd[1], cv2.BORDER_REPLICATE))
    finally:
        writer.release()
    # OpenCV says nothing of what it cannot write, and a file that broke off cannot be opened.
    written = cv2.VideoCapture(os.fspath(path))
    whole = written.isOpened() and written.get(cv2.CAP_PROP_FRAME_COUNT) == count
    written.release()
    if not whole:
        raise OSError('not all frames could be written; make room on its disk')
