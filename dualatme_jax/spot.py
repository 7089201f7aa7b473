"""Turns what networks said of the windows of long videos into intervals, and scores them.

    python -m dualatme_jax.spot runs/softnet --source VIDEOS
    python -m dualatme_jax.spot runs/softnet --source VIDEOS --as-published

RUN is a run on a dataset of windows that leaves out subjects (`python -m data_prep windows`,
configs/softnet.py, configs/mean.py), and VIDEOS the folder that the dataset was made of, for its truth.csv
and videos.csv. Threshold and length for each subject are chosen by the other subjects' videos (see
report/spotting/from_scores.py). Into OUT, by default RUN/spotting, go

    predicted.csv    subject,video,onset,offset: frames, which may lie before the first one
    thresholds.csv   subject,p,half_seconds,f1_others: by what the intervals of each were found
    scores.json      F1, false alarms an hour and more, as `python -m dualatme_jax.score --spotting` has them

What must stand wherever these scores are shown, such as that they leak, stands in all three: as a column
`notice` of the tables, by which `score --spotting` knows it.
"""

import argparse
import math
import pathlib
import sys

from dualatme_jax import files
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
      InputError: the run, the tables or an option cannot be used, or an output cannot be written.
    """
    from rich.console import Console

    from dualatme_jax.report import given, predictions, results, scores
    from dualatme_jax.report.spotting import from_scores, intervals, metrics, table

    scores.check_resamples(options.resamples, '--resamples')
    if options.half is not None and not 0 < options.half < math.inf:
        raise InputError(f'--half {options.half:g}: expected seconds, above 0')
    if options.half is not None and options.as_published:
        raise InputError(
            '--half with --as-published, whose length is that of all subjects; expected one of them'
        )
    place, source = files.expanded(options.run, 'RUN'), files.expanded(options.source, '--source')
    truth = intervals.read_table(source / TRUTH)
    videos = intervals.read_videos(source / VIDEOS)
    found = given.read(place)
    if len(points := predictions.points(found.table)) > 1:
        raise InputError(f'{place} has {len(points)} points of a sweep; expected a run of one')
    truth = truth.assign(emotion='')  # which no spotter names
    intervals.check_known(intervals.Given(truth, truth), videos, source / VIDEOS)
    scored = from_scores.of_predictions(found.table, found.labels, videos)
    spotted = from_scores.spot(scored, truth, seconds=options.half, as_published=options.as_published)
    notice = intervals.together(
        found.notice,
        intervals.read_notice(source / TRUTH),
        from_scores.LEAKS if options.as_published else '',
    )
    result = metrics.score(
        intervals.Given(truth, spotted.predicted), videos=videos, resamples=options.resamples
    )
    result |= {'notice': notice} if notice else {}
    name = 'spotting_as_published' if options.as_published else 'spotting'
    folder = place if place.is_dir() else place.parent
    out = files.expanded(options.out, '--out') if options.out else folder / name
    _write(out, spotted, notice)
    results.write(result, out / SCORES)
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(
        printable(f'{place}: {len(truth)} true and {len(spotted.predicted)} predicted intervals, in {out}'),
        soft_wrap=True,
    )
    there = {video.key for video in scored}
    for key in intervals.keys(videos):
        if key not in there:
            missed = 'no window could be made of it: what is true of it counts as missed'
            console.print(printable(f'{"/".join(key)}: {missed}'), soft_wrap=True)
    console.print(_by_what(spotted))
    console.print(table.scores_table(result, title=printable(notice)))


def _by_what(spotted) -> str:
    """In words, by which thresholds and lengths intervals were found."""
    p, half = (spotted.thresholds[name] for name in ('p', 'half_seconds'))
    return f'p {p.min():g} to {p.max():g}; intervals of {2 * half.min():.2f} to {2 * half.max():.2f} seconds'


def _write(out: pathlib.Path, spotted, notice: str) -> None:
    from dualatme_jax.report.spotting import intervals

    columns = ['subject', 'video', 'onset', 'offset']
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, rows in ((PREDICTED, spotted.predicted[columns]), (THRESHOLDS, spotted.thresholds)):
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
    parser.add_argument('run', metavar='RUN', help='the folder of a run, or its predictions.csv')
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
    parser.add_argument('--out', metavar='DIR', help='where the tables go (default: RUN/spotting)')
    parser.add_argument(
        '--resamples', type=int, default=1000, metavar='N', help='bootstrap draws (default: %(default)s)'
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())
