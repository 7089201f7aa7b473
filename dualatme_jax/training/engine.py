"""The engine, the learner of networks: rows of the table of trials in, a wave of predictions out.

A wave is as many trials as memory takes, trained side by side. It is the unit of checkpoint and resume.
Axes: F trials of a wave, T held-out clips, K classes, E epochs.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from dualatme_jax.data import splits
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.machines import processes
from dualatme_jax.training import memory, scaling
from dualatme_jax.training import trials as trials_lib
from dualatme_jax.training.checkpoint import Progress, WaveCheckpoints
from dualatme_jax.training.parallel import Compilable, Parallel, on_host, stack
from dualatme_jax.training.start import Path, Start
from dualatme_jax.training.state import Clips, State
from dualatme_jax.training.step import Training
from dualatme_jax.training.wave import Row, Wave, failed_epochs, predictions_of

# Examples: maps whose last axis is a multiple of it are read and written in whole vectors; of others XLA
# copies the factors of products on a GPU, to pad them.
ALIGNED = 8

# Called after every epoch with the number of epochs done and that epoch's losses [F].
OnEpoch = Callable[[int, np.ndarray], None]

# Called with the names of the programs that are being compiled, and the seconds that each took that is there.
OnCompiling = Callable[[Sequence[str], Mapping[str, float]], None]


class Engine:
    """A training on a dataset, which lies on the device once for all trials.

    Args:
      training: the training of one trial.
      dataset: the clips.
      batch_size: clips per step; an epoch's last batch has what is left, see `batches`.
      epochs: how many are trained where `fit_predict` is not given another number.
      held_out: T, by default the most clips of one subject.
      folds: the kind of folds, on which the batches depend.
      shared: leaves by path that all trials have once, as they stay as they are; see `freeze.fixed`.
      options: how trials share the devices, as `Parallel` takes them.

    Raises:
      InputError: a batch size below 1.
    """

    def __init__(
        self,
        training: Training,
        dataset: Dataset,
        *,
        batch_size: int,
        epochs: int = 1,
        held_out: int | None = None,
        folds: str = splits.SUBJECT,
        shared: Mapping[Path, np.ndarray] | None = None,
        **options,
    ):
        self._dataset, self._epochs, self._held_out = dataset, epochs, held_out
        self._of_trials = {
            'hyperparameters': training.hyperparameters,
            'scaling': scaling.of_clips(dataset, training.scale),
        }
        self._shared = dict(shared or {})
        training = dataclasses.replace(training, shared=frozenset(self._shared))
        self.parallel = Parallel(training, batches(dataset, batch_size, folds), **options)
        memory.check_clips(sum(x.nbytes for x in dataset.inputs.values()), self.parallel.devices)
        self._clips = self.parallel.place_clips(Clips.of(dataset, traverse_util.unflatten_dict(self._shared)))

    @property
    def width(self) -> int:
        """Clips of the widest batch."""
        return self.parallel.width

    @property
    def shared_bytes(self) -> int:
        """What of a network all trials have once, of each device."""
        return sum(leaf.nbytes for leaf in self._shared.values())

    @property
    def clips_bytes(self) -> int:
        """What the clips, and the weights that trials share, take of all devices; of those of a CPU once."""
        devices = self.parallel.devices
        copies = 1 if devices[0].platform == 'cpu' else len(devices)
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self._clips)) * copies

    def bytes_per_trial(self, rows: Sequence[Row]) -> int:
        """What each of some trials, side by side, takes of its device at the peak.

        Compiles their step; if they then train as one wave, it is not compiled again.
        """
        return self.parallel.memory(self._stack(rows), self._clips) // self._filled(len(rows))

    def compiled_step(self, rows: Sequence[Row]) -> jax.stages.Compiled:
        """The program that trains some trials side by side, see `Parallel.compiled_step`."""
        return self.parallel.compiled_step(self._stack(rows), self._clips)

    def compile(
        self,
        rows: Sequence[Row],
        size: int,
        on_compiling: OnCompiling,
        when_traced: Callable[[], None] = lambda: None,
    ) -> None:
        """Compiles side by side all that a wave of `size` of these trials calls, see `fit_predict`.

        Args:
          rows: of the table of trials, the first of the wave.
          size: trials of a wave.
          on_compiling: called about every second.
          when_traced: called when all are traced, and this process only waits for the compiler.
        """
        first = rows[:size]
        trials = self._stack([*first, *[first[-1]] * (size - len(first))])
        # Several processes compile one by one, in the same order: on a GPU they wait for each other there.
        workers = len(os.sched_getaffinity(0)) if jax.process_count() == 1 else 1
        seconds: dict[str, float] = {}

        def compiled(function: Compilable, lowered: jax.stages.Lowered) -> None:
            began = time.monotonic()
            lowered.compile()
            seconds[function.name] = time.monotonic() - began

        with futures.ThreadPoolExecutor(workers) as pool:
            waiting = {}
            # While one is compiled, which needs no Python, the next is traced.
            for function in self.parallel.to_compile(trials, self._clips):
                on_compiling([*waiting.values(), function.name], seconds)
                waiting[pool.submit(compiled, function, function.lower())] = function.name
            when_traced()
            while waiting:
                on_compiling([*waiting.values()], seconds)
                for done in futures.wait(waiting, 1, futures.FIRST_COMPLETED).done:
                    del waiting[done]
                    done.result()
        on_compiling([], seconds)

    def shapes(self, rows: Sequence[Row]) -> State:
        """Shapes, types and places of the networks of some trials in training."""
        return self.parallel.shapes(self._stack(rows), self._clips)

    def fit_predict(
        self,
        rows: Sequence[Row],
        *,
        size: int | None = None,
        epochs: int | None = None,
        checkpoints: WaveCheckpoints | None = None,
        every: int = 1,
        keep_state: bool = False,
        on_epoch: OnEpoch = lambda done, losses: None,
        predict_every: int = 0,
        start: Callable[[], Start] | None = None,
    ) -> Wave:
        """Trains the trials of one wave side by side, from its latest checkpoint if there is one.

        Args:
          rows: the wave's rows of the table of trials, F of them.
          size: F, or more: a shorter wave is filled up with its last trial again, so that all waves share one
            compiled program and all devices have equally many. What fills is dropped.
          epochs: how many to train, if not the engine's own.
          checkpoints: of this wave; None: nothing is saved, and it starts from the beginning.
          every: epochs between checkpoints.
          keep_state: whether there is a checkpoint after the last epoch too, from which to train on.
          on_epoch: called after each epoch.
          predict_every: epochs from one whose predictions are kept to the next; the last one's always are.
          start: makes what the networks begin with, of F trials; not called where there is a checkpoint.
        """
        own, epochs = len(rows), epochs or self._epochs
        trials = self._stack([*rows, *[rows[-1]] * ((size or own) - own)])
        saved = checkpoints.restore(self.parallel.shapes(trials, self._clips)) if checkpoints else None
        if saved is None:
            with processes.failing_together():
                states = jax.block_until_ready(self.parallel.init(trials, self._clips))
                if start:
                    filled = trials.train.shape[0]
                    states = self.parallel.started(states, start().filled(filled))
            saved = Progress(0, states, np.zeros((0, own)), {}, 0.0)
        done, states, losses = saved.epochs, saved.states, saved.losses

        def keeps(epoch: int) -> bool:
            return epoch == epochs or bool(predict_every and epoch % predict_every == 0)

        kept = {epoch: chances for epoch, chances in saved.kept.items() if keeps(epoch)}
        began = time.monotonic() - saved.seconds
        del saved  # its states are given away

        batches = self.parallel.batches_of(trials)
        for epoch in range(done + 1, epochs + 1):
            with processes.failing_together():
                states, loss = jax.block_until_ready(
                    self.parallel.epoch(states, trials, self._clips, epoch - 1, batches)
                )
            losses = np.vstack([losses, on_host(loss)[:own]])
            if keeps(epoch):
                kept[epoch] = self._predict(states, trials)[:own]
            on_epoch(epoch, losses[-1])
            if checkpoints and (keep_state if epoch == epochs else epoch % every == 0):
                checkpoints.save(Progress(epoch, states, losses, kept, time.monotonic() - began))

        failed = failed_epochs(losses, kept[epochs])
        well = [
            (row, epoch, chances[place])
            for epoch, chances in sorted(kept.items())
            for place, row in enumerate(rows)
            if not failed[place]
        ]
        return Wave(
            predictions=predictions_of(well, self._dataset),
            losses=losses,
            failed_epoch=failed,
            seconds=time.monotonic() - began,
            states=states,
            shared=self._shared,
        )

    def evaluate(self, rows: Sequence[Row], variables: Mapping[str, Any], size: int) -> Wave:
        """Predicts the held-out clips of some trials by networks from elsewhere, in one pass.

        Args:
          rows: of the table of trials, F of them.
          variables: `params` and `batch_stats` of their networks, each leaf [F, ...].
          size: F or more, to which they are filled up, see `fit_predict`.

        Returns:
          A wave without losses, which are NaN; its predictions have the epoch 0.
        """
        began = time.monotonic()
        own = len(rows)
        places = np.minimum(np.arange(self._filled(size)), own - 1)
        given = jax.tree.map(lambda leaf: np.asarray(leaf)[places], dict(variables))
        states = self.parallel.place_trials(State(given['params'], given.get('batch_stats', {}), ()))
        chances = self._predict(states, self._stack([*rows, *[rows[-1]] * (size - own)]))[:own]
        failed = failed_epochs(np.zeros((1, own)), chances)
        well = [(row, 0, part) for row, part, bad in zip(rows, chances, failed, strict=True) if not bad]
        return Wave(
            predictions=predictions_of(well, self._dataset),
            losses=np.full((1, own), np.nan),
            failed_epoch=failed,
            seconds=time.monotonic() - began,
            states=states,
        )

    def _predict(self, states: State, trials: trials_lib.Trial) -> np.ndarray:
        """[F, T, K]: class probabilities of the held-out clips, on the host."""
        with processes.failing_together():
            return on_host(jax.block_until_ready(self.parallel.predict(states, trials, self._clips)))

    def _stack(self, rows: Sequence[Row]) -> trials_lib.Trial:
        filled = [*rows, *[rows[-1]] * (self._filled(len(rows)) - len(rows))]
        trials = [
            trials_lib.device_trial(row, self._dataset, self._held_out, **self._of_trials) for row in filled
        ]
        return self.parallel.place_trials(stack(trials))

    def _filled(self, trials: int) -> int:
        """The next number of trials of which each device has as many."""
        devices = len(self.parallel.devices)
        return -(-trials // devices) * devices


def batches(dataset: Dataset, batch_size: int, folds: str = splits.SUBJECT) -> list[tuple[int, int]]:
    """(start, width) of the batches of an epoch; the last partial one is kept.

    The last is as wide as the fold with the most training clips needs, and a bit more, to a multiple of
    `ALIGNED`; what is not needed is masked. The widths follow from the dataset and the kind of folds, and not
    from the trials of a wave, so a trial alone has the batches it has among others.

    Raises:
      InputError: a batch size below 1.
    """
    if batch_size < 1:
        raise InputError(f'config.training.batch_size is {batch_size}; expected 1 or more')
    most = splits.most_trained(folds, dataset.database, dataset.subject)
    starts = range(0, most, batch_size)
    return [(start, min(batch_size, -(-(most - start) // ALIGNED) * ALIGNED)) for start in starts]
