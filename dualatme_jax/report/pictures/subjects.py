"""How well each subject's clips are recognised."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dualatme_jax import schema
from dualatme_jax.report import predictions
from dualatme_jax.report.pictures import drawn

_MOST_NAMED = 120  # subjects below the axis; the names of more would overlap


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """The share of right predictions of each subject.

    Args:
      table: predictions of one point.

    Returns:
      One row per subject, databases in the table's order and the best subjects first: `database`, `subject`,
      `clips`, and `mean`, `low`, `high` over seeds of the share of clips that are right.
    """
    right = (table[schema.LABEL] == table['prediction']).astype(float)
    by_seed = right.groupby([table[name] for name in (*predictions.SUBJECT_KEY, 'seed')], sort=False).agg(
        ['mean', 'size']
    )
    found = by_seed.groupby(predictions.SUBJECT_KEY, sort=False).agg(
        clips=('size', 'first'), mean=('mean', 'mean'), low=('mean', 'min'), high=('mean', 'max')
    )
    found = found.reset_index()
    order = {name: place for place, name in enumerate(predictions.subsets(table))}
    found['place'] = found[schema.DATABASE].map(order)
    keys = ['place', 'mean', 'clips', schema.SUBJECT]
    found = found.sort_values(keys, ascending=[True, False, False, True], kind='stable')
    return found.drop(columns='place').reset_index(drop=True)


def subjects(table: pd.DataFrame) -> Figure:
    """Draws one mark per subject, larger for more clips, with a line from its worst to its best seed.

    Args:
      table: predictions of one point.
    """
    found = shares(table)
    named = len(found) <= _MOST_NAMED
    figure = drawn.figure(np.clip(0.15 * len(found) + 1.5, 7, 14), 3.6)
    axes = figure.subplots()
    databases = found[schema.DATABASE].unique()
    place = np.arange(len(found))
    for number, database in enumerate(databases):
        own = (found[schema.DATABASE] == database).to_numpy()
        rows, colour = found[own], drawn.COLOURS[number % len(drawn.COLOURS)]
        axes.vlines(place[own], rows['low'], rows['high'], color=colour, linewidth=1)
        axes.scatter(place[own], rows['mean'], 6 + 3 * rows['clips'], color=colour, zorder=2)
        share = np.average(rows['mean'], weights=rows['clips'])
        axes.hlines(share, place[own][0] - 0.4, place[own][-1] + 0.4, color=colour, linestyle=':')
        axes.text(
            place[own].mean(),
            1.06,
            f'{schema.title(database)}\n{share:.0%} right',
            ha='center',
            va='bottom',
            fontsize='small',
        )
    axes.set(xlim=(-1, len(found)), ylim=(-0.04, 1.04), ylabel='share of clips right')
    axes.set_xticks(place if named else [], found[schema.SUBJECT] if named else [], rotation=90, fontsize=6)
    seeds = table['seed'].nunique()
    below = 'subjects; larger: more clips; dotted: share of the database'
    below += f'; line: worst to best of {seeds} seeds' if seeds > 1 else ''
    axes.set_xlabel(below, fontsize='small')  # with room: a page has another font
    axes.spines[['top', 'right']].set_visible(False)
    return figure
