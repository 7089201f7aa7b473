"""How far the seeds of a run lie apart."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dualatme_jax import schema
from dualatme_jax.report import tables
from dualatme_jax.report.pictures import drawn

_METRICS = dict(reversed(tables.HEADINGS.items()))  # UF1 first, as on the page
_BLUE, _ORANGE, *_ = drawn.COLOURS


def seeds(results: Mapping[str, Any]) -> Figure:
    """Draws every seed's score, their mean, and the interval over subjects, on all clips and each database.

    Args:
      results: `scores` and `per_seed` as `scores.score_run` makes them.
    """
    found, per_seed = results['scores'], results['per_seed']
    sets = list(found)
    figure = drawn.figure(max(7.5, 1.2 * len(sets) * len(_METRICS)), 3.6)
    panels = figure.subplots(1, len(_METRICS), sharey=True)
    # Seeds stand side by side, in their order, so that none hides another.
    beside = np.linspace(-0.25, 0.25, len(per_seed)) if len(per_seed) > 1 else np.zeros(1)
    for axes, (metric, title) in zip(panels, _METRICS.items(), strict=True):
        for place, name in enumerate(sets):
            own = found[name][metric]
            if own['interval']:
                low, high = own['interval']
                axes.bar(place, high - low, 0.7, low, color=_BLUE, alpha=0.2, label='95% over subjects')
            axes.hlines(own['mean'], place - 0.35, place + 0.35, color=_BLUE, label='mean')
            values = [seed[name][metric] for seed in per_seed]
            axes.plot(place + beside, values, 'o', color=_ORANGE, markersize=3, label='one seed')
        names = ['all' if name == schema.FULL else schema.title(name) for name in sets]
        axes.set_xticks(range(len(sets)), names, rotation=30, ha='right')
        axes.set_title(title)
        axes.spines[['top', 'right']].set_visible(False)
        axes.grid(axis='y', color=drawn.MUTED, alpha=0.3)
    handles = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc='outside lower center', ncols=3, frameon=False)
    return figure
