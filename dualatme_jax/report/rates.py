"""How often such an answer was right on people never seen, and below which probability there is none.

A run has scored clips of people whom the networks have not seen. Answers are counted on people whom the
temperature has not seen either: it is fitted on some databases and they are counted on the others, or it is
fitted for each person on all others.

Axes: N clips, K classes.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.report import predictions

# The calibrated probability of a class from which on it is an answer. Below a half it is more likely that the
# class is another one: of the clips below it, fewer than half were right (the card of the default weights).
LEAST = 0.5
CANNOT_TELL = 'cannot tell'
FEW = 10  # answers, of fewer of which no share is said: one more that is right would change it by a tenth

_RESAMPLES = 1000
_TINY = 1e-12  # of a probability, whose logarithm is taken


@dataclasses.dataclass(frozen=True)
class Rates:
    """What is known of answers.

    Attributes:
      labels: the classes.
      temperature: by which logits are divided; above 1 it makes probabilities less sure.
      fitted_on: databases on which the temperature was fitted.
      counted_on: those on which answers were counted; the same as `fitted_on` where for this the temperature
        was fitted for each person on all others.
      least: the calibrated probability from which on there was an answer.
      confusion: [K, K], clips that had an answer: class by answer.
      silent: [K], clips of each class that had none.
      silent_right: of how many of these the most probable class was the right one.
      intervals: [K, 2], 95 % interval of each answer's share of right ones, bootstrapped over subjects; NaN
        where that was given less than `FEW` times.
      likelihood: mean negative log-likelihood of the clips of `counted_on`, without and with the temperature.
    """

    labels: tuple[str, ...]
    temperature: float
    fitted_on: tuple[str, ...]
    counted_on: tuple[str, ...]
    least: float
    confusion: np.ndarray
    silent: np.ndarray
    silent_right: int
    intervals: np.ndarray
    likelihood: tuple[float, float]

    @property
    def given(self) -> np.ndarray:
        """How often each class was the answer, [K]."""
        return self.confusion.sum(0)

    @property
    def right(self) -> np.ndarray:
        """Which share of each answer was right, [K]; NaN where it was given less than `FEW` times."""
        return np.divide(
            np.diag(self.confusion),
            self.given,
            where=self.given >= FEW,
            out=np.full(len(self.labels), np.nan),
        )

    def sentence(self, place: int) -> str:
        """What is known of one answer, for a reader."""
        if self.given[place] < FEW:
            return (
                f'{self.labels[place]} was answered {self.given[place]} times on people whom the networks '
                'have not seen, too rarely to say how often that is right'
            )
        low, high = self.intervals[place]
        return (
            f'{self.right[place]:.0%} of {self.given[place]} such answers were right on labelled clips of '
            f'people whom the networks have never seen ({low:.0%} to {high:.0%})'
        )

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        found = dataclasses.asdict(self)
        found['intervals'] = [
            [None if np.isnan(end) else end for end in ends] for ends in self.intervals.tolist()
        ]
        return found | {'confusion': self.confusion.tolist(), 'silent': self.silent.tolist()}

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> 'Rates':
        """From what `to_json` gave; raises ValueError, KeyError or TypeError for anything else."""
        count = len(found['labels'])
        made = cls(
            labels=tuple(map(str, found['labels'])),
            temperature=float(found['temperature']),
            fitted_on=tuple(map(str, found['fitted_on'])),
            counted_on=tuple(map(str, found['counted_on'])),
            least=float(found['least']),
            confusion=np.array(found['confusion'], int).reshape(count, count),
            silent=np.array(found['silent'], int).reshape(count),
            silent_right=int(found['silent_right']),
            intervals=np.array(found['intervals'], float).reshape(count, 2),
            likelihood=(float(found['likelihood'][0]), float(found['likelihood'][1])),
        )
        if not (made.temperature > 0 and 0 <= made.least <= 1):
            raise ValueError(f'a temperature of {made.temperature}, a least probability of {made.least}')
        return made


def counts(kind: str, counted_on: Collection[str]) -> bool:
    """Whether expressions of a kind can be among the clips of databases on which answers were counted.

    CASME II, SMIC and SAMM hold micro-expressions alone.
    """
    return kind != 'macro' or not {*counted_on} <= {*schema.COMPOSITE}


def calibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities [..., K] whose logits are divided by a temperature (Guo et al., ICML 2017)."""
    logits = np.log(np.maximum(probabilities, _TINY)) / temperature
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def temperature(probabilities: np.ndarray, label: np.ndarray) -> float:
    """The temperature of least negative log-likelihood, between 1/20 and 20.

    Args:
      probabilities: [N, K].
      label: [N] int.
    """
    found = optimize.minimize_scalar(
        lambda logarithm: likelihood(calibrated(probabilities, np.exp(logarithm)), label),
        bounds=(-np.log(20), np.log(20)),
        method='bounded',
        options={'xatol': 1e-6},
    )
    return float(np.exp(found.x))


def likelihood(probabilities: np.ndarray, label: np.ndarray) -> float:
    """The mean negative log-likelihood of clips."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(label)), label], _TINY)).mean())


def answers(probabilities: np.ndarray, least: float) -> np.ndarray:
    """The class that each row of calibrated probabilities answers, [N] int; -1 where none reaches `least`."""
    return np.where(probabilities.max(-1) >= least, probabilities.argmax(-1), -1)


def measured(table: pd.DataFrame, labels: Sequence[str], fitted_on: Collection[str]) -> Rates:
    """What is known of the answers of networks.

    Args:
      table: predictions of clips of people whom they have not seen, one row per clip.
      labels: the classes.
      fitted_on: the databases on which the temperature is fitted; on the others answers are counted.

    Raises:
      InputError: no probabilities, or one of both sets of databases is empty.
    """
    there = list(predictions.subsets(table))
    databases = [name for name in there if name != schema.FULL] or sorted(set(table[schema.DATABASE]))
    own = [name for name in databases if name in fitted_on]
    others = [name for name in databases if name not in fitted_on]
    if len(own) < len({*fitted_on}) or not others:
        raise InputError(
            f'the temperature is to be fitted on {", ".join(fitted_on)} and answers counted on other '
            f'databases; the predictions have {", ".join(databases)}'
        )
    is_own = table[schema.DATABASE].isin(own).to_numpy()
    chances, label = _chances(table, labels), table[schema.LABEL].to_numpy(int)
    found = temperature(chances[is_own], label[is_own])
    rest = ~is_own
    cool = calibrated(chances[rest], found)
    return _counted(table[rest], labels, chances[rest], cool, found, fitted_on=own, counted_on=others)


def cross_fitted(table: pd.DataFrame, labels: Sequence[str]) -> Rates:
    """What is known of the answers of networks each of which left somebody out.

    Answers for a person are counted with the temperature that the other people have; `temperature` is that of
    all.

    Args:
      table: predictions of left-out people, one row per clip.
      labels: the classes.

    Raises:
      InputError: no probabilities, or one person only.
    """
    chances, label = _chances(table, labels), table[schema.LABEL].to_numpy(int)
    people = list(_people(table).values())
    if len(people) < 2:
        raise InputError(
            'the predictions are of one person; expected several, to fit a temperature on others'
        )
    cool = np.empty_like(chances)
    for rows in people:
        others = np.setdiff1d(np.arange(len(table)), rows)
        cool[rows] = calibrated(chances[rows], temperature(chances[others], label[others]))
    databases = sorted(set(table[schema.DATABASE]))
    found = temperature(chances, label)
    return _counted(table, labels, chances, cool, found, fitted_on=databases, counted_on=databases)


def _chances(table: pd.DataFrame, labels: Sequence[str]) -> np.ndarray:
    """The probabilities of all classes, [N, K]; raises InputError where there are none."""
    names = [schema.PROBABILITY + label for label in labels]
    if missing := [name for name in names if name not in predictions.probabilities(table.columns)]:
        raise InputError(f'these predictions have no column {missing[0]}; expected one per class')
    return table[names].to_numpy(float)


def _people(table: pd.DataFrame) -> Mapping[str, np.ndarray]:
    """Database and subject -> the places of their rows."""
    people = table[[schema.DATABASE, schema.SUBJECT]].astype(str).agg('/'.join, axis=1)
    return people.groupby(people.to_numpy()).indices


def _counted(
    table: pd.DataFrame,
    labels: Sequence[str],
    raw: np.ndarray,
    cool: np.ndarray,
    found: float,
    *,
    fitted_on: Sequence[str],
    counted_on: Sequence[str],
) -> Rates:
    """Counts the answers of probabilities [N, K], raw and calibrated, beside the temperature to come."""
    truth, answer = table[schema.LABEL].to_numpy(int), answers(cool, LEAST)
    by_person = np.stack(
        [_counts(truth[rows], answer[rows], len(labels)) for rows in _people(table).values()]
    )
    counts = by_person.sum(0)
    return Rates(
        labels=tuple(labels),
        temperature=found,
        fitted_on=tuple(fitted_on),
        counted_on=tuple(counted_on),
        least=LEAST,
        confusion=counts[:, :-1],
        silent=counts[:, -1],
        silent_right=int((cool.argmax(-1) == truth)[answer < 0].sum()),
        intervals=_intervals(by_person[..., :-1]),
        likelihood=(likelihood(raw, truth), likelihood(cool, truth)),
    )


def _counts(label: np.ndarray, answer: np.ndarray, classes: int) -> np.ndarray:
    """[K, K + 1]: class by answer, none the last."""
    found = np.zeros((classes, classes + 1), int)
    np.add.at(found, (label, answer), 1)  # -1 is the last place
    return found


def _intervals(by_person: np.ndarray) -> np.ndarray:
    """Intervals of the share of right answers, [K, 2], of confusions by person."""
    random = np.random.default_rng(0)
    draws = random.multinomial(len(by_person), np.full(len(by_person), 1 / len(by_person)), _RESAMPLES)
    drawn = np.einsum('rp,pij->rij', draws, by_person)
    given = drawn.sum(1)
    right = np.diagonal(drawn, axis1=1, axis2=2)
    shares = np.divide(right, given, where=given > 0, out=np.full(given.shape, np.nan))
    known = by_person.sum((0, 1)) >= FEW
    found = np.full((by_person.shape[1], 2), np.nan)
    if known.any():
        found[known] = np.nanpercentile(shares[:, known], [2.5, 97.5], axis=0).T
    return found
