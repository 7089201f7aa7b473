"""What a face did over the time of a video: the spotter's signal, and what was found in it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from dualatme_jax.report.pictures import drawn
from dualatme_jax.report.rates import CANNOT_TELL

_MOST = 3000  # points of the signal that are drawn; of more, the largest of each stretch
_LEAST_WIDTH = 1 / 250  # of a mark, as a share of the time that is shown
_EXPLAINED = '#b8b8b8'


def colours(labels: Sequence[str]) -> dict[str, str]:
    """The colour of each answer, and of none."""
    found = {label: drawn.COLOURS[place % len(drawn.COLOURS)] for place, label in enumerate(labels)}
    return found | {CANNOT_TELL: drawn.MUTED}


def timeline(signals: pd.DataFrame, events: pd.DataFrame, threshold: float, labels: Sequence[str]) -> Figure:
    """Draws the signal with its threshold; expressions are coloured by answer, the rest is grey.

    Args:
      signals: `seconds` and `strength_px` by frame.
      events: `onset_s`, `offset_s`, `expression`, `kind` and `answer` of each event.
      threshold: of the signal, in its unit.
      labels: the classes.
    """
    figure = drawn.figure(9, 2.6)
    axes = figure.subplots()
    seconds, strength = _thinned(signals['seconds'].to_numpy(float), signals['strength_px'].to_numpy(float))
    first, last = (float(seconds[0]), float(seconds[-1])) if len(seconds) else (0.0, 1.0)
    width, palette = (last - first) * _LEAST_WIDTH, colours(labels)
    shown: dict[str, str] = {}
    for row in events.to_dict('records'):
        name = (row['answer'] or CANNOT_TELL) if row['expression'] else row['kind']
        colour = palette.get(name, drawn.MUTED) if row['expression'] else _EXPLAINED
        low, high = row['onset_s'], row['offset_s']
        wider = max(0.0, width - (high - low)) / 2
        axes.axvspan(low - wider, high + wider, color=colour, alpha=0.75, linewidth=0)
        shown[name if row['expression'] else 'blink, turn of the head or speech'] = colour
    axes.plot(seconds, strength, color='black', linewidth=0.9)
    axes.axhline(threshold, color=drawn.MUTED, linestyle='--', linewidth=0.9)
    axes.set(xlim=(first, last), ylim=(0, None), xlabel='seconds', ylabel='motion (px)')
    axes.spines[['top', 'right']].set_visible(False)
    if shown:
        patches = [Patch(color=colour, label=name) for name, colour in shown.items()]
        figure.legend(
            handles=patches, loc='outside upper left', ncols=len(patches), frameon=False, fontsize='small'
        )
    return figure


def _thinned(seconds: np.ndarray, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a long signal the largest value of each stretch; NaN stays where there is nothing else."""
    step = -(-len(seconds) // _MOST)
    if step <= 1:
        return seconds, strength
    starts = np.arange(0, len(seconds), step)
    return seconds[starts], np.fmax.reduceat(strength, starts)
