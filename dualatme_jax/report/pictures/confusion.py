"""Confusion matrices as a picture."""

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualatme_jax import schema
from dualatme_jax.files import replacing
from dualatme_jax.report import predictions, scores
from dualatme_jax.report.pictures import drawn

_PANEL, _CELL = 3.1, 0.85  # inches: a panel's least side, and the space for the name of a class


def confusion_matrices(
    table: pd.DataFrame, labels: Sequence[str], path: str | os.PathLike, *, notice: str = ''
) -> None:
    """Writes `confusion_figure` as a PNG, whole or not at all; the same predictions give the same bytes."""
    with replacing(path) as temporary:
        temporary.write_bytes(drawn.png(confusion_figure(table, labels, notice=notice)))


def confusion_figure(table: pd.DataFrame, labels: Sequence[str], *, notice: str = '') -> Figure:
    """Draws one panel per set of clips: counts, and their share of the true class, summed over seeds.

    Args:
      table: predictions of one hyperparameter point.
      labels: the classes by their numbers.
      notice: stands above it all, such as that it is no result.
    """
    panels = predictions.titled_subsets(table).values()
    side = max(_PANEL, _CELL * len(labels))
    figure = drawn.figure(side * len(panels) + 0.9, side + 1.2)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for place, (panel, (title, rows)) in enumerate(zip(axes, panels, strict=True)):
        _draw(panel, title, rows, labels)
        if place == 0:
            panel.set_yticklabels(labels, rotation=90, va='center')
            panel.set_ylabel('ground truth', color=drawn.MUTED)
    seeds = table['seed'].nunique()
    above = [notice] if notice else []
    above += [f'Counts summed over {seeds} seeds, UF1 averaged'] if seeds > 1 else []
    if above:
        figure.suptitle('\n'.join(above), fontsize='medium', color='black' if notice else drawn.MUTED)
    return figure


def _draw(panel: Axes, title: str, rows: pd.DataFrame, labels: Sequence[str]) -> None:
    from sklearn import metrics  # see `scores.score`

    classes = range(len(labels))
    counts = metrics.confusion_matrix(rows[schema.LABEL], rows['prediction'], labels=classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    panel.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    for (truth, prediction), share in np.ndenumerate(shares):
        ink = 'white' if share > 0.5 else drawn.BLACK
        place = {'ha': 'center', 'color': ink}
        panel.text(prediction, truth, f'{counts[truth, prediction]}', va='bottom', fontsize='large', **place)
        panel.text(prediction, truth + 0.06, f'{share:.0%}', va='top', fontsize='small', **place)
    uf1 = np.mean([scores.score(seed_rows)['uf1'] for _, seed_rows in rows.groupby('seed')])
    panel.set_title(f'{title}\nUF1 {uf1:.3f}')
    panel.set_xticks(classes, labels)
    panel.set_yticks(classes, [''] * len(classes))
    panel.set_xlabel('prediction', color=drawn.MUTED)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    # White lines between the cells.
    panel.set_xticks(np.arange(0.5, len(classes) - 1), minor=True)
    panel.set_yticks(np.arange(0.5, len(classes) - 1), minor=True)
    panel.grid(which='minor', color='white', linewidth=2)
    panel.tick_params(which='minor', length=0)
