"""Pictures of clips side by side, as the dataset stores them.

Axes: H, W pixels, C channels.
"""

import math
import os
from collections.abc import Sequence

import numpy as np

from dualatme_jax.errors import InputError
from dualatme_jax.files import replacing
from dualatme_jax.report.pictures import drawn

MOST = 120  # clips of one sheet: more are no longer looked at

_COLUMNS = 4  # clips side by side
_WIDTH, _LINE = 3.2, 0.16  # inches: of a clip, and of a line of its title
_GAP = 2  # pixels between channels


def draw(pictures: np.ndarray, titles: Sequence[str], path: str | os.PathLike, *, title: str) -> None:
    """Writes one PNG with the channels of each clip side by side, in grey; of equal clips equal bytes.

    Args:
      pictures: [clips, H, W, C], uint8 as they are; of other numbers 0 is the middle grey, and black and
        white are the largest of a clip's channel.
      titles: of each clip, one line or more.
      path: of the PNG.
      title: stands above the sheet.

    Raises:
      InputError: pictures of another shape, or more than `MOST`.
    """
    if pictures.ndim != 4 or not 0 < len(pictures) <= MOST:
        raise InputError(
            f'a contact sheet of clips of the shape {pictures.shape[1:]}, {len(pictures)} of them; expected '
            f'pictures (height, width, channels), 1 to {MOST}'
        )
    rows = math.ceil(len(pictures) / _COLUMNS)
    lines = 1 + max(text.count('\n') for text in titles)
    _, height, width, channels = pictures.shape
    high = _WIDTH * height / (width * channels) + lines * _LINE + 0.15
    figure = drawn.figure(_WIDTH * _COLUMNS, high * rows + 0.6)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for panel in panels:
        panel.axis('off')
    for panel, clip, text in zip(panels, pictures, titles, strict=False):
        panel.imshow(side_by_side(clip), cmap='gray', vmin=0, vmax=255, interpolation='nearest')
        panel.set_title(text, fontsize=7)
    figure.suptitle(title, fontsize='medium')
    with replacing(path) as temporary:
        temporary.write_bytes(drawn.png(figure))


def side_by_side(clip: np.ndarray) -> np.ndarray:
    """The channels of a clip [H, W, C] in one picture of 0..255, NaN between them."""
    if clip.dtype != np.uint8:
        most = np.abs(clip).max((0, 1))
        clip = 127.5 * (1 + clip / np.where(most > 0, most, 1))
    gap = np.full((len(clip), _GAP), np.nan)
    parts = [part for channel in np.moveaxis(clip, -1, 0) for part in (channel.astype(float), gap)]
    return np.hstack(parts[:-1])
