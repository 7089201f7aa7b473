"""How large a difference of two systems must be for a test with some number of subjects to show it.

A family of pairs of systems is made from the predictions of two that were observed. For each subject chance
decides which of the two made which predictions: then both are equally good, and as correlated as they are.
Then each clip that the first one gets wrong is right with probability q, in all seeds: the larger q is, the
larger is the true difference. Experiments are drawn from the family, subjects with replacement, and the
power is the share of them in which the paired test of `scores` finds p <= .05.

What the family assumes: subjects are a sample, errors are mended by chance and not by subject, and nothing is
unlearnt for it. Differences that come in clusters are harder to show.

Axes: N seeds, C clips, S subjects, K classes.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import optimize

from dualatme_jax.report import bounds, predictions, scores

DIFFERENCES = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15)
LEVEL, GOAL = 0.05, 0.8  # p that counts as significant; power that is usually asked for
DRAWS = 200  # experiments per difference: the power's standard error is .035 at most
SWAPS = 999  # ways of the test in each experiment: 10,000 give nearly the same p


def curve(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    differences: Iterable[float] = DIFFERENCES,
    metric: str = 'uf1',
    subjects: int = 0,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """The power of the paired test at some true differences.

    Args:
      a: predictions of one point.
      b: those of another, over the same clips and seeds.
      differences: of the metric; those that no mending of errors can reach are left out.
      metric: one of `scores.METRICS`.
      subjects: of an experiment; 0: as many as there are.
      draws: experiments for each difference, the same subjects for all of them.
      seed: of the draws.

    Returns:
      One row per difference: `subjects`, `difference`, `mended` (the probability q), `power`.
    """
    label, predicted = bounds.arrays({'a': a, 'b': b})
    order = a.drop_duplicates(predictions.CLIP_KEY).sort_values(predictions.CLIP_KEY)
    person = order.groupby(predictions.SUBJECT_KEY).ngroup().to_numpy()
    family = _Family(label, person, predicted['a'], predicted['b'])
    mended = {d: q for d in differences if (q := family.mended(d, metric)) is not None}
    size = subjects or int(person.max()) + 1
    ways = scores.swaps(size, seed, SWAPS)
    found = np.zeros((draws, len(mended)), bool)
    for number in range(draws):
        for place, pair in enumerate(family.drawn(size, list(mended.values()), [seed, number])):
            found[number, place] = scores.is_significant(*pair, ways, metric, LEVEL)
    return pd.DataFrame(
        {'subjects': size, 'difference': mended.keys(), 'mended': mended.values(), 'power': found.mean(0)}
    )


def shown(found: pd.DataFrame, goal: float = GOAL) -> float:
    """The least difference that reaches the power `goal`, interpolated; NaN if no row of `curve` does."""
    power = np.maximum.accumulate(found['power'].to_numpy())
    if power[-1] < goal:
        return float('nan')
    place = int(np.argmax(power >= goal))
    if place == 0:
        return float(found['difference'].iloc[0])
    ends = slice(place - 1, place + 1)
    return float(np.interp(goal, power[ends], found['difference'].iloc[ends]))


class _Family:
    """Pairs of systems like two that were observed, see above.

    Args:
      label: [C].
      person: [C], from 0.
      a: [N, C], predictions of one.
      b: [N, C], of the other.
    """

    def __init__(self, label: np.ndarray, person: np.ndarray, a: np.ndarray, b: np.ndarray):
        self._label, self._both = label, np.stack([a, b])
        self._classes = 1 + int(max(label.max(), self._both.max()))
        self._clips = [np.flatnonzero(person == each) for each in range(person.max() + 1)]

    def mended(self, difference: float, metric: str) -> float | None:
        """The q that makes a true difference; None if none does."""
        counts = np.stack([self._confusions(own, np.zeros_like(self._label), 1) for own in self._both]).mean(
            0
        )
        counts = counts[:, 0]  # [N, K, K], of both systems on average
        right = np.eye(self._classes) * counts.sum(-1, keepdims=True)

        def above(q: float) -> float:
            of_a, of_b = (
                scores.score_confusions(each)[metric] for each in ((1 - q) * counts + q * right, counts)
            )
            return float((of_a - of_b).mean()) - difference

        if above(0) >= 0:
            return 0.0
        return float(optimize.brentq(above, 0, 1)) if above(1) >= 0 else None

    def drawn(
        self, subjects: int, mended: list[float], seed: list[int]
    ) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """Yields for each q the confusions [N, S, K, K] of both systems in one experiment."""
        random = np.random.default_rng(seed)
        who = random.integers(len(self._clips), size=subjects)
        exchanged = random.integers(2, size=subjects)
        clips = np.concatenate([self._clips[each] for each in who])
        place = np.repeat(np.arange(subjects), [len(self._clips[each]) for each in who])
        chance = random.random(len(clips))
        label, side = self._label[clips], exchanged[place]
        a, b = (np.where(side == own, self._both[0][:, clips], self._both[1][:, clips]) for own in (0, 1))
        other = self._confusions(b, place, subjects, label)
        for q in mended:
            yield self._confusions(np.where(chance < q, label, a), place, subjects, label), other

    def _confusions(
        self, predicted: np.ndarray, place: np.ndarray, subjects: int, label: np.ndarray | None = None
    ) -> np.ndarray:
        """Counts [N, S, K, K] of predictions [N, C] of people who are numbered [C] from 0."""
        label = self._label if label is None else label
        shape = len(predicted), subjects, self._classes, self._classes
        seeds = np.arange(len(predicted))[:, None]
        index = np.ravel_multi_index((seeds, place, label, predicted), shape)
        return np.bincount(index.ravel(), minlength=np.prod(shape)).reshape(shape)
