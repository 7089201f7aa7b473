"""The clips that are hardest: those that most seeds get wrong."""

import pathlib

import pandas as pd

from dualatme_jax import schema
from dualatme_jax.report import hard_clips, predictions
from dualatme_jax.report.page.blocks import Block, Column, Section, Table, Text
from dualatme_jax.report.record import Record
from dualatme_jax.report.sections import looked


def section(record: Record, data: pathlib.Path | None = None) -> Section | None:
    """Pictures of the hardest clips, and a row per clip; `data` is the dataset, where the run kept none."""
    if record.selected is None or record.selected.empty:
        return None
    rows = table(record.selected, record.labels)
    return Section('Clips', [summary(record.selected), *looked.blocks(record, data), rows])


def summary(selected: pd.DataFrame) -> Block:
    """How many clips no seed, and some seeds, get right."""
    clips = hard_clips.table({'run': selected})
    never, always = (clips['wrong'] == 1).sum(), (clips['wrong'] == 0).sum()
    if selected['seed'].nunique() == 1:
        return Text(f'{never} of {len(clips)} clips are wrong.')
    between = len(clips) - never - always
    return Text(
        f'{never} of {len(clips)} clips are wrong with every seed, {always} right with every seed, and '
        f'{between} depend on the seed.'
    )


def table(selected: pd.DataFrame, labels: tuple[str, ...]) -> Table:
    """Each clip with its class, what most seeds predict, and how sure they are of its class."""
    several = selected['seed'].nunique() > 1
    clips = hard_clips.table({'run': selected})
    chances = predictions.probabilities(selected.columns)
    sure = None
    if chances:
        own = selected[chances].to_numpy()[range(len(selected)), selected[schema.LABEL]]
        sure = selected.assign(own=own).groupby(predictions.CLIP_KEY)['own'].mean()
    rows = []
    for row in clips.itertuples(index=False):
        key = (row.database, row.subject, row.clip)
        cells = [schema.title(row.database), row.subject, row.clip, labels[row.label], labels[row.predicted]]
        wrong = float(row.wrong) if several else ('yes' if row.wrong else 'no')
        rows.append([*cells, wrong, *([] if sure is None else [float(sure[key])])])
    columns = [
        *map(Column, ('Database', 'Subject', 'Clip', 'Class')),
        Column('Predicted', hint='by most seeds' if several else ''),
        Column('Wrong', number=several, hint='the share of seeds that get it wrong' if several else ''),
    ]
    if sure is not None:
        hint = 'of its own class' + (', the mean over seeds' if several else '')
        columns.append(Column('Probability', number=True, hint=hint))
    note = '' if sure is not None else 'The predictions have no probabilities.'
    return Table('All clips, the hardest first', columns, rows, note)
