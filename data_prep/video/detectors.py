"""Detectors of faces: every face of a frame, the largest first, each with its 68 landmarks.

`auto` is the first of `AUTO` that is installed. `haar` comes with OpenCV: it finds where a face is, and not
where its eyes and mouth are, so it is the last resort. `fan` takes seconds a frame and must be asked for. A
file has the landmarks of every frame, from another program.
"""

import os
import pathlib
from typing import Protocol

import cv2
import numpy as np

from data_prep.face.landmarks import dlib, fan, ibug, mediapipe, points, template
from data_prep.files import film
from data_prep.video.recording import Frame, Recording
from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded

EVERY = 1.0  # seconds between two detections; in between a face is followed


class Detector(Protocol):
    """Finds the faces of a frame.

    Attributes:
      name: what is said of it.
      every: seconds between two frames in which it is asked; 0 for every frame.
      coarse: whether its landmarks are guessed from the box of the face; then it has a `note` that says so.
    """

    name: str
    every: float
    coarse: bool

    def faces(self, frame: Frame) -> np.ndarray:
        """Returns the landmarks of all faces, the largest first, [N, 68, 2] float32, (x, y) in pixels."""


class Dlib:
    """The detector `dlib`, see `data_prep.face.landmarks.dlib`; it finds faces of 80 pixels and more.

    Raises:
      InputError: dlib or the package of its model is missing.
    """

    name, every, coarse = 'dlib', EVERY, False

    def __init__(self):
        dlib.Dlib()  # says what is missing

    def faces(self, frame: Frame) -> np.ndarray:
        detector, predictor = dlib.model()
        rgb = cv2.cvtColor(frame.picture, cv2.COLOR_BGR2RGB)
        return by_size(
            [[(point.x, point.y) for point in predictor(rgb, box).parts()] for box in detector(rgb, 0)]
        )


class MediaPipe:
    """The detector `mediapipe`, see `data_prep.face.landmarks.mediapipe`.

    Raises:
      InputError: mediapipe is missing or of another version.
    """

    name, every, coarse = 'mediapipe', EVERY, False

    def __init__(self):
        mediapipe.MediaPipe()

    def faces(self, frame: Frame) -> np.ndarray:
        return by_size([mesh[list(mediapipe.VERTICES)] for mesh in mediapipe.meshes(frame.picture, most=10)])


class Fan:
    """The detector `fan`, see `data_prep.face.landmarks.fan`.

    Raises:
      InputError: face-alignment, torch or the weights are missing.
    """

    name, every, coarse = 'fan', EVERY, False

    def __init__(self):
        fan.Fan()

    def faces(self, frame: Frame) -> np.ndarray:
        return by_size(fan.faces(frame.picture)[0])


class Haar:
    """OpenCV's cascade (Viola and Jones, CVPR 2001); the template's landmarks in the box that it finds."""

    name, every, coarse = 'haar', EVERY, True
    note = (
        'faces are found by OpenCV alone, and where eyes and mouth are is guessed from their box; '
        "`pip install -e '.[dlib]'` finds them"
    )
    _LEAST = 60  # pixels of a box
    _NEIGHBOURS = 6  # of a box that the cascade finds too: fewer, and it is no face
    _LOWER = 0.1  # of its height, by which the template's face stands lower in the box than in a picture

    def __init__(self):
        name = 'haarcascade_frontalface_default.xml'
        self._cascade = cv2.CascadeClassifier(str(pathlib.Path(cv2.data.haarcascades) / name))

    def faces(self, frame: Frame) -> np.ndarray:
        grey = cv2.cvtColor(frame.picture, cv2.COLOR_BGR2GRAY)
        least = (self._LEAST, self._LEAST)
        boxes = self._cascade.detectMultiScale(grey, 1.1, self._NEIGHBOURS, minSize=least)
        return by_size(
            [
                template.stretched((height, width)) + np.array([left, top + self._LOWER * height])
                for left, top, width, height in boxes
            ]
        )


class File:
    """The landmarks that a file has of every frame, see `data_prep.face.landmarks.points.of_frames`.

    Args:
      path: the file.
      recording: whose frames they are of.

    Raises:
      InputError: the file cannot be read, or is faulty.
    """

    every, coarse = 0.0, False

    def __init__(self, path: pathlib.Path, recording: Recording):
        self.path, self.name = path, f'the file {path.name}'
        numbers = film.find(recording.path).numbers if recording.path.is_dir() else None
        self._faces = points.of_frames(path, numbers)
        self._shrinking = recording.shrinking

    def faces(self, frame: Frame) -> np.ndarray:
        return by_size([(face + 0.5) / self._shrinking - 0.5 for face in self._faces.get(frame.number, ())])


DETECTORS = {'mediapipe': MediaPipe, 'dlib': Dlib, 'haar': Haar, 'fan': Fan}
AUTO = ('mediapipe', 'dlib', 'haar')
CHOICES = f'auto, {", ".join(DETECTORS)}, or a file with the landmarks of every frame'


def by_size(faces) -> np.ndarray:
    """Faces [N, 68, 2] as float32, the largest first."""
    faces = np.asarray(faces, np.float32).reshape(-1, ibug.NUMBER, 2)
    sizes = np.ptp(faces, axis=1).prod(-1)
    return faces[np.argsort(-sizes, kind='stable')]


def detector(choice: str, recording: Recording | None = None) -> Detector:
    """Returns a detector.

    Args:
      choice: `auto`, a key of `DETECTORS`, or the path of a file with the landmarks of every frame.
      recording: whose frames a file is of; None: no file can be.

    Raises:
      InputError: no such detector or file, or what it needs is missing.
    """
    if choice == 'auto':
        return _installed()
    if choice in DETECTORS:
        return DETECTORS[choice]()
    path = expanded(choice, '--landmarks')
    if recording is None or not choice or not path.exists():
        raise InputError(f'--landmarks {os.fspath(choice)}: expected {CHOICES}')
    return File(path, recording)


def _installed() -> Detector:
    for name in AUTO[:-1]:
        try:
            return DETECTORS[name]()
        except InputError:  # not installed
            continue
    return DETECTORS[AUTO[-1]]()
