"""How the networks trained: the loss of every trial by epoch."""

from dualatme_jax.report import curves
from dualatme_jax.report.page.blocks import Section, Text
from dualatme_jax.report.record import Record
from dualatme_jax.report.sections import drawings

NO_EPOCHS = 'Nothing was trained by epochs here, so there are no learning curves.'
NO_CURVES = 'There are no learning curves: the run has not kept the loss of its epochs.'


def section(record: Record) -> Section | None:
    """The learning curves, or why there are none."""
    if record.trials is None or (record.trials['status'] == 'pending').all():
        return None
    found = drawings.pictures(record, 'learning_curves')
    why = record.damaged.get(curves.FILE) or (NO_CURVES if record.trained else NO_EPOCHS)
    return Section('Training', found or [Text(why)])
