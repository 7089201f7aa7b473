"""Scores predictions from anybody: Acc, UAR and UF1 with their spread over seeds and subjects.

    python -m dualatme_jax.score predictions.csv
    python -m dualatme_jax.score challenge_log.txt --json scores.json --plot confusion.png

The file is a predictions table (see `report/predictions.py`) or a log in the MEGC2019 challenge's form (see
`report/challenge_log.py`); its first line tells which. The reports are imported late: they take a second,
and `--help` should not.
"""

import argparse
import functools
import pathlib
import sys
from collections.abc import Callable

from dualatme_jax import schema
from dualatme_jax.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 2 for input that cannot be scored."""
    options = _parser().parse_args(arguments)
    try:
        run(options.file, options.json, options.plot, options.resamples)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


def run(file: pathlib.Path, json: pathlib.Path | None, plot: pathlib.Path | None, resamples: int) -> None:
    """Reads, scores, prints a table a hyperparameter point, and writes what was asked for.

    Raises:
      InputError: the file cannot be scored, or an output cannot be written.
    """
    from rich.console import Console

    from dualatme_jax.report import plots, predictions, results, scores, tables

    console = Console(highlight=False, markup=False, emoji=False)
    form, table, labels = read(file)
    clips, subjects = predictions.count(table)
    console.print(
        f'{file}: {form}, {clips} clips of {subjects} subjects, {len(labels)} classes: {", ".join(labels)}',
        soft_wrap=True,
    )
    composite = labels == schema.LABELS and set(table[schema.DATABASE]) <= set(schema.COMPOSITE)
    missing = incomplete(table) if composite else ''
    if missing:
        console.print(f'Note: not the complete MEGC2019-CD: {missing}', soft_wrap=True)

    points = predictions.points(table)
    scored = []
    for number, (point, rows) in enumerate(points, start=1):
        result = scores.score_run(rows, resamples=resamples)
        scored.append({'hyperparameters': point} | result if point else result)
        title = ', '.join(f'{name} = {value}' for name, value in point.items())
        console.print()
        console.print(tables.scores_table(rows, result, title=title))
        if plot:
            picture = plot if len(points) == 1 else plot.with_stem(f'{plot.stem}-{number}')
            _save(functools.partial(plots.confusion_matrices, rows, labels), picture)
    if json:
        result = scored[0] if len(points) == 1 else {'points': scored}
        _save(functools.partial(results.write, result), json)


def read(path: pathlib.Path):
    """Reads predictions in either form: (the form's name, predictions table, its classes by their numbers).

    A challenge log starts with two words; a CSV header has a comma.

    Raises:
      InputError: the file has neither form, or is faulty in its own.
    """
    from dualatme_jax.report import challenge_log, predictions

    first = predictions.read_text(path).lstrip().splitlines()[0]
    if ',' in first:
        return 'a predictions table', *predictions.read(path)
    if len(first.split()) == 2:
        return 'a challenge log', challenge_log.read(path), schema.LABELS
    raise InputError(
        f'{path}: the first line is {first[:60]!r}; expected a CSV header '
        f'({",".join(predictions.REQUIRED)}) or a challenge log (`database subject`).'
    )


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
        description='Acc, UAR and UF1 of predictions pooled over folds, for all clips and for each database.',
    )
    parser.add_argument('file', type=pathlib.Path, help='a predictions CSV or a MEGC2019 challenge log')
    parser.add_argument('--json', type=pathlib.Path, metavar='OUT', help='write the scores there as JSON')
    parser.add_argument('--plot', type=pathlib.Path, metavar='OUT.png', help='draw confusion matrices there')
    parser.add_argument(
        '--resamples',
        type=_positive,
        default=1000,
        metavar='N',
        help='bootstrap draws (default: %(default)s)',
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{number}; expected 1 or more')
    return number


if __name__ == '__main__':
    sys.exit(main())
