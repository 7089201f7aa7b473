"""What goes into a paper as it is: tables for LaTeX, the methods in words, BibTeX."""

from dualatme_jax import files
from dualatme_jax.report import ensemble, leaderboard_view, methods, paper, results_tex, sweep
from dualatme_jax.report.page.blocks import Block, Folded, Listing, Section, Text
from dualatme_jax.report.record import Record

# Files that a run leaves, in the order of the page, and what they are.
FILES = {
    methods.MARKDOWN: 'Methods, in sentences that cite as Pandoc does',
    methods.LATEX: 'Methods, for LaTeX',
    results_tex.NAME: 'The scores, for LaTeX with booktabs',
    leaderboard_view.LATEX: 'The leaderboard, for LaTeX with booktabs',
    sweep.LATEX: 'The sweep, for LaTeX with booktabs',
    ensemble.LATEX: 'The ensemble, for LaTeX with booktabs',
    paper.LATEX: 'A table of the paper beside ours, for LaTeX with booktabs',
    methods.BIBTEX: 'References, in BibTeX',
}
_MOST = 2**22  # bytes of one of them


def section(record: Record) -> Section | None:
    """Those that the folder holds, to copy; but for the first each is folded."""
    found = [(name, what) for name, what in FILES.items() if (record.folder / name).is_file()]
    if not found:
        return None
    (name, what), *others = found
    blocks: list[Block] = [
        Text("Made from the record of this run. Every number in it is the run's own."),
        _listing(record, name, f'{what}: {name}'),
    ]
    folded = [Folded(what, [_listing(record, name, name)]) for name, what in others]
    return Section('Into the paper', [*blocks, *folded])


def _listing(record: Record, name: str, caption: str) -> Listing:
    text = files.read_bytes(record.folder / name, limit=_MOST, what='text for a paper')
    return Listing(caption, text.decode('utf-8', errors='replace'))
