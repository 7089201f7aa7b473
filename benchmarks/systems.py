"""Every system's throughput: ours against its PyTorch loop over the folds, in trials per minute.

    python -m benchmarks.systems [--systems NAME,NAME,...] [--folds N] [--epochs N] [--rounds N]
                                 [--batches N] [--json FILE] [--plot FILE]

A trial is one fold, trained for the number of epochs of the system's paper. No trial is trained to its end:
the time of an epoch of one fold is measured as by `python -m benchmarks.loso --system NAME`, after a warm-up
epoch, both sides in turns, and trials per minute are 60 / (seconds of it, median of the rounds, x the paper's
epochs). The measured time is that of a short training divided by its epochs, fresh networks and the
probabilities of the held-out clips included, which a whole training has only once: with few epochs small
systems look slower than they are, on both sides.

With --batches an epoch has so many whole batches instead of the 442 clips: its time is then scaled to their
number of batches, which is an extrapolation for systems of which an epoch of one fold takes minutes.

Each system trains by its own config: input, batch, order, optimizer; not augmented. ResNet-18 is the variant
`small`, which takes the 28x28 image as it is: at 224x224 an epoch of one fold takes minutes on a CPU. If a
system fails, the reason is printed and the others are still measured; files are rewritten after each system.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import loso, machine, workload
from dualatme_jax.errors import InputError

SIDES = {loso.PYTORCH: 'PyTorch, one by one', loso.OURS: 'dualatme_jax'}


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Compares both sides of a system.

    Returns:
      What `loso.compare` does, with `paper_epochs`, and of each side `trials_per_minute`.
    """
    command = [f'--system={name}', f'--folds={options.folds}']
    command += [f'--epochs={options.epochs}', f'--rounds={options.rounds}', f'--batches={options.batches}']
    found = loso.compare(loso.parse(command))
    config = workload.config(name)
    epochs, scale = config.training.epochs, workload.full_epochs(config, options.batches)
    rates = {
        f'{side}_trials_per_minute': trials_per_minute(
            scale * found[f'{side}_seconds_per_fold_epoch'], epochs
        )
        for side in SIDES
    }
    return found | rates | {'title': title(name), 'paper_epochs': epochs}


def trials_per_minute(seconds_per_fold_epoch: float, epochs: int) -> float:
    """How many folds are trained in a minute, each for so many epochs."""
    return 60 / (seconds_per_fold_epoch * epochs)


def title(name: str) -> str:
    """A system in the table, with its variant where that is not the paper's."""
    variant = workload.config(name).model.get('variant', 'paper')
    return name if variant == 'paper' else f'{name} ({variant})'


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line per system."""
    heads = ('system', 'epochs', 'ours', 'PyTorch', r'ratio \[min, max]')
    shown = Table(*heads, title="trials per minute, each of the paper's epochs")
    for row in rows:
        rates = [f'{row[f"{side}_trials_per_minute"]:.3g}' for side in (loso.OURS, loso.PYTORCH)]
        ratio = f'{row["ratio"]:.2f} [{row["ratio_min"]:.2f}, {row["ratio_max"]:.2f}]'
        shown.add_row(row['title'], str(row['paper_epochs']), *rates, ratio)
    return shown


def plot(found: Mapping[str, Any]) -> Any:
    """Draws the trials per minute of both sides, one line per system; returns the figure."""
    from matplotlib.figure import Figure

    rows = found['rows']
    figure = Figure(figsize=(6.5, 1.8 + 0.3 * len(rows)), layout='constrained')
    axes = figure.subplots()
    for side, label in SIDES.items():
        axes.plot([row[f'{side}_trials_per_minute'] for row in rows], range(len(rows)), 'o', label=label)
    axes.set_yticks(range(len(rows)), [row['title'] for row in rows])
    axes.invert_yaxis()
    axes.set_xscale('log')
    axes.grid(alpha=0.3)
    axes.set_xlabel("trials per minute, each of the paper's number of epochs")
    axes.legend(fontsize=8)
    axes.set_title(machine.named(rows[0]['machine']) if rows else 'no system was measured', fontsize=9)
    return figure


def systems_of(text: str) -> list[str]:
    """Names of systems from `rcn_a,ststnet`, in this order; raises InputError for others, or none."""
    names = list(dict.fromkeys(text.split(',')))
    if unknown := [name for name in names if name not in workload.SYSTEMS]:
        raise InputError(
            f'--systems {text}: there is no system {unknown[0]!r}; expected some of '
            f'{", ".join(workload.SYSTEMS)}, with commas between them and no spaces'
        )
    return names


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures every system; returns what the JSON file holds."""
    names = systems_of(options.systems)
    given = ('folds', 'epochs', 'rounds', 'batches')
    loso.check(loso.parse([f'--{name}={vars(options)[name]}' for name in given]))
    machine.check_outputs(options)
    found = {
        'folds': options.folds,
        'epochs': options.epochs,
        'rounds': options.rounds,
        'batches': options.batches,
        'rows': [],
        'failed': {},
    }
    for name in names:
        print(title(name), flush=True)
        try:
            found['rows'].append(measure(name, options))
        except InputError as error:
            print(f'{name} failed: {error}', file=sys.stderr, flush=True)
            found['failed'][name] = str(error)
        machine.write_outputs(found, options, plot)
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.systems', description=__doc__.splitlines()[0])
    every = ','.join(workload.SYSTEMS)
    parser.add_argument('--systems', default=every, help=f'by commas (default: {every})')
    parser.add_argument('--folds', type=int, default=4, help='subjects left out (default: 4)')
    parser.add_argument('--epochs', type=int, default=10, help='of each fold that are timed (default: 10)')
    parser.add_argument('--rounds', type=int, default=3, help='both sides in turns (default: 3)')
    parser.add_argument(
        '--batches', type=int, default=0, help='of each epoch of a fold (default: 0, 442 random clips)'
    )
    machine.add_outputs(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its table; returns the exit status, 2 where a system has no figure."""
    try:
        found = run(parse(arguments))
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    Console().print(table(found['rows']))
    for name in found['failed']:
        print(f'{name} failed, see above', file=sys.stderr)
    return 2 if found['failed'] else 0


if __name__ == '__main__':
    sys.exit(main())
