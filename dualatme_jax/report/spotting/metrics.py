"""Metrics of spotting, and of spotting and analysis together.

A predicted interval is right if it has at least half of its union with a true one in common, counted in
frames, both ends included (MEGC 2019, Li et al., *Spotting micro-expressions on long videos sequences*). All
videos are counted as one long video. F1 = 2TP / (2TP + FP + FN). STRS (Liong et al., *Spot-then-recognize*,
2023) is F1 of spotting times F1 of analysis, which looks at true positives of spotting alone:
F1_analysis = 2PR / (P + R), where P and R are the means over classes of precision and recall.

Axes: G groups of videos (subjects, or videos where no subject is known), R resamples, K classes.
"""

import collections
import dataclasses

import numpy as np
import pandas as pd
from scipy import optimize

from dualatme_jax import schema
from dualatme_jax.report import scores
from dualatme_jax.report.spotting import intervals

LEAST = 0.5  # of the union of two intervals that they have in common

SPOTTING = ('precision', 'recall', 'f1')
ANALYSIS = ('acc', 'uar', 'uf1', 'precision_analysis', 'recall_analysis', 'f1_analysis', 'strs')
ALARMS = 'false_alarms_an_hour'


@dataclasses.dataclass(frozen=True)
class Matched:
    """Which predicted interval is which true one.

    Attributes:
      truth: rows of the true intervals that were found, by place in their table.
      predicted: that of the predicted interval of each.
      overlap: their intersection over union.
    """

    truth: np.ndarray
    predicted: np.ndarray
    overlap: np.ndarray


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of intervals [N, 2] with others [M, 2] in frames, ends included: [N, M]."""
    first, last = (np.asarray(each, np.int64).reshape(-1, 2) for each in (a, b))
    common = np.minimum(first[:, None, 1], last[None, :, 1]) - np.maximum(first[:, None, 0], last[None, :, 0])
    common = np.maximum(common + 1, 0)
    lengths = [each[:, 1] - each[:, 0] + 1 for each in (first, last)]
    return common / (lengths[0][:, None] + lengths[1][None] - common)


def match(truth: pd.DataFrame, predicted: pd.DataFrame, least: float = LEAST) -> Matched:
    """Pairs true and predicted intervals of the same video, each with one other at the most.

    As many are paired as can be, and of all ways to do so the one with the largest sum of overlaps.

    Args:
      truth: see `intervals`.
      predicted: the same.
      least: overlap that a pair must have.
    """
    found = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    places = predicted.groupby(intervals.KEY, sort=False).indices
    ends = [table[intervals.ENDS].to_numpy() for table in (truth, predicted)]
    for video, rows in truth.groupby(intervals.KEY, sort=False).indices.items():
        others = places.get(video)
        if others is None:
            continue
        left, right, overlap = pairs(ends[0][rows], ends[1][others], least)
        found.append((rows[left], others[right], overlap))
    return Matched(*(np.concatenate(each) for each in zip(*found, strict=True)))


def pairs(a: np.ndarray, b: np.ndarray, least: float = LEAST) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`match` within one video: places in `a` [N, 2] and in `b` [M, 2], and their overlap."""
    both = overlaps(a, b)
    allowed = both >= least
    # One pair more always weighs more than any overlaps.
    weight = np.where(allowed, 1 + both / (1 + min(both.shape)), 0)
    left, right = optimize.linear_sum_assignment(weight, maximize=True)
    kept = allowed[left, right]
    left, right = left[kept], right[kept]
    return left, right, both[left, right]


def score(
    given: intervals.Given,
    *,
    videos: pd.DataFrame | None = None,
    resamples: int = 1000,
    seed: int = 0,
    least: float = LEAST,
) -> dict:
    """Scores predicted intervals, whole, with intervals by the bootstrap over subjects.

    Args:
      given: the true and the predicted intervals, at least one.
      videos: how long each is, see `intervals.read_videos`; for false alarms an hour.
      resamples: draws of the bootstrap.
      seed: of those draws.
      least: overlap from which on a prediction is right.

    Returns:
      `tp`, `fp`, `fn`; metric -> `value` and `interval` (95 % percentile; None with fewer than two groups,
      and of a draw in which there is nothing to divide by, left out) of `SPOTTING`, of `ANALYSIS` where
      emotions are known, and of `ALARMS`; `groups`, what was drawn: subjects or videos, and their number.
    """
    truth, predicted = given.truth, given.predicted
    matched = match(truth, predicted, least)
    by = schema.SUBJECT if (pd.concat([truth, predicted])[schema.SUBJECT] != '').all() else intervals.VIDEO
    groups = [table[by] for table in (truth, predicted, *([] if videos is None else [videos]))]
    codes, names = pd.factorize(pd.concat(groups), sort=True)
    of_truth, of_predicted = codes[: len(truth)], codes[len(truth) : len(truth) + len(predicted)]
    sizes = {'minlength': len(names)}
    hits = np.bincount(of_truth[matched.truth], **sizes)
    counts = {
        'tp': hits,
        'fp': np.bincount(of_predicted, **sizes) - hits,
        'fn': np.bincount(of_truth, **sizes) - hits,
    }
    if videos is not None:
        counts['hours'] = np.bincount(codes[len(truth) + len(predicted) :], videos['hours'], **sizes)
    if (truth[schema.EMOTION] != '').any() and (predicted[schema.EMOTION] != '').any():
        counts['confusion'] = _confusions(truth, predicted, matched, of_truth, len(names))
    once = np.ones((1, len(names)))
    values = {name: float(found[0]) for name, found in _metrics(counts, once).items()}
    drawn = [_metrics(counts, draws) for draws in scores.draws(len(names), resamples, seed)]
    return {
        **{name: int(counts[name].sum()) for name in ('tp', 'fp', 'fn')},
        'groups': {'by': by, 'number': len(names)},
        'metrics': {
            name: {
                'value': None if np.isnan(value) else value,
                'interval': _interval([each[name] for each in drawn]) if len(names) > 1 else None,
            }
            for name, value in values.items()
        },
    }


def alarms_during(given: intervals.Given, happenings: pd.DataFrame, least: float = LEAST) -> dict[str, int]:
    """Counts false alarms by what happens in their frames; `nothing` where nothing does.

    Args:
      given: the true and the predicted intervals.
      happenings: see `intervals.read_happenings`; of several that an alarm meets, the longest part counts.
      least: overlap from which on a prediction is right.
    """
    right = match(given.truth, given.predicted, least).predicted
    alarms = given.predicted.drop(index=given.predicted.index[right])
    found = collections.Counter()
    for video, rows in alarms.groupby(intervals.KEY):
        own = happenings[(happenings[intervals.KEY] == list(video)).all(axis=1)]
        for onset, offset in rows[intervals.ENDS].to_numpy():
            common = own[schema.OFFSET].clip(upper=offset) - own[schema.ONSET].clip(lower=onset) + 1
            met = common.max() > 0
            found[own.loc[common.idxmax(), intervals.KIND] if met else 'nothing'] += 1
    return dict(found.most_common())


def _confusions(
    truth: pd.DataFrame, predicted: pd.DataFrame, matched: Matched, of_truth: np.ndarray, groups: int
) -> np.ndarray:
    """Counts of true and predicted emotions of what was found, [G, K, K], rows the truth.

    K are the classes that occur in either table, so that a class which was never found has no recall.
    """
    emotions = pd.concat([truth[schema.EMOTION], predicted[schema.EMOTION]]).str.lower()
    codes, names = pd.factorize(emotions, sort=True)
    found = np.zeros((groups, len(names), len(names)), int)
    place = (
        of_truth[matched.truth],
        codes[: len(truth)][matched.truth],
        codes[len(truth) :][matched.predicted],
    )
    np.add.at(found, place, 1)
    return found


def _metrics(counts: dict[str, np.ndarray], draws: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of each draw of groups, [R, G] as how often each was drawn; NaN where nothing was found."""
    tp, fp, fn = (draws @ counts[name] for name in ('tp', 'fp', 'fn'))
    found = {
        'precision': _ratio(tp, tp + fp),
        'recall': _ratio(tp, tp + fn),
        'f1': _ratio(2 * tp, 2 * tp + fp + fn),
    }
    if 'hours' in counts:
        found[ALARMS] = _ratio(fp, draws @ counts['hours'])
    if 'confusion' in counts:
        confusion = np.einsum('rg,gkl->rkl', draws, counts['confusion'])
        found |= analysis(confusion)
        found['strs'] = np.nan_to_num(found['f1']) * np.nan_to_num(found['f1_analysis'])
    return found


def analysis(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics of emotions of what was found, by confusion matrices [..., K, K], rows the truth.

    A class that no found interval has or was given is left out of all means, one that none has is left out
    of the recall, and one that none was given has precision 0: as scikit-learn with `zero_division=0` on the
    classes that occur.
    """
    right = np.diagonal(confusion, axis1=-2, axis2=-1).astype(float)
    had, given = confusion.sum(-1), confusion.sum(-2)
    occurs = (had + given) > 0

    def mean(part: np.ndarray, whole: np.ndarray, over: np.ndarray) -> np.ndarray:
        return _ratio((part / np.where(whole > 0, whole, 1) * over).sum(-1), over.sum(-1))

    precision, recall = mean(right, given, occurs), mean(right, had, occurs)
    return {
        'acc': _ratio(right.sum(-1), had.sum(-1)),
        'precision_analysis': precision,
        'recall_analysis': recall,
        'f1_analysis': _ratio(2 * precision * recall, precision + recall),
        'uf1': mean(2 * right, had + given, occurs),
        'uar': mean(right, had, had > 0),
    }


def by_public_tool(truth: pd.DataFrame, predicted: pd.DataFrame, least: float = LEAST) -> dict[str, float]:
    """What the public STRS-Metric gives for the same tables, under its own names.

    It differs from `score`: a prediction may claim several true intervals; it looks only at subjects that
    have predictions, and at videos that have true intervals, so that false alarms elsewhere and misses of
    silent subjects are not counted; classes that nothing was found of count as 0; and its UAR is the mean
    precision.
    """
    classes = sorted({*truth[schema.EMOTION], *predicted[schema.EMOTION]})  # of what is not looked at too
    subjects = {*predicted[schema.SUBJECT]}
    truth = truth[truth[schema.SUBJECT].isin(subjects)].reset_index(drop=True)
    videos = pd.MultiIndex.from_frame(truth[intervals.KEY])
    predicted = predicted[pd.MultiIndex.from_frame(predicted[intervals.KEY]).isin(videos)]
    emotions = [table[schema.EMOTION].map(classes.index).tolist() for table in (truth, predicted)]
    places = truth.groupby(intervals.KEY, sort=False).indices
    claimed, pairs, false = set(), [], 0
    ends = truth[intervals.ENDS].to_numpy()
    for number, row in enumerate(predicted.itertuples(index=False)):
        rows = places[(row.subject, row.video)]
        enough = overlaps(ends[rows], [[row.onset, row.offset]])[:, 0] >= least
        own = [place for place in rows[enough].tolist() if place not in claimed]
        claimed |= {*own}
        pairs += [(place, number) for place in own]
        false += not own
    tp, fn = len(pairs), len(truth) - len(claimed)
    confusion = np.zeros((len(classes), len(classes)))
    for place, number in pairs:
        confusion[emotions[0][place], emotions[1][number]] += 1
    right = np.diagonal(confusion)
    precision = _ratio(right, confusion.sum(0), 0.0)
    recall = _ratio(right, confusion.sum(1), 0.0)
    f1 = _ratio(2 * precision * recall, precision + recall, 0.0)
    p, r = (float(each.mean()) for each in (precision, recall))
    spotting = float(_ratio(2 * tp, 2 * tp + false + fn, 0.0))
    together = 2 * p * r / (p + r) if p + r else 0.0
    return {
        'STRS': spotting * together,
        'TP spotting': tp,
        'FP spotting': false,
        'FN spotting': fn,
        'F1-score spotting': spotting,
        'Precision analysis': p,
        'Recall analysis': r,
        'F1-score analysis': together,
        'UF1 analysis': float(f1.mean()),
        'UAR analysis': p,
    }


def _ratio(part: np.ndarray, whole: np.ndarray, empty: float = np.nan) -> np.ndarray:
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, empty), where=whole > 0)


def _interval(blocks: list[np.ndarray]) -> list[float] | None:
    drawn = np.concatenate(blocks)
    drawn = drawn[~np.isnan(drawn)]
    return scores.percentiles(drawn) if len(drawn) else None
