"""The source `dlib`: its detector of faces and its 68 points (Kazemi and Sullivan, CVPR 2014).

The points' model comes with the package face-recognition-models. It was trained on iBUG 300-W, whose licence
excludes commercial use.
"""

import functools
import importlib.metadata
import importlib.util
import pathlib

import cv2
import numpy as np

from data_prep.face.landmarks import ibug
from data_prep.releases.clip import Clip
from dualatme_jax.errors import InputError

WEIGHTS = 'shape_predictor_68_face_landmarks.dat'
_MODELS = 'face_recognition_models'
_ENLARGED = 1  # times that the detector doubles a frame: it finds faces of 40 pixels
_ADVICE = "`pip install -e '.[dlib]'`"


class Dlib:
    """The source `dlib`.

    Raises:
      InputError: dlib or the package of its model is missing.
    """

    whole_frame = False

    def __init__(self):
        if importlib.util.find_spec('dlib') is None:
            raise InputError(f'landmarks by dlib need dlib-bin, or dlib, but none is installed: {_ADVICE}')
        if not _weights().is_file():
            raise InputError(
                f'landmarks by dlib need {WEIGHTS} of the package face-recognition-models, which is not '
                f'installed: {_ADVICE}'
            )

    def recipe(self, clip: Clip | None = None) -> dict:
        """Returns what decides the landmarks, as JSON values."""
        del clip
        models = importlib.metadata.version('face-recognition-models')
        return {'name': 'dlib', 'version': f'dlib {_version()}', 'weights': f'{WEIGHTS} of {models}'}

    def find(self, frame: np.ndarray, clip: Clip) -> np.ndarray:
        """Returns the landmarks of the only face in a frame, [68, 2] float32 in pixels.

        Raises:
          InputError: no face, or several.
        """
        del clip
        picture = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        detector, predictor = model()
        found = detector(picture, _ENLARGED)
        boxes = [(box.left(), box.top(), box.right(), box.bottom()) for box in found]
        ibug.check_one(boxes, frame.shape)
        return ibug.checked([(point.x, point.y) for point in predictor(picture, found[0]).parts()])


def _weights() -> pathlib.Path:
    """The model's file. Its package is not imported: that needs a module which Python no longer brings."""
    found = importlib.util.find_spec(_MODELS)
    folders = found.submodule_search_locations if found else None
    return pathlib.Path(folders[0] if folders else _MODELS) / 'models' / WEIGHTS


def _version() -> str:
    for package in ('dlib-bin', 'dlib'):
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return 'unknown'


@functools.cache
def model():
    """Loads detector and model, once per process."""
    import dlib

    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(_weights()))
