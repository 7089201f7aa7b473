"""Turns what networks said of the windows of long videos into intervals, and scores them.

    python -m dualatme_jax.spot runs/softnet --source VIDEOS
    python -m dualatme_jax.spot micro=runs/micro macro=runs/macro --source VIDEOS --out spotted

RUN is a run on a dataset of windows that leaves out subjects (`python -m data_prep windows`,
configs/softnet.py, configs/mean.py), and VIDEOS the folder that the dataset was made of, for its truth.csv
and videos.csv. Threshold and length for each subject are chosen by the other subjects' videos (see
report/spotting/from_scores.py), of each kind by the expressions of that kind. Into OUT, by default
RUN/spotting, go

    predicted.csv    subject,video,onset,offset: frames, which may lie before the first one
    thresholds.csv   subject,p,half_seconds,f1_others: by what the intervals of each were found
    scores.json      F1, false alarms an hour and more, as `python -m dualatme_jax.score --spotting` has them;
                     of two kinds all intervals together, and each kind by itself under `kinds`

Where kinds are spotted, both tables have the column `kind`. What must stand wherever these scores are shown,
such as that they leak, stands in all three: as a column `notice` of the tables, by which `score --spotting`
knows it.
"""

import argparse
import math
import pathlib
import sys

from dualatme_jax import files, schema
from dualatme_jax.errors import InputError, exit_status, printable

PREDICTED, THRESHOLDS, SCORES = 'predicted.csv', 'thresholds.csv', 'scores.json'
TRUTH, VIDEOS = 'truth.csv', 'videos.csv'


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, or 2 for input that cannot be used."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Finds the intervals, writes and scores them.

    Raises:
      InputError: a run, the tables or an option cannot be used, or an output cannot be written.
    """
    from dualatme_jax.report import results, scores
    from dualatme_jax.report.spotting import from_scores, intervals, metrics

    scores.check_resamples(options.resamples, '--resamples')
    _check_options(options)
    source = files.expanded(options.source, '--source')
    videos = intervals.read_videos(source / VIDEOS)
    runs = _runs(options.runs)
    truths, spotted, unseen = {}, {}, set()
    for kind, (_, found) in runs.items():
        if kind:
            intervals.check_kinds(source / TRUTH, kind)
        truths[kind] = intervals.read_table(source / TRUTH, kind).assign(emotion='')  # which no spotter names
        intervals.check_known(intervals.Given(truths[kind], truths[kind]), videos, source / VIDEOS)
        scored = from_scores.of_predictions(found.table, found.labels, videos)
        unseen |= {*intervals.keys(videos)} - {video.key for video in scored}
        spotted[kind] = from_scores.spot(
            scored, truths[kind], seconds=options.half, as_published=options.as_published
        )
    truth = _of_kinds(truths)
    predicted = _of_kinds({kind: each.predicted for kind, each in spotted.items()})
    thresholds = _of_kinds({kind: each.thresholds for kind, each in spotted.items()})
    notice = intervals.together(
        *(found.notice for _, found in runs.values()),
        intervals.read_notice(source / TRUTH),
        from_scores.LEAKS if options.as_published else '',
    )

    def score(truth, predicted) -> dict:
        given = intervals.Given(truth, predicted)
        return metrics.score(given, videos=videos, resamples=options.resamples)

    result = score(truth, predicted)
    if len(runs) > 1:
        result['kinds'] = {kind: score(truths[kind], each.predicted) for kind, each in spotted.items()}
    result |= {'notice': notice} if notice else {}
    out = _out(options, [place for place, _ in runs.values()])
    _write(out, predicted.drop(columns=schema.EMOTION), thresholds, notice)
    results.write(result, out / SCORES)
    lines = [f'{len(truth)} true and {len(predicted)} predicted intervals, in {out}']
    missed = 'no window could be made of it: what is true of it counts as missed'
    lines += [f'{"/".join(key)}: {missed}' for key in sorted(unseen)]
    lines += [f'{kind}: {_by_what(each)}' if kind else _by_what(each) for kind, each in spotted.items()]
    _show(lines, result)


def _show(lines: list[str], result: dict) -> None:
    from rich.console import Console

    from dualatme_jax.report.spotting import table

    console = Console(highlight=False, markup=False, emoji=False)
    for line in lines:
        console.print(printable(line), soft_wrap=True)
    kinds = result.get('kinds', {})
    for kind, own in {**kinds, 'both kinds' if kinds else '': result}.items():
        title = '\n'.join(filter(None, [kind, result.get('notice')]))
        console.print()
        console.print(table.scores_table(own, title=printable(title)))


def _runs(texts: list[str]) -> dict:
    """Kind, or None where there is none -> folder or file of a run, and its predictions.

    Raises:
      InputError: one is no run of one point on windows of this kind, or kinds are given twice or in part.
    """
    from dualatme_jax.report import given, predictions
    from dualatme_jax.report.spotting import intervals

    runs = {}
    for text in texts:
        kind, equals, path = text.partition('=')
        asked = kind if equals and kind in intervals.KINDS else None
        place = files.expanded(path if asked else text, 'RUN')
        if not place.exists():
            raise InputError(
                f'no run {place}; expected its folder, alone or after one of '
                f'{", ".join(f"{each}=" for each in intervals.KINDS)}'
            )
        found = given.read(place)
        if len(points := predictions.points(found.table)) > 1:
            raise InputError(f'{place} has {len(points)} points of a sweep; expected a run of one')
        trained = _kind_of_windows(place)
        if asked and trained and asked != trained:
            raise InputError(f'{place} is trained on {trained}-expressions; expected {trained}={place}')
        kind = asked or trained
        if kind in runs or (runs and not (kind and all(runs))):
            raise InputError(
                f'{" ".join(texts)}: expected one RUN for all expressions, or one for each kind: '
                'micro=RUN macro=RUN'
            )
        runs[kind] = place, found
    return runs


def _kind_of_windows(place: pathlib.Path) -> str | None:
    """Which expressions the windows of a run are of; None if they are of all, or nobody says so."""
    from dualatme_jax.report import record

    recipe = ((record.Record(place).results or {}).get('dataset') or {}) if place.is_dir() else {}
    return (recipe.get('windows') or {}).get('kind')


def _of_kinds(tables: dict):
    """One table of those of each kind, with the column `kind` where there are kinds."""
    import pandas as pd

    named = (table.assign(kind=kind) if kind else table for kind, table in tables.items())
    return pd.concat(named, ignore_index=True)


def _check_options(options: argparse.Namespace) -> None:
    if options.half is not None and not 0 < options.half < math.inf:
        raise InputError(f'--half {options.half:g}: expected seconds, above 0')
    if options.half is not None and options.as_published:
        raise InputError(
            '--half with --as-published, whose length is that of all subjects; expected one of them'
        )
    if len(options.runs) > 1 and options.half is not None:
        raise InputError('--half with two runs, of which each has its own length; expected one RUN')
    if len(options.runs) > 1 and not options.out:
        raise InputError('--out is missing: expected the folder for the tables of both runs')


def _out(options: argparse.Namespace, places: list[pathlib.Path]) -> pathlib.Path:
    """The folder of what is written."""
    if options.out:
        return files.expanded(options.out, '--out')
    folder = places[0] if places[0].is_dir() else places[0].parent
    return folder / ('spotting_as_published' if options.as_published else 'spotting')


def _by_what(spotted) -> str:
    """In words, by which thresholds and lengths intervals were found."""
    p, half = (spotted.thresholds[name] for name in ('p', 'half_seconds'))
    return f'p {p.min():g} to {p.max():g}; intervals of {2 * half.min():.2f} to {2 * half.max():.2f} seconds'


def _write(out: pathlib.Path, predicted, thresholds, notice: str) -> None:
    from dualatme_jax.report.spotting import intervals

    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, rows in ((PREDICTED, predicted), (THRESHOLDS, thresholds)):
            intervals.write(rows, out / name, notice)
    except OSError as error:
        raise InputError(
            f'cannot write to {out}: {error.strerror}; expected a folder that can be written to: choose --out'
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m dualatme_jax.spot',
        description='Intervals of expressions in long videos, by the predictions of a run on their windows; '
        'thresholds are chosen by other subjects.',
    )
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='[KIND=]RUN',
        help='the folder of a run, or its predictions.csv: one, or micro=RUN macro=RUN, each of which finds '
        'the expressions of its kind, with thresholds and lengths of its own',
    )
    parser.add_argument(
        '--source',
        required=True,
        metavar='DIR',
        help='the folder of the videos, with truth.csv and videos.csv',
    )
    parser.add_argument(
        '--half',
        type=float,
        metavar='SECONDS',
        help='half the length of intervals (default: what is best for the other subjects)',
    )
    parser.add_argument(
        '--as-published',
        action='store_true',
        help='p = 0.55 and the mean length of all subjects, which LEAKS: to reproduce papers',
    )
    parser.add_argument(
        '--out', metavar='DIR', help='where the tables go (default: RUN/spotting; needed with two runs)'
    )
    parser.add_argument(
        '--resamples', type=int, default=1000, metavar='N', help='bootstrap draws (default: %(default)s)'
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
