"""The source `mediapipe`: MediaPipe's face mesh (Kartynnik et al., 2019), whose models come with its package.

Its last version with numpy 2 and models in the package is 0.10.14; 1.x loads models that one downloads. It
needs Python 3.12 or older, a protobuf older than 5, and requires an opencv-contrib-python that replaces the
headless one. So it is installed without what it requires, which the extra `mediapipe` brings in versions that
live together.
"""

import functools
import importlib.metadata
import warnings

import cv2
import numpy as np

from data_prep.face.landmarks import ibug
from data_prep.releases.clip import Clip
from dualatme_jax.errors import InputError

VERSION = '0.10.14'
WEIGHTS = ('face_detection_short_range.tflite', 'face_landmark.tflite')

# The vertex of the mesh at each of the 68 landmarks. The outlines of face, eyes, brows and lips are those of
# MediaPipe's `face_mesh_connections.py`; along them, and along the ridge and the base of the nose, the vertex
# nearest to the landmark, by MediaPipe's drawing of its canonical face. Left and right mirror each other.
# fmt: off
VERTICES = (
    127, 234, 93, 132, 172, 136, 150, 176, 152, 400, 379, 365, 397, 361, 323, 454, 356,  # jaw
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
    168, 197, 5, 4, 98, 97, 2, 326, 327,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,  # outer lips
    78, 81, 13, 311, 308, 402, 14, 178,  # inner lips
)
# fmt: on

_ADVICE = (
    "`pip install -e '.[mediapipe]'` (without constraints.txt), "
    f'then `pip install --no-deps mediapipe=={VERSION}`, with Python 3.11 or 3.12'
)


class MediaPipe:
    """The source `mediapipe`.

    Raises:
      InputError: mediapipe is missing or of another version, or protobuf is too new for it.
    """

    whole_frame = False

    def __init__(self):
        for package, expected in (('mediapipe', VERSION), ('protobuf', '4.')):
            try:
                found = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                found = 'none'
            if not found.startswith(expected):
                raise InputError(
                    f'landmarks by mediapipe need {package} {expected.strip(".")}, but {found} is installed: '
                    f'{_ADVICE}'
                )

    def recipe(self, clip: Clip | None = None) -> dict:
        """Returns what decides the landmarks, as JSON values."""
        del clip
        return {
            'name': 'mediapipe',
            'version': f'mediapipe {VERSION}',
            'weights': list(WEIGHTS),
            'vertices': list(VERTICES),
        }

    def find(self, frame: np.ndarray, clip: Clip) -> np.ndarray:
        """Returns the landmarks of the only face in a frame, [68, 2] float32 in pixels.

        Raises:
          InputError: no face, or several.
        """
        del clip
        found = meshes(frame, most=2)  # two faces are enough to see that there are too many
        ibug.check_one([(*mesh.min(0), *mesh.max(0)) for mesh in found], frame.shape)
        return ibug.checked(found[0][list(VERTICES)])


def meshes(frame: np.ndarray, *, most: int) -> list[np.ndarray]:
    """Returns the mesh of each face in a frame, [468, 2] in pixels.

    Args:
      frame: [H, W, 3] uint8, blue first.
      most: faces that are looked for.
    """
    height, width = frame.shape[:2]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # protobuf announces what the next version removes
        found = _model(most).process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).multi_face_landmarks or ()
    # The mesh's own numbers: (0, 0) is the upper left corner, (1, 1) the lower right one.
    return [np.array([(point.x, point.y) for point in face.landmark]) * (width, height) for face in found]


@functools.cache
def _model(most: int):
    """Loads the networks, once per process."""
    from mediapipe.python.solutions import face_mesh

    return face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=False, max_num_faces=most)
