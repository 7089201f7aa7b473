"""Scores predictions from anybody: Acc, UAR and UF1 with their spread over seeds and subjects.

    python -m dualatme_jax.score predictions.csv
    python -m dualatme_jax.score runs/cd --json scores.json --plot confusion.png
    python -m dualatme_jax.score log.txt --list combined_3class_gt.csv
    python -m dualatme_jax.score --spotting truth.csv predicted.csv

The file is a predictions table in CSV or Excel (see `report/predictions.py`), a run's folder, a log in the
MEGC2019 challenge's form (see `report/challenge_log.py`) or what a PyTorch program of the field has printed
(see `report/printed_log.py`); its content says which. With --spotting they are intervals (see
`report/spotting/`). The reports are imported late: they take a second, and
`--help` should not.
"""

import argparse
import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable

from dualatme_jax import files, schema
from dualatme_jax.errors import InputError, exit_status, printable


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 2 for input that cannot be scored."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.file is None) == (options.spotting is None):
        parser.error('expected FILE, or --spotting TRUTH PREDICTED')
    if options.spotting and len(options.spotting) > 2:
        parser.error('--spotting: expected TRUTH and PREDICTED, or one log')
    return exit_status(lambda: spotting(options) if options.spotting else run(options))


def spotting(options: argparse.Namespace) -> None:
    """Scores intervals: F1 of spotting, false alarms an hour, and STRS where emotions are known.

    Raises:
      InputError: a file cannot be read, or an option is of predictions of clips.
    """
    import pandas as pd
    from rich.console import Console

    from dualatme_jax.report import results, scores
    from dualatme_jax.report.spotting import intervals, metrics, table

    scores.check_resamples(options.resamples, '--resamples')
    for name in ('point', 'list', 'plot'):
        if getattr(options, name):
            raise InputError(f'--{name} is of predictions of clips; expected --spotting without it')
    paths = [files.expanded(path, '--spotting') for path in options.spotting]
    if len(paths) == 2:
        emotions = files.expanded(options.emotions, '--emotions') if options.emotions else None
        given = intervals.read(*paths, options.kind, emotions, _classes(options.dataset))
    elif options.kind or options.happenings or options.emotions or options.dataset:
        raise InputError(
            '--kind, --happenings, --emotions and --dataset are of two tables; expected --spotting TRUTH '
            'PREDICTED'
        )
    elif intervals.is_log(paths[0]):
        given = intervals.read_log(paths[0])
    else:
        raise InputError(
            f'{paths[0]} is no log of a challenge, whose first line is 1 or 2; expected that, or two tables, '
            'of the true intervals and of the predicted ones'
        )
    videos = None
    if options.videos:
        path = files.expanded(options.videos, '--videos')
        videos = intervals.read_videos(path)
        intervals.check_known(given, videos, path)
    console = Console(highlight=False, markup=False, emoji=False)
    where = ', '.join(map(str, paths))
    console.print(
        printable(f'{where}: {len(given.truth)} true and {len(given.predicted)} predicted intervals'),
        soft_wrap=True,
    )
    for note in given.notes:
        console.print(printable(note), soft_wrap=True)
    result = metrics.score(given, videos=videos, resamples=options.resamples)
    result |= {'notice': given.notice} if given.notice else {}
    console.print()
    console.print(table.scores_table(result, title=printable(given.notice)))
    if options.happenings:
        tables = (paths[0], files.expanded(options.happenings, '--happenings'))
        others = pd.concat([intervals.read_happenings(path) for path in tables], ignore_index=True)
        result['false_alarms_during'] = during = metrics.alarms_during(given, others)
        words = ', '.join(f'{what} {number}' for what, number in during.items()) or 'none'
        console.print(printable(f'False alarms during: {words}'))
    if 'strs' in result['metrics']:
        result['public_tool'] = metrics.by_public_tool(given.truth, given.predicted)
        console.print()
        console.print(table.tool_table(result['public_tool']))
    if options.json:
        _save(functools.partial(results.write, result), files.expanded(options.json, '--json'))


def _classes(dataset: str | None) -> dict[tuple[str, str], str] | None:
    """(subject, clip) -> class of the true intervals, by the dataset that was built of them."""
    from dualatme_jax.report import truth

    if not dataset:
        return None
    known = truth.of_dataset(files.expanded(dataset, '--dataset'))
    return {(subject, clip): label for (_, subject, clip), label in known.clips.items()}


def run(options: argparse.Namespace) -> None:
    """Reads, scores, prints a table a hyperparameter point, and writes what was asked for.

    Raises:
      InputError: the file cannot be scored, or an output cannot be written.
    """
    from rich.console import Console

    from dualatme_jax.report import given as given_lib
    from dualatme_jax.report import predictions, results, scores, tables, truth, two_classes
    from dualatme_jax.report.pictures import confusion

    scores.check_resamples(options.resamples, '--resamples')
    console = Console(highlight=False, markup=False, emoji=False)
    known = None
    if options.list:
        known = truth.of_list(files.expanded(options.list, '--list'))
    elif options.dataset:
        known = truth.of_dataset(files.expanded(options.dataset, '--dataset'))
    file = files.expanded(options.file, 'FILE')
    given = given_lib.read(file, points=options.point, labels=known.labels if known else ())
    table, labels = given.table, given.labels
    clips, subjects = predictions.count(table)
    console.print(
        printable(
            f'{file}: {given.form}, {clips} clips of {subjects} subjects, {len(labels)} classes: '
            f'{", ".join(labels)}'
        ),
        soft_wrap=True,
    )
    for note in given.notes:
        console.print(printable(note), soft_wrap=True)
    composite = labels == schema.LABELS and set(table[schema.DATABASE]) <= set(schema.COMPOSITE)
    missing = incomplete(table) if composite else ''
    if missing:
        console.print(f'Note: not the complete MEGC2019-CD: {missing}', soft_wrap=True)
    difference = truth.compare(given, known) if known else None
    for sentence in difference.sentences(known.source) if known else ():
        console.print(printable(f'Compared: {sentence}.'), soft_wrap=True)

    points = predictions.points(table)
    scored = []
    for number, (point, rows) in enumerate(points, start=1):
        result = scores.score_run(rows, resamples=options.resamples)
        title = ', '.join(f'{name} = {value}' for name, value in point.items())
        title = printable('\n'.join(filter(None, [given.notice, title])))
        console.print()
        console.print(tables.scores_table(rows, result, selection=given.selection, title=title))
        if len(labels) == 2:
            two_classes.add(result, rows, resamples=options.resamples)
            console.print()
            console.print(two_classes.rich_table(rows, result, selection=given.selection, notice=title))
        scored.append({'hyperparameters': point} | result if point else result)
        if options.plot:
            plot = files.expanded(options.plot, '--plot')
            picture = plot if len(points) == 1 else plot.with_stem(f'{plot.stem}-{number}')
            above = '\n'.join(filter(None, [given.selection, title]))
            _save(functools.partial(confusion.confusion_matrices, rows, labels, notice=above), picture)
    if options.json:
        result = scored[0] if len(points) == 1 else {'points': scored}
        result |= {'notice': given.notice} if given.notice else {}
        result |= {'selection': given.selection} if given.selection else {}
        result |= {'compared': {'with': known.source} | dataclasses.asdict(difference)} if known else {}
        _save(functools.partial(results.write, result), files.expanded(options.json, '--json'))


def incomplete(table) -> str:
    """How the table's counts differ from those of MEGC2019-CD; empty where they do not."""
    from dualatme_jax.report import predictions

    found = {name: predictions.count(rows) for name, rows in predictions.subsets(table).items()}
    titles = {schema.FULL: 'in all', **schema.DATABASE_TITLES}
    return '; '.join(
        f'{titles[name]} {found.get(name, (0, 0))[0]} of {clips} clips, '
        f'{found.get(name, (0, 0))[1]} of {subjects} subjects'
        for name, (clips, subjects) in schema.MEGC2019_CD.items()
        if found.get(name) != (clips, subjects)
    )


def _save(write: Callable[[pathlib.Path], None], path: pathlib.Path) -> None:
    try:
        write(path)
    except OSError as error:
        raise InputError(
            f'cannot write {path}: {error.strerror}; expected a folder that exists and can be written to.'
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m dualatme_jax.score',
        description='Acc, UAR and UF1 of predictions pooled over folds, for all clips and for each database; '
        'or with --spotting the scores of intervals.',
    )
    parser.add_argument(
        'file',
        nargs='?',
        help='predictions as CSV or Excel, the folder of a run, a MEGC2019 challenge log, or what a PyTorch '
        'program has printed (Subject, Predicted, Ground Truth)',
    )
    parser.add_argument(
        '--point',
        action='append',
        default=[],
        metavar='COLUMN',
        help='a column that is a hyperparameter: each of its values is scored by itself; may be repeated. '
        "Columns called as a config's fields, such as loss.cosine_weight, are; others are not read",
    )
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument(
        '--dataset',
        metavar='DIR',
        help='compare labels, clip by clip, with a dataset; with --spotting: the emotions of the true '
        'intervals are their classes in the dataset that was built of them',
    )
    truth.add_argument(
        '--list', metavar='FILE', help="compare labels with the challenge's list (combined_3class_gt.csv)"
    )
    parser.add_argument(
        '--spotting',
        nargs='+',
        metavar=('TRUTH', 'PREDICTED'),
        help='score intervals: two CSV tables with the columns video, onset, offset (frames), and if known '
        'subject and emotion; or one log of the MEGC challenges (`video onset offset onset offset TP`)',
    )
    parser.add_argument(
        '--videos',
        metavar='FILE',
        help='with --spotting: CSV with video, frames, frame_rate of each video, for false alarms an hour',
    )
    parser.add_argument(
        '--kind',
        choices=('micro', 'macro'),
        help='with --spotting: score the rows of this kind alone, by the column kind of the tables',
    )
    parser.add_argument(
        '--emotions',
        metavar='FILE',
        help='with --spotting: what networks said of the predicted intervals, the events.csv of '
        '`python -m dualatme_jax.predict` on the dataset of them',
    )
    parser.add_argument(
        '--happenings',
        metavar='FILE',
        help='with --spotting: CSV with video, onset, offset, kind of what is no expression, such as '
        'blinks: says what happens at false alarms',
    )
    parser.add_argument('--json', metavar='OUT', help='write the scores there as JSON')
    parser.add_argument('--plot', metavar='OUT.png', help='draw confusion matrices there')
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
