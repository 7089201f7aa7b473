"""Which figures a run has, made from what its workdir holds; saved to its folder `pictures`."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dualatme_jax import models, schema
from dualatme_jax.report import predictions
from dualatme_jax.report.attention import Attention
from dualatme_jax.report.curves import Curves
from dualatme_jax.report.leaderboard import SCORED
from dualatme_jax.report.pictures import (
    attention,
    calibration,
    confusion,
    drawn,
    leaderboard_plot,
    learning_curves,
    points,
    seeds,
    subjects,
)
from dualatme_jax.report.record import Record

FOLDER = 'pictures'
NAMES = (  # of all figures that `figures` may yield
    'leaderboard',
    'sweep',
    'confusion',
    'subjects',
    'seeds',
    'reliability',
    'risk_coverage',
    'learning_curves',
    'attention',
)


@dataclasses.dataclass(frozen=True)
class Shown:
    """A figure that a run has.

    Attributes:
      name: of its files.
      caption: stands below it.
      alt: says it to who does not see it.
      draw: makes it; takes about half a second.
    """

    name: str
    caption: str
    alt: str
    draw: Callable[[], Figure]


def save(record: Record) -> list[Shown]:
    """Draws all figures of a run into its folder `pictures`, each below the run's notices; returns them.

    Files of figures that it no longer has are deleted.

    Raises:
      InputError: a file of the run is damaged.
      OSError: they cannot be written.
    """
    found = list(figures(record))
    folder = record.folder / FOLDER
    if found:
        folder.mkdir(exist_ok=True)
    for name in {*NAMES} - {shown.name for shown in found}:
        for kind in drawn.KINDS:
            (folder / f'{name}.{kind}').unlink(missing_ok=True)
    for shown in found:
        drawn.save(drawn.marked(shown.draw(), record.notices), folder, shown.name)
    return found


def figures(record: Record) -> Iterator[Shown]:
    """The figures for which a run has left what they need.

    Raises:
      InputError: a file of the run is damaged.
    """
    yield from _of_points(record)
    if record.selected is not None and len(record.selected):
        yield from _of_predictions(record, record.selected)
    if record.curves is not None and record.curves.trained:
        yield _learning_curves(record, record.curves)
    if isinstance(record.attention, Attention) and len(record.attention.clips) and record.attention.views:
        yield _attention(record.attention)


def _of_points(record: Record) -> Iterator[Shown]:
    board, sweep = record.leaderboard, record.sweep
    if board is not None and (board['status'] == SCORED).any():
        best = board.loc[board['uf1_mean'].where(board['status'] == SCORED).idxmax()]
        yield Shown(
            'leaderboard',
            'UF1 of every system by honest selection, beside what selection on the test subject makes of it',
            f'One row per system. The best honest UF1 is {best["uf1_mean"]:.3f}, of {best["title"]}.',
            lambda: leaderboard_plot.leaderboard_figure(board, title=''),
        )
    if sweep is not None:
        best = sweep['uf1_mean'].max()
        yield Shown(
            'sweep',
            'UF1 of every point with its 95% interval over subjects',
            f'One row per point of {len(sweep)}. The highest UF1 is {best:.3f}.',
            lambda: points.points(sweep, [_named(row, record.swept) for row in sweep.to_dict('records')]),
        )


def _of_predictions(record: Record, table: pd.DataFrame) -> Iterator[Shown]:
    found = record.scored
    share = (table[schema.LABEL] == table['prediction']).mean()
    yield Shown(
        'confusion',
        'Confusion matrices: counts, and their share of the true class',
        f'One matrix per set of clips; {share:.0%} of all predictions are right.',
        lambda: confusion.confusion_figure(table, record.labels),
    )
    people = subjects.shares(table)
    yield Shown(
        'subjects',
        'The share of clips that are right, by subject',
        f'{len(people)} subjects; {(people["mean"] >= 0.5).sum()} have half of their clips right or more.',
        lambda: subjects.subjects(table),
    )
    if len(found['per_seed']) > 1:
        spread = found['scores'][schema.FULL]['uf1']
        yield Shown(
            'seeds',
            'Scores of the single seeds',
            f'UF1 of {len(found["per_seed"])} seeds: mean {spread["mean"]:.3f}, standard deviation '
            f'{spread["sd"]:.3f}.',
            lambda: seeds.seeds(found),
        )
    names = predictions.probabilities(table.columns)
    if names and table[names].notna().all(axis=None):
        yield Shown(
            'reliability',
            'Reliability diagram: how often predictions of some confidence are right, all seeds together',
            'The share of right predictions by confidence.',
            lambda: calibration.reliability(table),
        )
        yield Shown(
            'risk_coverage',
            'Risk-coverage curve: the share that is wrong if only the most confident predictions count',
            'The risk by coverage.',
            lambda: calibration.risk_coverage(table),
        )


def _learning_curves(record: Record, curves: Curves) -> Shown:
    def draw() -> Figure:
        return learning_curves.learning_curves(kinds(record, curves))

    trained = int(np.isfinite(curves.losses).any(1).sum())
    return Shown(
        'learning_curves',
        'Training loss by epoch of all trials: the median, and from the 10th to the 90th percentile',
        f'The loss of {trained} trials.',
        draw,
    )


def kinds(record: Record, curves: Curves) -> dict[str, np.ndarray]:
    """The losses [F, E] of the trials of each point, or system; of a run without points by the name ''."""
    table = record.trials
    if table is None or table['point'].nunique() < 2:
        return {'': curves.losses}
    fields = [name for name in record.swept if name in table]
    found = {}
    for number, rows in table.groupby('point'):
        values = rows[fields].iloc[0]
        if record.leaderboard is not None and 'model.name' in fields:
            name = models.title(str(values['model.name']))
        else:
            name = _named(values, fields)
        found[name if name not in found else f'{name} ({number})'] = curves.of(
            rows['trial'].to_numpy()
        ).losses
    return found


def _named(values: Mapping[str, Any], fields: Sequence[str]) -> str:
    return ', '.join(f'{field.partition(".")[2]} {values[field]}' for field in fields)


def _attention(found: Attention) -> Shown:
    return Shown(
        'attention',
        f'Where {found.system} looked: the hardest clips come first',
        f'{len(found.clips)} clips, each with what the network read and where it looked.',
        lambda: attention.gallery(found),
    )
