"""Fits what of a run is left to scikit-learn: program by program, wave by wave, kept as it ends.

A wave is the unit of resume alone: its estimators are gone when it ends, and nothing of a part of it is kept.
"""

import os

from rich.console import Console

from dualatme_jax import models
from dualatme_jax.run import progress, waves
from dualatme_jax.run.kept import Kept
from dualatme_jax.run.programs import Program
from dualatme_jax.run.trial_table import TrialTable
from dualatme_jax.training.estimators import Estimators

WAVES = 20  # of a program, about: what a killed run loses is one of them
_PER_WORKER = 4  # trials of a wave, at least, lest the others wait for the slowest

_SHOWN = 3  # warnings of scikit-learn


def fit(trial_table: TrialTable, program: Program, kept: Kept, console: Console) -> None:
    """Fits what is pending of a program. Of several processes each does, and the first keeps it.

    Raises:
      InputError: scikit-learn refuses an option or the clips.
    """
    pending = trial_table.pending_trials(program.number)
    if pending.empty:
        return
    most = program.config.engine.max_trials
    workers = min(len(os.sched_getaffinity(0)), most or len(pending))
    size = trial_table.wave_size(program.number) or wave_size(len(pending), workers)
    if (size := min(size, most or size)) != trial_table.wave_size(program.number):
        waves.plan(trial_table, program, size, kept)
    record = models.system(program.config.model.name)
    console.print(
        f'{program.prefix}{len(pending)} trials, fitted by scikit-learn, {workers} side by side',
        soft_wrap=True,
    )
    with progress.counting(console, f'{program.prefix}{record.title}', len(pending)) as more:
        learner = Estimators(
            models.build(classes=len(program.dataset.labels), **program.config.model),
            program.vectors,
            program.dataset,
            workers=workers,
            on_fit=lambda: more(1),
        )
        for number, rows in trial_table.pending(program.number):
            wave = learner.fit_predict(rows.to_dict('records'))
            kept.keep(number, wave, weights=False)
            trial_table.close_wave(number, wave)
    for text, count in learner.warnings.most_common(_SHOWN):
        console.print(f'{program.prefix}{count} of {len(pending)} fits warned of {text}', soft_wrap=True)


def wave_size(trials: int, workers: int) -> int:
    """Trials of a wave: a few per worker, and more where that would be many waves."""
    return max(_PER_WORKER * workers, -(-trials // WAVES))
