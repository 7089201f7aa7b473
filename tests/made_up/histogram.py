"""Linear Histogram: a linear support vector machine on histograms of the flow in 4x4 cells."""

from collections.abc import Mapping

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from dualatme_jax.models.system import System

BINS = 8


def descriptor(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """[N, 4 * 4 * 3 * BINS]: how many pixels of each cell and channel lie in each eighth of the bytes."""
    flow = inputs['flow']
    cells = flow.reshape(len(flow), 4, 7, 4, 7, 3) // (256 // BINS)
    counts = [(cells == value).sum((2, 4)) for value in range(BINS)]
    return np.stack(counts, axis=-1).reshape(len(flow), -1).astype(np.float32)


def build(*, classes: int, cost: float = 0.1):
    """The pipeline; `cost` is scikit-learn's C."""
    del classes
    return make_pipeline(StandardScaler(), SVC(kernel='linear', C=cost, class_weight='balanced'))


SYSTEM = System(
    name=__name__, title='Linear Histogram', build=build, learner='sklearn', descriptor=descriptor
)
