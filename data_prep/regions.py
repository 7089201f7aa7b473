"""Regions of an aligned face, and the puzzled image made of two of them (HARS).

Zhou et al., Dual-ATME, Entropy 25(3):460, 2023: an upper and a lower region of the face are resized to half
the height and the full width each and stacked. The regions here come from a fixed template, for faces that
are aligned already. `H`, `W`, `C` are height, width and channels.
"""

import functools
import pathlib

import cv2
import numpy as np
import pandas as pd

from dualatme_jax.errors import InputError

# E eyes and eyebrows, F forehead with eyebrows, N nose, M mouth. The paper's best pair stands first;
# `full` is the paper's control: both branches see the entire face.
PAIRS = ('EM', 'EN', 'FM', 'FN', 'full')

# The bounds were read off the mean strain of the public 28x28 flow images; half-open, in pixels of that grid.
TEMPLATE = pathlib.Path(__file__).with_name('aligned_face.csv')
GRID = 28


@functools.cache
def template() -> dict[str, tuple[int, int, int, int]]:
    """Returns letter -> (top, bottom, left, right) of each region, half-open, on a `GRID` x `GRID` face."""
    table = pd.read_csv(TEMPLATE, index_col='region')
    return {str(row.Index): tuple(int(bound) for bound in row[1:]) for row in table.itertuples()}


def puzzle(image: np.ndarray, pair: str) -> np.ndarray:
    """Stacks the two regions of `pair` into an image of the size of the whole face.

    Args:
      image: [H, W] or [H, W, C], an aligned face that fills the image; any type that `cv2.resize` takes.
      pair: one of `PAIRS`: the upper region's letter, then the lower one's; `full` returns the face itself.

    Returns:
      [H, W] or [H, W, C], the type of `image`.

    Raises:
      InputError: unknown pair, or an image smaller than the template's grid.
    """
    check_pair(pair)
    height, width = image.shape[:2]
    if min(height, width) < GRID:
        raise InputError(f'an image of {width}x{height} pixels is too small to cut: at least {GRID}x{GRID}')
    if pair == 'full':
        return image
    upper, lower = pair
    half = height // 2
    return np.concatenate(
        [
            cv2.resize(_cut(image, upper), (width, half), interpolation=cv2.INTER_LINEAR),
            cv2.resize(_cut(image, lower), (width, height - half), interpolation=cv2.INTER_LINEAR),
        ]
    )


def check_pair(pair: str) -> None:
    """Raises InputError unless `pair` is one of `PAIRS`."""
    if pair not in PAIRS:
        raise InputError(f'unknown pair of regions {pair!r}: expected one of {", ".join(PAIRS)}')


def recipe(pair: str) -> dict:
    """Returns what the metadata says about the regions: the pair and the template with its bounds."""
    return {'pair': pair, 'template': TEMPLATE.stem, 'grid': GRID, 'bounds': template()}


def _cut(image: np.ndarray, region: str) -> np.ndarray:
    top, bottom, left, right = template()[region]
    rows, columns = (image.shape[axis] / GRID for axis in (0, 1))
    return image[round(top * rows) : round(bottom * rows), round(left * columns) : round(right * columns)]
