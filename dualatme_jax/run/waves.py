"""Trains what of a run is not trained yet: group by group, wave by wave, kept as it ends."""

import contextlib
import gc
import importlib
import pathlib
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
from rich.console import Console

from dualatme_jax import files
from dualatme_jax.machines import processes
from dualatme_jax.report import predictions
from dualatme_jax.run import disk, trained
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.run.groups import Group, make_engine
from dualatme_jax.run.progress import Reporter, compiling, reporting
from dualatme_jax.run.trial_table import TrialTable
from dualatme_jax.training import memory
from dualatme_jax.training.checkpoint import WaveCheckpoints, save_weights
from dualatme_jax.training.engine import Engine, OnEpoch, Wave
from dualatme_jax.weights import folds

# Trials whose step is compiled to learn what one takes. One seed of MEGC2019-CD has as many, and trains with
# the program that this gives.
PROBED_TRIALS = 68


def train(
    trial_table: TrialTable,
    group: Group,
    to_come: Sequence[Group],
    folder: pathlib.Path,
    identity: Mapping[str, Any],
    console: Console,
) -> None:
    """Trains what is pending of a group; a wave that is too large for the device is cut in two, and so on.

    Args:
      trial_table: of the run.
      group: whose trials are trained.
      to_come: the groups that are not trained yet, this one among them.
      folder: the workdir.
      identity: the config, for the checkpoints.
      console: where it is told.
    """
    if not trial_table.pending_waves(group.number):
        return
    engine = make_engine(group, trial_table.trials(group.number))
    size = processes.agreed(planned_size(trial_table, group, engine, console))
    if processes.is_first():
        check_disk(trial_table, group, to_come, size, folder, console, engine)
    if size != trial_table.wave_size(group.number):
        plan(trial_table, group, size, folder)

    def train_all(size: int) -> None:
        train_waves(trial_table, group, engine, size, folder, identity, console)

    halving(train_all, trial_table, group, len(engine.parallel.devices), folder, console)


def halving(
    work: Callable[[int], None],
    trial_table: TrialTable,
    group: Group,
    devices: int,
    folder: pathlib.Path,
    console: Console,
) -> None:
    """Calls `work` with the trials a planned wave has; with half as many where the device has no room."""
    while size := trial_table.wave_size(group.number):
        try:
            work(size)
        except memory.OutOfMemoryError as error:
            if size <= devices:  # each has one trial already
                raise
            reason = str(error).splitlines()[0]
        else:
            return
        gc.collect()  # the error, which is gone now, held the wave's networks
        half = memory.halved(size, devices)
        console.print(f'{reason}\ngoing on with {half} side by side', soft_wrap=True)
        plan(trial_table, group, half, folder)


def evaluate(trial_table: TrialTable, group: Group, folder: pathlib.Path, console: Console) -> None:
    """Scores converted weights instead of training: each subject by its own fold's network.

    All are predicted in one pass, or on a CPU one a core at a time; where memory is short, in halves.

    Raises:
      InputError: they are of another network, or their subjects are not those of the dataset.
    """
    if not trial_table.pending_waves(group.number):
        return
    rows = trial_table.trials(group.number)
    found, places = given_weights(group, rows)
    variables = jax.tree.map(lambda leaf: np.asarray(leaf)[places], found.variables)
    given_as = group.config.input
    console.print(
        f'{len(rows)} networks of {group.config.evaluate_only}, which read flows as config.input has them: '
        f'scale {given_as.scale}, channels {", ".join(given_as.channels)}',
        soft_wrap=True,
    )
    engine = make_engine(group, rows)
    devices = engine.parallel.devices
    plan(trial_table, group, memory.most_at_once(group.config.engine.max_trials, devices, len(rows)), folder)

    def evaluate_all(size: int) -> None:
        for number, own in trial_table.pending(group.number):
            here = rows['trial'].isin(own['trial']).to_numpy()
            with memory.explained(size):
                wave = engine.evaluate(
                    own.to_dict('records'), jax.tree.map(lambda leaf, here=here: leaf[here], variables), size
                )
            keep(wave, folder / workdir_lib.WAVES / workdir_lib.wave_name(number), weights=False)
            trial_table.close_wave(number, wave)

    halving(evaluate_all, trial_table, group, len(devices), folder, console)


def given_weights(group: Group, rows: pd.DataFrame) -> tuple[folds.Folds, list[int]]:
    """The converted weights that a group evaluates, and the place of each trial's network among them.

    Those of a run's folder are the networks of the seed that the config has.

    Raises:
      InputError: they are damaged, of another network, or their subjects are not those of the trials.
    """
    given = files.expanded(group.config.evaluate_only, '--config.evaluate_only')
    model = group.config.model
    if not folds.is_one(given) and (given / workdir_lib.TRIALS).exists():
        found = trained.as_folds(
            given,
            model.name,
            seed=group.config.seeds[0],
            inputs=group.config.input,
            labels=group.dataset.labels,
        )
    else:
        found = folds.load(given)
    people = list(zip(rows['database'], rows['subject'], strict=True))
    return found, folds.places(
        found, people, model=model.name, variant=model.variant, classes=len(group.dataset.labels)
    )


def keep(wave: Wave, folder: pathlib.Path, *, weights: bool) -> None:
    """Writes a wave's predictions, and its weights if asked for, to a folder of its own, with checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    if processes.is_first():
        predictions.write(wave.predictions, folder / workdir_lib.PREDICTIONS)
    if weights:
        save_weights(folder / workdir_lib.WEIGHTS, wave.variables)
    if processes.is_first():
        files.write_checksums(folder)


def plan(trial_table: TrialTable, group: Group, size: int, folder: pathlib.Path) -> None:
    """Cuts what is pending of a group into waves of `size`, anew; what was begun of them is begun again."""
    before = trial_table.pending_waves(group.number)
    trial_table.plan(group.number, size)
    after = trial_table.pending_waves(group.number)
    if processes.is_first():
        for number in {*before, *after}:  # the checkpoints of other groups are those of waves that stay
            shutil.rmtree(
                folder / workdir_lib.CHECKPOINTS / workdir_lib.wave_name(number), ignore_errors=True
            )


def planned_size(trial_table: TrialTable, group: Group, engine: Engine, console: Console) -> int:
    """Trials a wave of a group: as it was planned before, if that is allowed, else by memory."""
    rows = trial_table.trials(group.number)
    settings = group.config.engine
    if size := trial_table.wave_size(group.number):
        return min(size, settings.max_trials or size)
    console.print(f'{group.prefix}{len(rows)} trials; planning, which compiles the training', soft_wrap=True)
    return fitting_size(
        engine,
        rows.to_dict('records'),
        max_trials=settings.max_trials,
        memory_gib=settings.memory_gib,
        console=console,
    )


def fitting_size(
    engine: Engine,
    rows: Sequence[Mapping[str, Any]],
    *,
    max_trials: int = 0,
    memory_gib: float = 0.0,
    console: Console,
) -> int:
    """Trials a wave of `rows`, by memory and by what is fastest; limits are as in `config.engine`."""
    devices = engine.parallel.devices
    most = memory.most_at_once(max_trials, devices, len(rows))
    budget = memory.budget(memory_gib, devices)
    hoped = memory.evened_out(len(rows), most)
    return memory.wave_size(
        trials=len(rows),
        bytes_per_trial=bytes_per_trial(
            engine, rows[: min(hoped, PROBED_TRIALS)], console, whole=hoped <= PROBED_TRIALS
        ),
        budget_bytes=budget,
        most=most,
        devices=len(devices),
    )


def bytes_per_trial(
    engine: Engine, rows: Sequence[Mapping[str, Any]], console: Console, *, whole: bool
) -> int:
    """What a trial takes at the peak, learnt from some; from half as many where these are too many to try.

    If these are a `whole` wave, all that it calls is compiled.
    """
    devices = len(engine.parallel.devices)
    while True:
        try:
            with memory.explained(len(rows)):
                if whole:  # a wave will have as many, if they fit
                    compile_all(engine, rows, len(rows), console)
                return engine.bytes_per_trial(rows)
        except memory.OutOfMemoryError as error:
            if len(rows) <= devices:
                raise
            reason = str(error).splitlines()[0]
        gc.collect()  # the error, which is gone now, held what lay on the device
        rows = rows[: memory.halved(len(rows), devices)]
        console.print(f'{reason}\nplanning with {len(rows)}', soft_wrap=True)


def compile_all(engine: Engine, rows: Sequence[Mapping[str, Any]], size: int, console: Console) -> None:
    """Compiles what a wave of `size` of these trials calls, and shows for how long."""
    imports = threading.Thread(target=import_for_report, daemon=True)
    with compiling(console) as on_compiling:
        engine.compile(rows, size, on_compiling, imports.start)


def import_for_report() -> None:
    """Imports, while the compiler works, what takes seconds and is not needed before the first epoch ends."""
    for name in ('tensorboardX', 'sklearn.metrics', 'matplotlib.figure'):  # PyTorch too, if it is there
        importlib.import_module(name)


def check_disk(
    trial_table: TrialTable,
    group: Group,
    to_come: Sequence[Group],
    size: int,
    folder: pathlib.Path,
    console: Console,
    engine: Engine,
) -> None:
    """Tells what the disk will have to hold; raises InputError if it cannot.

    That is a checkpoint of a wave of `size` trials of `group`, and the weights of all that is pending of all
    groups `to_come`.
    """
    weights = checkpoint = 0
    for other in to_come:
        rows = trial_table.pending_trials(other.number)
        if rows.empty:  # it ended in an earlier process
            continue
        if other is group:
            states = engine.shapes(rows[:size].to_dict('records'))  # of which the program is traced already
            if group.config.checkpoint.every < group.config.training.epochs:
                checkpoint = disk.size(states)
            network = disk.size(states.variables) // jax.tree.leaves(states)[0].shape[0]
        else:
            state = disk.state_of(other.training, other.dataset, rows.iloc[0].to_dict())
            network = disk.size(state.variables)
        if other.config.checkpoint.keep_weights:
            weights += network * len(rows)
    told = disk.check(folder, weights=weights, checkpoint=checkpoint, reused=folder / workdir_lib.CHECKPOINTS)
    if told:
        console.print(f'on the disk: {told}', soft_wrap=True)


def train_waves(
    trial_table: TrialTable,
    group: Group,
    engine: Engine,
    size: int,
    folder: pathlib.Path,
    identity: Mapping[str, Any],
    console: Console,
) -> None:
    """Trains a group's pending waves, each from its checkpoint if there is one, and keeps what they give."""
    decisive = workdir_lib.decisive(identity)
    pending = trial_table.pending(group.number)
    epochs = group.config.training.epochs
    devices = engine.parallel.devices
    on = f'{len(devices)} x {devices[0].device_kind}'
    rows = trial_table.table[trial_table.table['group'] == group.number]
    console.print(f'{group.prefix}{len(rows)} trials, {size} side by side, on {on}', soft_wrap=True)
    first, waves = int(rows['wave'].min()), rows['wave'].nunique()
    with memory.explained(size):
        compile_all(engine, pending[0][1].to_dict('records'), size, console)
    with reporting(console, epochs=epochs, waves=waves) as reporter:
        for number, rows in pending:
            name = workdir_lib.wave_name(number)
            tensorboard = folder / workdir_lib.TENSORBOARD / name
            with (
                contextlib.closing(
                    WaveCheckpoints(
                        folder / workdir_lib.CHECKPOINTS / name,
                        decisive | {'trials': rows['trial'].tolist()},
                    )
                ) as checkpoints,
                memory.explained(size),
                listening(number - first, reporter, tensorboard) as on_epoch,
            ):
                for found in checkpoints.damaged:
                    console.print(
                        f'{found}; it is deleted, and what lies before it continued', soft_wrap=True
                    )
                wave = engine.train_wave(
                    rows.to_dict('records'),
                    size=size,
                    epochs=epochs,
                    checkpoints=checkpoints,
                    every=group.config.checkpoint.every,
                    on_epoch=on_epoch,
                    predict_every=group.config.selection.every,
                )
            keep(wave, folder / workdir_lib.WAVES / name, weights=group.config.checkpoint.keep_weights)
            # Only now is the wave over: a process that dies before this line continues from the checkpoint.
            trial_table.close_wave(number, wave)
            checkpoints.delete()
            del wave  # its networks make room for the next ones


@contextlib.contextmanager
def listening(wave: int, reporter: Reporter, folder: pathlib.Path) -> Iterator[OnEpoch]:
    """Yields what tells the progress bar and TensorBoard of each epoch of a group's wave, from 0."""
    with contextlib.ExitStack() as stack:
        writer = None

        def on_epoch(done: int, epoch_losses: np.ndarray) -> None:
            nonlocal writer
            if not processes.is_first():
                return
            reporter.epoch(wave, done, epoch_losses)
            if writer is None:  # what an earlier process wrote from this epoch on is trained again
                import tensorboardX  # with PyTorch, if it is there: seconds that no first epoch waits for

                writer = stack.enter_context(tensorboardX.SummaryWriter(str(folder), purge_step=done))
            finite = epoch_losses[np.isfinite(epoch_losses)]
            if finite.size:
                writer.add_scalar('loss/mean', finite.mean(), done)
                writer.add_scalar('loss/max', finite.max(), done)
            writer.add_scalar('trials/failed', epoch_losses.size - finite.size, done)
            writer.flush()

        yield on_epoch
