"""The learner of closed forms: rows of the table of trials in, a wave of predictions out, nothing iterated.

All trials are solved by one factorisation for each view, width and ridge, see `ridge`. What a system leaves
to be chosen is chosen for each trial by inner parts of its training side: further trials of the same
factorisations.

Axes: N clips, F trials, M clips that a trial leaves out at the most, P pairs of a row and a clip that is
predicted for it, K classes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

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

# Bytes of what is solved, float64, and how many numbers that takes at the peak: of N x N ones, of [N, K] of
# each trial, and of M x M ones of each trial.
_BYTES, _SQUARES, _COLUMNS, _FACTORS = 8, 7, 8, 4


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
    ):
        self._system, self._dataset = system, dataset
        self._parts, self._metric, self._room = parts if system.choices > 1 else 0, metric, room
        self._on_plan, self._on_solved = on_plan, on_solved
        descriptors = {name: system.descriptors[name] for name in system.views}
        self._vectors = kernels.described(descriptors, dataset, prepare, mirror if system.mirror else None)

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
        best = Best(asked, self._dataset.label, self._metric)
        for setting, chances in self._settings(asked):
            best.add(setting, chances)
        chosen = zip(best.settings, best.values, strict=True)
        trained = [(row, 1, chances) for row, chances in zip(rows, best.of_rows(), strict=True)]
        return Wave(
            predictions=predictions_of(trained, self._dataset),
            losses=np.full((1, len(rows)), np.nan),
            failed_epoch=np.zeros(len(rows), int),
            seconds=time.monotonic() - began,
            states=None,
            chosen=[own | {self._metric: float(value)} for own, value in chosen] if self._parts else (),
        )

    def _settings(self, asked: Asked) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """Each setting, and the probabilities [P, K] that it gives; see `probabilities`."""
        system, label = self._system, self._dataset.label
        of = ridge.groups(asked.train, label, len(self._dataset.labels))
        middle, contraction = ridge.reference(of)
        ridge.check(system.ridge, len(label), middle)
        blocks = self._blocks(of, asked)
        place = np.cumsum(~asked.train, 1)[asked.trial, asked.clip] - 1
        for width in system.width:
            scores = {}
            for name in system.views:
                for strength, found in self._solved(name, width, of, blocks, middle, contraction):
                    scores[name, strength] = found[asked.trial, place]
                    self._on_solved()
            for names in system.sets:
                for strength in system.ridge:
                    mean = sum(scores[name, strength] for name in names) / len(names)
                    setting = {'views': '+'.join(names), 'width': width, 'ridge': strength}
                    yield setting, probabilities(mean, of.prior[asked.trial])

    def _solved(
        self,
        name: str,
        width: float,
        of: Groups,
        blocks: Sequence[np.ndarray],
        middle: np.ndarray,
        contraction: float,
    ) -> Iterator[tuple[float, np.ndarray]]:
        """Each ridge, and the scores [F, M, K] of all trials by one view."""
        label, steps = self._dataset.label, ridge.steps(contraction)
        with jax.enable_x64(True):
            kernel = kernels.rbf(self._vectors[name], np.float64(width))
            for strength in map(np.float64, self._system.ridge):
                inverted = ridge.inverse(kernel, strength, middle, label)
                found = np.zeros((*of.left_out.shape, of.prior.shape[1]), np.float32)
                for block in blocks:
                    own = of.some(block)
                    solved = ridge.solve(inverted, strength, middle, contraction, steps, label, own)
                    found[block, : solved.shape[1]] = solved
                yield float(strength), found

    def _blocks(self, of: Groups, asked: Asked) -> list[np.ndarray]:
        """The places of the trials that are solved at once, those that leave out as many clips together.

        Raises:
          InputError: one alone does not fit the memory.
        """
        clips, (trials, most), classes = self._dataset.size, of.left_out.shape, of.prior.shape[1]
        views, ridges = len(self._system.views), len(self._system.ridge)
        vectors = sum(each.nbytes for own in self._vectors.values() for each in own)
        scores = 4 * classes * ((views * ridges + 4) * len(asked.clip) + trials * most)
        base = _BYTES * _SQUARES * clips**2 + scores + vectors
        each = _BYTES * (_COLUMNS * clips * classes + _FACTORS * most**2)
        if base + each > self._room:
            raise InputError(
                f'the kernel of {clips} clips and its inverse take {amount(base)}, a trial {amount(each)}, '
                f'and {amount(self._room)} may be used; free memory, raise config.engine.memory_gib if it '
                'was set, or let config.model.ridge and config.engine.max_trials be fewer'
            )
        size = evened_out(trials, min((self._room - base) // each, _BLOCK))
        said = f'{trials} trials' + (f' with {self._parts} inner parts each' if self._parts else '')
        if self._system.choices > 1:
            said += f', of {self._system.choices} settings the best for each left-out group'
        self._on_plan(f'{said}, {size} at once: {amount(base + size * each)} of {amount(self._room)}')
        order = np.argsort((~of.train).sum(1), kind='stable')
        # The last one overlaps, so that all are of one size.
        starts = [min(start, trials - size) for start in range(0, trials, size)]
        return [order[start : start + size] for start in starts]


def probabilities(scores: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Of scores [P, K] that sum up to 0, each 0 where nothing speaks for or against a class: [P, K].

    They are not calibrated; the highest is that of the highest score.

    Args:
      scores: K_LT a, see `ridge`.
      prior: [P, K], see `Groups.prior`.
    """
    found = np.maximum(scores + prior, 0)
    return (found / found.sum(1, keepdims=True)).astype(np.float32)
