"""Intervals from what a network says of the windows of a video, as SOFTNet and MEAN have it.

The score of a frame is the moving mean of those around it. Peaks above mean + p (most - mean) of a video are
expressions, all of one length: from `half` before its peak to `half` behind it. Both papers chose p = .55 by
the test results, and took the mean length of all subjects; here both are chosen for each subject by the F1 of
the other ones.

That is a little less than a nested choice: a network that has seen a subject has scored the others, by whose
scores the threshold of that subject is chosen.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import ndimage, signal

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report.spotting import intervals, metrics
from dualatme_jax.report.spotting.intervals import KEY

HALVES = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.9)  # of a length, in seconds
GRID = tuple(round(0.05 * number, 2) for number in range(1, 20))  # of p
AS_PUBLISHED = 0.55
LEAKS = (
    f'LEAKS: the threshold p = {AS_PUBLISHED} was chosen on test results, and the length of intervals is '
    'that of all subjects, as published'
)
BETWEEN = '#'  # a window's clip is VIDEO#FRAME, the frame in its middle
_CERTAIN = 1e-12  # probabilities are kept so far from 0 and 1


@dataclasses.dataclass(frozen=True)
class Scored:
    """A video whose windows were scored.

    Attributes:
      key: subject and video.
      rate: frames a second.
      scores: [F], of each frame; the more, the more likely it is within an expression.
    """

    key: tuple[str, str]
    rate: float
    scores: np.ndarray


def of_predictions(table: pd.DataFrame, labels: Sequence[str], videos: pd.DataFrame) -> list[Scored]:
    """The scores of videos by the predictions for their windows.

    A score is the log odds of an expression, the mean over seeds: of a network with one linear output, which
    is trained by squares, they are 2s - 1. Between two windows it is drawn as a line. Videos without a window
    are left out.

    Args:
      table: predictions of a run, see `report.predictions`.
      labels: its classes.
      videos: every video, see `intervals.read_videos`.

    Raises:
      InputError: the run is none on windows, has others than of `videos`, or none of a subject.
    """
    if tuple(labels) != schema.WINDOW_LABELS:
        raise InputError(
            f'the classes are {", ".join(labels)}; expected {" and ".join(schema.WINDOW_LABELS)}, of a run '
            'on a dataset that `python -m data_prep windows` has made'
        )
    column = schema.PROBABILITY + schema.EXPRESSION
    if column not in table or table.empty:
        raise InputError(
            f'no {column} of any window; expected the predictions of a network that was evaluated'
        )
    split = table[schema.CLIP].str.extract(rf'^(?P<video>.+){BETWEEN}(?P<frame>[0-9]+)$')
    if split.isna().any(axis=None):
        clip = table.loc[split.isna().any(axis=1), schema.CLIP].iloc[0]
        raise InputError(f'the clip {clip!r} is no window; expected VIDEO{BETWEEN}FRAME')
    chance = table[column].to_numpy(float).clip(_CERTAIN, 1 - _CERTAIN)
    windows = pd.DataFrame(
        {
            schema.SUBJECT: table[schema.SUBJECT],
            intervals.VIDEO: split['video'],
            'frame': split['frame'].astype(int),
            'score': np.log(chance) - np.log1p(-chance),
        }
    )
    means = windows.groupby([*KEY, 'frame'], sort=True)['score'].mean().reset_index()
    by_video = dict(iter(means.groupby(KEY)))
    rows = dict(zip(intervals.keys(videos), videos.to_dict('records'), strict=True))
    if unknown := sorted(by_video.keys() - rows.keys()):
        raise InputError(
            f'the run has windows of {"/".join(unknown[0])}, which is not among the {len(rows)} videos '
            f'({len(unknown)} such videos); expected the folder of which its dataset was made'
        )
    subjects = {subject for subject, _ in by_video}
    if lacking := sorted(key for key in rows if key[0] not in subjects):
        raise InputError(
            f'the run has no window of {"/".join(lacking[0])}, nor of any video of this subject '
            f'({len(lacking)} such videos of {len(rows)}); expected a run that leaves out every subject '
            'once, no smoke test. Of a subject of whom no window could be made, take the rows away'
        )
    return [
        Scored(
            key,
            row[schema.FRAME_RATE],
            np.interp(np.arange(row[intervals.FRAMES]), by_video[key]['frame'], by_video[key]['score']),
        )
        for key, row in rows.items()
        if key in by_video
    ]


def smoothed(scores: np.ndarray, half: int) -> np.ndarray:
    """The moving mean [F] of scores [F] over `half` frames before and behind; ends are repeated."""
    return ndimage.uniform_filter1d(scores, 2 * half + 1, mode='nearest')


def peaks(means: np.ndarray, half: int, p: float) -> np.ndarray:
    """Frames of the peaks of smoothed scores [F] that are high enough, `half` or more apart, in order."""
    threshold = means.mean() + p * (means.max() - means.mean())
    return signal.find_peaks(means, height=threshold, distance=half)[0]


def frames_of(video: Scored, seconds: float) -> int:
    """Half the length of an interval in frames of a video, 1 or more."""
    return max(1, round(seconds * video.rate))


def _fits(video: Scored, seconds: float) -> bool:
    return 2 * frames_of(video, seconds) + 1 <= len(video.scores)


def found(video: Scored, seconds: float, ps: Sequence[float]) -> list[np.ndarray]:
    """For each p the intervals of a video, [N, 2]: first and last frame.

    Args:
      video: the video.
      seconds: half the length of an interval.
      ps: thresholds.

    Raises:
      InputError: the video is shorter than an interval.
    """
    half = frames_of(video, seconds)
    if not _fits(video, seconds):
        raise InputError(
            f'{"/".join(video.key)} has {len(video.scores)} frames, and an interval takes {2 * half + 1} '
            f'({2 * seconds:.2f} seconds); expected a longer video, or a shorter --half'
        )
    means = smoothed(video.scores, half)
    return [peaks(means, half, p)[:, None] + [-half, half] for p in ps]


@dataclasses.dataclass(frozen=True)
class Spotted:
    """Intervals, and by what they were found.

    Attributes:
      predicted: the intervals, see `intervals`.
      thresholds: `subject`, `p`, `half_seconds`, and `f1_others`, the F1 of the other subjects by which they
        were chosen; NaN as published.
    """

    predicted: pd.DataFrame
    thresholds: pd.DataFrame


def spot(
    videos: Sequence[Scored], truth: pd.DataFrame, *, seconds: float | None = None, as_published: bool = False
) -> Spotted:
    """Finds the intervals of every subject's videos, by what is best for the other subjects.

    Args:
      videos: all of them.
      truth: the true intervals, see `intervals`; those of a subject decide nothing for that subject, nor do
        those of other videos.
      seconds: half the length of intervals; None: the best of `HALVES`.
      as_published: whether p is `AS_PUBLISHED` and the length the mean of all true ones, which `LEAKS`.

    Raises:
      InputError: a subject without another one that has expressions, or a video that is too short.
    """
    there = {video.key for video in videos}
    truth = truth[pd.MultiIndex.from_frame(truth[KEY]).isin(there)]
    subjects = sorted({subject for subject, _ in there})
    chosen = {}
    if as_published:
        chosen = dict.fromkeys(subjects, (mean_half(truth, videos), AS_PUBLISHED, float('nan')))
    else:
        by_half = {half: counts(videos, truth, half, subjects) for half in _halves(videos, seconds)}
        for place, subject in enumerate(subjects):
            others = np.arange(len(subjects)) != place
            chosen[subject] = _best({half: found[others].sum(0) for half, found in by_half.items()}, subject)
    rows = []
    for video in videos:
        half, p, _ = chosen[video.key[0]]
        rows += [[*video.key, *ends, ''] for ends in found(video, half, [p])[0].tolist()]
    thresholds = [[subject, p, half, f1] for subject, (half, p, f1) in chosen.items()]
    columns = [schema.SUBJECT, 'p', 'half_seconds', 'f1_others']
    return Spotted(intervals.of_rows(rows), pd.DataFrame(thresholds, columns=columns))


def mean_half(truth: pd.DataFrame, videos: Sequence[Scored]) -> float:
    """Half the mean length of true expressions, in seconds.

    Raises:
      InputError: there is none.
    """
    if truth.empty:
        raise InputError('there is no true expression, of which the length could be taken; expected some')
    rates = {video.key: video.rate for video in videos}
    lengths = truth[schema.OFFSET] - truth[schema.ONSET] + 1
    seconds = [length / rates[key] for length, key in zip(lengths, intervals.keys(truth), strict=True)]
    return float(np.mean(seconds)) / 2


def counts(
    videos: Sequence[Scored], truth: pd.DataFrame, seconds: float, subjects: Sequence[str]
) -> np.ndarray:
    """[G, P, 3]: of each subject and p what is found, predicted and true; `seconds` is half of a length."""
    ends = truth[intervals.ENDS].to_numpy()
    rows = truth.groupby(intervals.KEY, sort=False).indices
    numbers = np.zeros((len(subjects), len(GRID), 3), int)
    for video in videos:
        own = ends[rows.get(video.key, [])]
        for place, predicted in enumerate(found(video, seconds, GRID)):
            hits = len(metrics.pairs(own, predicted)[0])
            numbers[subjects.index(video.key[0]), place] += [hits, len(predicted), len(own)]
    return numbers


def _halves(videos: Sequence[Scored], seconds: float | None) -> list[float]:
    """What half of a length may be, in seconds: what was given, or what of `HALVES` fits into every video."""
    if seconds is not None:
        return [seconds]
    return [half for half in HALVES if all(_fits(video, half) for video in videos)] or [HALVES[0]]


def _best(by_half: Mapping[float, np.ndarray], subject: str) -> tuple[float, float, float]:
    """Half a length and p with the best F1, and that F1; of equal ones the highest p, with fewest alarms."""
    found = {}
    for half, numbers in by_half.items():
        for p, (hits, predicted, true) in zip(GRID, numbers, strict=True):
            if not true:
                raise InputError(
                    f'no other subject than {subject} has an expression, by which its threshold could be '
                    'chosen; expected two such subjects or more'
                )
            found[half, p] = 2 * hits / (predicted + true)
    best = max(found.values())
    half, p = max((key for key in found if found[key] == best), key=lambda key: (key[1], -key[0]))
    return half, p, float(best)
