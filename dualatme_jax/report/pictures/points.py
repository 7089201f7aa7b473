"""The points of a sweep as a picture: UF1 with its interval, and which one the others are compared with."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dualatme_jax.report.pictures import drawn

MOST = 40  # points that have a line and a name of their own; of more there is a curve
_LONG = 70  # characters of a name

_BLUE, _ORANGE, *_ = drawn.COLOURS


def points(frame: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Draws one row per point, the best on top; of more than `MOST` only how they are spread.

    Args:
      frame: what `sweep.compare` returned.
      names: of the points.
    """
    order = np.argsort(-frame['uf1_mean'].to_numpy(float), kind='stable')
    found = frame.iloc[order]
    named = len(found) <= MOST
    names = [name if len(name) <= _LONG else f'{name[: _LONG - 3]}...' for name in names]
    figure = drawn.figure(9, 1.2 + 0.26 * len(found) if named else 4)
    axes = figure.subplots()
    place = np.arange(len(found))
    mean, low, high = (found[f'uf1_{part}'].to_numpy(float) for part in ('mean', 'low', 'high'))
    home = found['reference'].to_numpy(bool)
    label = '95% bootstrap over subjects'
    if named:
        axes.hlines(place, low, high, color=_BLUE, linewidth=1.5, label=label)
    else:
        axes.fill_betweenx(place, low, high, color=_BLUE, alpha=0.25, linewidth=0, label=label)
    axes.plot(mean, place, 'o', color=_BLUE, markersize=5 if named else 2, label='UF1')
    axes.plot(mean[home], place[home], 'D', color=_ORANGE, markersize=6, label='the reference')
    axes.set_yticks(place if named else [], [names[number] for number in order] if named else [])
    axes.tick_params(axis='y', labelsize='small', length=0)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel('UF1')
    if not named:
        axes.set_ylabel(f'{len(found)} points, the best on top')
    axes.grid(axis='x', color=drawn.MUTED, alpha=0.3)
    axes.spines[['top', 'right', 'left']].set_visible(False)
    figure.legend(loc='outside lower center', ncols=3, frameon=False)
    return figure
