"""Optical flow from onset to apex, its strain, and the image form in which the field stores both.

`H` and `W` are the height and width of a frame; u is horizontal (rightwards), v vertical (downwards) motion.
"""

from collections.abc import Callable

import cv2
import numpy as np

from dualatme_jax import schema
from dualatme_jax.errors import InputError

# TV-L1: Zach, Pock, Bischof, DAGM 2007, the field's usual choice. DIS: Kroeger et al., ECCV 2016, some
# twenty times faster.
ALGORITHMS: dict[str, Callable[[], cv2.DenseOpticalFlow]] = {
    'tvl1': lambda: cv2.optflow.DualTVL1OpticalFlow_create(),
    'dis': lambda: cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM),
}


def solver(algorithm: str = 'tvl1', **settings: float) -> cv2.DenseOpticalFlow:
    """Returns an OpenCV flow solver.

    Args:
      algorithm: a key of `ALGORITHMS`.
      **settings: what departs from OpenCV's defaults, in OpenCV's names, such as `Epsilon=0.05`.

    Raises:
      InputError: unknown algorithm, or an OpenCV without the contributed modules.
    """
    if algorithm not in ALGORITHMS:
        raise InputError(f'unknown flow algorithm {algorithm!r}: expected one of {", ".join(ALGORITHMS)}')
    _require_contrib()
    made = ALGORITHMS[algorithm]()
    for name, value in settings.items():
        getattr(made, f'set{name}')(value)
    return made


def optical_flow(solver: cv2.DenseOpticalFlow, onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """Returns the flow from onset to apex, [H, W, 2] float32 in pixels (u, v).

    Args:
      solver: from `solver()`.
      onset: [H, W] uint8, grey.
      apex: [H, W] uint8, grey.
    """
    return solver.calc(onset, apex, None)


def strain(flow: np.ndarray) -> np.ndarray:
    """Returns the optical strain, the norm of the symmetric part of the flow's gradient.

    sqrt(ux^2 + vy^2 + 1/2 (uy + vx)^2), with ux = du/dx and so on (Shreve et al., FG 2011). The weight 1/2 is
    what the two off-diagonal terms (1/2 (uy + vx))^2 sum to; the 1/4 that circulates counts only one of them.

    Args:
      flow: [H, W, 2], (u, v) in pixels.

    Returns:
      [H, W], without unit. Central differences, one-sided at the border.
    """
    # The rows of an array run along y.
    uy, ux = np.gradient(flow[..., 0])
    vy, vx = np.gradient(flow[..., 1])
    return np.sqrt(ux**2 + vy**2 + (uy + vx) ** 2 / 2)


def flow_image(flow: np.ndarray) -> np.ndarray:
    """Returns the public image form of a flow: u, v and strain, resized and then scaled channel by channel.

    The order is that of the public images, whose channels all reach both 0 and 255 at 28x28.

    Args:
      flow: [H, W, 2], (u, v) in pixels.

    Returns:
      `schema.FLOW_SHAPE` uint8: each channel's minimum is 0 and its maximum 255; 0 where it is constant.
    """
    channels = np.dstack([flow, strain(flow)]).astype(np.float32)
    size = (schema.FLOW_SIZE, schema.FLOW_SIZE)
    small = cv2.resize(channels, size, interpolation=cv2.INTER_AREA)
    low, high = small.min((0, 1)), small.max((0, 1))
    span = np.where(high > low, high - low, 1)
    return np.rint((small - low) / span * 255).astype(np.uint8)


def recipe(solver: cv2.DenseOpticalFlow) -> dict:
    """Returns what the metadata says about the flow: the algorithm and all its parameters."""
    getters = sorted(name for name in dir(solver) if name.startswith('get') and name != 'getDefaultName')
    return {
        'algorithm': type(solver).__name__,
        'parameters': {name.removeprefix('get'): getattr(solver, name)() for name in getters},
        'strain': 'sqrt(ux^2 + vy^2 + 1/2 (uy + vx)^2)',
        'image': 'u, v, strain; resized by area, then each channel min-max scaled to 0..255 by clip',
    }


def _require_contrib() -> None:
    # Installing opencv-python over the contrib wheel replaces it without a word.
    if not (getattr(cv2.version, 'contrib', False) and hasattr(cv2, 'optflow')):
        raise InputError(
            f'OpenCV {cv2.__version__} was found without its contributed modules, which hold TV-L1. Expected '
            'opencv-contrib-python-headless: uninstall every opencv package (`pip list` names them), '
            'then `pip install opencv-contrib-python-headless`'
        )
