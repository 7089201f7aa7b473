"""Where the networks of a finished run looked: makes attention.npz from the weights that the run kept.

    python -m dualatme_jax.attention runs/cd

A run makes it at its end; the command is for runs of older versions. docs/attention.md says what it holds.
"""

import argparse
import sys

from dualatme_jax.errors import exit_status, printable


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 2 for a folder that is no run's."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: print(printable(_made(options))))


def _made(options: argparse.Namespace) -> str:
    from dualatme_jax.run import attention  # what it imports takes seconds, which --help need not wait for

    return attention.make(options.workdir)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m dualatme_jax.attention',
        description='Where the networks of a run looked, in clips that most seeds get wrong: attention.npz.',
    )
    parser.add_argument(
        'workdir', metavar='WORKDIR', help='of a run that kept its weights, and whose dataset is where it was'
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
