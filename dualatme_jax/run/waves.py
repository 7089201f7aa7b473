"""Trains what of a run is not trained yet: program by program, wave by wave, kept as it ends."""

import contextlib
import functools
import gc
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from rich.console import Console

from dualatme_jax import schema
from dualatme_jax.data import splits
from dualatme_jax.machines import processes
from dualatme_jax.run import disk, evaluated, tensorboard
from dualatme_jax.run import plan as plan_lib
from dualatme_jax.run import workdir as workdir_lib
from dualatme_jax.run.kept import Kept
from dualatme_jax.run.plan import Plan, compile_all, make_engine
from dualatme_jax.run.programs import Program, epochs_of
from dualatme_jax.run.progress import reporting
from dualatme_jax.run.sweep import Sweep
from dualatme_jax.run.trial_table import TrialTable
from dualatme_jax.training import memory
from dualatme_jax.training.checkpoint import WaveCheckpoints
from dualatme_jax.training.engine import Engine, OnEpoch


def train(
    trial_table: TrialTable,
    program: Program,
    to_come: Sequence[Program],
    kept: Kept,
    identity: Mapping[str, Any],
    console: Console,
) -> None:
    """Trains what is pending of a program; a wave that is too large for the device is cut in two, and so on.

    Args:
      trial_table: of the run.
      program: its trials are trained.
      to_come: the programs that are not trained yet, this one among them.
      kept: where what ends is kept.
      identity: the config, for the checkpoints.
      console: prints the progress.
    """
    if not trial_table.pending_waves(program.number):
        return
    engine, chosen = planned(trial_table, program, console)
    if processes.is_first():
        check_room(trial_table, program, to_come, chosen.trials, kept, console, engine)
    if chosen.trials != trial_table.wave_size(program.number):
        plan(trial_table, program, chosen.trials, kept, chosen.way)
    elif chosen.way != trial_table.way(program.number):  # the same waves, which go on from their checkpoints
        trial_table.plan(program.number, chosen.trials, chosen.way)
    row = trial_table.trials(program.number).iloc[0].to_dict()
    if 0 < (size := chosen.way.micro_batch) < engine.width and plan_lib.has_statistics(program, row):
        console.print(
            f'{program.prefix}batch normalisation sees parts of {size} clips, and not whole batches',
            soft_wrap=True,
        )

    def train_all(size: int) -> None:
        own = chosen if size == chosen.trials else Plan(size, chosen.way)
        train_waves(trial_table, program, engine, own, kept, identity, console)

    halving(train_all, trial_table, program, len(engine.parallel.devices), kept, console)


def halving(
    work: Callable[[int], None],
    trial_table: TrialTable,
    program: Program,
    devices: int,
    kept: Kept,
    console: Console,
) -> None:
    """Calls `work` with the trials a planned wave has; with half as many where the device has no room."""
    while size := trial_table.wave_size(program.number):
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
        plan(trial_table, program, half, kept)


def evaluate(
    trial_table: TrialTable, program: Program, given: evaluated.Given, kept: Kept, console: Console
) -> None:
    """Scores converted weights instead of training: each fold by its own network.

    All are predicted in one pass, or on a CPU one per core at a time; where memory is short, in halves.

    Args:
      trial_table: of the run.
      program: the one that it has.
      given: the weights, see `evaluated.given_weights`.
      kept: takes the predictions.
      console: for what there is to say.
    """
    if not trial_table.pending_waves(program.number):
        return
    rows = trial_table.trials(program.number)
    found, places = given
    given_as = program.config.input
    console.print(
        f'{len(set(places))} networks of {program.config.evaluate_only}, which read flows as config.input '
        f'has them: encoding {given_as.encoding}, '
        f'scale {given_as.scale}, channels {", ".join(given_as.channels)}'
        + (', and their mirror images' if given_as.mirror_at_test else ''),
        soft_wrap=True,
    )
    engine = make_engine(program, rows)
    devices = engine.parallel.devices
    plan(
        trial_table,
        program,
        memory.most_at_once(program.config.engine.max_trials, devices, len(rows)),
        kept,
    )

    def evaluate_all(size: int) -> None:
        for number, own in trial_table.pending(program.number):
            here = np.flatnonzero(rows['trial'].isin(own['trial']))
            networks = [places[row] for row in here]
            variables = jax.tree.map(lambda leaf, own=networks: np.asarray(leaf)[own], found.variables)
            with memory.explained(size):
                wave = engine.evaluate(own.to_dict('records'), variables, size)
            kept.keep(number, wave, weights=False)
            trial_table.close_wave(number, wave)

    halving(evaluate_all, trial_table, program, len(devices), kept, console)


def plan(
    trial_table: TrialTable, program: Program, size: int, kept: Kept, way: memory.Way | None = None
) -> None:
    """Cuts what is pending of a program into waves of `size`, anew; what was begun of them is begun again.

    Its trials are trained in another `way` if one is given.
    """
    before = trial_table.pending_waves(program.number)
    trial_table.plan(program.number, size, way)
    after = trial_table.pending_waves(program.number)
    if kept.folder and processes.is_first():
        for number in {*before, *after}:  # the checkpoints of other programs are those of waves that stay
            workdir_lib.forget_checkpoints(kept.folder, number)


def planned(trial_table: TrialTable, program: Program, console: Console) -> tuple[Engine, Plan]:
    """How a program is trained, and by what: as it was planned before, if that is allowed, else by memory.

    Of a run that has grown, as before it grew, if that is as fast.
    """
    rows, settings = trial_table.trials(program.number), program.config.engine
    pending = trial_table.pending_trials(program.number)
    if size := trial_table.wave_size(program.number):
        found = size, trial_table.way(program.number)
    else:
        found = trial_table.before(program.number)
    if found:
        size, before = found
        recompute = {'on': True, 'off': False}.get(settings.rematerialise, before.recompute)
        way = memory.Way(settings.micro_batch or before.micro_batch, recompute)
        own = Plan(min(size, settings.max_trials or size), way)
        return make_engine(program, rows, own), own
    console.print(
        f'{program.prefix}{len(pending)} trials; planning, which compiles the training', soft_wrap=True
    )
    return plan_lib.fitting(program, rows, pending, console)


def check_room(
    trial_table: TrialTable,
    program: Program,
    to_come: Sequence[Program],
    size: int,
    kept: Kept,
    console: Console,
    engine: Engine,
) -> None:
    """Says what the disk, or without a folder the memory, will have to hold; raises InputError if it cannot.

    That is a checkpoint of a wave of `size` trials of `program`, and the weights of all that is pending of
    all programs `to_come`.
    """
    weights = checkpoint = states_kept = 0
    for other in to_come:
        rows = trial_table.pending_trials(other.number)
        if rows.empty or not other.training:  # it ended in an earlier process, or leaves no networks
            continue
        if other is program:
            states = engine.shapes(rows[:size].to_dict('records'))  # of which the program is traced already
            if program.config.checkpoint.every < program.config.training.epochs:
                checkpoint = disk.size(states)
            trials = jax.tree.leaves(states)[0].shape[0]
            network = disk.size(states.variables) // trials + engine.shared_bytes
            own = disk.size(states) // trials
        else:
            state = disk.state_of(other.training, other.dataset, rows.iloc[0].to_dict())
            network, own = disk.size(state.variables), disk.size(state)
        states_kept += own * len(rows) if other.config.checkpoint.keep_state else 0
        if other.config.checkpoint.keep_weights:
            again = kept.folder and other.config.folds == splits.ALL  # in `network/` too
            weights += network * len(rows) * (2 if again else 1)
    if not kept.folder:
        disk.check_memory(weights)
        return
    reused = kept.folder / workdir_lib.CHECKPOINTS
    told = disk.check(kept.folder, weights=weights, states=states_kept, checkpoint=checkpoint, reused=reused)
    if told:
        console.print(f'on the disk: {told}', soft_wrap=True)


def words(program: Program, waves: int) -> Iterator[str]:
    """What the words mean that a run prints next and above its scores."""
    yield 'a trial: one network, trained for one fold (whoever is left out), one seed and one setting'
    if waves > 1:
        yield 'a wave: the trials that are trained side by side'
    if schema.FLOW_PUZZLED in program.dataset.inputs:
        yield 'puzzled flow: of two regions of the face, one above the other (EM: eyes, mouth)'


def tidy(trial_table: TrialTable, swept: Sweep, folder: pathlib.Path) -> None:
    """Deletes what is left of the checkpoints of a run that has ended, but the last states that it keeps."""
    if not processes.is_first() or not (folder / workdir_lib.CHECKPOINTS).exists():
        return
    epochs = {point.number: epochs_of(point.config) for point in swept.points}
    rows = trial_table.table.drop_duplicates('wave')
    last = {
        workdir_lib.wave_name(wave): str(epochs[point])
        for wave, point in zip(rows['wave'], rows['point'], strict=True)
    }
    for own in [*(folder / workdir_lib.CHECKPOINTS).iterdir()]:
        if own.name not in last or not (own / last[own.name]).exists():
            shutil.rmtree(own)
    with contextlib.suppress(OSError):  # it holds some
        (folder / workdir_lib.CHECKPOINTS).rmdir()


def train_waves(
    trial_table: TrialTable,
    program: Program,
    engine: Engine,
    chosen: Plan,
    kept: Kept,
    identity: Mapping[str, Any],
    console: Console,
) -> None:
    """Trains a program's pending waves, each from its checkpoint if there is one; keeps what they give."""
    size, decisive = chosen.trials, workdir_lib.of_wave(identity)
    settings = program.config.checkpoint
    pending = trial_table.pending(program.number)
    epochs = program.config.training.epochs
    devices = engine.parallel.devices
    on = f'{len(devices)} x {devices[0].device_kind}'
    rows = trial_table.table[trial_table.table['program'] == program.number]
    on += chosen.suffix(engine.width)
    console.print(f'{program.prefix}{len(rows)} trials, {size} side by side, on {on}', soft_wrap=True)
    places = {wave: place for place, wave in enumerate(sorted(rows['wave'].unique()))}
    if not program.number:
        for line in words(program, len(places)):
            console.print(f'  {line}', soft_wrap=True)
    with memory.explained(size):
        compile_all(engine, pending[0][1].to_dict('records'), size, console)

    def listening(wave: int) -> OnEpoch:
        """What reports each epoch of the program's wave `wave`, from 0."""

        def on_epoch(done: int, epoch_losses: np.ndarray) -> None:
            if processes.is_first():
                reporter.epoch(wave, done, epoch_losses)
                write(wave * epochs + done, epoch_losses)

        return on_epoch

    with (
        reporting(console, epochs=epochs, waves=len(places)) as reporter,
        tensorboard.writing(kept.folder, tensorboard.name_of(program)) as write,
    ):
        for number, rows in pending:
            name = workdir_lib.wave_name(number)
            own = decisive | {'trials': rows['trial'].tolist()}
            with (
                checkpointing(kept.folder, name, own, console) as checkpoints,
                memory.explained(size),
            ):
                wave = engine.fit_predict(
                    rows.to_dict('records'),
                    size=size,
                    checkpoints=checkpoints,
                    every=settings.every,
                    keep_state=settings.keep_state,
                    on_epoch=listening(places[number]),
                    predict_every=program.config.selection.every,
                    start=program.start and functools.partial(program.start, rows.to_dict('records')),
                )
            kept.keep(number, wave, weights=settings.keep_weights)
            # Only now is the wave over: a process that dies before this line continues from the checkpoint.
            trial_table.close_wave(number, wave)
            if checkpoints:
                checkpoints.delete(but=epochs if settings.keep_state else None)
            del wave  # its networks make room for the next ones


@contextlib.contextmanager
def checkpointing(
    folder: pathlib.Path | None, name: str, identity: Mapping[str, Any], console: Console
) -> Iterator[WaveCheckpoints | None]:
    """Yields the checkpoints of the wave `name`; None without a workdir. Damaged ones are named."""
    if folder is None:
        yield None
        return
    directory = folder / workdir_lib.CHECKPOINTS / name
    with contextlib.closing(WaveCheckpoints(directory, identity)) as checkpoints:
        for found in checkpoints.damaged:
            console.print(f'{found}; it is deleted, and what lies before it continued', soft_wrap=True)
        yield checkpoints
