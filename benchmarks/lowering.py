"""Convolutions, computed in every way, alone and for stacked trials.

    python -m benchmarks.lowering [--wide] [--trials N] [--batch N] [--rounds N] [--precision NAME]
                                  [--json FILE] [--plot FILE]

The convolutions are those of Dual-ATME, or with --wide some of RCN and ResNet-18, with many channels.

The output and both gradients of each convolution are timed as one compiled program, for one trial and for N
stacked ones (each with its own input and kernel). The ways are those of `models.layers.lowering`, and its
tiles in several sizes. All ways of a convolution run in turns; the table shows the fastest of the rounds,
which other processes disturb least. GFLOP/s count the arithmetic of the convolution itself, without what a
way adds to it (zeros of a tile, copies), so that they are comparable.

`taskset -c 0 python -m benchmarks.lowering` measures one core.
"""

import argparse
import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from dualatme_jax.models.layers import lowering
from dualatme_jax.models.layers.product import as_kept
from dualatme_jax.training import devices


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A square convolution with 'same' padding: size of the maps, channels in and out, kernel size."""

    size: int
    channels: int
    features: int
    taps: int

    def __str__(self) -> str:
        return f'{self.size}x{self.size}, {self.channels}-{self.features}, {self.taps}x{self.taps}'

    @property
    def axes(self) -> lowering.Axes:
        """Both of its spatial axes, as a lowering takes them."""
        low = (self.taps - 1) // 2
        return (lowering.Axis(self.size, self.taps, low=low, high=self.taps - 1 - low),) * 2

    def gflop(self, examples: int) -> float:
        """Arithmetic of the output and both gradients, in 10^9; zeros of the padding count."""
        return 3 * 2 * examples * self.size**2 * self.taps**2 * self.channels * self.features / 1e9


CONVOLUTIONS = (
    Convolution(28, 3, 6, 1),
    Convolution(28, 6, 6, 3),
    Convolution(28, 6, 6, 5),
    Convolution(14, 24, 12, 1),
    Convolution(14, 6, 12, 3),
    Convolution(14, 6, 12, 5),
    Convolution(7, 2, 1, 3),
)

WIDE = (
    Convolution(12, 32, 32, 3),
    Convolution(28, 64, 64, 3),
    Convolution(14, 128, 128, 3),
    Convolution(7, 256, 256, 3),
)

EDGES = (2, 4, 7)  # of tiles; 1 is im2col, a whole row is row

Way = Callable[[jax.Array, jax.Array, lowering.Axes], jax.Array]


def ways(convolution: Convolution) -> dict[str, Way]:
    """The ways to compute a convolution, by name; tiles of several edges where it has more than one tap."""
    edges = EDGES if convolution.taps > 1 else ()
    each = {name: way for name, way in lowering.LOWERINGS.items() if name != 'auto'}  # one of the others
    return each | {
        f'tiles of {edge}': lowering.tiled(lambda axes, edge=edge: (edge,) * len(axes)) for edge in edges
    }


def program(way: Way, convolution: Convolution, trials: int, batch: int) -> Callable[[], Any]:
    """Compiles output and gradients of stacked trials; returns what computes them once."""
    random = np.random.default_rng(0)
    size, taps = (convolution.size,) * 2, (convolution.taps,) * 2
    shapes = (
        (trials, convolution.channels, *size, batch),
        (trials, *taps, convolution.channels, convolution.features),
        (trials, convolution.features, *size, batch),
    )
    x, kernel, cotangent = (jax.device_put(random.normal(size=shape).astype(np.float32)) for shape in shapes)
    x, cotangent = as_kept(x), as_kept(cotangent)

    def one_trial(x, kernel, cotangent):
        output, pullback = jax.vjp(functools.partial(way, axes=convolution.axes), x, kernel)
        return output, pullback(cotangent)

    compiled = jax.jit(jax.vmap(one_trial)).lower(x, kernel, cotangent).compile()
    return lambda: jax.block_until_ready(compiled(x, kernel, cotangent))


def measure(convolution: Convolution, trials: int, batch: int, rounds: int) -> list[dict[str, Any]]:
    """Returns one row per way: what was computed, how, and how long it took."""
    programs = {name: program(way, convolution, trials, batch) for name, way in ways(convolution).items()}
    gflop = convolution.gflop(trials * batch)
    return [
        {
            'convolution': str(convolution),
            'trials': trials,
            'batch': batch,
            'way': name,
            'milliseconds': 1e3 * min(seconds),
            'milliseconds_median': 1e3 * float(np.median(seconds)),
            'gflop_per_second': gflop / min(seconds),
        }
        for name, seconds in machine.in_turns(programs, rounds).items()
    ]


def table(rows: Sequence[Mapping[str, Any]], trials: int) -> Table:
    """One column per convolution, one line per way: milliseconds, and GFLOP/s below; the fastest is bold."""
    cells = {(row['way'], row['convolution']): row['milliseconds'] for row in rows if row['trials'] == trials}
    speeds = {
        (row['way'], row['convolution']): row['gflop_per_second'] for row in rows if row['trials'] == trials
    }
    names, convolutions = (list(dict.fromkeys(each)) for each in zip(*cells, strict=True))
    best = {
        convolution: min(value for (_, other), value in cells.items() if other == convolution)
        for convolution in convolutions
    }
    title = f'{trials} stacked trials' if trials > 1 else 'one trial'
    shown = Table('ms\nGFLOP/s', title=title, title_justify='left')
    for convolution in convolutions:
        shown.add_column(convolution.replace(', ', '\n'), justify='right')
    for name in names:
        texts = []
        for convolution in convolutions:
            place = name, convolution
            text = f'{_short(cells[place])}\n{_short(speeds[place])}' if place in cells else ''
            texts.append(f'[bold]{text}[/bold]' if cells.get(place) == best[convolution] else text)
        shown.add_row(name, *texts)
    return shown


def _short(value: float) -> str:
    """Three digits or a bit more."""
    return f'{value:.{2 if value < 10 else 1 if value < 100 else 0}f}'


def plot(found: Mapping[str, Any]) -> Any:
    """Draws milliseconds per trial of every convolution and way, one panel per number of trials."""
    from matplotlib.figure import Figure

    rows = found['rows']
    stacks = list(dict.fromkeys(row['trials'] for row in rows))
    names = list(dict.fromkeys(row['way'] for row in rows))
    convolutions = list(dict.fromkeys(row['convolution'] for row in rows))
    figure = Figure(figsize=(9, 3.4 * len(stacks)), layout='constrained')
    for axes, trials in zip(figure.subplots(len(stacks), squeeze=False)[:, 0], stacks, strict=True):
        for number, name in enumerate(names):
            own = {
                row['convolution']: row['milliseconds'] / trials
                for row in rows
                if (row['trials'], row['way']) == (trials, name)
            }
            places = [convolutions.index(each) + (number / len(names) - 0.4) * 0.8 for each in own]
            axes.bar(places, list(own.values()), width=0.8 / len(names), label=name)
        axes.set_yscale('log')
        axes.set_ylabel('ms a trial')
        axes.set_xticks(range(len(convolutions)), [name.replace(', ', '\n') for name in convolutions])
        axes.set_title(f'{trials} stacked' if trials > 1 else 'one trial', fontsize=9)
    axes.legend(fontsize=7, ncols=4)
    title = f'Output and gradients of {rows[0]["batch"]} examples; {machine.named(found["machine"])}'
    figure.suptitle(title, fontsize=10)
    return figure


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.lowering', description=__doc__.splitlines()[0]
    )
    parser.add_argument('--wide', action='store_true', help='convolutions of many channels')
    parser.add_argument('--trials', type=int, default=4, help='stacked, beside one alone (default: 4)')
    parser.add_argument('--batch', type=int, default=128, help='examples of each trial (default: 128)')
    parser.add_argument('--rounds', type=int, default=5, help='all ways in turns (default: 5)')
    machine.add_precision(parser, devices.PRECISIONS)
    machine.add_outputs(parser)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures everything; returns what the JSON file holds."""
    machine.check_outputs(options)
    machine.check_at_least_one(options, 'trials', 'batch', 'rounds')
    convolutions = WIDE if options.wide else CONVOLUTIONS
    found = {
        'machine': machine.describe(jax.local_devices()[0].device_kind),
        'versions': machine.versions('jax', 'jaxlib', 'numpy'),
        'rounds': options.rounds,
        'precision': options.precision,
        'default': lowering.DEFAULT,
        'edges': {str(each): lowering.tile(each.axes) for each in convolutions},
        'rows': [],
    }
    console = Console()
    for trials in dict.fromkeys((1, options.trials)):
        for convolution in convolutions:
            with jax.default_matmul_precision(devices.PRECISIONS[options.precision]):
                found['rows'] += measure(convolution, trials, options.batch, options.rounds)
        console.print(table(found['rows'], trials))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark, prints its tables and writes files on request; returns the exit status."""
    return machine.command(run, plot, parse(arguments))


if __name__ == '__main__':
    machine.use_huge_pages()
    sys.exit(main())
