"""Acc, UAR and UF1 on predictions pooled over folds, their spread over seeds and subjects.

Acc is the share of clips that are right, UAR the mean of the classes' recalls, UF1 the mean of the
classes' F1 = 2TP / (2TP + FP + FN) (MEGC2019, See et al. 2019). All three are in [0, 1].

A class that no clip has is left out of UAR; one that is neither had nor predicted is left out of UF1
(scikit-learn's default). On complete data both are means over all of the dataset's classes.

Axes: N seeds, S subjects, R resamples, K classes.
"""

import numpy as np
import pandas as pd
from sklearn import metrics

from dualatme_jax import schema
from dualatme_jax.report import predictions

METRICS = ('acc', 'uar', 'uf1')
INTERVAL = 0.95

_SUBJECT_KEY = [schema.DATABASE, schema.SUBJECT]


def score(table: pd.DataFrame) -> dict[str, float]:
    """The metrics of one set of predictions, pooled over its folds: `{'acc', 'uar', 'uf1'}`."""
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
      than two subjects); `per_seed`: a dict a seed with `seed` and set -> metric -> score.

    Raises:
      ValueError: a clip is missing from a seed or stands in it twice.
    """
    seeds = table['seed'].nunique()
    occurrences = table.groupby(predictions.CLIP_KEY)['seed'].agg(['nunique', 'size'])
    if (occurrences != seeds).any(axis=None):
        raise ValueError('each seed must hold the same clips once; select one hyperparameter point first')
    per_seed = [
        {'seed': int(number)} | {name: score(part) for name, part in predictions.subsets(rows).items()}
        for number, rows in table.groupby('seed')
    ]
    scores = {}
    for name, rows in predictions.subsets(table).items():
        intervals = _intervals(rows, resamples, seed)
        of_seeds = [entry[name] for entry in per_seed]
        scores[name] = {
            metric: _spread([values[metric] for values in of_seeds]) | {'interval': intervals[metric]}
            for metric in METRICS
        }
    return {'scores': scores, 'per_seed': per_seed}


def subject_confusions(table: pd.DataFrame) -> np.ndarray:
    """Each subject's confusion matrix in each seed: counts [N, S, K, K], rows the ground truth.

    K goes as far as classes occur: further ones would change no metric.
    """
    seeds = table['seed'].rank(method='dense').astype(int) - 1
    subjects = table.groupby(_SUBJECT_KEY).ngroup()
    truth, prediction = table[schema.LABEL], table['prediction']
    classes = max(truth.max(), prediction.max()) + 1
    confusions = np.zeros((seeds.max() + 1, subjects.max() + 1, classes, classes), int)
    np.add.at(confusions, (seeds, subjects, truth, prediction), 1)
    return confusions


def score_confusions(confusions: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of confusion matrices: counts [..., K, K] -> metric -> [...]; equal to `score`'s."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    had, predicted = confusions.sum(-1), confusions.sum(-2)
    return {
        'acc': right.sum(-1) / had.sum(-1),
        'uar': _mean_ratio(right, had),
        'uf1': _mean_ratio(2 * right, had + predicted),
    }


def _mean_ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Mean over the classes [..., K] of part / whole, without the classes whose whole is zero."""
    occurs = whole > 0
    return (part / np.where(occurs, whole, 1)).sum(-1) / occurs.sum(-1)


def _intervals(table: pd.DataFrame, resamples: int, seed: int) -> dict[str, list[float] | None]:
    """Percentile bootstrap over subjects of each metric's mean over seeds.

    A draw takes S subjects with replacement and is the same for all seeds; it is held as the number of
    times that each subject was drawn.
    """
    confusions = subject_confusions(table)
    subjects = confusions.shape[1]
    if subjects < 2:
        return dict.fromkeys(METRICS)
    draws = np.random.default_rng(seed).multinomial(subjects, np.full(subjects, 1 / subjects), size=resamples)
    resampled = np.einsum('rs,nsij->rnij', draws, confusions)
    tail = 100 * (1 - INTERVAL) / 2
    return {
        metric: np.percentile(values.mean(axis=1), [tail, 100 - tail]).tolist()
        for metric, values in score_confusions(resampled).items()
    }


def _spread(values: list[float]) -> dict[str, float | None]:
    return {'mean': float(np.mean(values)), 'sd': float(np.std(values, ddof=1)) if len(values) > 1 else None}
