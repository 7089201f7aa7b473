"""Any number of frames from a clip of any length: temporal interpolation (TIM, Zhou et al., CVPR 2011).

Zhou, Zhao, Pietikäinen take the frames for points on a curve, whose coordinates f_k(t) =
sin(pi k t + pi (n - k) / (2 n)), k = 1 to n - 1, t in [1/n, 1], are the eigenvectors of the Laplacian of a
path of n frames, and solve for the linear map between curve and frames, which they take apart by an SVD of
the frames. At frame i, t = i/n, f_k is cos(pi k (i - 1/2) / n): the basis of a cosine transform, which is
orthogonal. So wherever the SVD has a solution, that is of frames that are linearly independent, what comes
out is the cosine series through the frames, read between them. Here it is computed as that, which needs no
SVD, no clip in memory, and no independent frames: a frame that a release holds twice is no obstacle.

Axes: N frames of a clip, M frames that are wanted.
"""

from collections.abc import Iterable

import numpy as np


def weights(length: int, number: int) -> np.ndarray:
    """How much each frame of a clip adds to each that is wanted, [M, N]; rows sum to 1.

    Args:
      length: N, 1 or more.
      number: M, 1 or more: equally spaced from the first frame of the clip to the last one.
    """
    waves = np.pi * np.arange(1, length)[:, None] / length
    wanted = np.cos(waves * (np.linspace(1, length, number) - 0.5))
    there = np.cos(waves * (np.arange(1, length + 1) - 0.5))
    return (1 + 2 * wanted.T @ there) / length


def interpolated(frames: Iterable[np.ndarray], length: int, number: int) -> np.ndarray:
    """The frames that are wanted, [M, H, W] uint8, rounded.

    Args:
      frames: N grey frames, [H, W] uint8; only one at a time is held.
      length: N.
      number: M.
    """
    total = np.zeros(())
    for frame, shares in zip(frames, weights(length, number).T, strict=True):
        total = total + shares[:, None, None] * frame
    return np.clip(np.rint(total), 0, 255).astype(np.uint8)
