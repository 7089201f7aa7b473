"""Motion magnification without weights: each frame is warped by a multiple of its own flow from the onset.

A point of the face that the onset shows at p and a frame at p + d(p) is drawn at p + factor * d(p). A factor
means the same as the learned magnifier's (Oh et al., ECCV 2018): 1 changes nothing.

`H` and `W` are the height and width of a frame; colours are in OpenCV's order, blue first.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from data_prep.files import images
from data_prep.views import optical_flow
from dualatme_jax.errors import InputError

FACTORS = (0.0, 50.0)  # the least and the most

# Against known motions of faces (`benchmarks.flow.pairs`) Farneback's flow is as long as the motion (0.97 to
# 1.03 of it), while TV-L1's is too short (0.89 to 0.94) and takes ten times as long.
ALGORITHM = 'farneback'

# Of a fixed point. It is found unless neighbouring points overtake each other: there the picture folds.
_STEPS = 20


def check_factor(factor: float, option: str) -> None:
    """Raises InputError for a factor that cannot be."""
    if not FACTORS[0] <= factor <= FACTORS[1]:
        raise InputError(
            f'{option} {factor:g}: expected {FACTORS[0]:g} to {FACTORS[1]:g}; 1 changes nothing, 8 makes a '
            'motion of a quarter of a pixel one of two'
        )


def recipe(factor: float, algorithm: str = ALGORITHM) -> dict | None:
    """Returns what decides how frames are magnified, as JSON values; None where nothing is."""
    if factor == 1:
        return None
    return {
        'factor': factor,
        'method': 'each frame warped by a multiple of its own flow from the onset',
        'flow': optical_flow.recipe(_solver(algorithm)),
        'smoothing': optical_flow.SMOOTHING,
    }


def magnified(
    frames: Iterable[np.ndarray], factor: float, algorithm: str = ALGORITHM
) -> Iterator[np.ndarray]:
    """Yields the frames with their motion multiplied, [H, W, 3] uint8 each; the onset, the first, as it is.

    Args:
      frames: [H, W, 3] uint8 each, or an array [T, H, W, 3]; the motion is measured from the first.
      factor: 1 leaves all as they are, 0 takes the motion out.
      algorithm: of the flow, a key of `optical_flow.ALGORITHMS`.

    Raises:
      InputError: an unknown algorithm, a factor out of range, or frames of several sizes.
    """
    check_factor(factor, 'the factor')
    if factor == 1:
        yield from frames
        return
    solver, onset = _solver(algorithm), None
    for frame in frames:
        if onset is None:
            onset = images.grey(frame)
            yield frame
            continue
        if frame.shape[:2] != onset.shape:
            raise InputError(
                f'a frame of {frame.shape[1]}x{frame.shape[0]} pixels, but the onset has '
                f'{onset.shape[1]}x{onset.shape[0]}: all frames of a clip must have one size'
            )
        flow = optical_flow.compute(solver, onset, images.grey(frame))
        yield _warped(frame, optical_flow.smoothed(flow, optical_flow.SMOOTHING * len(onset)), factor)


def _solver(algorithm: str) -> cv2.DenseOpticalFlow:
    return optical_flow.solver(algorithm, **optical_flow.SETTINGS.get(algorithm, {}))


def _warped(frame: np.ndarray, flow: np.ndarray, factor: float) -> np.ndarray:
    """Returns the frame in which the point p + flow(p) stands at p + factor * flow(p)."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    drawn = onset = np.dstack([x, y])
    for _ in range(_STEPS):  # a fixed point: which p comes to stand at each pixel
        moved = _at(flow, onset, cv2.INTER_LINEAR)
        onset = drawn - np.float32(factor) * moved
    return _at(frame, onset + _at(flow, onset, cv2.INTER_LINEAR), cv2.INTER_CUBIC)


def _at(picture: np.ndarray, points: np.ndarray, interpolation: int) -> np.ndarray:
    return cv2.remap(picture, points, None, interpolation, borderMode=cv2.BORDER_REPLICATE)
