"""One fit of one scikit-learn estimator. Without JAX, which processes that only fit need not load.

Axes: N clips, D numbers of a clip, T held-out clips, K classes.
"""

import time
import warnings
from typing import NamedTuple

import numpy as np
import threadpoolctl
from sklearn.base import BaseEstimator, clone

from dualatme_jax.errors import InputError

_SEED = 'random_state'


class Fitted(NamedTuple):
    """What is left of a fit.

    Attributes:
      chances: [T, K] float32, see `probabilities`.
      warnings: what the estimator warned of, each once.
      seconds: of fitting and predicting.
    """

    chances: np.ndarray
    warnings: list[str]
    seconds: float


def seeded(estimator: BaseEstimator, seed: int) -> BaseEstimator:
    """A fresh copy, whose every `random_state`, of the steps of a pipeline too, is the seed."""
    copy = clone(estimator)
    names = [name for name in copy.get_params(deep=True) if name.split('__')[-1] == _SEED]
    return copy.set_params(**dict.fromkeys(names, seed))


def fit(
    estimator: BaseEstimator,
    vectors: np.ndarray,
    label: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray,
    *,
    classes: int,
    name: str,
) -> Fitted:
    """Fits on some clips and predicts others, in one thread.

    Args:
      estimator: is fitted here.
      vectors: [N, D].
      label: [N], numbers of classes.
      train: [N] bool, the clips that it is fitted on: it is given no others.
      held_out: [N] bool, the T clips that it predicts.
      classes: K.
      name: of the trial, for the error.

    Raises:
      InputError: scikit-learn refuses an option or the clips.
    """
    began = time.perf_counter()
    # One thread: the other cores fit other folds, and the sums are the same whoever fits.
    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        try:
            estimator.fit(vectors[train], label[train])
        except ValueError as error:
            raise InputError(f'{name}: the estimator cannot be fitted: {error}') from error
        chances = probabilities(estimator, vectors[held_out], classes)
    said = dict.fromkeys(f'{one.category.__name__}: {str(one.message).splitlines()[0]}' for one in caught)
    return Fitted(chances, list(said), time.perf_counter() - began)


def probabilities(fitted: BaseEstimator, vectors: np.ndarray, classes: int) -> np.ndarray:
    """Of each clip and class, [T, K] float32; 0 of a class that the estimator has not seen.

    They are those of `predict_proba`; of an estimator without it the softmax of `decision_function`, which is
    highest at the same class, and is not calibrated.
    """
    if hasattr(fitted, 'predict_proba'):
        found = np.asarray(fitted.predict_proba(vectors), float)
    else:
        scores = np.asarray(fitted.decision_function(vectors), float)
        # Of two classes there is one score, which is that of the second.
        scores = np.stack([np.zeros(len(scores)), scores], 1) if scores.ndim == 1 else scores
        powers = np.exp(scores - scores.max(1, keepdims=True))
        found = powers / powers.sum(1, keepdims=True)
    chances = np.zeros((len(vectors), classes), np.float32)
    chances[:, fitted.classes_] = found
    return chances
