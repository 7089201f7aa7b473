"""Who is predicted well and who is not: one row per subject, and the confusion of classes."""

import pandas as pd

from dualatme_jax import schema
from dualatme_jax.report import predictions
from dualatme_jax.report.page.blocks import Column, Section, Table
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
    person = [schema.DATABASE, schema.SUBJECT]
    seeds = selected['seed'].nunique()
    right = selected.assign(right=selected[schema.LABEL] == selected['prediction'])
    counts = right.groupby([*person, schema.LABEL])['right'].agg(['size', 'sum']).unstack() / seeds
    found = right.groupby(person)['right'].agg(['size', 'sum']) / seeds
    rows = []
    for key, own in found.iterrows():
        of_classes = []
        for label in range(len(labels)):
            has = counts.loc[key].get(('size', label))
            known = has is not None and has == has
            of_classes.append(f'{counts.loc[key][("sum", label)]:.3g} of {has:.0f}' if known else None)
        hits = float(own['sum'])
        shown = f'{hits:.3g}' if hits != int(hits) else int(hits)
        rows.append([schema.title(key[0]), key[1], int(own['size']), shown, hits / own['size'], *of_classes])
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
