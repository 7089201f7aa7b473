"""How the trials of a program share the memory: how many side by side, and in what way each is trained.

The first way in which a trial fits is taken; each takes more time than the one before it:

1. Whole batches, of as many trials as are fastest: on a CPU one per core, elsewhere as many as fit.
2. On a CPU, of fewer trials, which share its cores.
3. The backward pass computes the network's maps again (`training.recompute`): a third more work, and the
   same results up to rounding.
4. Batches in parts (`training.parts`) as well, as large as fit: the same gradients, but for batch
   normalisation, which sees its part alone. Of a network without running statistics parts come before 3.

`config.engine.rematerialise` and `config.engine.micro_batch` choose instead.
"""

import dataclasses
import gc
import importlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import pandas as pd
from rich.console import Console

from dualatme_jax.errors import InputError
from dualatme_jax.machines import processes
from dualatme_jax.run import disk
from dualatme_jax.run.programs import Program
from dualatme_jax.run.progress import compiling
from dualatme_jax.training import devices as devices_lib
from dualatme_jax.training import memory, trials
from dualatme_jax.training.engine import ALIGNED, Engine
from dualatme_jax.training.memory import Way, amount

# Trials whose step is compiled to learn what one takes. One seed of MEGC2019-CD has as many, and trains with
# the program that this gives.
PROBED_TRIALS = 68

_AS_FITS = -1  # of a way: parts of as many examples as fit

# Sizes of parts that are compiled to find one that fits.
_TRIES = 3


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the trials of a program are trained.

    Attributes:
      trials: of a wave.
      way: of each of them.
      memory: what a wave takes, of what it may take, in words; empty where it is not known.
    """

    trials: int
    way: Way
    memory: str = ''

    def suffix(self, width: int) -> str:
        """What is other than whole batches, and the memory, behind `N trials, M side by side, on DEVICES`."""
        said = words(self.way, width)
        return (f', {said}' if said else '') + (f': {self.memory}' if self.memory else '')


def make_engine(program: Program, table: pd.DataFrame, chosen: Plan | None = None) -> Engine:
    """The engine of a program; `table` are all its trials.

    On a CPU, whose devices share its memory, it has no more of them than the plan has trials side by side.
    """
    settings = program.config.engine
    most = min(len(table), settings.max_trials or len(table))
    devices = devices_lib.choose(settings.devices, trials=most)
    if chosen and shared(devices, settings.devices):
        devices = devices[: chosen.trials]
    way = chosen.way if chosen else Way()
    given = program.start(table[:1].to_dict('records')).leaves if program.shared else {}
    return Engine(
        dataclasses.replace(program.training, micro_batch=way.micro_batch, recompute=way.recompute),
        program.dataset,
        batch_size=program.config.training.batch_size,
        epochs=program.config.training.epochs,
        held_out=trials.most_held_out(table, program.dataset),
        folds=program.config.folds,
        shared={path: given[path][0] for path in program.shared},
        devices=devices,
        mapping=settings.mapping,
        dispatch=settings.dispatch,
        precision=settings.precision,
        lowering=settings.lowering,
    )


def shared(devices: Sequence[jax.Device], asked: int) -> bool:
    """Whether devices share one memory, and a plan may take fewer of them."""
    return devices[0].platform == 'cpu' and not asked and jax.process_count() == 1


def fitting(
    program: Program, table: pd.DataFrame, pending: pd.DataFrame, console: Console
) -> tuple[Engine, Plan]:
    """The first way of training in which a trial fits the memory, and the engine for it.

    Args:
      program: whose trials are trained.
      table: all of them.
      pending: those that are still to be trained.
      console: where it is told what is tried.

    Raises:
      InputError: a trial alone fits in none.
    """
    settings, rows, began = program.config.engine, pending.to_dict('records'), time.monotonic()
    first = Way(settings.micro_batch, settings.rematerialise == 'on')
    engine = make_engine(program, table, Plan(len(rows), first))
    devices, width = engine.parallel.devices, engine.width
    together = shared(devices, settings.devices)
    budget = budget_of(engine, settings.memory_gib)
    most = memory.most_at_once(settings.max_trials, devices, len(rows))
    room = budget if together else budget // len(devices)
    hoped = memory.evened_out(len(rows), most)
    tried: dict[Way, float] = {}

    def needs(way: Way) -> float:
        """Bytes that a trial takes, in a wave as it is hoped for; in further ways, alone on its device."""
        nonlocal engine
        probed = rows[: min(hoped, PROBED_TRIALS)]
        if tried:
            console.print(
                f'{program.prefix}one trial takes {taken([*tried.values()][-1])}, and {amount(room)} may be '
                f'used; planning with {words(way, width)}',
                soft_wrap=True,
            )
            engine = None  # its clips make room
            gc.collect()
            engine = make_engine(program, table, Plan(1, way))
            probed = rows[: len(engine.parallel.devices)]
        whole = not tried and hoped <= PROBED_TRIALS
        try:
            tried[way] = processes.agreed(bytes_per_trial(engine, probed, console, whole=whole))
        except memory.OutOfMemoryError:
            tried[way] = math.inf
        return tried[way]

    for way in ways(settings, statistics=has_statistics(program, rows[0])):
        if way.micro_batch == _AS_FITS:
            size, found = largest_part(
                disk.size(disk.state_of(program.training, program.dataset, rows[0])),
                width,
                tried[Way(0, way.recompute)],
                room,
                lambda size, again=way.recompute: needs(Way(size, again)),
            )
            way = Way(size, way.recompute)
        else:
            found = needs(way)
        if found <= room:
            break
    else:
        raise InputError(none_fits(program, tried, room, width))

    fit = int(budget // found)
    if together and fit < len(devices):
        size = memory.evened_out(len(rows), min(fit, most))
    else:
        size = memory.wave_size(
            trials=len(rows),
            bytes_per_trial=int(found),
            budget_bytes=budget,
            most=most,
            devices=len(devices),
        )
    chosen = Plan(size, way, f'{amount(int(found) * size)} of {amount(budget)}')
    if len(tried) > 1:
        seconds = f'{time.monotonic() - began:.0f} s'
        console.print(f'{program.prefix}planned in {seconds}; {len(tried)} programs were compiled')
    if len(engine.parallel.devices) != (min(size, len(devices)) if together else len(devices)):
        engine = make_engine(program, table, chosen)
    return engine, chosen


def has_statistics(program: Program, row: Mapping[str, Any]) -> bool:
    """Whether the network of a trial of a program has running statistics, as of batch normalisation."""
    return bool(jax.tree.leaves(disk.state_of(program.training, program.dataset, row).batch_stats))


def ways(settings: Mapping[str, Any], *, statistics: bool) -> list[Way]:
    """The ways of training in the order in which they are tried.

    Args:
      settings: `config.engine`.
      statistics: whether the network has running statistics.
    """
    again = {'off': (False,), 'on': (True,), 'auto': (False, True)}[settings.rematerialise]
    if given := settings.micro_batch:
        return [Way(given, recompute) for recompute in again]
    whole = [Way(0, recompute) for recompute in again]
    if statistics or len(again) == 1:
        return [*whole, Way(_AS_FITS, again[-1])]
    return [Way(), Way(_AS_FITS), Way(1, True)]


def largest_part(
    alone: float, width: int, whole: float, room: float, needs: Callable[[int], float]
) -> tuple[int, float]:
    """The largest part of a batch that fits, or the last one that was tried, and its bytes.

    Args:
      alone: bytes of a trial without any example.
      width: examples of a batch.
      whole: bytes of a trial with a whole batch; infinite where that is not known.
      room: available bytes.
      needs: compiles parts of a size, and returns what a trial takes.
    """
    size, found = width, whole
    for left in reversed(range(_TRIES)):
        # Memory grows with the part: by a line through what is known, less a tenth.
        share = 0.9 * (room - alone) / max(found - alone, 1) if math.isfinite(found) else 0.5
        size = max(1, min(int(size * share), size - 1)) if left else 1
        size = even(width, size)
        found = needs(size)
        if found <= room or size == 1:
            break
    return size, found


def even(width: int, most: int) -> int:
    """Examples of a part, `most` at the most, so that the parts of a batch are of one size.

    From `ALIGNED` on it is a multiple of that.
    """
    most = most // ALIGNED * ALIGNED or most
    size = -(-width // -(-width // most))
    return min(most, -(-size // ALIGNED) * ALIGNED) if most >= ALIGNED else size


def words(way: Way, width: int) -> str:
    """A way of training, in words; empty where batches are whole and nothing is computed again."""
    said, size = [], way.micro_batch
    if 0 < size < width:
        said.append(f'batches in {-(-width // size)} parts of {size}')
    if way.recompute:
        said.append('activations recomputed')
    return ', '.join(said)


def taken(found: float) -> str:
    """Bytes of a trial, in words; infinite where the device could not even compile it."""
    return amount(found) if math.isfinite(found) else 'more than the device has'


def none_fits(program: Program, tried: Mapping[Way, float], room: float, width: int) -> str:
    """The message where one trial fits in no way that was tried."""
    shown = '\n'.join(
        f'  {words(way, width) or "whole batches"}: {taken(found)}' for way, found in tried.items()
    )
    free = amount(room) if room > 0 else 'nothing beside the clips'
    settings = program.config.engine
    more = ['build the dataset with smaller pictures or fewer frames', 'freeze a part of the network']
    more += ["--config.engine.rematerialise='auto'"] * (settings.rematerialise == 'off')
    more += ['--config.engine.micro_batch=0'] * (settings.micro_batch > 1)
    more += ['a higher --config.engine.memory_gib'] * bool(settings.memory_gib)
    return (
        f'{program.prefix}one trial does not fit: {free} may be used, and it takes\n{shown}\n'
        f'free memory, take a larger machine, or: {"; ".join(more)}'
    )


def fitting_size(engine: Engine, rows: Sequence[Mapping[str, Any]], *, console: Console) -> int:
    """Trials a wave of an engine, whole batches, by memory and by what is fastest."""
    devices = engine.parallel.devices
    most = memory.most_at_once(0, devices, len(rows))
    hoped = memory.evened_out(len(rows), most)
    found = bytes_per_trial(engine, rows[: min(hoped, PROBED_TRIALS)], console, whole=hoped <= PROBED_TRIALS)
    return memory.wave_size(
        trials=len(rows),
        bytes_per_trial=found,
        budget_bytes=budget_of(engine, 0.0),
        most=most,
        devices=len(devices),
    )


def budget_of(engine: Engine, memory_gib: float) -> int:
    """Bytes that the trials of an engine may take on all devices: the clips lie there already."""
    budget = memory.budget(memory_gib, engine.parallel.devices)
    return processes.agreed(budget - engine.clips_bytes if memory_gib else budget)


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
