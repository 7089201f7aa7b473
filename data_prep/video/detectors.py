"""Detectors of faces: every face of a frame, the largest first, each with its 68 landmarks."""

from typing import Protocol

import cv2
import numpy as np

from data_prep.face.landmarks import dlib, ibug
from dualatme_jax.errors import InputError


class Detector(Protocol):
    """Finds the faces of a frame."""

    name: str

    def faces(self, picture: np.ndarray) -> np.ndarray:
        """Returns the landmarks of all faces, the largest first, [N, 68, 2] float32, (x, y) in pixels.

        Args:
          picture: [H, W, 3] uint8, blue first.
        """


class Dlib:
    """The detector `dlib`, see `data_prep.face.landmarks.dlib`; it finds faces of 80 pixels and more.

    Raises:
      InputError: dlib or the package of its model is missing.
    """

    name = 'dlib'

    def __init__(self):
        dlib.Dlib()  # says what is missing

    def faces(self, picture: np.ndarray) -> np.ndarray:
        detector, predictor = dlib.model()
        rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        found = [[(point.x, point.y) for point in predictor(rgb, box).parts()] for box in detector(rgb, 0)]
        return by_size(np.asarray(found, np.float32).reshape(-1, ibug.NUMBER, 2))


DETECTORS = {'dlib': Dlib}


def by_size(faces: np.ndarray) -> np.ndarray:
    """Faces [N, 68, 2], the largest first."""
    sizes = np.ptp(faces, axis=1).prod(-1)
    return faces[np.argsort(-sizes, kind='stable')]


def detector(choice: str) -> Detector:
    """Returns a detector by name.

    Raises:
      InputError: no such detector, or what it needs is missing.
    """
    if choice not in DETECTORS:
        raise InputError(f'--landmarks {choice}: expected one of {", ".join(DETECTORS)}')
    return DETECTORS[choice]()
