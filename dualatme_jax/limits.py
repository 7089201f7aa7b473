"""What holds systems back, from the predictions of finished runs: hard clips, bounds, agreement, power.

    python -m dualatme_jax.limits runs/ststnet runs/rcn_w --data data/megc2019_cd --out limits

Each RUN is what `python -m dualatme_jax.score` reads: the folder of a run, a table of predictions, a log.
Each point of a sweep is a system of its own. The reports are imported late: they take a second, and `--help`
should not.
"""

import argparse
import functools
import pathlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dualatme_jax import files, schema
from dualatme_jax.errors import InputError, exit_status, printable

if TYPE_CHECKING:
    import pandas as pd

CLIPS, BOUNDS, AGREEMENT, POWER = 'hard_clips.csv', 'bounds.csv', 'agreement.csv', 'power.csv'
PAGE, SHEET = 'limits.md', 'hard_clips.png'
# The power of each pair takes seconds, and a sweep has many points.
MOST_PAIRS = 4


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 2 for input that cannot be used."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Reads the runs, prints the page, and writes it with its tables and pictures.

    Raises:
      InputError: a run, the dataset or an option cannot be used, the runs are of different clips, or the
        folder cannot be written.
    """
    import pandas as pd
    from rich.console import Console

    from dualatme_jax.report import bounds, hard_clips, limits_page, power
    from dualatme_jax.report import systems as systems_lib

    _check(options)
    console = Console(highlight=False, markup=False, emoji=False)
    found = systems_lib.read(options.runs)
    systems, labels, notes = found.tables, found.labels, [*found.notice_lines, *found.notes]
    clips = hard_clips.table(systems)
    hard = hard_clips.never_right(clips)
    if options.data:
        clips = with_annotations(clips, options.data, options.input)
        hard = clips.loc[hard.index]
    first, *others = systems
    alike = bounds.agreement(systems)
    powers = {}
    if len(others) > MOST_PAIRS:
        notes.append(f'Power: of {len(others)} systems the two that are most and least like {first}.')
        others = most_and_least_alike(alike, first)
    for name in others:
        shared = set(systems[first]['seed']) & set(systems[name]['seed'])
        if shared:
            pair = (table[table['seed'].isin(shared)] for table in (systems[first], systems[name]))
            curve = functools.partial(power.curve, *pair, draws=options.draws, seed=options.seed)
            powers[first, name] = pd.concat([curve(subjects=number) for number in options.subjects])
        else:
            notes.append(f'{first} and {name} have no seed in common: no power of a paired test of the two.')
    page = limits_page.page(systems, labels, clips, powers, notes=notes)
    console.print(printable(page), soft_wrap=True)

    folder = files.expanded(options.out, '--out')
    written = {CLIPS: with_words(clips, labels), BOUNDS: bounds.bounds(systems)}
    written[AGREEMENT] = alike
    if powers:
        written[POWER] = pd.concat([own.assign(a=a, b=b) for (a, b), own in powers.items()])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in written.items():
            with files.replacing(folder / name) as temporary:
                table.to_csv(temporary, index=False, lineterminator='\n')
        with files.replacing(folder / PAGE) as temporary:
            temporary.write_text(page, encoding='utf-8', newline='\n')
        if options.data and len(hard):
            draw(hard, labels, options.data, options.input, folder / SHEET)
    except OSError as error:
        raise InputError(
            f'cannot write to {folder}: {error.strerror}; expected a folder that can be written to'
        ) from error
    console.print(f'the page, its tables and pictures are in {folder}', soft_wrap=True)


def most_and_least_alike(alike: 'pd.DataFrame', first: str) -> list[str]:
    """The systems that predict most and least as `first` does, by a table of `bounds.agreement`."""
    same = alike[(alike['a'] == first) & (alike['b'] != first)].set_index('b')['same']
    return [same.idxmax(), same.idxmin()]


def with_annotations(clips: 'pd.DataFrame', path: str, key: str) -> 'pd.DataFrame':
    """The clips with `action_units` and `emotion`, as far as a dataset knows them."""
    from dualatme_jax.data import dataset as dataset_lib  # TensorFlow Datasets takes seconds

    known = {_clip(*clip): own for clip, own in dataset_lib.annotations(path, beside=key).items()}
    names = [_clip(*row) for row in clips[[schema.DATABASE, schema.SUBJECT, schema.CLIP]].to_numpy()]
    if lacking := ['/'.join(name) for name in names if name not in known]:
        raise InputError(
            f'{len(lacking)} clips of the runs are not in the dataset {path}: {dataset_lib.some(lacking)}; '
            'expected the dataset that they were trained on'
        )
    columns = next(iter(known.values()))
    return clips.assign(**{column: [known[name][column] for name in names] for column in columns})


def with_words(clips: 'pd.DataFrame', labels: tuple[str, ...]) -> 'pd.DataFrame':
    """The clips with the names of classes in the place of their numbers."""
    words = dict(enumerate(labels))
    return clips.assign(
        **{name: clips[name].map(words) for name in (schema.LABEL, 'predicted')},
    )


def draw(hard: 'pd.DataFrame', labels: tuple[str, ...], path: str, key: str, out: pathlib.Path) -> None:
    """Draws the pictures of the first clips that no system gets right."""
    from dualatme_jax.data import dataset as dataset_lib
    from dualatme_jax.report.pictures import contact_sheet

    dataset = dataset_lib.load(path, reads=(key,))
    places = {
        _clip(*name): place
        for place, name in enumerate(zip(dataset.database, dataset.subject, dataset.clip, strict=True))
    }
    rows = hard[: contact_sheet.MOST].to_dict('records')
    names = [_clip(row[schema.DATABASE], row[schema.SUBJECT], row[schema.CLIP]) for row in rows]
    titles = [
        '\n'.join(
            filter(
                None,
                [
                    '/'.join(name),
                    f'{labels[row[schema.LABEL]]}, taken for {labels[row["predicted"]]}',
                    ', '.join(filter(None, [row.get(schema.EMOTION), row.get(schema.ACTION_UNITS)])),
                ],
            )
        )
        for name, row in zip(names, rows, strict=True)
    ]
    channels = ', '.join(schema.CHANNELS.get(key, ()))
    shown = f'{len(rows)} of {len(hard)} clips' if len(rows) < len(hard) else f'{len(hard)} clips'
    title = f'{shown} that no system gets right; {key}' + (f': {channels}' if channels else '')
    contact_sheet.draw(dataset.inputs[key][[places[name] for name in names]], titles, out, title=title)


def _clip(database: str, subject: str, clip: str) -> tuple[str, str, str]:
    return database, schema.released(database, subject), clip


def _check(options: argparse.Namespace) -> None:
    numbers: Mapping[str, tuple[int, int, int]] = {
        '--draws': (options.draws, 1, 100_000),
        '--seed': (options.seed, 0, 2**32 - 1),
        **{f'--subjects {number}': (number, 0, 100_000) for number in options.subjects},
    }
    for option, (value, least, most) in numbers.items():
        if not least <= value <= most:
            raise InputError(f'{option} is {value}; expected {least} to {most}')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m dualatme_jax.limits',
        description='What holds systems back: the clips that all of them get wrong, bounds of what could be '
        'made of them, how alike they are, and which differences a paired test can show.',
    )
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='RUN',
        help='the folder of a run, or predictions as `python -m dualatme_jax.score` reads them, perhaps '
        'named: NAME=PATH; all of the same clips. The first is compared with each of the others',
    )
    parser.add_argument(
        '--data',
        metavar='DIR',
        help='the dataset: for pictures, and action units and emotions if it has them',
    )
    parser.add_argument(
        '--input', default=schema.FLOW, metavar='KEY', help='the pictures to show (default: %(default)s)'
    )
    parser.add_argument(
        '--out', default='limits', metavar='DIR', help='where all is written (default: %(default)s)'
    )
    parser.add_argument(
        '--subjects',
        type=int,
        nargs='+',
        default=[0],
        metavar='N',
        help='subjects in the experiments for the table of power (default, or 0: as many as there are)',
    )
    parser.add_argument(
        '--draws',
        type=int,
        default=200,
        metavar='N',
        help='experiments per difference (default: %(default)s)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, metavar='N', help='of the experiments (default: %(default)s)'
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
