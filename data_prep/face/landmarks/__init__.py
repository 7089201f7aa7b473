"""Where the 68 landmarks of a face come from: detectors, a file, or a template for aligned faces."""

import os
from typing import Protocol

import numpy as np

from data_prep.face.landmarks.dlib import Dlib
from data_prep.face.landmarks.fan import Fan
from data_prep.face.landmarks.file import LandmarkFile
from data_prep.face.landmarks.folder import LandmarkFolder
from data_prep.face.landmarks.mediapipe import MediaPipe
from data_prep.face.landmarks.template import Template
from data_prep.releases.clip import Clip
from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded

_NAMED = {'fan': Fan, 'dlib': Dlib, 'mediapipe': MediaPipe, 'template': Template}

CHOICES = f'{", ".join(_NAMED)}, a CSV file of landmarks, or a folder with a file for each clip'


class Source(Protocol):
    """A source of landmarks. It can be sent to other processes; heavy models load at their first use there.

    Attributes:
      whole_frame: whether each frame is an aligned face already, which fills it.
    """

    whole_frame: bool

    def recipe(self, clip: Clip | None = None) -> dict:
        """Returns what decides the landmarks, as JSON values: of all clips, or of one."""

    def find(self, frame: np.ndarray, clip: Clip) -> np.ndarray:
        """Returns the landmarks of the face in a frame.

        Args:
          frame: [H, W, 3] uint8, blue first.
          clip: the clip that has this onset frame.

        Returns:
          [68, 2] float32, (x, y) in pixels of the frame; the centre of the first pixel is (0, 0).

        Raises:
          InputError: no face, several, or landmarks that are not numbers.
        """


def source(choice: str | os.PathLike, database: str | None = None) -> Source:
    """Returns a source of landmarks, after a check that everything it needs is there.

    Args:
      choice: `fan`, `dlib`, `mediapipe`, `template`, or the path of a landmark file or a folder of them.
      database: the template stands at the place of its faces; None: as it is.

    Raises:
      InputError: a package or its weights are missing, or the file cannot be read.
    """
    if choice == 'template':
        return Template(database)
    if choice in _NAMED:
        return _NAMED[choice]()
    path = expanded(choice, '--landmarks')
    if path.is_dir() and choice:
        return LandmarkFolder(path)
    if not path.exists() or not choice:
        raise InputError(f'no source of landmarks {os.fspath(choice)!r}: expected {CHOICES}')
    return LandmarkFile(path)
