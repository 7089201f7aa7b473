"""The reliability diagram and the risk-coverage curve; see `report.calibration`."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dualatme_jax.report import calibration
from dualatme_jax.report.pictures import drawn

_BLUE, _ORANGE, *_ = drawn.COLOURS


def reliability(table: pd.DataFrame) -> Figure:
    """Draws the share of right predictions by confidence, above how many there are; all seeds together.

    Args:
      table: predictions of one point, with probabilities.

    Raises:
      InputError: see `calibration.confidence`.
    """
    found = calibration.calibration(table)
    figure = drawn.figure(4.6, 5)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    width = np.diff(found.edges)
    shares = np.nan_to_num(found.share)
    upper.bar(found.edges[:-1], shares, width, align='edge', color=_BLUE, alpha=0.5, label='share right')
    upper.plot([0, 1], [0, 1], ':', color='black', linewidth=1, label='calibrated')
    upper.plot(found.confidence, found.share, 'o', color=_ORANGE, markersize=4, label='mean of a bin')
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel='share right')
    upper.set_title(f'ECE {found.ece:.3f}, {len(found.clips)} bins')
    upper.legend(frameon=False, loc='upper left')
    lower.bar(found.edges[:-1], found.clips, width, align='edge', color=drawn.MUTED)
    lower.set(xlabel='confidence: probability of the predicted class', ylabel='predictions')
    for axes in (upper, lower):
        axes.spines[['top', 'right']].set_visible(False)
    return figure


def risk_coverage(table: pd.DataFrame) -> Figure:
    """Draws the share of wrong predictions among the most confident ones: each seed, and the seeds' mean.

    Args:
      table: predictions of one point, with probabilities.

    Raises:
      InputError: see `calibration.confidence`.
    """
    found = calibration.risk_coverage(table)
    figure = drawn.figure(5, 4)
    axes = figure.subplots()
    seeds = len(found.risk)
    if seeds > 1:
        axes.plot(found.coverage, found.risk.T, color=_BLUE, alpha=0.3, linewidth=0.6, rasterized=seeds > 3)
    mean, full = found.risk.mean(0), float(found.risk[:, -1].mean())
    label = 'most confident first' + (f', mean of {seeds} seeds' if seeds > 1 else '')
    axes.plot(found.coverage, mean, color=_BLUE, label=label)
    axes.axhline(full, color='black', linestyle=':', linewidth=1, label='any order')
    axes.set(xlim=(0, 1), xlabel='coverage: share of clips decided', ylabel='risk: share of them wrong')
    axes.set_ylim(0, max(0.05, min(1, 1.3 * full)))
    axes.set_title(f'AURC {found.aurc.mean():.3f}; any order {full:.3f}')
    axes.legend(frameon=False, loc='lower right')
    axes.spines[['top', 'right']].set_visible(False)
    return figure
