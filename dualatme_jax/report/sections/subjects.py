"""Who is predicted well and who is not: one row per subject, and the confusion of classes."""

import pandas as pd

from dualatme_jax import schema
from dualatme_jax.report import predictions
from dualatme_jax.report.page.blocks import Column, Section, Table
from dualatme_jax.report.pictures import subjects as drawn
from dualatme_jax.report.record import Record
from dualatme_jax.report.sections import drawings


def section(record: Record) -> Section | None:
    """A row per subject."""
    if record.selected is None or record.selected.empty:
        return None
    found = table(record.selected, record.labels)
    return Section('Subjects', [*drawings.pictures(record, 'subjects'), found])


def classes(record: Record) -> Section | None:
    """The confusion matrices."""
    found = drawings.pictures(record, 'confusion')
    return Section('Classes', found) if found else None


def table(selected: pd.DataFrame, labels: tuple[str, ...]) -> Table:
    """Clips, hits and the share that is right, in all and of each class that a subject has."""
    seeds = selected['seed'].nunique()
    right = selected.assign(right=selected[schema.LABEL] == selected['prediction'])
    counts = right.groupby([*predictions.SUBJECT_KEY, schema.LABEL])['right'].agg(['size', 'sum']) / seeds
    of_class = {key: f'{_hits(own["sum"])} of {own["size"]:.0f}' for key, own in counts.iterrows()}
    rows = []
    for row in drawn.shares(selected).itertuples():
        own = (of_class.get((row.database, row.subject, label)) for label in range(len(labels)))
        hits = _hits(row.mean * row.clips)
        rows.append([schema.title(row.database), row.subject, row.clips, hits, row.mean, *own])
    several = 'the mean over seeds' if seeds > 1 else ''
    columns = [
        Column('Database'),
        Column('Subject'),
        Column('Clips', number=True),
        Column('Right', number=True, hint=several),
        Column('Share', number=True, hint="of the subject's clips that are right"),
        *(
            Column(label, number=True, hint='how many of its clips of this class are right')
            for label in labels
        ),
    ]
    clips, subjects = predictions.count(selected)
    return Table(f'{subjects} subjects, {clips} clips', columns, rows)


def _hits(number: float) -> str:
    """How many clips, the mean over seeds."""
    return f'{round(number, 2):g}'
