"""The command `python -m data_prep`: builds a dataset from a release, or checks one."""

import argparse
import sys

from dualatme_jax.errors import InputError

# Everything else is imported by the command that needs it: `--help` answers at once.

_DESCRIPTION = """\
Turns a release of micro-expression clips into a dataset for dualatme_jax.

  build   write the dataset
  check   say whether a build would be complete: counts, and every bad row or file by name
"""

_RELEASE_HELP = (
    'flow_images: the public 28x28 flow images of MEGC2019-CD; synthetic: rendered faces, needs no source'
)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0 well, 1 a check found problems, 2 bad input."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m data_prep',
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    build = commands.add_parser(
        'build', help='write a dataset', description='Writes a release as a TFDS dataset.'
    )
    build.set_defaults(run=_build)
    build.add_argument('--release', required=True, choices=('flow_images', 'synthetic'), help=_RELEASE_HELP)
    _add_source(build)
    build.add_argument('--out', required=True, metavar='DIR', help='the folder that becomes the dataset')
    build.add_argument('--overwrite', action='store_true', help='replace the dataset that --out holds')
    build.add_argument(
        '--regions',
        default='EM',
        metavar='PAIR',
        help='what the puzzled flow shows: EM, EN, FM, FN (eyes, forehead, nose, mouth) or full (EM)',
    )
    build.add_argument(
        '--flow',
        choices=('tvl1', 'dis'),
        help='synthetic only: the optical flow (default: tvl1)',
    )
    build.add_argument('--seed', type=int, help='synthetic only: another seed, other faces (default: 0)')
    check = commands.add_parser(
        'check', help='check a release', description='Checks a release without building.'
    )
    check.set_defaults(run=_check)
    check.add_argument('--release', required=True, choices=('flow_images',), help=_RELEASE_HELP)
    _add_source(check)
    return parser


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--source', metavar='DIR', help='the folder of the release')
    parser.add_argument(
        '--list', metavar='FILE', help="the challenge's list (default: the only .csv below --source)"
    )


def _build(options: argparse.Namespace) -> int:
    import dataclasses

    from rich.console import Console
    from rich.progress import track

    from data_prep import builder

    release = _release(options)
    console = Console(stderr=True)
    examples = track(
        release.examples,
        f'{release.name}: clips',
        total=release.size,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    builder.write(dataclasses.replace(release, examples=examples), options.out, overwrite=options.overwrite)
    print(f'wrote {release.size} clips to {options.out}')
    return 0


def _release(options: argparse.Namespace):
    if options.release == 'synthetic':
        from data_prep.synthetic import embedded

        if options.source or options.list:
            raise InputError('--release synthetic makes its own clips: leave out --source and --list')
        return embedded.render(options.seed or 0, pair=options.regions, algorithm=options.flow or 'tvl1')
    from data_prep.releases import flow_images

    if options.flow or options.seed is not None:
        raise InputError(f'--flow and --seed do not apply to {options.release}: its flow is made already')
    return flow_images.read(_source(options), options.list, pair=options.regions)


def _source(options: argparse.Namespace) -> str:
    if not options.source:
        raise InputError(f'--release {options.release} needs --source: the folder that holds it')
    return options.source


def _check(options: argparse.Namespace) -> int:
    from rich.console import Console

    from data_prep.releases import flow_images

    found = flow_images.survey(_source(options), options.list)
    Console().print(_table(found.rows))
    for problem in found.problems:
        print(problem)
    print(f'{len(found.problems)} problems' if found.problems else 'complete: a build will hold every clip')
    return 1 if found.problems else 0


def _table(rows):
    import pandas as pd
    from rich.table import Table

    from dualatme_jax import schema

    clips = pd.DataFrame([vars(row) for row in rows], columns=['database', 'subject', 'label'])
    table = Table('database', 'subjects', 'clips', *schema.LABELS)
    for database in schema.COMPOSITE:
        part = clips[clips.database == database]
        counts = [
            part.subject.nunique(),
            len(part),
            *((part.label == label).sum() for label in schema.LABELS),
        ]
        table.add_row(schema.DATABASE_TITLES[database], *map(str, counts))
    return table


if __name__ == '__main__':
    sys.exit(main())
