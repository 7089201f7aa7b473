"""Acc, UAR and UF1 on predictions pooled over folds, their spread over seeds and subjects.

Acc is the share of clips that are right, UAR the mean of the classes' recalls, UF1 the mean of the
classes' F1 = 2TP / (2TP + FP + FN) (MEGC2019, See et al. 2019). All three are in [0, 1].

A class that no clip has is left out of UAR; one that is neither had nor predicted is left out of UF1
(scikit-learn's default). On complete data both are means over all of the dataset's classes.

Axes: N seeds, S subjects, R resamples, K classes.
"""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions

METRICS = ('acc', 'uar', 'uf1')
INTERVAL = 0.95
SWAPS = 10_000  # draws of the randomisation test, unless all there are are fewer

_FEW = 100  # swaps that are scored before it is asked whether more are needed
_BLOCK = 1000  # draws that are scored at once, so that any number of them takes the same memory


def check_resamples(resamples: int, option: str) -> None:
    """Raises InputError for more draws of the bootstrap than anybody waits for, or none."""
    if not 1 <= resamples <= schema.MOST_RESAMPLES:
        raise InputError(f'{option} is {resamples}; expected 1 to {schema.MOST_RESAMPLES}: 1000 are usual')


def score(table: pd.DataFrame) -> dict[str, float]:
    """The metrics of one set of predictions, pooled over its folds: `{'acc', 'uar', 'uf1'}`."""
    from sklearn import metrics  # a second, which no training waits for: `experiment` imports it beside

    truth, prediction = table[schema.LABEL], table['prediction']
    return {
        'acc': float(metrics.accuracy_score(truth, prediction)),
        'uar': float(metrics.recall_score(truth, prediction, labels=np.unique(truth), average='macro')),
        'uf1': float(metrics.f1_score(truth, prediction, average='macro')),
    }


def score_run(table: pd.DataFrame, *, resamples: int = 1000, seed: int = 0) -> dict:
    """Scores one point's predictions for the whole set and each database.

    Args:
      table: predictions of one hyperparameter point, each seed over the same clips.
      resamples: draws of the bootstrap over subjects.
      seed: of those draws.

    Returns:
      What `results.json` holds, without NaN: `scores`: set -> metric -> `mean`, `sd` over seeds (of the
      sample; None with one seed) and `interval` (95% percentile bootstrap of the mean; None with fewer
      than two subjects); `per_seed`: one dict per seed with `seed` and set -> metric -> score.

    Raises:
      ValueError: a clip is missing from a seed or stands in it twice.
    """
    seeds = table['seed'].nunique()
    occurrences = table.groupby(predictions.CLIP_KEY)['seed'].agg(['nunique', 'size'])
    if (occurrences != seeds).any(axis=None):
        raise ValueError('each seed must hold the same clips once; select one hyperparameter point first')
    per_seed = [{'seed': int(number)} for number in sorted(table['seed'].unique())]
    scores = {}
    for name, rows in predictions.subsets(table).items():
        confusions = subject_confusions(rows)
        of_seeds = {metric: own.tolist() for metric, own in score_confusions(confusions.sum(1)).items()}
        for place, entry in enumerate(per_seed):
            entry[name] = {metric: own[place] for metric, own in of_seeds.items()}
        intervals = _intervals(confusions, resamples, seed)
        scores[name] = {
            metric: spread(of_seeds[metric]) | {'interval': intervals[metric]} for metric in METRICS
        }
    return {'scores': scores, 'per_seed': per_seed}


def paired(a: pd.DataFrame, b: pd.DataFrame, *, resamples: int = 1000, seed: int = 0) -> dict[str, dict]:
    """Compares two systems on the same clips: a's score minus b's, each the mean over seeds.

    The interval is the bootstrap over subjects of the difference, with the same draws for both. The test
    asks how often a difference as large, of either sign, arises when chance decides for each subject which
    system made which of the two sets of predictions (in all seeds at once, since a subject's clips are not
    independent of each other): approximate randomisation, Noreen 1989, in all 2^S ways where
    these are no more than `SWAPS`, in `SWAPS` random ones otherwise.

    Args:
      a: predictions of one hyperparameter point.
      b: those of another, over the same clips and seeds.
      resamples: draws of the bootstrap.
      seed: of those draws and of the test's.

    Returns:
      metric -> `difference`, `interval` (95% percentile; None with fewer than two subjects) and `p`.

    Raises:
      ValueError: the two do not hold the same clips with the same ground truth in the same seeds.
    """
    keys = ['seed', *predictions.CLIP_KEY, schema.LABEL]
    of_a, of_b = (table[keys].sort_values(keys, ignore_index=True) for table in (a, b))
    if not of_a.equals(of_b):
        raise ValueError('the two systems must be scored on the same clips in the same seeds')
    classes = 1 + max(table[[schema.LABEL, 'prediction']].max(axis=None) for table in (a, b))
    confusions = [subject_confusions(table, classes) for table in (a, b)]
    subjects = confusions[0].shape[1]

    tested = swap_test(*confusions, swaps(subjects, seed))
    counts = [_counts(each) for each in confusions]
    drawn = _joined(
        _difference(*(_resampled(draws, each) for each in counts))
        for draws in draws(subjects, resamples, seed)
    )
    return {
        metric: {
            'difference': tested[metric][0],
            'interval': percentiles(drawn[metric]) if subjects > 1 else None,
            'p': tested[metric][1],
        }
        for metric in METRICS
    }


def swap_test(a: np.ndarray, b: np.ndarray, ways: np.ndarray) -> dict[str, tuple[float, float]]:
    """The test of `paired`: metric -> a's score minus b's, the mean over seeds, and its p.

    Args:
      a: counts [N, S, K, K] of one system, see `subject_confusions`.
      b: those of another, of the same subjects and seeds.
      ways: [R, S], see `swaps`.
    """
    a, b = _counts(a), _counts(b)
    of_a, of_b = (each.sum(-1, keepdims=True).astype(float) for each in (a, b))
    observed = _difference(of_a, of_b)
    # What a swap takes from one system it gives to the other; sums of whole numbers are exact.
    moved = (_resampled(some, b - a) for some in np.array_split(ways, -(-len(ways) // _BLOCK)))
    swapped = _joined(_difference(of_a + each, of_b - each) for each in moved)
    return {
        metric: (float(observed[metric][0]), _p(swapped[metric], observed[metric][0])) for metric in METRICS
    }


def is_significant(a: np.ndarray, b: np.ndarray, ways: np.ndarray, metric: str, level: float) -> bool:
    """Whether `swap_test` finds p <= level; it stops as soon as no further swap could change that."""
    a, b = _counts(a), _counts(b)
    of_a, of_b = (each.sum(-1, keepdims=True).astype(float) for each in (a, b))
    as_large, observed, moving = 0, _difference(of_a, of_b)[metric][0], b - a
    for some in np.array_split(ways, -(-len(ways) // _FEW)):
        moved = _resampled(some, moving)
        as_large += _as_large(_difference(of_a + moved, of_b - moved)[metric], observed)
        if (1 + as_large) / (1 + len(ways)) > level:
            return False
    return True


def subject_confusions(table: pd.DataFrame, classes: int | None = None) -> np.ndarray:
    """Each subject's confusion matrix in each seed: counts [N, S, K, K], rows the ground truth.

    K is `classes`; by default it goes as far as classes occur: further ones would change no metric.
    """
    seeds = table['seed'].rank(method='dense').astype(int) - 1
    subjects = table.groupby(predictions.SUBJECT_KEY).ngroup()
    truth, prediction = table[schema.LABEL], table['prediction']
    classes = classes or max(truth.max(), prediction.max()) + 1
    confusions = np.zeros((seeds.max() + 1, subjects.max() + 1, classes, classes), int)
    np.add.at(confusions, (seeds, subjects, truth, prediction), 1)
    return confusions


def score_confusions(confusions: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of confusion matrices: counts [..., K, K] -> metric -> [...]; equal to `score`'s."""
    return _score_counts(_counts(confusions))


def _counts(confusions: np.ndarray) -> np.ndarray:
    """All that the metrics need of confusion matrices [..., K, K]: [3, K, ...], see `_score_counts`."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    return np.moveaxis(np.stack([right, confusions.sum(-1), confusions.sum(-2)]), -1, 1)


def _score_counts(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Of each class how many clips are right, have it, are predicted as it: [3, K, ...] -> metric -> [...].

    Classes stand first because sums over a first axis are quick.
    """
    right, had, predicted = counts
    return {
        'acc': right.sum(0) / had.sum(0),
        'uar': _mean_ratio(right, had),
        'uf1': _mean_ratio(2 * right, had + predicted),
    }


def _mean_ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Mean over the classes [K, ...] of part / whole, without the classes whose whole is zero."""
    occurs = whole > 0
    return (part / np.where(occurs, whole, 1)).sum(0) / occurs.sum(0)


def _intervals(confusions: np.ndarray, resamples: int, seed: int) -> dict[str, list[float] | None]:
    """Percentile bootstrap over subjects of each metric's mean over seeds; counts [N, S, K, K]."""
    subjects = confusions.shape[1]
    if subjects < 2:
        return dict.fromkeys(METRICS)
    counts = _counts(confusions)
    drawn = _joined(_means(_resampled(draws, counts)) for draws in draws(subjects, resamples, seed))
    return {metric: percentiles(values) for metric, values in drawn.items()}


def draws(subjects: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draws of S subjects with replacement, as how often each was drawn; the same for all seeds.

    Yields [R, S] in blocks of a few R, which together are what one block of all would be.
    """
    random, chances = np.random.default_rng(seed), np.full(subjects, 1 / subjects)
    for start in range(0, resamples, _BLOCK):
        yield random.multinomial(subjects, chances, size=min(_BLOCK, resamples - start))


def _joined(blocks: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Metric -> [R], of blocks of a few R."""
    found = list(blocks)
    return {metric: np.concatenate([block[metric] for block in found]) for metric in METRICS}


def _means(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Counts [3, K, N, R] -> metric -> [R], the mean over seeds."""
    return {metric: values.mean(axis=0) for metric, values in _score_counts(counts).items()}


def _resampled(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums over subjects: weights [R, S], counts [3, K, N, S] -> [3, K, N, R], whole numbers as floats."""
    # Floats, for which NumPy has a fast matrix product; their sums of whole numbers are exact.
    return np.tensordot(counts.astype(float), weights.astype(float), axes=(-1, 1))


def percentiles(values: np.ndarray) -> list[float]:
    """The interval that holds `INTERVAL` of some draws, [R]."""
    tail = 100 * (1 - INTERVAL) / 2
    return np.percentile(values, [tail, 100 - tail]).tolist()


def _difference(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Counts [3, K, N, R] of two systems -> metric -> [R], the difference of the means over seeds."""
    of_a, of_b = _means(a), _means(b)
    return {metric: of_a[metric] - of_b[metric] for metric in METRICS}


def swaps(subjects: int, seed: int, most: int = SWAPS) -> np.ndarray:
    """[R, S], 1 where a subject's predictions change sides: every way but that of changing none, or draws."""
    if 2**subjects <= most:
        return np.array(list(itertools.product((0, 1), repeat=subjects)))[1:]
    return np.random.default_rng(seed).integers(2, size=(most, subjects))


def _p(swapped: np.ndarray, observed: float) -> float:
    return (1 + _as_large(swapped, observed)) / (1 + len(swapped))


def _as_large(swapped: np.ndarray, observed: float) -> int:
    """How many differences are as large; those that are equal but for rounding count as equal."""
    return int(np.count_nonzero(np.abs(swapped) >= abs(observed) - 1e-12))


def spread(values: list[float]) -> dict[str, float | None]:
    """The mean over seeds, and the standard deviation of the sample; None of one seed."""
    return {'mean': float(np.mean(values)), 'sd': float(np.std(values, ddof=1)) if len(values) > 1 else None}
