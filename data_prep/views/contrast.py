"""Local contrast made the same everywhere before a flow is computed, so that light counts for less.

`H` and `W` are the height and width of a picture.
"""

import cv2
import numpy as np

_CLAHE = {'clipLimit': 2.0, 'tileGridSize': (8, 8)}
_WIDTH = 8 / 224  # standard deviation of the window, as a share of the picture's height
_GAIN = 16.0  # grey levels that a deviation becomes
_GRAIN = 4.0  # grey levels: a deviation that the sensor has by itself, which is not to be blown up

CONTRASTS: dict[str, dict | None] = {
    'none': None,
    'local': {
        'method': '128 + gain * (grey - mean) / (deviation + grain), of a Gaussian window',
        'width': _WIDTH,
        'gain': _GAIN,
        'grain': _GRAIN,
    },
    'clahe': {'method': 'CLAHE of OpenCV', **_CLAHE},
}


def normalised(grey: np.ndarray, kind: str) -> np.ndarray:
    """Returns a picture with its local contrast normalised, [H, W] uint8.

    `local` takes the mean of a Gaussian window out and divides by its standard deviation; `clahe` is
    contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994).

    Args:
      grey: [H, W] uint8.
      kind: a key of `CONTRASTS`.
    """
    if kind == 'none':
        return grey
    if kind == 'clahe':
        return cv2.createCLAHE(**_CLAHE).apply(grey)
    difference = grey - _blurred(grey.astype(np.float32))
    deviation = np.sqrt(_blurred(difference**2))
    return np.clip(np.rint(128 + _GAIN * difference / (deviation + _GRAIN)), 0, 255).astype(np.uint8)


def _blurred(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), _WIDTH * len(picture), borderType=cv2.BORDER_REFLECT)
