"""Compares systems on the same clips: scores with intervals, paired tests, agreement, and where they differ.

    python -m dualatme_jax.compare runs/ststnet runs/rcn_w
    python -m dualatme_jax.compare ours=runs/best theirs=predictions.csv --reference theirs --out compare

Each RUN is what `python -m dualatme_jax.score` reads: the folder of a run, a table of predictions, a log. The
reports are imported late: they take a second, and `--help` should not.
"""

import argparse
import sys

from dualatme_jax import files
from dualatme_jax.errors import InputError, exit_status, printable


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 2 for input that cannot be used."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Reads the runs, compares them, prints the Markdown, and writes all files.

    Raises:
      InputError: a run or an option cannot be used, there is one system only, the runs are of different
        clips, labels or classes, or the folder cannot be written.
    """
    from rich.console import Console

    from dualatme_jax.report import comparison, comparison_view, scores, systems

    scores.check_resamples(options.resamples, '--resamples')
    folder = files.expanded(options.out, '--out')
    found = comparison.compare(
        systems.read(options.runs, points=options.points),
        reference=options.reference,
        resamples=options.resamples,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = comparison_view.write(found, folder)
    except OSError as error:
        raise InputError(
            f'cannot write to {folder}: {error.strerror}; expected a folder that can be written to'
        ) from error
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(printable(text), soft_wrap=True)
    console.print(printable(f'{", ".join(comparison_view.FILES)} are in {folder}'), soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m dualatme_jax.compare',
        description='Compares systems on the same clips: Acc, UAR and UF1 with intervals, whole and by '
        'database; paired tests with Holm; agreement; and the clips on which they differ. Writes Markdown, '
        'CSV, LaTeX, one HTML page, PNG and SVG.',
    )
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='RUN',
        help='the folder of a run, or predictions as `python -m dualatme_jax.score` reads them: PATH, or '
        'NAME=PATH to name it; all of the same clips',
    )
    parser.add_argument(
        '--out', default='compare', metavar='DIR', help='where all is written (default: %(default)s)'
    )
    parser.add_argument(
        '--reference',
        default='',
        metavar='NAME',
        help='the system that the others are compared with (default: the first)',
    )
    parser.add_argument(
        '--points',
        choices=('each', 'result'),
        default='each',
        help='of a sweep, whether each point is a system, or what the run reports as its result: the '
        'selected points, or the reference (default: %(default)s)',
    )
    parser.add_argument(
        '--resamples',
        type=int,
        default=1000,
        metavar='N',
        help='bootstrap draws (default: %(default)s)',
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
