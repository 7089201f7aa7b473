"""Optical flow as the colour wheel, beside its channels.

Axes: H, W pixels, C channels.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dualatme_jax.report.pictures import drawn

_SIDE = 1.7  # inches of a picture
# The hues around the wheel, and how many steps lie from each to the next: more where the eye separates more.
_HUES = [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0)]
_STEPS = [15, 6, 4, 11, 13, 6]


def wheel(u: np.ndarray, v: np.ndarray, *, most: float) -> np.ndarray:
    """The direction of motion as hue and its size as saturation: no motion is white, to the right is red.

    Source: Baker, Scharstein, Lewis, Roth, Black, Szeliski, "A database and evaluation methodology for
    optical flow", IJCV 92, 2011, after their `computeColor`; down, along the rows, is yellow.

    Args:
      u, v: [...], motion to the right and down.
      most: the size that is fully saturated; larger motion is darker. Above 0.

    Returns:
      [..., 3], red, green and blue in 0..1.
    """
    pairs = zip(itertools.pairwise(_HUES), _STEPS, strict=True)
    around = np.concatenate([np.linspace(*pair, steps, endpoint=False) for pair, steps in pairs])
    size = np.hypot(u, v) / most
    # Counted from the right, downward; the last step leads back to the first.
    turn = np.arctan2(v, u) / (2 * np.pi) % 1
    place = np.asarray(turn * (len(around) - 1))
    low = place.astype(int)
    part = (place - low)[..., None]
    hue = (1 - part) * around[low] + part * around[(low + 1) % len(around)]
    inside = 1 - np.minimum(size, 1)[..., None] * (1 - hue)
    return np.where(size[..., None] <= 1, inside, 0.75 * hue)


def flows(clips: Mapping[str, np.ndarray], boxes: Mapping[str, Sequence[float]] | None = None) -> Figure:
    """Draws one row per clip: its motion as the wheel, then u, v and strain.

    Args:
      clips: title -> [H, W, 3], u and v with their sign, strain from 0, in one unit for u and v.
      boxes: regions to be outlined on the wheel, see `regions.outline`.
    """
    figure = drawn.figure(4 * _SIDE + 0.9, _SIDE * len(clips) + 0.5)
    panels = figure.subplots(len(clips), 4, squeeze=False)
    for number, (row, (title, clip)) in enumerate(zip(panels, clips.items(), strict=True)):
        u, v, strain = np.moveaxis(np.asarray(clip, float), -1, 0)
        most = max(np.percentile(np.hypot(u, v), 99), np.finfo(float).tiny)
        row[0].imshow(wheel(u, v, most=most), interpolation='nearest')
        for axes, channel in zip(row[1:], (u, v), strict=False):
            axes.imshow(channel, cmap='RdBu_r', vmin=-most, vmax=most, interpolation='nearest')
        row[3].imshow(
            strain, cmap='viridis', vmin=0, vmax=max(strain.max(), most * 1e-6), interpolation='nearest'
        )
        if boxes:
            outline(row[0], boxes, strain.shape)
        row[0].set_ylabel(title, fontsize='small')
        for axes, name in zip(
            row, ('direction and size', 'u: to the right', 'v: down', 'strain'), strict=True
        ):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if number == 0:
                axes.set_title(name, fontsize='medium')
    _key(panels[0, 0])
    return figure


def regions(picture: np.ndarray, boxes: Mapping[str, Sequence[float]], *, title: str = '') -> Figure:
    """Draws a face, or the motion of one, with its regions outlined and named.

    Args:
      picture: [H, W] grey or [H, W, 3] in 0..1 or uint8.
      boxes: see `outline`.
      title: stands above it.
    """
    figure = drawn.figure(3.4, 3.6)
    axes = figure.subplots()
    axes.imshow(picture, cmap='gray', interpolation='nearest')
    axes.set_axis_off()
    outline(axes, boxes, picture.shape)
    axes.set_title(title, fontsize='medium')
    return figure


def outline(axes: Axes, boxes: Mapping[str, Sequence[float]], shape: Sequence[int]) -> None:
    """Outlines regions on a picture of shape (H, W, ...).

    Args:
      axes: where the picture is.
      boxes: name -> top, bottom, left, right as shares of the height and the width.
      shape: of the picture.
    """
    height, width = shape[:2]
    for number, (name, (top, bottom, left, right)) in enumerate(boxes.items()):
        colour = drawn.COLOURS[number % len(drawn.COLOURS)]
        # Pixel 0 begins at -0.5.
        corner = left * width - 0.5, top * height - 0.5
        size = (right - left) * width, (bottom - top) * height
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=1.5))
        axes.text(*corner, name, color='white', fontsize='small', va='top', ha='left').set_bbox(
            {'facecolor': colour, 'edgecolor': 'none', 'pad': 1}
        )


def _key(axes: Axes) -> None:
    """The wheel itself, small, in the corner of a picture."""
    y, x = np.mgrid[-1:1:41j, -1:1:41j]
    disc = np.dstack([wheel(x, y, most=1), np.hypot(x, y) <= 1])
    inset = axes.inset_axes((0.74, 0.02, 0.24, 0.24))
    inset.imshow(disc, interpolation='nearest')
    inset.set_axis_off()
