"""The classifier of the classical baselines: scikit-learn's support vector machine without a kernel."""

from typing import Any

from dualatme_jax.errors import InputError
from dualatme_jax.kinds import NUMBER

CLASS_WEIGHTS = ('none', 'balanced')


def build(*, classes: int, C: float = 10_000.0, class_weight: str = 'none') -> Any:  # noqa: N803, scikit-learn's own
    """The machine, one against one as LIBSVM has it.

    Args:
      classes: number of classes, which scikit-learn counts itself.
      C: how much an error weighs against a wide margin, above 0.
      class_weight: 'balanced': clips of rare classes weigh more, by the training side's counts; 'none'.
    """
    from sklearn.svm import SVC  # takes a second, which networks need not wait for

    del classes
    if not NUMBER.fits(C) or C <= 0:
        raise InputError(f'config.model.C is {C}; expected a number above 0')
    if class_weight not in CLASS_WEIGHTS:
        raise InputError(
            f'config.model.class_weight is {class_weight!r}; expected {" or ".join(map(repr, CLASS_WEIGHTS))}'
        )
    # Ties between classes that won as many duels are broken by their scores, which the run reports.
    weights = None if class_weight == 'none' else class_weight
    return SVC(kernel='linear', C=C, class_weight=weights, break_ties=True)
