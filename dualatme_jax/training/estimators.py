"""The learner of scikit-learn's estimators: rows of the table of trials in, a wave of predictions out.

Axes: F trials of a wave, N clips, D numbers of a clip.
"""

import collections
import os
import time
from collections.abc import Callable, Iterator, Sequence

import joblib
import numpy as np
from sklearn.base import BaseEstimator

from dualatme_jax.data.dataset import Dataset
from dualatme_jax.training import fitting
from dualatme_jax.training import trials as trials_lib
from dualatme_jax.training.fitting import Fitted
from dualatme_jax.training.wave import Row, Wave, predictions_of

# Seconds of fitting from which on processes of their own, which take a second or two to start, are worth it.
WORTH = 5.0


class Estimators:
    """One estimator per trial, each fitted on its training side alone.

    The trials of a wave are fitted side by side in processes, with one thread each, unless all of them take
    no longer than processes take to start. What they predict is the same.

    Args:
      estimator: not fitted, such as a Pipeline; each trial fits a copy of it, whose `random_state` is its
        seed.
      vectors: [N, D], what it reads of each clip.
      dataset: the clips.
      workers: trials that are fitted side by side; None: one per core.
      on_fit: called when another trial has been fitted.

    Attributes:
      warnings: what scikit-learn warned of, with the number of fits.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        vectors: np.ndarray,
        dataset: Dataset,
        *,
        workers: int | None = None,
        on_fit: Callable[[], None] = lambda: None,
    ):
        self.warnings: collections.Counter[str] = collections.Counter()
        self._estimator, self._vectors, self._dataset = estimator, vectors, dataset
        self._workers = workers or len(os.sched_getaffinity(0))
        self._on_fit = on_fit
        self._seconds: float | None = None  # of a fit

    def fit_predict(self, rows: Sequence[Row]) -> Wave:
        """Fits the estimator of each trial, and predicts the clips that it leaves out; see `Learner`.

        Returns:
          A wave without losses and networks, whose only epoch is the first. A trial whose probabilities are
          not finite has failed.

        Raises:
          InputError: scikit-learn refuses an option or the clips.
        """
        began = time.monotonic()
        trained, failed = [], []
        for row, fitted in zip(rows, self._fitted(rows), strict=True):
            self._on_fit()
            self.warnings.update(fitted.warnings)
            failed.append(not np.isfinite(fitted.chances).all())
            trained += [] if failed[-1] else [(row, 1, fitted.chances)]
        return Wave(
            predictions=predictions_of(trained, self._dataset),
            losses=np.full((1, len(rows)), np.nan),
            failed_epoch=np.array(failed).astype(int),
            seconds=time.monotonic() - began,
            states=None,
        )

    def _fitted(self, rows: Sequence[Row]) -> Iterator[Fitted]:
        calls = [self._call(row) for row in rows]
        if self._seconds is None:
            function, args, options = calls.pop(0)
            first = function(*args, **options)
            self._seconds = first.seconds
            yield first
        workers = self._workers if self._seconds * len(calls) > WORTH else 1
        yield from joblib.Parallel(workers, return_as='generator')(calls)

    def _call(self, row: Row) -> tuple:
        """A call of `fitting.fit`, as joblib takes it."""
        fold = trials_lib.fold_of(row, self._dataset)
        return joblib.delayed(fitting.fit)(
            fitting.seeded(self._estimator, int(row['seed'])),
            self._vectors,
            self._dataset.label,
            fold.train,
            fold.held_out,
            classes=len(self._dataset.labels),
            name=f'trial {row["trial"]}, {fold.name} left out',
        )
