"""The pictures of one expression: its motion as the colour wheel, its strain, where networks looked.

Axes: H, W pixels.
"""

import io

import matplotlib
import numpy as np
from PIL import Image

from dualatme_jax.report.attention import upscaled
from dualatme_jax.report.pictures import flow

_MAP = 0.55  # how much of a pixel is the map that lies over a picture
_FULL = 99  # percentile of the motion that is fully coloured


def size(motion: np.ndarray) -> float:
    """The motion, in pixels, that is fully coloured; above 0. `motion` is [H, W, 3]: u, v, strain."""
    return max(
        float(np.percentile(np.hypot(motion[..., 0], motion[..., 1]), _FULL)), np.finfo(np.float32).tiny
    )


def wheel(motion: np.ndarray) -> bytes:
    """Direction as hue, size as saturation, as PNG."""
    return png(flow.wheel(motion[..., 0], motion[..., 1], most=size(motion)))


def strain(motion: np.ndarray) -> bytes:
    """The strain from none, dark, to its largest, bright, as PNG."""
    own = motion[..., 2]
    return png(
        matplotlib.colormaps['viridis'](own / max(float(own.max()), np.finfo(np.float32).tiny))[..., :3]
    )


def looked(picture: np.ndarray, own: np.ndarray) -> bytes:
    """A map over a picture, as PNG: bright where networks looked.

    Args:
      picture: [H, W, 3] in 0..1.
      own: [h, w] in 0..1.
    """
    colours = matplotlib.colormaps['inferno'](np.clip(upscaled(own, *picture.shape[:2]), 0, 1))[..., :3]
    return png(_MAP * colours + (1 - _MAP) * picture)


def png(picture: np.ndarray) -> bytes:
    """[H, W, 3] in 0..1 as PNG."""
    content = io.BytesIO()
    Image.fromarray(np.uint8(np.rint(255 * np.clip(picture, 0, 1)))).save(content, 'png')
    return content.getvalue()
