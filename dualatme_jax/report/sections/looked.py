"""The hardest clips in pictures: what the network read, and where it looked.

Axes: H, W pixels, C channels.
"""

import io
import pathlib
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import attention as attention_lib
from dualatme_jax.report import selection
from dualatme_jax.report.attention import Attention
from dualatme_jax.report.page.blocks import Block, Gallery, Picture, Text
from dualatme_jax.report.pictures import attention as drawings
from dualatme_jax.report.pictures import contact_sheet
from dualatme_jax.report.record import Record

_SIDE, _GAP = 112, 4  # pixels of a picture on the page, and between two
_MAP = 0.6  # how much of a pixel is the map that lies over a picture
NO_MAPS = (
    'Where the networks looked is not shown: the folder has no attention.npz. Of a run that kept weights, '
    'python -m dualatme_jax.attention WORKDIR makes it.'
)


def blocks(record: Record, data: pathlib.Path | None) -> list[Block]:
    """The pictures of the hardest clips, and why something lacks.

    Args:
      record: of the run.
      data: the folder of its dataset, for pictures where the run has kept none.
    """
    found = record.attention
    if found is not None and len(found.clips):
        return [
            Text(_how(found) + _of_which(record)),
            Gallery([looked(found, number, _seeds(record)) for number in range(len(found.clips))]),
        ]
    damaged = record.damaged.get(attention_lib.FILE)
    why = Text(damaged or (record.results or {}).get('attention') or NO_MAPS)
    if data is None:
        return [why, Text('Their input pictures: python -m dualatme_jax.report WORKDIR --data DATASET.')]
    return [why, *inputs(record, data)]


def _how(found: Attention) -> str:
    views = ', '.join(' '.join(filter(None, [view.method, view.branch])) for view in found.views)
    return (
        f'The hardest clips come first. Left is what {found.system} read, as motion the '
        f'strain or the size; then where it looked ({views}): bright is much. The map of a class is that of '
        'the predicted one.'
    )


def _of_which(record: Record) -> str:
    """Which networks are shown, where the result is not theirs."""
    how = (record.results or {}).get('selection')
    if how not in (selection.NESTED, selection.BEST_ON_TEST):
        return ''
    return (
        ' The pictures are of the last epoch of the reference point; the table below has the predictions '
        f'that the selection {how} takes, which may differ from theirs.'
    )


def looked(found: Attention, number: int, seeds: int) -> Picture:
    """One clip of a run of so many seeds: what the network read, and each map over it."""
    clip = found.clips.iloc[number]
    first = drawings.under(found, found.views[0], number) if found.views else None
    tiles = [] if first is None else [_tile(first)]
    for view in found.views:
        own = drawings.shown(view, number, clip['prediction'])
        if own is None:
            continue
        behind = drawings.under(found, view, number)
        fine = own if behind is None else attention_lib.upscaled(own, *behind.shape[:2])
        colours = matplotlib.colormaps['inferno'](fine)[..., :3]
        tiles.append(_tile(colours if behind is None else _MAP * colours + (1 - _MAP) * _rgb(behind)))
    caption = _caption(clip, found.labels, seeds)
    return Picture(caption, f'The input and {len(tiles) - 1} maps over it: {caption}', png=_png(tiles))


def inputs(record: Record, data: pathlib.Path) -> list[Block]:
    """The flow of the hardest clips as a dataset stores it, or why there are no pictures."""
    if record.selected is None or record.selected.empty:
        return []
    from dualatme_jax.data import dataset as dataset_lib  # TensorFlow Datasets takes seconds

    try:
        dataset = dataset_lib.load(data, reads=(schema.FLOW,))
    except InputError as error:
        return [Text(f'There are no pictures: {error}')]
    place = {
        key: row for row, key in enumerate(zip(dataset.database, dataset.subject, dataset.clip, strict=True))
    }
    clips = attention_lib.chosen(record.selected)
    pictures, absent = [], []
    for clip in clips.to_dict('records'):
        caption = _caption(clip, record.labels, _seeds(record))
        row = place.get((clip[schema.DATABASE], clip[schema.SUBJECT], clip[schema.CLIP]))
        if row is None:
            absent.append(caption)
            continue
        flow = dataset.inputs[schema.FLOW][row]
        tiles = [_tile(contact_sheet.side_by_side(flow[..., [channel]]) / 255) for channel in range(3)]
        pictures.append(Picture(caption, f'u, v and strain: {caption}', png=_png(tiles)))
    found: list[Block] = [Gallery(pictures)] if pictures else []
    if absent:
        found.append(Text(f'{data} lacks {len(absent)} of these {len(clips)} clips: {"; ".join(absent)}'))
    return found


def _seeds(record: Record) -> int:
    return record.selected['seed'].nunique()


def _caption(clip: Mapping[str, Any], labels: tuple[str, ...], seeds: int) -> str:
    name = f'{schema.title(clip[schema.DATABASE])} {clip[schema.SUBJECT]}/{clip[schema.CLIP]}'
    truth, said = (labels[int(clip[key])] for key in (schema.LABEL, 'prediction'))
    wrong = f'; wrong with {clip["wrong"] * seeds:.0f} of {seeds} seeds' if seeds > 1 else ''
    return f'{name}: {truth}, predicted {said}{wrong}'


def _rgb(picture: np.ndarray) -> np.ndarray:
    """A picture in 0..1, [H, W] or [H, W, 3], as [H, W, 3]."""
    return np.repeat(picture[..., None], 3, -1) if picture.ndim == 2 else picture


def _tile(picture: np.ndarray) -> np.ndarray:
    """A picture in 0..1 as bytes [_SIDE, width, 3]; its pixels stay squares."""
    whole = (255 * _rgb(picture).clip(0, 1)).astype(np.uint8)
    width = round(_SIDE * whole.shape[1] / whole.shape[0])
    return np.asarray(Image.fromarray(whole).resize((width, _SIDE), Image.Resampling.NEAREST))


def _png(tiles: list[np.ndarray]) -> bytes:
    """Tiles side by side; what is between them is transparent."""
    gap = np.zeros((_SIDE, _GAP, 4), np.uint8)
    opaque = [np.dstack([tile, np.full(tile.shape[:2], 255, np.uint8)]) for tile in tiles]
    content = io.BytesIO()
    whole = [part for tile in opaque for part in (tile, gap)]
    Image.fromarray(np.hstack(whole[:-1])).save(content, format='png', optimize=True)
    return content.getvalue()
