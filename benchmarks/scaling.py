"""What a step of training takes, in time and memory, by the number of trials.

    python -m benchmarks.scaling [--trials 1,2,4,...,680] [--max-trials N] [--steps N] [--rounds N]
                                 [--precision NAME] [--json FILE] [--plot FILE]

Trials are those of Dual-ATME's leave-one-subject-out on random clips in the shape of MEGC2019-CD (68
subjects; more trials are further seeds), on all devices, in full batches of 128. They train as in a
run: as many side by side as memory allows, or on a CPU one per core, the rest in further waves. With
--max-trials 680 a CPU also trains as many side by side as memory allows.

A program of N steps is timed several times after it ran once, as often in a row as there are waves; the time
of a step is that of the fastest round, over N. Up to the device's capacity it should be constant, and beyond
it grow by the same amount for every trial: the least-squares line through all points gives that amount
(`milliseconds_per_trial`, `milliseconds_at_none`). The time between two waves (new networks, files) is
excluded. Memory is what the compiler planned for a wave.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import machine, workload
from dualatme_jax.errors import InputError
from dualatme_jax.training import devices, memory, trials
from dualatme_jax.training.parallel import Parallel, stack
from dualatme_jax.training.state import Clips

TRIALS = (1, 2, 4, 8, 16, 34, 68, 136, 340, 680)


def side_by_side(number: int, steps: int, precision: str) -> tuple[int, Callable[[], Callable[[], Any]]]:
    """Stacks trials as the engine does.

    Args:
      number: of trials; where the devices cannot share them evenly, the last one is there again.
      steps: of a full batch each, in one call.
      precision: of products.

    Returns:
      The bytes that they need, and what initialises them: it returns what trains them by `steps`.
    """
    dataset = workload.random_clips()
    full = dataset.size // workload.BATCH_SIZE
    batches = [(step % full * workload.BATCH_SIZE, workload.BATCH_SIZE) for step in range(steps)]
    training = workload.training(dataset)
    parallel = Parallel(training, batches, precision=precision)
    rows = workload.rows(dataset, number)
    rows += [rows[-1]] * (-number % len(parallel.devices))
    names = training.hyperparameters
    stacked = parallel.place_trials(
        stack([trials.device_trial(row, dataset, hyperparameters=names) for row in rows])
    )
    clips = parallel.place_clips(Clips.of(dataset))

    def start() -> Callable[[], Any]:
        states = parallel.init(stacked, clips)

        def train() -> None:
            nonlocal states
            states, loss = parallel.epoch(states, stacked, clips, 0)
            jax.block_until_ready((states, loss))

        return train

    return parallel.memory(stacked, clips), start


def measure(number: int, *, max_trials: int, steps: int, rounds: int, precision: str) -> dict[str, Any]:
    """Returns a number of trials' row.

    Args:
      number: of trials.
      max_trials: side by side at the most; 0: as a run chooses.
      steps: of one timed program.
      rounds: how often it is timed.
      precision: of products.

    Raises:
      InputError: not even one trial per device fits the memory.
    """
    began = time.perf_counter()
    found = jax.devices()
    size = memory.most_at_once(max_trials, found, number)
    needed, start = side_by_side(size, steps, precision)
    free = memory.budget(0, found)
    if needed > free:
        size = memory.wave_size(
            trials=size,
            bytes_per_trial=-(-needed // size),
            budget_bytes=free,
            most=size,
            devices=len(found),
        )
        needed, start = side_by_side(size, steps, precision)
    waves = -(-number // size)
    with memory.explained(size):
        train = start()
        train()
        warm = time.perf_counter()

        def train_all() -> None:
            for _ in range(waves):
                train()

        seconds = [duration / steps for duration in machine.in_turns({'': train_all}, rounds)['']]
    return {
        'trials': number,
        'side_by_side': size,
        'waves': waves,
        'gib': needed / memory.GIB,
        'free_gib': free / memory.GIB,
        'seconds_per_step': min(seconds),
        'seconds_per_step_median': float(np.median(seconds)),
        'seconds_per_trial': min(seconds) / number,
        'seconds_to_first_step': warm - began,
    }


def line(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """The least-squares line through milliseconds per step by trials; it needs 2 points or more."""
    if len(rows) < 2:
        return {'milliseconds_per_trial': None, 'milliseconds_at_none': None}
    slope, level = np.polyfit(
        [row['trials'] for row in rows], [1e3 * row['seconds_per_step'] for row in rows], 1
    )
    return {'milliseconds_per_trial': float(slope), 'milliseconds_at_none': float(level)}


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A line a number of trials."""
    heads = ('trials', 'side by side', 'ms a step', 'median', 'ms a trial', 'GiB', 's to the first step')
    shown = Table(*heads)
    for row in rows:
        names = ('seconds_per_step', 'seconds_per_step_median', 'seconds_per_trial')
        times = [f'{1e3 * row[name]:.1f}' for name in names]
        counts = [str(row[name]) for name in ('trials', 'side_by_side')]
        shown.add_row(*counts, *times, f'{row["gib"]:.2f}', f'{row["seconds_to_first_step"]:.1f}')
    return shown


def plot(found: Mapping[str, Any]) -> Any:
    """Draws the time of a step and of a trial's share of it, on logarithmic axes; returns the figure."""
    from matplotlib.figure import Figure

    rows = found['rows']
    numbers = [row['trials'] for row in rows]
    figure = Figure(figsize=(5.5, 3.8), layout='constrained')
    axes = figure.subplots()
    for name, label in (('seconds_per_step', 'a step of all trials'), ('seconds_per_trial', 'a trial')):
        axes.loglog(numbers, [1e3 * row[name] for row in rows], 'o-', label=label)
    axes.set_xlabel('trials')
    axes.set_ylabel('ms')
    axes.grid(which='both', alpha=0.3)
    axes.legend()
    slope = found['milliseconds_per_trial']
    grows = '' if slope is None else f'{slope:.2f} ms for each further trial\n'
    axes.set_title(f'{grows}{machine.named(found["machine"])}, devices: {found["devices"]}', fontsize=9)
    return figure


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.scaling', description=__doc__.splitlines()[0])
    every = ','.join(map(str, TRIALS))
    parser.add_argument('--trials', default=every, help=f'numbers, by commas (default: {every})')
    parser.add_argument(
        '--max-trials', type=int, default=0, help='side by side at the most (default: as a run chooses)'
    )
    parser.add_argument('--steps', type=int, default=3, help='of one timed program (default: 3)')
    parser.add_argument('--rounds', type=int, default=3, help='how often it is timed (default: 3)')
    machine.add_precision(parser, devices.PRECISIONS)
    machine.add_outputs(parser)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures everything; returns what the JSON file holds."""
    machine.check_outputs(options)
    machine.check_at_least_one(options, 'steps', 'rounds')
    numbers = numbers_of(options.trials)
    found = {
        'machine': machine.describe(jax.devices()[0].device_kind),
        'devices': len(jax.devices()),
        'versions': machine.versions('jax', 'jaxlib', 'numpy'),
        'batch': workload.BATCH_SIZE,
        'steps': options.steps,
        'rounds': options.rounds,
        'max_trials': options.max_trials,
        'precision': options.precision,
        'rows': [],
    }
    console = Console()
    with console.status('') as status:
        for number in numbers:
            status.update(f'{number} trials')
            found['rows'].append(
                measure(
                    number,
                    max_trials=options.max_trials,
                    steps=options.steps,
                    rounds=options.rounds,
                    precision=options.precision,
                )
            )
            gc.collect()  # the networks, which would stand in the next one's way
    found |= line(found['rows'])
    console.print(table(found['rows']))
    if found['milliseconds_per_trial'] is not None:
        console.print(
            f'line by least squares: {found["milliseconds_at_none"]:.1f} ms '
            f'+ {found["milliseconds_per_trial"]:.2f} ms per trial'
        )
    return found


def numbers_of(text: str) -> list[int]:
    """Numbers of trials from `1,2,4`; raises InputError for anything else."""
    try:
        numbers = [int(part) for part in text.split(',')]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise InputError(f'--trials is {text!r}; expected numbers from 1 on, with commas between them: 1,2,4')
    return numbers


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark, prints its table and writes files on request; returns the exit status."""
    return machine.command(run, plot, parse(arguments))


if __name__ == '__main__':
    machine.use_huge_pages()
    devices.one_a_core()
    sys.exit(main())
