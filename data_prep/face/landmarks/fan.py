"""The source `fan`: face-alignment's networks (Bulat and Tzimiropoulos, ICCV 2017), on the CPU.

face-alignment requires opencv-python, whose files would replace those of the OpenCV that holds TV-L1. So it
is installed without what it requires; the extra `fan` brings the rest of that.
"""

import functools
import importlib.metadata
import os
import pathlib
import warnings

import cv2
import numpy as np

from data_prep.face.landmarks import ibug
from data_prep.releases.clip import Clip
from dualatme_jax.errors import InputError

VERSION = '1.5.0'  # each version has its own weights, and would load missing ones from the net
WEIGHTS = ('2DFAN4-11f355bf06.pth.tar', 's3fd-619a316812.pth')  # of the landmarks, of the face detector
ORIGIN = 'https://www.adrianbulat.com/downloads/python-fan/'


class Fan:
    """The source `fan`.

    Raises:
      InputError: face-alignment, torch or the weights are missing, or OpenCV was replaced. Nothing is
        ever downloaded.
    """

    whole_frame = False

    def __init__(self):
        for package, expected in (('face-alignment', VERSION), ('torch', '')):
            found = _version(package)
            if not found or not found.startswith(expected):
                raise InputError(
                    f'landmarks by fan need {package} {expected or "of any version"}, but '
                    f'{found or "none"} is installed: {_advice()}'
                )
        missing = [name for name in WEIGHTS if not (checkpoints() / name).is_file()]
        if missing:
            raise InputError(f'landmarks by fan need the weights {" and ".join(missing)}: {_advice()}')
        if not getattr(cv2.version, 'contrib', False):
            raise InputError(
                f'OpenCV {cv2.__version__} has no contributed modules, as happens where face-alignment is '
                'installed with all that it requires: uninstall every opencv package (`pip list` names '
                'them), then `pip install opencv-contrib-python-headless`'
            )

    def recipe(self, clip: Clip | None = None) -> dict:
        """Returns what decides the landmarks, as JSON values."""
        del clip
        version = f'face-alignment {VERSION}, torch {_version("torch")}'
        return {'name': 'fan', 'version': version, 'weights': list(WEIGHTS)}

    def find(self, frame: np.ndarray, clip: Clip) -> np.ndarray:
        """Returns the landmarks of the only face in a frame, [68, 2] float32 in pixels.

        Raises:
          InputError: no face, several, or weights that cannot be loaded.
        """
        del clip
        landmarks, boxes = faces(frame)
        ibug.check_one(boxes, frame.shape)
        return ibug.checked(landmarks[0])


def faces(frame: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns the landmarks, [68, 2], and the box (left, top, right, bottom) of each face, in pixels.

    Args:
      frame: [H, W, 3] uint8, blue first.

    Raises:
      InputError: weights that cannot be loaded.
    """
    picture = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # it warns where there is no face
        landmarks, _, boxes = _model().get_landmarks_from_image(picture, return_bboxes=True)
    return ([], []) if boxes is None else (list(landmarks), [box[:4] for box in boxes])


def checkpoints() -> pathlib.Path:
    """Returns the folder in which torch looks for weights."""
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME', '~/.cache'))
    return pathlib.Path(os.environ.get('TORCH_HOME', cache / 'torch')).expanduser() / 'hub' / 'checkpoints'


def _advice() -> str:
    return (
        "`pip install -e '.[fan]'`, then `pip install --no-deps "
        f'face-alignment=={VERSION}`, and put {" and ".join(WEIGHTS)}, which are at {ORIGIN}, into '
        f'{checkpoints()} (TORCH_HOME names another place)'
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def _model():
    """Loads the networks, once per process."""
    import face_alignment

    try:
        return face_alignment.FaceAlignment(
            face_alignment.LandmarksType.TWO_D, device='cpu', flip_input=False, compile=False
        )
    except Exception as error:  # torch has many for a damaged file
        raise InputError(
            f'the weights {" and ".join(WEIGHTS)} in {checkpoints()} cannot be loaded: '
            f'one of them is damaged, take both anew from {ORIGIN}'
        ) from error
