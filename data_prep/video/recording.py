"""A recording: the frames of a video or of a folder of images, one after the other, with their times.

`H` and `W` are the height and width of a frame in pixels. A video's frames are turned upright as its metadata
say (OpenCV does so). Large ones are made smaller while they are read, so that memory does not depend on them.
"""

import dataclasses
import itertools
import math
import os
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np

from data_prep.files import film, frames
from dualatme_jax.errors import InputError

LARGEST = 960  # pixels of the longer side of a frame that is looked at
FASTEST = 60.0  # frames a second that are looked at; of faster videos every second, third, ...
MOST = 24 * 3600.0  # seconds: 150 bytes of each frame are in memory, 0.8 GB of a day at 60 a second
RATE = 30.0  # of images, where nothing says how many there are in a second
_MEASURED = 30  # frames from whose times a rate is measured


@dataclasses.dataclass(frozen=True)
class Frame:
    """One frame that is looked at.

    Attributes:
      number: in the video, counted from 0; of an image its own.
      time: seconds from the first frame.
      picture: [H, W, 3] uint8, blue first.
    """

    number: int
    time: float
    picture: np.ndarray


@dataclasses.dataclass(frozen=True)
class Recording:
    """A video, or a folder of images, that can be read more than once.

    Attributes:
      path: where it lies.
      rate: frames a second, as the header says or as it was given.
      step: every how manieth frame is looked at.
      promised: how many frames the header promises; 0 where it does not say.
      shrinking: by what frames are divided in size, 1 or more.
      timed: whether the times of a video are those in the file; else they follow from the rate.
      assumed: whether nobody says the rate.
    """

    path: pathlib.Path
    rate: float
    step: int
    promised: int
    shrinking: float
    timed: bool = True
    assumed: bool = False

    def frames(self, first: int = 0, last: int | None = None) -> Iterator[Frame]:
        """Yields the frames that are looked at, from the `first` to the `last` number, in order.

        Frames of a video that cannot be decoded are left out; a video that breaks off ends there.

        Raises:
          InputError: an image cannot be decoded, or has another size than the first.
        """
        numbered = self._of_images(first) if self.path.is_dir() else self._of_video(first)
        for number, time, picture in numbered:
            if last is not None and number > last:
                return
            if number >= first and picture is not None:
                yield Frame(number, time, self._smaller(picture))

    def _of_video(self, first: int) -> Iterator[tuple[int, float, np.ndarray | None]]:
        with frames.opened(self.path) as capture:
            before, previous = 0, 0.0
            for number in frames.grabbed(capture):
                time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self.timed else number / self.rate
                # Some containers have no times, or such that do not grow.
                time = time if time > previous else previous + (number - before) / self.rate
                before, previous = number, time
                wanted = number >= first and number % self.step == 0
                there, picture = capture.retrieve() if wanted else (True, None)
                if there:
                    yield number, time, picture

    def _of_images(self, first: int) -> Iterator[tuple[int, float, np.ndarray]]:
        found = film.find(self.path)
        wanted = range(0, len(found.numbers), self.step)
        places = [place for place in wanted if found.numbers[place] >= first]
        numbers = [found.numbers[place] for place in places]
        # If every fifth image was kept, five numbers are one image; where some are missing, time goes by.
        usual = max(1, int(np.median(np.diff(found.numbers))))
        size = next(iter(found)).shape[:2]
        for number, picture in zip(numbers, found.frames.read(numbers), strict=True):
            if picture.shape[:2] != size:
                shapes = ['{1}x{0}'.format(*each) for each in (picture.shape, size)]
                raise InputError(
                    f'{found.frames.name(number)} has {shapes[0]} pixels, and the first image {shapes[1]}; '
                    'expected images of one size'
                )
            yield number, (number - found.numbers[0]) / usual / self.rate, picture

    def _smaller(self, picture: np.ndarray) -> np.ndarray:
        if picture.ndim == 2:
            picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
        if self.shrinking == 1:
            return picture
        size = [max(1, round(side / self.shrinking)) for side in picture.shape[1::-1]]
        return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def find(source: str | os.PathLike, *, rate: float | None = None) -> Recording:
    """Finds a recording; nothing but its first frames is decoded.

    Args:
      source: a video, or a folder of images with numbers in their names.
      rate: frames a second, in the place of what the header says; of images it is `RATE` if not given, from
        one number to the one that usually follows.

    Raises:
      InputError: no such file or folder, no video, one that is longer than `MOST`, a video without pictures,
        or one frame only.
    """
    path, timed = pathlib.Path(source), rate is None
    if rate is not None and not frames.RATES[0] <= rate <= frames.RATES[1]:
        least, most = frames.RATES
        raise InputError(f'--fps {rate:g}: expected {least:g} to {most:g} frames a second')
    assumed = False
    if path.is_dir():
        timed, assumed = False, rate is None
        found = film.find(path)
        shape, promised = next(iter(found)).shape, len(found.numbers)
    elif path.exists():
        with frames.opened(path) as capture:
            promised = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
            numbers = frames.grabbed(capture)
            decoded = (picture for _ in numbers for there, picture in [capture.retrieve()] if there)
            first = next(decoded, None)
            several = next(numbers, None) is not None
            rate = rate or _rate(frames.rate(path), numbers, capture)
        if first is None:
            raise InputError(f'{path}: no frame of the video can be decoded')
        shape = first.shape
        if not several:
            raise InputError(f'{path}: one frame has no motion; expected a video')
    else:
        raise InputError(f'no such file or folder: {path}; expected a video, or a folder of images')
    if promised == 1:
        raise InputError(f'{path}: one image has no motion; expected at least two')
    rate = rate or RATE
    if promised / rate > MOST:
        raise InputError(
            f'{path}: {promised / rate / 3600:.1f} hours; expected {MOST / 3600:g} at most: cut it into parts'
        )
    return Recording(
        path=path,
        rate=rate,
        step=max(1, math.ceil(rate / FASTEST - 1e-6)),
        promised=promised,
        shrinking=max(1.0, max(shape[:2]) / LARGEST),
        timed=timed,
        assumed=assumed,
    )


def _rate(header: float | None, numbers: Iterator[int], capture: cv2.VideoCapture) -> float:
    """Frames a second: what the header says, unless the times of the next frames say something else.

    Of what a browser records OpenCV guesses a rate such as 1000, the unit of its times.
    """
    times = [capture.get(cv2.CAP_PROP_POS_MSEC) for _ in itertools.islice(numbers, _MEASURED)]
    steps = np.diff(times)[np.diff(times) > 0]
    if not len(steps):
        return header or RATE
    measured = float(np.clip(1000 / np.median(steps), *frames.RATES))
    return header if header and 0.8 <= header / measured <= 1.25 else measured
