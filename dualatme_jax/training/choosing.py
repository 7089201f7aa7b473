"""What a trial chooses for itself: the setting that is best on inner parts of its own training side.

For learners that solve many settings at once. `config.selection.name = 'nested'` does the same for any
system, with rows of the table of trials.

Axes: N clips, R rows, F trials, P pairs of a row and a clip that is predicted for it, K classes.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dualatme_jax.data import splits
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.report import scores
from dualatme_jax.training import trials as trials_lib
from dualatme_jax.training.wave import Row


@dataclasses.dataclass(frozen=True)
class Asked:
    """What some rows ask for: trials, each of them once, and which of these predicts which clip for a row.

    Attributes:
      train: [F, N] bool, the clips that each trial trains on.
      row: [P], the place of a row.
      clip: [P], one that the row leaves out, or one of an inner part of its training side.
      trial: [P], the trial that predicts it.
      inner: [P] bool, whether it is of an inner part.
    """

    train: np.ndarray
    row: np.ndarray
    clip: np.ndarray
    trial: np.ndarray
    inner: np.ndarray

    @classmethod
    def by(cls, rows: Sequence[Row], dataset: Dataset, parts: int = 0) -> 'Asked':
        """What rows of the table of trials ask for.

        Args:
          rows: one or more.
          dataset: the clips.
          parts: inner parts; 0: none, there is nothing to choose.

        Raises:
          InputError: the training subjects of a row cannot be cut into so many parts.
        """
        people = dataset.database, dataset.subject, dataset.label
        numbers: dict[bytes, int] = {}
        pairs = []
        for place, row in enumerate(rows):
            few = {'most': row.get('undersample', 0), 'seed': row['seed']}
            outer = trials_lib.fold_of({**row, 'undersample': 0}, dataset)  # an inner part predicts all
            inner = splits.inner_folds(outer, *people, parts=parts, seed=row['seed']) if parts else []
            for fold in (outer, *inner):
                train = splits.undersampled(fold, dataset.label, **few).train
                trial = numbers.setdefault(np.packbits(train).tobytes(), len(numbers))
                clip = np.flatnonzero(fold.held_out)
                same = (np.full_like(clip, each) for each in (place, trial, fold is not outer))
                pairs.append((clip, *same))
        clip, row, trial, within = map(np.concatenate, zip(*pairs, strict=True))
        train = np.unpackbits(
            np.frombuffer(b''.join(numbers), np.uint8).reshape(len(numbers), -1), axis=1, count=dataset.size
        )
        return cls(train.astype(bool), row, clip, trial, within.astype(bool))


class Best:
    """The best setting of each row, of those that are added one after the other.

    Args:
      asked: what the rows ask for.
      label: [N], classes of the clips.
      metric: one of `scores.METRICS`, on predictions pooled over the inner parts.

    Attributes:
      settings: [R], the best.
      values: [R], its metric; 0 of all without inner parts.
    """

    def __init__(self, asked: Asked, label: np.ndarray, metric: str):
        outer, inner = ~asked.inner, asked.inner
        self._metric, self._inner, self._outer = metric, inner, outer
        self._row, self._label, self._row_of_outer = (
            asked.row[inner],
            label[asked.clip][inner],
            asked.row[outer],
        )
        self._scores: np.ndarray | None = None  # of the best setting, of what rows leave out
        self.settings: list[Mapping[str, Any]] = [{}] * (int(asked.row.max()) + 1)
        self.values = np.full(len(self.settings), -np.inf)

    def add(self, setting: Mapping[str, Any], scores: np.ndarray) -> None:
        """Takes scores [P, K], of which the highest is predicted; of equal settings the first is the best."""
        values = self._values(scores[self._inner])
        better = values > self.values
        self.values = np.where(better, values, self.values)
        self.settings = [
            setting if own else before for own, before in zip(better, self.settings, strict=True)
        ]
        own = scores[self._outer]
        before = own if self._scores is None else self._scores
        self._scores = np.where(better[self._row_of_outer, None], own, before)

    def of_rows(self) -> list[np.ndarray]:
        """[T, K] of each row: the best scores of the clips that it leaves out, in the dataset's order."""
        ends = np.cumsum(np.bincount(self._row_of_outer, minlength=len(self.settings)))
        return np.split(self._scores, ends[:-1])

    def _values(self, found: np.ndarray) -> np.ndarray:
        """The metric of each row, [R], over its inner parts; equal up to rounding is equal."""
        if not len(found):
            return np.zeros(len(self.settings))
        shape = len(self.settings), found.shape[1], found.shape[1]
        places = np.ravel_multi_index((self._row, self._label, found.argmax(1)), shape)
        counts = np.bincount(places, minlength=np.prod(shape)).reshape(shape)
        return scores.score_confusions(counts)[self._metric].round(12)
