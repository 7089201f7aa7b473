"""The floor: a guesser that looks at no clip and draws each clip's class from the class prior.

Keeping its best draw of each fold shows what selection on the test subject gives for nothing:
on the 442 clips of MEGC2019-CD, one subject left out, its UF1 rises from a third to .82 with 800 draws each.

Axes: R draws, C clips that one fold leaves out, K classes.
"""

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions, scores


def floor(truth: pd.DataFrame, best_of: int = 1, *, draws: int = 1000, seed: int = 0) -> dict:
    """Scores the guesser, pooled over folds as any system.

    Each clip's class is drawn from the shares of the classes among the clips that its fold does not leave
    out, which is what a fold may know. That is done `best_of` times, and each fold keeps the draw with the
    best accuracy on the clips that it leaves out: with 1 an honest guesser, with more one that selects on the
    test as `selection.best_on_test` does from so many epochs.

    Args:
      truth: predictions, of which the clips, labels and `left_out` count.
      best_of: guesses of which a fold keeps the best, 1 or more; any number takes the same time.
      draws: how often all this is repeated.
      seed: of the draws.

    Returns:
      The form of `scores.score_run`'s `scores`, over draws instead of seeds: set -> metric -> `mean`, `sd`
      and `interval`, in which 95% of the draws lie.

    Raises:
      InputError: there is one fold only, or no guess to keep.
    """
    if best_of < 1:
        raise InputError(f'the best of {best_of} guesses; expected 1 or more')
    truth = truth.drop_duplicates(predictions.CLIP_KEY)
    classes = int(truth[schema.LABEL].max()) + 1
    total = np.bincount(truth[schema.LABEL], minlength=classes)
    random = np.random.default_rng(seed)
    confusions = {name: np.zeros((draws, classes, classes), int) for name in predictions.subsets(truth)}
    for _, rows in truth.groupby(schema.LEFT_OUT):
        labels = rows[schema.LABEL].to_numpy()
        others = total - np.bincount(labels, minlength=classes)
        if not others.sum():
            raise InputError(
                'all clips are left out by one fold; expected two or more, so that others are trained on'
            )
        guesses = _kept_guesses(labels, others / others.sum(), best_of, draws, random)
        for database, label, guess in zip(rows[schema.DATABASE], labels, guesses, strict=True):
            for name in (schema.FULL, database):
                confusions[name][np.arange(draws), label, guess] += 1
    return {
        name: {metric: _spread(values) for metric, values in scores.score_confusions(counts).items()}
        for name, counts in confusions.items()
    }


def _kept_guesses(
    labels: np.ndarray, prior: np.ndarray, best_of: int, draws: int, random: np.random.Generator
) -> np.ndarray:
    """The guesses [C, R] of one fold's clips in the most accurate of `best_of` guesses.

    The guesses that are not kept are never drawn. How many clips are right in the best of E independent
    guesses has the distribution function F^E, F that of one guess; and given how many are right, which ones
    are and what the wrong ones say does not depend on the other guesses.
    """
    chance = prior[labels]
    # How likely it is that so many [0..C] of the clips from some clip on are right: [C + 1, 0..C].
    tail = np.zeros((len(labels) + 1, len(labels) + 1))
    tail[-1, 0] = 1
    for clip in reversed(range(len(labels))):
        tail[clip] = (1 - chance[clip]) * tail[clip + 1]
        tail[clip, 1:] += chance[clip] * tail[clip + 1, :-1]
    most = np.flatnonzero(tail[0])[-1]  # rounding of the sum must not lead beyond what can be
    left = np.searchsorted(tail[0].cumsum(), random.random(draws) ** (1 / best_of)).clip(max=most)
    guesses = np.empty((len(labels), draws), int)
    for clip, label in enumerate(labels):
        right_then = np.where(left > 0, tail[clip + 1, left - 1], 0)
        right = random.random(draws) * tail[clip, left] < chance[clip] * right_then
        guesses[clip] = np.where(right, label, _wrong(label, prior, draws, random))
        left = left - right
    return guesses


def _wrong(label: int, prior: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """Draws [R] from the prior without the class `label`; that class where there is no other."""
    others = prior.copy()
    others[label] = 0
    if not others.any():
        return np.full(draws, label)
    return random.choice(len(prior), draws, p=others / others.sum())


def _spread(values: np.ndarray) -> dict:
    tail = 100 * (1 - scores.INTERVAL) / 2
    return {
        'mean': float(values.mean()),
        'sd': float(values.std(ddof=1)) if len(values) > 1 else None,
        'interval': np.percentile(values, [tail, 100 - tail]).tolist(),
    }
