"""The figures of a run, in its page."""

import functools

from dualatme_jax.report.page.blocks import Picture
from dualatme_jax.report.pictures import drawn, of_record
from dualatme_jax.report.record import Record


def pictures(record: Record, *names: str) -> list[Picture]:
    """Those figures of `of_record.figures` that have these names, as far as the run has them."""
    found = _figures(record)
    return [
        Picture(f'{shown.caption}.', shown.alt, svg=drawn.svg(shown.draw()))
        for shown in map(found.get, names)
        if shown
    ]


@functools.lru_cache(maxsize=1)  # the sections of a page ask for some each
def _figures(record: Record) -> dict[str, of_record.Shown]:
    return {shown.name: shown for shown in of_record.figures(record)}
