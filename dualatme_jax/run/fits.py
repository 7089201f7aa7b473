"""Fits what of a run has no network: program by program, wave by wave, kept as it ends.

A wave is the unit of resume alone: what is fitted is gone when it ends, and nothing of a part of it is kept.
"""

import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from dualatme_jax import models
from dualatme_jax.models.system import CLOSED_FORM, SKLEARN
from dualatme_jax.run import progress, waves
from dualatme_jax.run.kept import Kept
from dualatme_jax.run.programs import Program
from dualatme_jax.run.trial_table import TrialTable
from dualatme_jax.training import augment, encoding, kernels, memory, prepare
from dualatme_jax.training.closed_form import ClosedForm
from dualatme_jax.training.estimators import Estimators
from dualatme_jax.training.learner import Learner

WAVES = 20  # of a program, about, that scikit-learn fits: what a killed run loses is one of them
_PER_WORKER = 4  # trials of a wave, at least, lest the others wait for the slowest

_SHOWN = 3  # warnings of scikit-learn


class _Fit(NamedTuple):
    """How the pending trials of a program are fitted.

    Attributes:
      wave_size: trials of a wave.
      how: in words; None: the learner says it itself, with what it plans.
      steps: that a wave of so many trials has, as progress counts them.
      learner: from what is called after each step to the learner.
      said: lines when all is done.
    """

    wave_size: int
    how: str | None
    steps: Callable[[int], int]
    learner: Callable[[Callable[[], None]], Learner]
    said: Callable[[Learner], Iterator[str]] = lambda learner: iter(())


def fit(trial_table: TrialTable, program: Program, kept: Kept, console: Console) -> None:
    """Fits what is pending of a program. Of several processes each does, and the first keeps it.

    Raises:
      InputError: the learner refuses an option or the clips.
    """
    pending = trial_table.pending_trials(program.number)
    if pending.empty:
        return
    record = models.system(program.config.model.name)
    most = program.config.engine.max_trials or len(pending)
    fit = _FITS[record.learner](program, len(pending), most, console)
    size = min(trial_table.wave_size(program.number) or fit.wave_size, most)
    if size != trial_table.wave_size(program.number):
        waves.plan(trial_table, program, size, kept)
    if fit.how is not None:
        console.print(f'{program.prefix}{len(pending)} trials, {record.fitting.how}{fit.how}', soft_wrap=True)
    left = trial_table.pending(program.number)
    steps = sum(fit.steps(len(rows)) for _, rows in left)
    with progress.counting(console, f'{program.prefix}{record.title}', steps) as more:
        learner = fit.learner(lambda: more(1))
        for number, rows in left:
            wave = learner.fit_predict(rows.to_dict('records'))
            kept.keep(number, wave, weights=False)
            trial_table.close_wave(number, wave)
    for line in fit.said(learner):
        console.print(f'{program.prefix}{line}', soft_wrap=True)


def wave_size(trials: int, workers: int) -> int:
    """Trials of a wave: a few per worker, and more where that would be many waves."""
    return max(_PER_WORKER * workers, -(-trials // WAVES))


def _estimators(program: Program, trials: int, most: int, console: Console) -> _Fit:
    workers = min(len(os.sched_getaffinity(0)), most)

    def learner(on_fit: Callable[[], None]) -> Estimators:
        estimator = models.build(classes=len(program.dataset.labels), **program.config.model)
        return Estimators(estimator, program.vectors, program.dataset, workers=workers, on_fit=on_fit)

    def warned(learner: Estimators) -> Iterator[str]:
        for text, count in learner.warnings.most_common(_SHOWN):
            yield f'{count} of {trials} fits warned of {text}'

    return _Fit(wave_size(trials, workers), f', {workers} side by side', lambda own: own, learner, warned)


def _closed_form(program: Program, trials: int, most: int, console: Console) -> _Fit:
    config, made = program.config, models.system(program.config.model.name).made
    system = models.build(classes=len(program.dataset.labels), **config.model)
    read = {**config.input, 'channels': ()}  # descriptors know them by the schema's order

    def learner(on_solved: Callable[[], None]) -> ClosedForm:
        return ClosedForm(
            system,
            program.dataset,
            prepare=prepare.preparation(**read, made=made),
            mirror=augment.mirroring(**read),
            parts=config.selection.parts,
            metric=config.selection.metric,
            room=memory.budget(config.engine.memory_gib, jax.local_devices()[:1]),
            on_plan=lambda line: console.print(f'{program.prefix}{line}', soft_wrap=True),
            on_solved=on_solved,
            describe=describe,
        )

    def describe(descriptors: Mapping[str, Callable], *given: Any) -> dict[str, list[np.ndarray]]:
        """As `kernels.described`, once for all points that read the clips alike and have the same views."""
        views = tuple((name, system.mirror, _identity(own)) for name, own in descriptors.items())
        inputs = tuple(map(id, program.dataset.inputs.values()))
        key = (views, inputs, json.dumps(encoding.as_read(read), sort_keys=True))
        if key not in program.described:
            program.described[key] = kernels.described(descriptors, *given)
        return program.described[key]

    # One wave: its trials share the factorisations.
    return _Fit(min(trials, most), None, lambda own: system.solved, learner)


def _identity(descriptor: Callable) -> Any:
    """What is equal for descriptors that are: of a partial one, which each `build` makes anew, its parts."""
    if isinstance(descriptor, functools.partial):
        return descriptor.func, descriptor.args, tuple(sorted(descriptor.keywords.items()))
    return descriptor


_FITS = {SKLEARN: _estimators, CLOSED_FORM: _closed_form}
