"""Renders one clip of a release: its frames or its video, and its truth.

A clip's random numbers come from the seed and its own name, a face's from the seed and the subject's, so that
a clip is the same whatever else is rendered, in whichever process.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterable

import cv2
import numpy as np

from data_prep.synthetic import action_units, head, truth
from data_prep.synthetic.face import GRID
from data_prep.synthetic.film import Camera, Expression, Film
from data_prep.synthetic.layout import SyntheticClip

# How far the face moves at the apex where it moves most, without the head: pixels of an aligned face of 224.
INTENSITY = (0.6, 2.5)
JPEG_QUALITY = 95
VIDEO_RATE = 30  # frames a second

_UNIT = 224 / GRID  # those pixels a template unit
_TALK = {'25': 1.0, '26': 0.7}  # what a speaker's mouth does all the time
_TALK_INTENSITY = 2.0
_SYLLABLE = 7  # frames


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What is needed to render a clip.

    Attributes:
      seed: of the release.
      database: one of `schema.DATABASES`.
      row: the clip.
      camera: how it is filmed.
      files: a path for each frame; only one for a video.
      truth: the path of its truth.
    """

    seed: int
    database: str
    row: SyntheticClip
    camera: Camera
    files: tuple[pathlib.Path, ...]
    truth: pathlib.Path


def stream(*key: int | str) -> np.random.Generator:
    """Returns random numbers that belong to a name."""
    digest = hashlib.sha256('\n'.join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, 'big')))


def render(job: Job) -> np.ndarray:
    """Writes the clip's frames and truth; returns the landmarks of its onset frame, [68, 2] in pixels.

    Raises:
      OSError: something cannot be written.
    """
    row = job.row
    person, texture = person_of(job.seed, job.database, row.subject, job.camera.colour)
    random = stream(job.seed, job.database, row.subject, row.clip)
    count, apex = row.offset - row.onset + 1, row.apex - row.onset
    peak = np.exp(random.uniform(*np.log(INTENSITY))) / _UNIT
    bumps = action_units.scaled(action_units.bumps(random, row.units, 1.0), peak)
    expressions = [Expression(bumps, rise_and_fall(count, apex))]
    video = job.files[0].suffix == '.mp4'
    if video:
        mouth = action_units.bumps(random, _TALK, _TALK_INTENSITY / _UNIT)
        expressions.append(Expression(mouth, (1 - np.cos(np.arange(count) * 2 * np.pi / _SYLLABLE)) / 2))
    film = Film(random, job.camera, person, texture, expressions, apex)
    if video:
        write_video(film.frames(), job.files[0])
    else:
        _write_images(film.frames(), job.files)
    job.truth.parent.mkdir(parents=True, exist_ok=True)
    truth.save(film.truth(), job.truth)
    return film.landmarks()


@functools.lru_cache(maxsize=1)  # clips come by subject
def person_of(seed: int, database: str, subject: str, colour: bool) -> tuple[head.Person, np.ndarray]:
    """Returns a person of a database, and the texture of the head."""
    random = stream(seed, database, subject)
    person = head.draw(random)
    return person, head.texture(random, person, colour=colour)


def rise_and_fall(count: int, apex: int) -> np.ndarray:
    """Returns a raised cosine, [count]: 0 in the first frame, 1 in the apex, 0 in the last."""
    number = np.arange(count)
    phase = np.where(number <= apex, number / apex, (count - 1 - number) / (count - 1 - apex))
    return (1 - np.cos(np.pi * phase)) / 2


def _write_images(frames: Iterable[np.ndarray], files: tuple[pathlib.Path, ...]) -> None:
    files[0].parent.mkdir(parents=True, exist_ok=True)
    for frame, file in zip(frames, files, strict=True):
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if file.suffix == '.jpg' else []
        encoded = cv2.imencode(file.suffix, frame, quality)[1]
        file.write_bytes(encoded.tobytes())


def write_video(frames: Iterable[np.ndarray], file: pathlib.Path, rate: float = VIDEO_RATE) -> None:
    """Writes frames [H, W, 3] uint8, blue first, as a video of `rate` frames a second.

    Raises:
      OSError: OpenCV cannot write it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    for frame in frames:
        if writer is None:
            fourcc = cv2.VideoWriter_fourcc(*'mp4v')
            writer = cv2.VideoWriter(str(file), fourcc, rate, frame.shape[1::-1])
            if not writer.isOpened():
                raise OSError(f'OpenCV cannot write the video {file}')
        writer.write(frame)
    writer.release()
