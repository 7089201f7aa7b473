"""Systems side by side as a picture: a dot for the UF1 of each, a line for its interval."""

import textwrap

import numpy as np
from matplotlib.figure import Figure

from dualatme_jax.errors import printable
from dualatme_jax.report.comparison import Comparison
from dualatme_jax.report.pictures import drawn

_WIDTH, _LINE, _REST = 8.0, 0.2, 1.1  # inches: of the picture, of a line of a name, of what stands around
_WRAP = 44  # characters of a line of a name
_SYSTEM, _REFERENCE, *_ = drawn.COLOURS


def figure(found: Comparison) -> Figure:
    """Draws one row per system, in their order; below a name stands what must stand beside its score."""
    rows = found.scores
    names = [_label(*pair) for pair in zip(rows['system'], rows['notice'], strict=True)]
    lines = np.array([name.count('\n') + 2 for name in names])  # and one between two names
    places = np.cumsum(lines) - lines / 2
    made = drawn.figure(_WIDTH, _LINE * lines.sum() + _REST)
    axes = made.subplots()
    for home, colour, mark in ((True, _REFERENCE, 'D'), (False, _SYSTEM, 'o')):
        own = (rows['reference'] == home).to_numpy()
        part, at = rows[own], places[own]
        axes.hlines(at, part['uf1_low'], part['uf1_high'], color=colour, linewidth=1.8)
        label = 'reference' if home else 'system'
        axes.plot(part['uf1_mean'], at, mark, color=colour, label=label)
    home = rows.loc[rows['reference'], 'uf1_mean'].iloc[0]
    axes.axvline(home, color=_REFERENCE, linewidth=0.8, linestyle=':')
    axes.set_yticks(places, names)
    axes.set_ylim(lines.sum(), 0)
    axes.set_xlabel('UF1; line: 95% bootstrap over subjects', color=drawn.MUTED)
    axes.grid(axis='x', color=drawn.MUTED, alpha=0.2)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[['top', 'right', 'left']].set_visible(False)
    made.legend(loc='outside lower left', ncols=2, frameon=False)
    return made


def _label(name: str, notice: str) -> str:
    return '\n'.join(
        line for text in (name, notice) for line in textwrap.wrap(printable(' '.join(text.split())), _WRAP)
    )
