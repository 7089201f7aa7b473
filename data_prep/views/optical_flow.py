"""Optical flow from onset to apex, its strain, and the image form in which the field stores both.

`H` and `W` are the height and width of a frame; u is horizontal (rightwards), v vertical (downwards) motion.
"""

from collections.abc import Callable

import cv2
import numpy as np

from dualatme_jax.errors import InputError

# TV-L1: Zach, Pock, Bischof, DAGM 2007, the field's usual choice. DIS: Kroeger et al., ECCV 2016.
# Farneback, SCIA 2003.
ALGORITHMS: dict[str, Callable[[], cv2.DenseOpticalFlow]] = {
    'tvl1': lambda: cv2.optflow.DualTVL1OpticalFlow_create(),
    'dis': lambda: cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM),
    'farneback': lambda: cv2.FarnebackOpticalFlow_create(winSize=15),
}

# What departs from OpenCV's own values, by algorithm. Against a known motion of faces, a tighter coupling of
# TV-L1's two fields (OpenCV: 0.3) halves the time and lessens the errors of flow and strain:
# `python -m benchmarks.flow`.
SETTINGS = {'tvl1': {'Theta': 0.1}, 'dis': {}, 'farneback': {}}

# How a strain follows from the flow's derivatives (ux, uy, vx, vy), ux = du/dx and so on.
STRAINS: dict[str, Callable[..., np.ndarray]] = {
    # The norm of the symmetric part of the gradient (Shreve et al., FG 2011). The weight 1/2 is what the two
    # off-diagonal terms (1/2 (uy + vx))^2 sum to.
    'symmetric': lambda ux, uy, vx, vy: np.sqrt(ux**2 + vy**2 + (uy + vx) ** 2 / 2),
    # Circulates: one of the two off-diagonal terms.
    'quarter': lambda ux, uy, vx, vy: np.sqrt(ux**2 + vy**2 + (uy + vx) ** 2 / 4),
    # Circulates: rows taken for x, as a wrong reading of `np.gradient` gives.
    'swapped': lambda ux, uy, vx, vy: np.sqrt(uy**2 + vx**2 + (ux + vy) ** 2 / 2),
}

# What the strain's derivatives are smoothed by, as a share of the flow's height: 4 pixels at 224. Plain
# differences of TV-L1's flow are to a large part its own grain: `python -m benchmarks.flow`.
SMOOTHING = 4 / 224


def solver(algorithm: str = 'tvl1', **settings: float) -> cv2.DenseOpticalFlow:
    """Returns an OpenCV flow solver.

    Args:
      algorithm: a key of `ALGORITHMS`.
      **settings: what departs from OpenCV's defaults, in OpenCV's names, such as `Epsilon=0.05`.

    Raises:
      InputError: unknown algorithm or setting, or an OpenCV without the contributed modules.
    """
    if algorithm not in ALGORITHMS:
        raise InputError(f'unknown flow algorithm {algorithm!r}: expected one of {", ".join(ALGORITHMS)}')
    _require_contrib()
    made = ALGORITHMS[algorithm]()
    for name, value in settings.items():
        setter = getattr(made, f'set{name}', None)
        if setter is None:
            known = ', '.join(sorted(other[3:] for other in dir(made) if other.startswith('set')))
            raise InputError(f'{algorithm} has no setting {name!r}: expected one of {known}')
        try:
            # Whether a setting is whole or not is OpenCV's to say.
            setter(int(value) if isinstance(getattr(made, f'get{name}')(), int) else value)
        except (ValueError, OverflowError, cv2.error) as error:
            raise InputError(f'{algorithm} cannot take the setting {name} {value}: {error}') from error
    return made


def compute(solver: cv2.DenseOpticalFlow, onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """Returns the flow from onset to apex, [H, W, 2] float32 in pixels (u, v).

    Args:
      solver: from `solver()`.
      onset: [H, W] uint8, grey.
      apex: [H, W] uint8, grey.

    Raises:
      InputError: it is not finite, as with settings out of range.
    """
    found = solver.calc(onset, apex, None)
    if not np.isfinite(found).all():
        raise InputError(
            'the flow is not finite: the settings of the algorithm (--flow-setting) make no sense'
        )
    return found


def strain(flow: np.ndarray, variant: str = 'symmetric', *, smoothing: float = 0.0) -> np.ndarray:
    """Returns the optical strain, without unit.

    Args:
      flow: [H, W, 2], (u, v) in pixels.
      variant: a key of `STRAINS`; `symmetric` is the right one, the others are for comparison with old work.
      smoothing: standard deviation in pixels of the Gaussian by which the flow is smoothed first, twice over;
        0 for none.

    Returns:
      [H, W]. Central differences, one-sided at the border.

    Raises:
      InputError: unknown variant.
    """
    if variant not in STRAINS:
        raise InputError(f'unknown strain {variant!r}: expected one of {", ".join(STRAINS)}')
    return STRAINS[variant](*_derivatives(flow, smoothing))


def strain_tensor(flow: np.ndarray, *, smoothing: float = 0.0) -> np.ndarray:
    """Returns the strain's normal and shear parts, [H, W, 3]: exx = ux, eyy = vy, exy = (uy + vx) / 2.

    The `symmetric` strain is the square root of exx^2 + eyy^2 + 2 exy^2. Arguments as of `strain`.
    """
    ux, uy, vx, vy = _derivatives(flow, smoothing)
    return np.dstack([ux, vy, (uy + vx) / 2])


def _derivatives(flow: np.ndarray, smoothing: float) -> tuple[np.ndarray, ...]:
    """(ux, uy, vx, vy), [H, W] each, of a flow that is smoothed first."""
    if smoothing:
        flow = smoothed(flow, smoothing)
    # The rows of an array run along y.
    uy, ux = np.gradient(flow[..., 0])
    vy, vx = np.gradient(flow[..., 1])
    return ux, uy, vx, vy


def smoothed(flow: np.ndarray, width: float) -> np.ndarray:
    """Returns a flow [H, W, 2] smoothed twice over by a Gaussian of `width` pixels, standard deviation."""
    smooth = _blurred(flow, width)
    # Twicing (Tukey, Exploratory Data Analysis, 1977): what of the motion went with the noise comes back.
    return smooth + _blurred(flow - smooth, width)


def _blurred(flow: np.ndarray, width: float) -> np.ndarray:
    return cv2.GaussianBlur(flow, (0, 0), width, borderType=cv2.BORDER_REPLICATE)


def channels(
    flow: np.ndarray, variant: str = 'symmetric', *, smoothing: float = 0.0, seam: int = 0
) -> np.ndarray:
    """Returns u, v and strain.

    Args:
      flow: [H, W, 2], (u, v) in pixels.
      variant: as for `strain`.
      smoothing: as for `strain`.
      seam: the row at which a puzzled face is joined; there is no strain across it. 0 for none.

    Returns:
      [H, W, 3] float32.
    """
    parts = np.split(flow, [seam]) if seam else [flow]
    strains = np.concatenate([strain(part, variant, smoothing=smoothing) for part in parts])
    return np.dstack([flow, strains]).astype(np.float32)


def moves(motion: np.ndarray) -> bool:
    """Whether u and v, the first two channels of [H, W, C], differ anywhere: a flow that does not is none."""
    return bool(np.ptp(motion[..., :2], axis=(0, 1)).any())


def resized(channels: np.ndarray, size: int) -> np.ndarray:
    """Returns channels [H, W, C] as [size, size, C], by area; their units stay those of H and W."""
    if channels.shape[:2] == (size, size):
        return channels
    return cv2.resize(channels, (size, size), interpolation=cv2.INTER_AREA)


def minmax(channels: np.ndarray) -> np.ndarray:
    """Scales each channel to 0..255: the encoding `minmax_uint8`, the form of the public images.

    Those were made small first: their channels all reach both 0 and 255 at 28x28.

    Args:
      channels: [H, W, C].

    Returns:
      [H, W, C] uint8: each channel's minimum is 0 and its maximum 255; 0 where it is constant.
    """
    low, high = channels.min((0, 1)), channels.max((0, 1))
    span = np.where(high > low, high - low, 1)
    return np.rint((channels - low) / span * 255).astype(np.uint8)


def span(channels: np.ndarray) -> np.ndarray:
    """Returns the least and the largest value of each channel, [C, 2] float32: what `minmax` takes away."""
    return np.stack([channels.min((0, 1)), channels.max((0, 1))], -1).astype(np.float32)


def recipe(solver: cv2.DenseOpticalFlow) -> dict:
    """Returns what decides a flow: algorithm, parameters and OpenCV's version, as JSON values."""
    getters = sorted(name for name in dir(solver) if name.startswith('get') and name != 'getDefaultName')
    return {
        'algorithm': type(solver).__name__,
        'parameters': {name.removeprefix('get'): getattr(solver, name)() for name in getters},
        'cv2': cv2.__version__,
    }


def _require_contrib() -> None:
    # Installing opencv-python over the contrib wheel replaces it without a word.
    if not (getattr(cv2.version, 'contrib', False) and hasattr(cv2, 'optflow')):
        raise InputError(
            f'OpenCV {cv2.__version__} was found without its contributed modules, which hold TV-L1. Expected '
            'opencv-contrib-python-headless: uninstall every opencv package (`pip list` names them), '
            'then `pip install opencv-contrib-python-headless`'
        )
