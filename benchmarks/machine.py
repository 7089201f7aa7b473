"""What benchmarks share: the machine they ran on, turns, and where their results go."""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dualatme_jax import files
from dualatme_jax.errors import InputError

# As in `dualatme_jax.main`: what allocates large arrays on a CPU gains from huge pages.
HUGE_PAGES = {'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1'}


def use_huge_pages() -> None:
    """Starts this process again with large allocations on huge pages; see `dualatme_jax.main`."""
    from dualatme_jax.main import use_huge_pages

    use_huge_pages()


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def describe(device: str) -> dict[str, Any]:
    """Processor, cores, system and the `device` that was computed on; `load`: of the last minute."""
    return {
        'processor': _processor(),
        'cores': cores(),
        'device': device,
        'system': platform.platform(),
        'load': os.getloadavg()[0],
    }


def named(about: Mapping[str, Any]) -> str:
    """Processor, cores and device of what `describe` returned, for a title."""
    return (
        f'{about["processor"]}, {about["cores"]} core{"s" if about["cores"] > 1 else ""}, {about["device"]}'
    )


def versions(*packages: str) -> dict[str, str]:
    """Of Python and of the installed packages."""
    found = {name: importlib.metadata.version(name) for name in packages}
    return {'python': platform.python_version()} | found


def in_turns(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each function in each round; a round calls all of them, one after the other.

    A disturbance of the machine thus meets all of them. Each is called once before, untimed.
    """
    for function in functions.values():
        function()
    seconds = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """The options of all benchmarks that name files."""
    parser.add_argument('--json', metavar='FILE', help='write everything that was measured')
    parser.add_argument('--plot', metavar='FILE', help='write a plot')


def add_precision(parser: argparse.ArgumentParser, choices: Iterable[str]) -> None:
    """The option that says at which precision a benchmark computes."""
    parser.add_argument(
        '--precision',
        choices=list(choices),
        default='float32',
        help='as config.engine.precision (default: float32)',
    )


def check_outputs(options: argparse.Namespace) -> None:
    """Raises InputError, before anything runs, for a file whose folder does not exist."""
    for name in ('json', 'plot'):
        path = getattr(options, name)
        if path and not pathlib.Path(path).expanduser().absolute().parent.is_dir():
            raise InputError(f'--{name} {path}: its folder does not exist; make it, or name another')


def check_at_least_one(options: argparse.Namespace, *names: str) -> None:
    """Raises InputError for an option that is a number below 1."""
    for name in names:
        if getattr(options, name) < 1:
            raise InputError(f'--{name} is {getattr(options, name)}; expected 1 or more')


def write_outputs(
    found: Mapping[str, Any], options: argparse.Namespace, plot: Callable[[Mapping[str, Any]], Any]
) -> None:
    """Writes the files that the command asked for; `plot` draws a matplotlib figure of what was found."""
    if options.json:
        with files.replacing(pathlib.Path(options.json).expanduser()) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + '\n')
    if options.plot:
        with files.replacing(pathlib.Path(options.plot).expanduser()) as temporary:
            plot(found).savefig(temporary, dpi=150)


def command(
    run: Callable[[argparse.Namespace], Mapping[str, Any]],
    plot: Callable[[Mapping[str, Any]], Any],
    options: argparse.Namespace,
) -> int:
    """Runs a benchmark and writes the files that were asked for; returns the exit status, 2 for bad input."""
    try:
        write_outputs(run(options), options, plot)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


def _processor() -> str:
    """The processor's name; of Linux, where `platform` does not know it."""
    try:
        lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')), '')
