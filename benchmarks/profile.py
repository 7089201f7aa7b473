"""Where a GPU's time goes: the kernels of training, by what they compute.

    python -m benchmarks.profile [--trials N] [--epochs N] [--precision NAME] [--json FILE] [--plot FILE]

Trials of Dual-ATME's leave-one-subject-out, on random clips in the shape of MEGC2019-CD, train side by side
as a run's do; some epochs of them are traced by JAX's profiler. Every kernel is looked up in the compiled
program, which knows the layer that it came from. Kernels of libraries (cuBLAS) have no name there: they are
products, of convolutions and of the dense layer.

`busy` is the time in kernels per epoch; for the rest of an epoch the GPU waits.
"""

import argparse
import collections
import pathlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from benchmarks import machine, workload
from dualatme_jax.errors import InputError
from dualatme_jax.training import devices

PROGRAM = 'jit_epoch'  # as the profiler calls what `training.parallel` compiles of an epoch

# From an operation's place in the network to what it is, the first that matches.
KINDS = (
    ('patches of convolutions', r'/conv/.*(stack|concatenate|/pad)'),
    ('products of convolutions', r'/conv/.*dot_general'),
    ('biases, layout of convolutions', r'/conv/'),
    ('normalisation', r'/\w*norm/'),
    ('dense layers, attention', r'/(fusion|classifier|cbam)/'),
    ('pooling, ReLU', r'/(entire|puzzled)/'),
    ('optimizer', r'(body|eval_jaxpr|vmap\(\))/(jit\(_where\)/select_n|add|mul|sub|div|sqrt)$'),
    ('picking a batch', r'gather|take'),
)
LIBRARY, OTHER = 'products by cuBLAS', 'other'


def places(program: str) -> dict[str, str]:
    """From the kernels of a compiled program, its text, to the operations in the network that they compute.

    A kernel is called as its instruction, with underscores for dots. Where that has no operation of its own,
    the last one within it counts.
    """
    name = r'op_name="([^"]*)"'
    bodies = {
        found[1]: re.findall(name, found[2])
        for found in re.finditer(r'^%?([\w.-]+) \([^\n]*\{\n(.*?)^\}', program, re.MULTILINE | re.DOTALL)
    }
    known = {}
    for found in re.finditer(r'^\s+(?:ROOT )?%?([\w.-]+) = (.*)$', program, re.MULTILINE):
        calls = re.search(r'calls=%?([\w.-]+)', found[2])
        within = bodies.get(calls[1], []) if calls else []
        own = re.findall(name, found[2]) or within[-1:]
        if own:
            known[re.sub(r'\W', '_', found[1])] = own[0]
    return known


def kind(kernel: str, known: Mapping[str, str]) -> str:
    """What a kernel computes: one of `KINDS`, by the operations that `places` knows, or of the others."""
    if kernel not in known:
        return LIBRARY if re.search('gemm|cutlass|cublas|nvjet', kernel) else OTHER
    return next((title for title, pattern in KINDS if re.search(pattern, known[kernel])), OTHER)


def kernels(folder: pathlib.Path) -> Iterator[tuple[str, float]]:
    """Name and milliseconds of every kernel of `PROGRAM` in a profile of JAX's."""
    (file,) = folder.rglob('*.xplane.pb')
    for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
        if not plane.name.startswith('/device:GPU'):
            continue
        for line in plane.lines:
            if line.name.startswith('Stream'):  # the other lines show the same once more
                for event in line.events:
                    if dict(event.stats).get('hlo_module') == PROGRAM:
                        yield event.name, event.duration_ns / 1e6


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns one row per kind: milliseconds and kernels of an epoch; then `busy`, and the whole epoch."""
    dataset = workload.random_clips()
    engine = workload.engine(dataset, precision=options.precision, devices=jax.local_devices()[:1])
    rows = workload.rows(dataset, options.trials)
    known = places(engine.compiled_step(rows).as_text())
    ends = []

    def train(epochs: int) -> None:
        engine.fit_predict(
            rows,
            size=len(rows),
            epochs=epochs,
            on_epoch=lambda done, losses: ends.append(time.perf_counter()),
        )

    train(options.epochs + 1)
    epoch = (ends[-1] - ends[0]) / options.epochs  # without the profiler, which takes time of its own
    milliseconds, count = collections.Counter(), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            train(options.epochs)
        for name, duration in kernels(pathlib.Path(folder)):
            milliseconds[kind(name, known)] += duration / options.epochs
            count[kind(name, known)] += 1 / options.epochs
    found = [
        {'kind': title, 'milliseconds': value, 'kernels': count[title]}
        for title, value in milliseconds.most_common()
    ]
    busy = {'kind': 'busy', 'milliseconds': milliseconds.total(), 'kernels': count.total()}
    return [*found, busy, {'kind': 'epoch', 'milliseconds': 1e3 * epoch, 'kernels': None}]


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A line a kind."""
    shown = Table('what', 'ms an epoch', '%', 'kernels')
    whole = rows[-1]['milliseconds']
    for row in rows:
        share = f'{100 * row["milliseconds"] / whole:.0f}'
        number = '' if row['kernels'] is None else f'{row["kernels"]:.0f}'
        shown.add_row(row['kind'], f'{row["milliseconds"]:.2f}', share, number)
    return shown


def plot(found: Mapping[str, Any]) -> Any:
    """Draws the milliseconds of each kind; returns the figure."""
    from matplotlib.figure import Figure

    rows = found['rows'][:-2]
    figure = Figure(figsize=(6.5, 1.4 + 0.3 * len(rows)), layout='constrained')
    axes = figure.subplots()
    axes.barh([row['kind'] for row in rows], [row['milliseconds'] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(
        f'ms of an epoch of {found["trials"]} trials, {found["rows"][-1]["milliseconds"]:.0f} in all'
    )
    axes.set_title(machine.named(found['machine']), fontsize=9)
    return figure


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.profile', description=__doc__.splitlines()[0])
    parser.add_argument('--trials', type=int, default=68, help='side by side (default: 68)')
    parser.add_argument('--epochs', type=int, default=3, help='that are traced (default: 3)')
    machine.add_precision(parser, devices.PRECISIONS)
    machine.add_outputs(parser)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures everything; returns what the JSON file holds."""
    machine.check_outputs(options)
    machine.check_at_least_one(options, 'trials', 'epochs')
    device = jax.local_devices()[0]
    if device.platform != 'gpu':
        raise InputError(
            f'JAX computes on {device.device_kind}; expected a GPU, whose kernels this separates: install '
            'its plugin, see docs/devices.md'
        )
    found = {
        'machine': machine.describe(device.device_kind),
        'versions': machine.versions('jax', 'jaxlib', 'numpy'),
        'trials': options.trials,
        'precision': options.precision,
        'rows': measure(options),
    }
    Console().print(table(found['rows']))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark, prints its table and writes files on request; returns the exit status."""
    return machine.command(run, plot, parse(arguments))


if __name__ == '__main__':
    sys.exit(main())
