"""Whether the probabilities mean something: calibration, and what it helps to abstain."""

from dualatme_jax import schema
from dualatme_jax.report import calibration
from dualatme_jax.report.page.blocks import Gallery, Section, Text
from dualatme_jax.report.record import Record
from dualatme_jax.report.sections import drawings


def section(record: Record) -> Section | None:
    """The reliability diagram and the curve of risk by coverage."""
    table = record.selected
    if table is None or table.empty:
        return None
    found = drawings.pictures(record, 'reliability', 'risk_coverage')
    if not found:
        return Section(
            'Calibration', [Text('The predictions have no probabilities, so there is no calibration.')]
        )
    ece, risks = calibration.calibration(table).ece, calibration.risk_coverage(table)
    sure = float(calibration.confidence(table).mean())
    share = float((table[schema.LABEL] == table['prediction']).mean())
    half = float(risks.risk[:, risks.risk.shape[1] // 2].mean())
    words = (
        f'{share:.0%} of the predictions are right, and on average they claim {sure:.0%}: the system is '
        f'{"over" if sure > share else "under"}confident. The expected calibration error is {ece:.3f}. Of '
        f'the half of the clips that it is surest of {half:.0%} are wrong; of all {1 - share:.0%}.'
    )
    return Section('Calibration', [Text(words), Gallery(found)])
