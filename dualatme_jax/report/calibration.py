"""Whether the probabilities of predictions mean anything: calibration, and what it helps to abstain.

The confidence of a prediction is the probability of the class that was predicted. Axes: N seeds, T clips of a
seed, M bins.
"""

import dataclasses

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions

BINS = 15  # as Guo et al. have


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How often predictions of some confidence are right.

    Attributes:
      edges: [M + 1], of the bins in 0..1, of equal width; a bin contains its upper edge.
      clips: [M], predictions in each bin.
      confidence, share: [M], their mean confidence, and the share that is right; NaN in an empty bin.
      ece: the expected calibration error, in 0..1: the mean of |share - confidence| over the predictions.
        Predictions that are calibrated have more than 0 too where bins have few.
    """

    edges: np.ndarray
    clips: np.ndarray
    confidence: np.ndarray
    share: np.ndarray
    ece: float


@dataclasses.dataclass(frozen=True)
class RiskCoverage:
    """The share of wrong predictions among the most confident ones.

    Attributes:
      coverage: [T], share of the clips that are decided: 1/T, 2/T to 1.
      risk: [N, T], share of these that are wrong.
      aurc: [N], area under each curve: the mean of its risks. Abstaining at random gives the risk at full
        coverage.
    """

    coverage: np.ndarray
    risk: np.ndarray
    aurc: np.ndarray


def confidence(table: pd.DataFrame) -> np.ndarray:
    """The probability of the predicted class of each row.

    Raises:
      InputError: the table has no probabilities, or they lack in some rows.
    """
    names = predictions.probabilities(table.columns)
    if not names:
        raise InputError(
            f'these predictions have no probabilities; expected a column {schema.PROBABILITY}LABEL per class'
        )
    chances = table[names].to_numpy(float)
    found = chances[np.arange(len(table)), table['prediction'].to_numpy(int)]
    if not np.isfinite(found).all():
        raise InputError(
            f'{(~np.isfinite(found)).sum()} of {len(found)} predictions have no probability; expected all'
        )
    return found


def calibration(table: pd.DataFrame, *, bins: int = BINS) -> Calibration:
    """Bins the predictions of all seeds by confidence.

    Source: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017, equations
    2, 3 and 5.

    Raises:
      InputError: see `confidence`.
    """
    sure = confidence(table)
    right = (table[schema.LABEL] == table['prediction']).to_numpy(float)
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], sure)
    clips = np.bincount(place, minlength=bins)
    with np.errstate(invalid='ignore'):
        means, shares = (np.bincount(place, values, bins) / clips for values in (sure, right))
    return Calibration(
        edges, clips, means, shares, float(np.nansum(clips * np.abs(shares - means)) / len(sure))
    )


def risk_coverage(table: pd.DataFrame) -> RiskCoverage:
    """The risk of each seed if only its most confident predictions count.

    Equally confident ones come in any order: the risk is the mean over all orders.

    Source: Geifman, El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017; the area is
    that of Geifman, Uziel, El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR
    2019.

    Args:
      table: each seed over the same clips.

    Raises:
      InputError: see `confidence`.
    """
    rows = pd.DataFrame(
        {
            'seed': table['seed'],
            'confidence': confidence(table),
            'wrong': (table[schema.LABEL] != table['prediction']).astype(float),
        }
    )
    rows['wrong'] = rows.groupby(['seed', 'confidence'])['wrong'].transform('mean')
    rows = rows.sort_values(['seed', 'confidence'], ascending=[True, False], kind='stable')
    wrong = rows['wrong'].to_numpy().reshape(rows['seed'].nunique(), -1)
    decided = np.arange(1, wrong.shape[1] + 1)
    risk = wrong.cumsum(1) / decided
    return RiskCoverage(decided / wrong.shape[1], risk, risk.mean(1))
