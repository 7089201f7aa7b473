"""The loss of all trials by epoch.

Axes: F trials, E epochs.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dualatme_jax.report.pictures import drawn

MOST_PANELS = 12
BAND = (10, 90)  # percentiles of the trials

_LINES, _POINTS = 100, 4000  # of all panels at most; more points of one than these are pixels
_COLUMNS = 4
_BLUE, *_ = drawn.COLOURS


def learning_curves(losses: Mapping[str, np.ndarray]) -> Figure:
    """Draws one panel per kind of trials: their median, the band of most of them, and single ones, faint.

    Args:
      losses: name of the kind (empty if there is one) -> [F, E], NaN where a trial was not trained; kinds
        without any loss are left out, and those behind the first `MOST_PANELS`.
    """
    shown = {name: own for name, own in losses.items() if np.isfinite(own).any()}
    left_out = len(shown) - MOST_PANELS
    shown = dict([*shown.items()][:MOST_PANELS])
    if len(shown) == 1:
        columns, width, height = 1, 7, 4
    else:
        columns, width, height = min(_COLUMNS, len(shown)), 3.2, 2.6
    rows = -(-len(shown) // columns)
    figure = drawn.figure(width * columns, height * rows + 0.4 * (left_out > 0))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    for axes, (name, own) in zip(panels, shown.items(), strict=False):
        _draw(axes, name, own, _LINES // len(shown))
    panels[0].legend(frameon=False, fontsize='medium' if len(shown) == 1 else 'x-small')
    if left_out > 0:
        figure.suptitle(f'the first {MOST_PANELS}; {left_out} more are not shown', color=drawn.MUTED)
    return figure


def _draw(axes: Axes, name: str, losses: np.ndarray, lines: int) -> None:
    losses = losses[np.isfinite(losses).any(1)]
    losses = losses[:, : np.isfinite(losses).any(0).nonzero()[0].max() + 1]
    trials, epochs = losses.shape
    known = np.isfinite(losses).any(0)  # of every epoch but those in which all trials diverged
    x = 1 + np.flatnonzero(known)
    low, median, high = np.nanpercentile(losses[:, known], [BAND[0], 50, BAND[1]], axis=0)
    few = losses[np.linspace(0, trials - 1, min(trials, lines)).astype(int)]
    style = {'marker': 'o' if epochs == 1 else '', 'color': _BLUE}
    axes.plot(
        np.arange(1, epochs + 1),
        few.T,
        **style,
        alpha=0.15,
        linewidth=0.5,
        rasterized=few.size > _POINTS,
    )
    if trials > 1:
        axes.fill_between(
            x, low, high, color=_BLUE, alpha=0.25, linewidth=0, label='10% to 90% of the trials'
        )
    axes.plot(x, median, **style, linewidth=1.8, label='median')
    # A trial that is about to diverge must not flatten the others.
    top = np.nanmax(high)
    if np.nanmax(losses) > 4 * top > 0:
        axes.set_ylim(top=4 * top)
    failed = int((~np.isfinite(losses[:, -1])).sum())
    title = f'{trials} trials' + (f', {failed} ended early' if failed else '')
    axes.set_title(f'{name}\n{title}' if name else title, fontsize='medium')
    axes.set(xlabel='epoch', ylabel='loss')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.spines[['top', 'right']].set_visible(False)
