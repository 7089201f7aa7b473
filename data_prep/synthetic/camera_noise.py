"""From a face to the grey levels that a camera reports: light and noise."""

from collections.abc import Sequence

import numpy as np


def illumination(light: Sequence[float], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the factor by which light changes a frame, at points (x, y) that broadcast together.

    Args:
      light: (gain, across, down): what is added everywhere, and from one edge of the frame to the other.
      x: 0 in the middle of the frame, 1 from edge to edge.
      y: as x.
    """
    gain, across, down = light
    return 1 + gain + across * x + down * y


def noisy(random: np.random.Generator, image: np.ndarray, noise: float) -> np.ndarray:
    """Returns the frame that a sensor makes of an image, uint8.

    Args:
      random: where the noise comes from; drawn in the precision of the image.
      image: grey levels, float32 or float64, [H, W] or [H, W, C].
      noise: standard deviation in grey levels, of each channel.
    """
    grain = random.standard_normal(image.shape, image.dtype)
    return np.clip(np.rint(image + noise * grain), 0, 255).astype(np.uint8)
