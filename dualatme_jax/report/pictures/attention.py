"""Where the networks looked, over what they read.

Axes: H, W pixels, C channels.
"""

import numpy as np
from matplotlib.figure import Figure

from dualatme_jax import schema
from dualatme_jax.report.attention import NO_CLASS, Attention, View, upscaled
from dualatme_jax.report.pictures import drawn

_SIDE, _LINES = 1.45, 0.36  # inches of a picture, and of what stands above it
_PANELS = 8  # side by side at most: the clips of a row, each with its maps


def gallery(found: Attention) -> Figure:
    """Draws each clip's picture, and each map over it: that of the predicted class, or the gate's.

    Args:
      found: one clip or more, one view or more.
    """
    clips = found.clips.to_dict('records')
    across = max(1, min(_PANELS // (1 + len(found.views)), len(clips)))
    rows, columns = -(-len(clips) // across), across * (1 + len(found.views))
    width, height = _SIDE * columns + 0.2, (_SIDE + _LINES) * rows + 0.4
    figure = drawn.figure(width, height)
    figure.set_layout_engine('none')  # all panels are alike, and a layout of so many takes seconds
    panels = figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw={
            'left': 0.1 / width,
            'right': 1 - 0.1 / width,
            'bottom': 0.05 / height,
            'top': 1 - (0.35 + _LINES) / height,
            'wspace': 0.06,
            'hspace': _LINES / _SIDE,
        },
    )
    for axes in panels.flat:
        axes.set_axis_off()
    cells = panels.reshape(rows * across, 1 + len(found.views))
    for number, (cell, clip) in enumerate(zip(cells, clips, strict=False)):
        truth, prediction = (found.labels[clip[name]] for name in (schema.LABEL, 'prediction'))
        name = f'{schema.title(clip[schema.DATABASE])} {clip[schema.SUBJECT]}/{clip[schema.CLIP]}'
        picture = under(found, found.views[0], number)
        if picture is not None:
            cell[0].imshow(picture, cmap='gray', interpolation='nearest')
        cell[0].set_title(f'{name}\n{truth}, predicted {prediction}', fontsize=5.5, loc='left')
        for axes, view in zip(cell[1:], found.views, strict=True):
            own = shown(view, number, clip['prediction'])
            if own is None:
                continue
            behind = under(found, view, number)
            if behind is not None:
                axes.imshow(behind, cmap='gray', interpolation='nearest')
                own = upscaled(own, *behind.shape[:2])
            axes.imshow(own, cmap='inferno', vmin=0, vmax=1, alpha=0.55 if behind is not None else 1)
            axes.set_title(' '.join(filter(None, [view.method, view.branch])), fontsize=5.5)
    title = f'Where {found.system} looked: bright is much'
    figure.suptitle(title, fontsize='medium', y=1 - 0.08 / height, va='top')
    return figure


def shown(view: View, clip: int, prediction: int) -> np.ndarray | None:
    """The map [H, W] of a clip: the gate's, or that of its predicted class; None if there is none."""
    own = view.map_of(clip, NO_CLASS)
    return view.map_of(clip, int(prediction)) if own is None else own


def under(found: Attention, view: View, clip: int) -> np.ndarray | None:
    """What a view's maps lie over: [H, W] grey in 0..1, or [H, W, 3]; None if the file lacks it."""
    if view.picture not in found.pictures:
        return None
    picture = np.asarray(found.pictures[view.picture][clip], float)
    if schema.CHANNELS.get(view.picture) == schema.RGB:
        return picture / 255
    grey = np.abs(picture[..., -1])  # of motion the strain, or its size
    return (grey - grey.min()) / max(np.ptp(grey), np.finfo(float).tiny)
