"""Intervals from what a network says of the windows of a video, as SOFTNet and MEAN have it.

The score of a frame is the moving mean of those around it. Peaks above mean + p (most - mean) of a video are
expressions, each as long as expressions are on average: from `half` before its peak to `half` behind it. Both
papers chose p = .55 by the test results, and the length by all subjects; here both are found for each subject
by the other ones.

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
from dualatme_jax.report.spotting.intervals import ENDS, KEY

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
    is trained by squares, they are 2s - 1. Between two windows it is drawn as a line.

    Args:
      table: predictions of a run, see `report.predictions`.
      labels: its classes.
      videos: every video, see `intervals.read_videos`.

    Raises:
      InputError: the run is none on windows, or has other videos than `videos`.
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
    rows = dict(zip(_keys(videos), videos.to_dict('records'), strict=True))
    if unknown := sorted(by_video.keys() - rows.keys()):
        raise InputError(
            f'the run has windows of {"/".join(unknown[0])}, which is not among the {len(rows)} videos '
            f'({len(unknown)} such videos); expected the folder of which its dataset was made'
        )
    if lacking := sorted(rows.keys() - by_video.keys()):
        raise InputError(
            f'the run has no window of {"/".join(lacking[0])} ({len(lacking)} such videos of {len(rows)}); '
            'expected predictions for all of them: a run that leaves out every subject once, no smoke test'
        )
    return [
        Scored(
            key,
            row[schema.FRAME_RATE],
            np.interp(np.arange(row[intervals.FRAMES]), by_video[key]['frame'], by_video[key]['score']),
        )
        for key, row in rows.items()
    ]


def smoothed(scores: np.ndarray, half: int) -> np.ndarray:
    """The moving mean [F] of scores [F] over `half` frames before and behind; ends are repeated."""
    return ndimage.uniform_filter1d(scores, 2 * half + 1, mode='nearest')


def peaks(scores: np.ndarray, half: int, p: float) -> np.ndarray:
    """Frames of the peaks of scores [F] that are high enough, `half` or more apart, in order."""
    means = smoothed(scores, half)
    threshold = means.mean() + p * (means.max() - means.mean())
    return signal.find_peaks(means, height=threshold, distance=max(1, half))[0]


def length_of(video: Scored, seconds: float) -> int:
    """Half the length of an interval in frames, 1 or more, of half its length in seconds.

    Raises:
      InputError: the video is shorter than an interval.
    """
    half = max(1, round(seconds * video.rate))
    if 2 * half + 1 > len(video.scores):
        raise InputError(
            f'{"/".join(video.key)} has {len(video.scores)} frames, and an interval takes {2 * half + 1} '
            f'({2 * seconds:.2f} seconds); expected a longer video, or a shorter --half'
        )
    return half


def found(videos: Sequence[Scored], seconds: float, p: float) -> pd.DataFrame:
    """The intervals of some videos, see `intervals`; `seconds` is half of their length."""
    rows = []
    for video in videos:
        half = length_of(video, seconds)
        rows += [[*video.key, peak - half, peak + half, ''] for peak in peaks(video.scores, half, p)]
    return intervals.of_rows(rows)


def half_of(truth: pd.DataFrame, videos: Sequence[Scored]) -> float:
    """Half the mean length of true expressions, in seconds."""
    rates = {video.key: video.rate for video in videos}
    lengths = [
        (offset - onset + 1) / rates[key]
        for key, (onset, offset) in zip(_keys(truth), truth[ENDS].to_numpy(), strict=True)
    ]
    return float(np.mean(lengths)) / 2


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
      truth: the true intervals, see `intervals`; those of a subject decide nothing for that subject.
      seconds: half the length of intervals; None: half the mean length of the other subjects' expressions.
      as_published: whether p is `AS_PUBLISHED` and the length that of all subjects, which `LEAKS`.

    Raises:
      InputError: a subject without another one that has expressions, or a video that is too short.
    """
    subjects = sorted({video.key[0] for video in videos})
    counted: dict[float, Mapping[str, np.ndarray]] = {}
    rows, parts = [], []
    for subject in subjects:
        own = [video for video in videos if video.key[0] == subject]
        others = truth if as_published else truth[truth[schema.SUBJECT] != subject]
        if others.empty:
            raise InputError(
                f'no other subject than {subject} has an expression, by which its threshold could be chosen; '
                'expected two such subjects or more'
            )
        half = half_of(others, videos) if seconds is None else seconds
        if as_published:
            p, f1 = AS_PUBLISHED, float('nan')
        else:
            if half not in counted:
                counted[half] = {p: counts(videos, truth, half, p, subjects) for p in GRID}
            p, f1 = _best(counted[half], [subjects.index(other) for other in subjects if other != subject])
        rows.append([subject, p, half, f1])
        parts.append(found(own, half, p))
    columns = [schema.SUBJECT, 'p', 'half_seconds', 'f1_others']
    return Spotted(pd.concat(parts, ignore_index=True), pd.DataFrame(rows, columns=columns))


def counts(
    videos: Sequence[Scored], truth: pd.DataFrame, seconds: float, p: float, subjects: Sequence[str]
) -> np.ndarray:
    """[G, 3]: of each subject the expressions that are found, all that are predicted, all that are true."""
    predicted = found(videos, seconds, p)
    hits = truth.iloc[metrics.match(truth, predicted).truth]
    numbers = [table[schema.SUBJECT].value_counts() for table in (hits, predicted, truth)]
    return np.stack([each.reindex(subjects, fill_value=0).to_numpy() for each in numbers], -1)


def _best(by_p: Mapping[float, np.ndarray], others: Sequence[int]) -> tuple[float, float]:
    """The p with the best F1 of some subjects, and that F1; of equal ones the highest, with fewest alarms."""
    f1 = {}
    for p, numbers in by_p.items():
        hits, predicted, true = numbers[others].sum(0)
        f1[p] = 2 * hits / (predicted + true)
    best = max(f1.values())
    return max(p for p in f1 if f1[p] == best), float(best)


def _keys(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(table[KEY].itertuples(index=False, name=None))
