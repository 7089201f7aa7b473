"""Flow SVC: a linear support vector machine on the mean of each row of the flow, scaled before it."""

from collections.abc import Mapping

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from dualatme_jax.models.system import SKLEARN, System


def rows(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """[N, 84] of flows [N, 28, 28, 3]."""
    return inputs['flow'].mean(2).reshape(len(inputs['flow']), -1)


def build(*, classes: int, C: float = 0.01, balanced: bool = False) -> Pipeline:  # noqa: N803, scikit-learn's own
    """The pipeline.

    Args:
      classes: number of classes, which scikit-learn counts itself.
      C: how much an error weighs against a wide margin.
      balanced: whether clips of rare classes weigh more, by the training side's counts.
    """
    weights = 'balanced' if balanced else None
    return make_pipeline(StandardScaler(), LinearSVC(C=C, dual=False, class_weight=weights))


SYSTEM = System(name='made_up.flow_svc', title='Flow SVC', build=build, learner=SKLEARN, descriptor=rows)
