"""The learner of closed forms: rows of the table of trials in, a wave of predictions out, nothing iterated.

All trials are solved by one factorisation for each view, width and ridge, see `ridge`. What a system leaves
to be chosen is chosen for each trial by inner parts of its training side: further trials of the same
factorisations.

Axes: N clips, F trials, M clips that a trial leaves out at the most, P pairs of a row and a clip that is
predicted for it, K classes.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import threadpoolctl

from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.models.kernel_ridge import KernelRidge
from dualatme_jax.training import kernels, ridge
from dualatme_jax.training.augment import Mirror
from dualatme_jax.training.choosing import Asked, Best
from dualatme_jax.training.memory import amount, evened_out
from dualatme_jax.training.prepare import Prepare
from dualatme_jax.training.ridge import Groups
from dualatme_jax.training.wave import Row, Wave, predictions_of

# Trials that are solved at once, at the most: more are not faster, and each takes the room of the largest.
_BLOCK = 128

_LARGE = 2000  # rows of a matrix from which on LAPACK is faster with all cores

# Bytes of a number, and how many there are at the peak: of N x N, and for each trial of N x K and of M x M.
_BYTES, _SQUARES, _COLUMNS, _FACTORS = 8, 7, 8, 4


class _Plan(NamedTuple):
    """What is solved for some rows, and how.

    Attributes:
      groups: the trials.
      middle: see `ridge.reference`.
      contraction: see there.
      blocks: of each block the places of its trials.
      trial: [P], the trial whose scores a pair takes.
      place: [P], that of its clip among what the trial leaves out.
    """

    groups: Groups
    middle: np.ndarray
    contraction: float
    blocks: list[np.ndarray]
    trial: np.ndarray
    place: np.ndarray


class ClosedForm:
    """Kernel ridge regression: every trial of a wave, in every setting.

    Args:
      system: as its `build` makes it.
      dataset: the clips.
      prepare: what makes of stored inputs those that descriptors read.
      mirror: what mirrors those; it is read if the system asks for it.
      room: bytes that may be used.
      parts: inner parts by which settings are chosen, where there are several.
      metric: of the best setting: one of `scores.METRICS`.
      on_plan: called with a line on what follows, before anything is solved.
      on_solved: called when another view, width and ridge has been solved for all trials.
      describe: `kernels.described`, or what knows already what that gives.
    """

    def __init__(
        self,
        system: KernelRidge,
        dataset: Dataset,
        *,
        prepare: Prepare,
        mirror: Mirror,
        room: int,
        parts: int = 5,
        metric: str = 'uf1',
        on_plan: Callable[[str], None] = lambda line: None,
        on_solved: Callable[[], None] = lambda: None,
        describe: Callable[..., dict[str, list[np.ndarray]]] = kernels.described,
    ):
        self._system, self._dataset = system, dataset
        self._parts, self._metric, self._room = parts if system.choices > 1 else 0, metric, room
        self._on_plan, self._on_solved = on_plan, on_solved
        descriptors = {name: system.descriptors[name] for name in system.views}
        self._vectors = describe(descriptors, dataset, prepare, mirror if system.mirror else None)

    def fit_predict(self, rows: Sequence[Row]) -> Wave:
        """Solves each trial on its training side, and predicts the clips that it leaves out; see `Learner`.

        Returns:
          A wave without losses and networks, whose only epoch is the first.

        Raises:
          InputError: a ridge is so small that rounding decides, no trial fits the memory, or the training
            side of a trial cannot be cut into inner parts.
        """
        began = time.monotonic()
        asked = Asked.by(rows, self._dataset, self._parts)
        plan = self._planned(asked)
        prior = plan.groups.prior[plan.trial]
        best = Best(asked, self._dataset.label, self._metric)
        for setting, scores in self._settings(plan):
            best.add(setting, scores + prior)
        chosen = zip(best.settings, best.values, strict=True)
        trained = [(row, 1, probabilities(own)) for row, own in zip(rows, best.of_rows(), strict=True)]
        return Wave(
            predictions=predictions_of(trained, self._dataset),
            losses=np.full((1, len(rows)), np.nan),
            failed_epoch=np.zeros(len(rows), int),
            seconds=time.monotonic() - began,
            states=None,
            chosen=[own | {self._metric: float(value)} for own, value in chosen] if self._parts else (),
        )

    def _settings(self, plan: _Plan) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """Each setting, and the scores [P, K] that it gives."""
        for width in self._system.width:
            scores = {name: self._solved(name, width, plan) for name in self._system.views}
            for names in self._system.sets:
                for strength in self._system.ridge:
                    mean = sum(scores[name][strength] for name in names) / len(names)
                    yield {'views': '+'.join(names), 'width': width, 'ridge': strength}, mean

    def _solved(self, name: str, width: float, plan: _Plan) -> dict[float, np.ndarray]:
        """Ridge -> scores [P, K] by one view."""
        label, steps, found = self._dataset.label, ridge.steps(plan.contraction), {}
        with jax.enable_x64(True):
            kernel = kernels.rbf(self._vectors[name], np.float64(width))
            for strength in self._system.ridge:
                given = np.float64(strength), plan.middle
                with _threads_of_lapack(len(label)):
                    inverted = ridge.inverse(kernel, *given, label).block_until_ready()
                with _threads_of_lapack():
                    blocks = [
                        ridge.solve(inverted, *given, plan.contraction, steps, label, plan.groups.some(block))
                        for block in plan.blocks
                    ]
                    found[strength] = _picked(blocks, plan)
                self._on_solved()
        return found

    def _planned(self, asked: Asked) -> _Plan:
        """How some rows are solved.

        Raises:
          InputError: a ridge is too small, or one trial alone does not fit the memory.
        """
        dataset = self._dataset
        of = ridge.groups(asked.train, dataset.label, len(dataset.labels))
        middle, contraction = ridge.reference(of)
        ridge.check(self._system.ridge, dataset.size, middle)
        size = self._at_once(of, asked)
        order, trials = np.argsort((~of.train).sum(1), kind='stable'), len(of.train)
        # The last block overlaps, so that all are of one size.
        starts = [min(start, trials - size) for start in range(0, trials, size)]
        blocks = [order[start : start + size] for start in starts]
        place = np.cumsum(~asked.train, 1)[asked.trial, asked.clip] - 1
        return _Plan(of, middle, contraction, blocks, asked.trial, place)

    def _at_once(self, of: Groups, asked: Asked) -> int:
        """Trials of a block, as many as the memory takes."""
        clips, (trials, most), classes = self._dataset.size, of.left_out.shape, of.prior.shape[1]
        system = self._system
        vectors = sum(each.nbytes for own in self._vectors.values() for each in own)
        kept = (len(system.views) * len(system.ridge) + 4) * len(asked.clip) + trials * most
        base = _BYTES * _SQUARES * clips**2 + _BYTES * classes * kept + vectors
        each = _BYTES * (_COLUMNS * clips * classes + _FACTORS * most**2)
        if base + each > self._room:
            raise InputError(
                f'the kernel of {clips} clips and its inverse take {amount(base)}, a trial {amount(each)}, '
                f'and {amount(self._room)} may be used; free memory, raise config.engine.memory_gib if it '
                'was set, or let config.model.ridge have fewer values'
            )
        size = evened_out(trials, min(int((self._room - base) // each), _BLOCK))
        said = f'{trials} trials' + (f' with {self._parts} inner parts each' if self._parts else '')
        if system.choices > 1:
            said += f', of {system.choices} settings the best for each left-out group'
        said += f', solved in closed form, {size} at once'
        self._on_plan(f'{said}: {amount(base + size * each)} of {amount(self._room)}')
        for label, without in zip(self._dataset.labels, (of.prior == 0).sum(0), strict=True):
            if without:
                self._on_plan(
                    f'{without} of these trials have no {label} clip to train on, and give that class no '
                    'probability'
                )
        return size


def _picked(blocks: Sequence[jax.Array], plan: _Plan) -> np.ndarray:
    """The scores of each pair, [P, K], of those of the blocks."""
    found = np.zeros((*plan.groups.left_out.shape, plan.groups.prior.shape[1]))
    for places, scores in zip(plan.blocks, blocks, strict=True):
        found[places, : scores.shape[1]] = scores
    return found[plan.trial, plan.place]


def _threads_of_lapack(rows: int = 0) -> contextlib.AbstractContextManager:
    """One thread for LAPACK on matrices of so many rows, if they are small; a thread per core else.

    With more it takes one per core for each of thousands of them, which wait longer than they work. What is
    solved within must be done at the end.
    """
    return contextlib.nullcontext() if rows >= _LARGE else threadpoolctl.threadpool_limits(1)


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Of scores [T, K] that sum up to 1, which negative ones stand among: those as 0, and the others as 1.

    They are not calibrated. Float32.
    """
    found = np.maximum(scores, 0)
    return (found / found.sum(1, keepdims=True)).astype(np.float32)
