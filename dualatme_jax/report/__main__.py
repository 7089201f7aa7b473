"""Makes the page of a run, finished or half: one HTML file that needs nothing else.

    python -m dualatme_jax.report runs/cd
    python -m dualatme_jax.report runs/cd --out cd.html
    python -m dualatme_jax.report runs/cd --data data/megc2019_cd

Nothing is trained; the page is made from what the folder holds.
"""

import argparse
import sys

from dualatme_jax import files
from dualatme_jax.errors import InputError, exit_status


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 2 for a folder that is no run's."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Writes the page and says where.

    Raises:
      InputError: the folder is no workdir, a file of it is damaged, or the page cannot be written.
    """
    from dualatme_jax.report import run_page  # what it imports takes seconds, which --help need not wait for

    folder = files.expanded(options.workdir, 'WORKDIR')
    out = files.expanded(options.out, '--out') if options.out else None
    data = files.expanded(options.data, '--data') if options.data else None
    try:
        print(run_page.write(folder, out, data))
    except OSError as error:
        where = out or folder / run_page.FILE
        raise InputError(
            f'cannot write {where}: {error.strerror}; expected a folder that exists and can be written to'
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m dualatme_jax.report',
        description='The page of a run, a sweep or a leaderboard: one HTML file that needs nothing else.',
    )
    parser.add_argument('workdir', metavar='WORKDIR', help='the folder of a run, finished or half')
    parser.add_argument('--out', metavar='FILE', help='the page (default: WORKDIR/report.html)')
    parser.add_argument(
        '--data', metavar='DIR', help='the dataset of the run, for pictures of clips where the run kept none'
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
