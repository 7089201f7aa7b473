"""What learns: rows of the table of trials in, a wave of predictions out."""

from collections.abc import Sequence
from typing import Protocol

from dualatme_jax.training.wave import Row, Wave


class Learner(Protocol):
    """`Engine` trains networks side by side, `Estimators` fits those of scikit-learn, `ClosedForm` solves."""

    def fit_predict(self, rows: Sequence[Row]) -> Wave:
        """Trains each trial on its own training side, and predicts the clips that it leaves out.

        Args:
          rows: of the table of trials, one or more. What a trial gives does not depend on the others.
        """
