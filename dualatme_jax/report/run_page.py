"""The page of a run, a sweep or a leaderboard: everything that its workdir holds, as one HTML file."""

import pathlib

from dualatme_jax.report import attention
from dualatme_jax.report import record as record_lib
from dualatme_jax.report.page import page
from dualatme_jax.report.record import Record
from dualatme_jax.report.sections import hard, into_paper, points, recipe, result, subjects, training, trust

FILE = 'report.html'


def html(record: Record, data: pathlib.Path | None = None) -> str:
    """The page.

    Args:
      record: of the run.
      data: the folder of its dataset, for pictures of clips where the run has kept none.

    Raises:
      InputError: a file of the run is damaged.
    """
    parts = (
        points.leaderboard(record),
        result.section(record),
        points.sweep(record),
        points.ensemble(record),
        subjects.classes(record),
        subjects.section(record),
        hard.section(record, data),
        training.section(record),
        trust.section(record),
        recipe.section(record),
        into_paper.section(record),
    )
    sections = [part for part in parts if part]
    return page.html(
        title(record), sections, lead=points.lead(record) or result.lead(record), notices=notices(record)
    )


def write(
    folder: pathlib.Path, out: pathlib.Path | None = None, data: pathlib.Path | None = None
) -> pathlib.Path:
    """Makes the page of a workdir and writes it, by default into the folder; returns where.

    Raises:
      InputError: the folder is no workdir, or a file of it is damaged.
    """
    path = out or folder / FILE
    page.write(html(record_lib.read(folder), data), path)
    return path


def title(record: Record) -> str:
    """The system, or what the run is, and its data."""
    config, found = record.config or {}, record.results or {}
    what = 'Leaderboard' if record.leaderboard is not None else recipe.system(config)
    if record.sweep is not None:
        what = f'Sweep of {what}' if what else 'Sweep'
    protocol = found.get('protocol')
    return ', '.join(filter(None, [what or f'Run {record.folder.resolve().name}', protocol]))


def notices(record: Record) -> list[str]:
    """What must stand beside every number."""
    found, lines = record.results or {}, record.notices
    if record.results is None and not record.unfinished:
        lines.append('The run has not reported yet: the command of the run makes its results.')
    if unlike := recipe.unlike(record):
        lines.append(unlike)
    if found.get('reason'):
        lines.append(found['reason'])
    if failed := found.get('failed'):
        lines.append(f'{len(failed)} of {found["trials"]} trials diverged; their seeds are not scored.')
    lines += record.damaged.values()
    if record.attention is not None and attention.FACES & {*record.attention.pictures}:
        lines.append(
            'This page shows faces of the dataset: pass it on only as the licence of the dataset allows.'
        )
    if record.changed:
        lines.append('The scores on this page are of the files as they are.')
    return lines
