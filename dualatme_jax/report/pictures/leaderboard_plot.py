"""The leaderboard as a picture: UF1 with intervals, what selection on the test makes of it, and the floor."""

import os
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualatme_jax.files import replacing
from dualatme_jax.report.pictures import drawn

_WIDTH, _ROW, _REST = 9.0, 0.42, 2.6  # inches: of the picture, of a system's row, of what stands around them
_WRAP = 95  # characters of the title's line
_HONEST, _LEAKING, *_ = drawn.COLOURS
_PUBLISHED = 'black'


def draw(frame: pd.DataFrame, path: str | os.PathLike, *, title: str) -> None:
    """Writes `leaderboard_figure` as a PNG, whole or not at all; the same frame gives the same bytes."""
    with replacing(path) as temporary:
        temporary.write_bytes(drawn.png(leaderboard_figure(frame, title=title)))


def leaderboard_figure(frame: pd.DataFrame, *, title: str) -> Figure:
    """Draws one row per scored system, the best on top.

    Args:
      frame: what `leaderboard.compare` returned, with one scored system or more.
      title: stands above it, with the systems that failed; long lines are wrapped.
    """
    scored = frame[frame['status'] == 'scored'].reset_index(drop=True)
    [guess] = frame[frame['system'] == 'guesser'].to_dict('records')
    failed = ', '.join(frame[frame['status'] == 'failed']['title'])
    text = title + (f'\nFailed: {failed}' if failed else '')
    lines = [
        part for line in text.splitlines() for part in textwrap.wrap(line, _WRAP, break_on_hyphens=False)
    ]
    height = _ROW * len(scored) + _REST + 0.2 * len(lines)
    figure = drawn.figure(_WIDTH, height)
    axes = figure.subplots()
    _draw(axes, scored, guess)
    figure.suptitle('\n'.join(lines), fontsize='medium', x=0.01, ha='left')
    figure.legend(*axes.get_legend_handles_labels(), loc='outside lower left', ncols=2, frameon=False)
    return figure


def _draw(axes: Axes, scored: pd.DataFrame, guess: dict) -> None:
    places = np.arange(len(scored))
    honest, low, high = (scored[f'uf1_{part}'] for part in ('mean', 'low', 'high'))
    axes.hlines(places, honest, scored['best_on_test_uf1'], color=_LEAKING, linewidth=0.8, linestyle=':')
    if scored['published_uf1'].notna().any():
        label = 'UF1 as published'
        axes.plot(scored['published_uf1'], places, 'D', color=_PUBLISHED, markersize=4, label=label)
    axes.hlines(places, low, high, color=_HONEST, linewidth=1.8)
    axes.plot(
        honest, places, 'o', color=_HONEST, label='UF1, honest selection; line: 95% bootstrap over subjects'
    )
    axes.plot(
        scored['best_on_test_uf1'],
        places,
        'o',
        color=_LEAKING,
        markerfacecolor='none',
        label='LEAKS: UF1 of the best epoch on the test subject',
    )
    axes.axvline(
        guess['uf1_mean'], color=drawn.MUTED, linestyle='--', linewidth=1, label='guesser, one guess'
    )
    axes.vlines(
        scored['guesser_uf1'],
        places - 0.5,
        places + 0.5,
        color=_LEAKING,
        linestyle='--',
        linewidth=1,
        label='LEAKS: guesser, best of as many guesses as epochs',
    )
    axes.set_yticks(places, scored['title'])
    axes.set_ylim(len(scored) - 0.5, -0.5)
    axes.set_xlabel('UF1', color=drawn.MUTED)
    axes.grid(axis='x', color=drawn.MUTED, alpha=0.2)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[['top', 'right', 'left']].set_visible(False)
