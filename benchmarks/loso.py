"""Leave-one-subject-out training: ours against a PyTorch loop over the folds, on the same machine, in turns.

    python -m benchmarks.loso [--system NAME] [--folds N] [--epochs N] [--rounds N] [--precision NAME]
                              [--dataset DIR | --batches N] [--json FILE] [--plot FILE]

Both sides train the same folds of a system from data in memory, by default of Dual-ATME as `configs/cd.py`
has it (variant `paper`, batch 128, Adam, focal and cosine loss), else by the config of its name: ours side by
side (`training.engine`), PyTorch's one fold after another (`benchmarks.pytorch`). Every round runs one and
then the other, each in its own process, so that they share neither thread pools nor memory.

The measure is that of HFTA (Wang et al., arXiv 2102.02344): samples over wall time, after a warm-up epoch,
which includes the compilation. The wall time is that of a whole training: fresh networks, all epochs, and the
probabilities of the held-out clips on the host. `ratio` is PyTorch's time over ours, per round; above 1, ours
is faster. Compilation is the time of planning and warm-up minus that of a usual epoch, and is reported
separately: the first round has no compilation cache, the others use that of the first.

Without --dataset the clips are random, in the number and size of those of MEGC2019-CD: their content does not
change the time. With --batches an epoch has only so many whole batches. Nothing else should run on the
machine: PyTorch's threads wait actively for each other, and with another process on one of two cores they
took 3 to 15 times as long. On a shared machine OMP_WAIT_POLICY=PASSIVE in the environment avoids that.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from ml_collections import ConfigDict
from rich.console import Console

from benchmarks import machine, workload
from dualatme_jax import models
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError

OURS, PYTORCH = 'ours', 'pytorch'

PRECISIONS = ('float32', 'tf32')  # that both sides have

# Trains all folds of the work for a number of epochs.
Run = Callable[[int], object]


@dataclasses.dataclass(frozen=True)
class Work:
    """What both sides train.

    Attributes:
      dataset: the clips.
      folds: how many subjects are left out, the first ones.
      epochs: of each.
      system: that is trained, of `workload.SYSTEMS`.
      precision: of products on both sides, of `PRECISIONS`.
    """

    dataset: Dataset
    folds: int
    epochs: int
    system: str = 'dual_atme'
    precision: str = 'float32'

    @property
    def config(self) -> ConfigDict:
        """Of the system."""
        return workload.config(self.system)

    @property
    def subjects(self) -> pd.DataFrame:
        """`database` and `subject` of each fold, in the order of the dataset."""
        columns = {'database': self.dataset.database, 'subject': self.dataset.subject}
        return pd.DataFrame(columns).drop_duplicates()[: self.folds]

    @property
    def held_out(self) -> list[np.ndarray]:
        """The clips that each fold leaves out."""
        return [
            np.flatnonzero((self.dataset.database == database) & (self.dataset.subject == subject))
            for database, subject in self.subjects.itertuples(index=False)
        ]

    @property
    def samples(self) -> int:
        """Clips trained on, of all folds and epochs."""
        return self.epochs * sum(self.dataset.size - own.size for own in self.held_out)


def measure(prepare: Callable[[], Run], work: Work) -> dict[str, float]:
    """Times the work, after `prepare` and one epoch to warm up.

    Returns:
      `seconds` of the work, `samples_per_second`, `seconds_per_fold_epoch`, and `compile_seconds`: of
      `prepare` and the warm-up, less one epoch's.
    """
    began = time.perf_counter()
    run = prepare()
    run(1)
    warm = time.perf_counter()
    run(work.epochs)
    seconds = time.perf_counter() - warm
    return {
        'seconds': seconds,
        'samples_per_second': work.samples / seconds,
        'seconds_per_fold_epoch': seconds / (work.folds * work.epochs),
        'compile_seconds': max(0.0, warm - began - seconds / work.epochs),
    }


def ours(work: Work) -> dict[str, Any]:
    """Our side: the engine on all folds, in waves of the size that a run would choose."""
    import jax

    from dualatme_jax.run import plan
    from dualatme_jax.training import devices

    devices.one_a_core()

    def prepare() -> Run:
        config = work.config
        engine = workload.engine(work.dataset, config, precision=work.precision)
        rows = workload.rows(work.dataset, work.folds, config)
        size = plan.fitting_size(engine, rows, console=Console(stderr=True))

        def run(epochs: int) -> None:
            for first in range(0, len(rows), size):
                engine.fit_predict(rows[first : first + size], size=size, epochs=epochs)

        return run

    found = measure(prepare, work)
    device = jax.local_devices()[0]
    return found | {
        'gpu': device.platform == 'gpu',
        'device': device.device_kind,
        'versions': {'jax': jax.__version__},
    }


def pytorch(work: Work, *, compiled: bool, channels_last: bool) -> dict[str, Any]:
    """PyTorch's side, one fold after another; `compiled`, `channels_last`: as the command's options."""
    from benchmarks import pytorch as baseline

    device = baseline.default_device()
    options = baseline.Options(
        device=device,
        threads=machine.cores(),
        channels_last=channels_last,
        compile=compiled,
        tf32=work.precision == 'tf32',
    )
    data, held_out = work.dataset, work.held_out

    def prepare() -> Run:
        sequential = baseline.Baseline(
            data.inputs,
            data.label,
            classes=len(data.labels),
            options=options,
            config=work.config,
        )
        return lambda epochs: sequential.train(held_out, epochs=epochs)

    found = measure(prepare, work)
    about = baseline.describe(device)
    return found | {
        'gpu': device == 'cuda',
        'device': about.pop('device'),
        'options': dataclasses.asdict(options),
        'versions': about,
    }


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Runs all rounds, each side in its own process, and returns what the JSON file holds."""
    rounds = []
    with tempfile.TemporaryDirectory() as cache:
        for number in range(options.rounds):
            found = {'load_before': os.getloadavg()[0]}
            for side in (PYTORCH, OURS):
                found[side] = _in_a_process(side, options, cache)
            if found[PYTORCH]['gpu'] != found[OURS]['gpu']:
                raise InputError(
                    f'PyTorch ran on {found[PYTORCH]["device"]} and JAX on {found[OURS]["device"]}; expected '
                    'both on a GPU or both on the CPU: install the CUDA wheels of both, or hide the GPU '
                    'with CUDA_VISIBLE_DEVICES='
                )
            found['ratio'] = found[PYTORCH]['seconds'] / found[OURS]['seconds']
            rounds.append(found)
            print(
                f'round {number + 1}: PyTorch {found[PYTORCH]["seconds"]:.2f} s, ours '
                f'{found[OURS]["seconds"]:.2f} s (compiled in {found[OURS]["compile_seconds"]:.1f} s), '
                f'ratio {found["ratio"]:.2f}',
                flush=True,
            )
    return summary(rounds) | {
        'system': options.system,
        'folds': options.folds,
        'epochs': options.epochs,
        'batches': options.batches,
        'precision': options.precision,
        'dataset': options.dataset or 'random',
        'machine': machine.describe(rounds[0][OURS]['device']),
        'versions': machine.versions('numpy') | rounds[0][OURS]['versions'] | rounds[0][PYTORCH]['versions'],
        'rounds': rounds,
    }


def summary(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median ratio, its spread, and each side's median time and compilation over all rounds.

    `ratio_of_fastest`, of each side's fastest round, is the figure that other processes disturb least.
    """
    ratios = [found['ratio'] for found in rounds]
    fastest = [min(found[side]['seconds'] for found in rounds) for side in (PYTORCH, OURS)]
    short = {
        'ratio': float(np.median(ratios)),
        'ratio_min': min(ratios),
        'ratio_max': max(ratios),
        'ratio_of_fastest': fastest[0] / fastest[1],
    }
    for side in (PYTORCH, OURS):
        for column in ('seconds', 'seconds_per_fold_epoch', 'samples_per_second'):
            short[f'{side}_{column}'] = float(np.median([found[side][column] for found in rounds]))
        compilations = [found[side]['compile_seconds'] for found in rounds]
        short[f'{side}_compile_seconds_cold'] = compilations[0]
        short[f'{side}_compile_seconds_cached'] = float(np.median(compilations[1:])) if rounds[1:] else None
    return short


def plot(found: Mapping[str, Any]) -> Any:
    """Draws seconds per fold-epoch of both sides, one point per round; returns the figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout='constrained')
    axes = figure.subplots()
    for place, (side, title) in enumerate(((PYTORCH, 'PyTorch, one by one'), (OURS, 'dualatme_jax'))):
        values = [each[side]['seconds_per_fold_epoch'] for each in found['rounds']]
        axes.bar(place, np.median(values), width=0.5, label=title)
        axes.plot([place] * len(values), values, 'k.', alpha=0.5)
    axes.set_xticks([0, 1], ['PyTorch, one by one', 'dualatme_jax'])
    axes.set_ylabel('seconds per fold-epoch')
    axes.set_title(
        f'{found["system"]}, {found["folds"]} folds x {found["epochs"]} epochs: '
        f'{found["ratio"]:.2f} times as fast '
        f'[{found["ratio_min"]:.2f}, {found["ratio_max"]:.2f}]\n{machine.named(found["machine"])}',
        fontsize=9,
    )
    return figure


def work_of(options: argparse.Namespace) -> Work:
    """The work that the command names; raises InputError for a system or a dataset that cannot be used."""
    if options.system not in workload.SYSTEMS:
        raise InputError(f'--system {options.system}: expected one of {", ".join(workload.SYSTEMS)}')
    config = workload.config(options.system)
    if options.dataset:
        dataset = dataset_lib.load(options.dataset, reads=models.system(options.system).reads)
    else:
        dataset = workload.random_clips(config, batches=options.batches)
    work = Work(dataset, options.folds, options.epochs, options.system, options.precision)
    if len(work.subjects) < options.folds:
        raise InputError(
            f'--folds {options.folds}: the dataset has {len(work.subjects)} subjects; '
            'expected at most as many'
        )
    return work


def check(options: argparse.Namespace) -> None:
    """Raises InputError for what cannot be measured, before anything runs."""
    machine.check_at_least_one(options, 'folds', 'epochs', 'rounds')
    if options.batches < 0 or (options.batches and options.dataset):
        raise InputError(
            f'--batches is {options.batches}; expected 0, or with random clips (without --dataset) 1 or more'
        )
    if not has_pytorch():
        raise InputError(
            "PyTorch is not installed; the benchmark's baseline needs it: pip install -e '.[bench]'"
        )
    machine.check_outputs(options)
    work_of(options)


def has_pytorch() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec('torch') is not None


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.loso', description=__doc__.splitlines()[0])
    parser.add_argument(
        '--system', default='dual_atme', metavar='NAME', help="as in config.model.name (default: 'dual_atme')"
    )
    parser.add_argument('--folds', type=int, default=8, help='subjects left out (default: 8)')
    parser.add_argument('--epochs', type=int, default=3, help='of each fold (default: 3)')
    parser.add_argument('--rounds', type=int, default=3, help='both sides in turns (default: 3)')
    machine.add_precision(parser, PRECISIONS)
    parser.add_argument('--dataset', metavar='DIR', help='a built dataset (default: random clips)')
    parser.add_argument(
        '--batches',
        type=int,
        default=0,
        metavar='N',
        help='of each epoch of a fold, for systems of large inputs (default: 0, 442 random clips)',
    )
    machine.add_outputs(parser)
    parser.add_argument(
        '--torch-compile',
        action='store_true',
        help='compile the PyTorch side, which takes a minute or more in every round',
    )
    parser.add_argument(
        '--channels-last',
        action='store_true',
        help="PyTorch's images channel-last in memory, which was slower on 2 CPU cores",
    )
    # A side's own process: which, and where its result goes.
    parser.add_argument('--side', choices=(OURS, PYTORCH), help=argparse.SUPPRESS)
    parser.add_argument('--result', help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark, prints the ratio and writes files on request; returns the exit status."""
    options = parse(arguments)
    try:
        if options.side:
            _one_side(options)
        else:
            check(options)
            _report(compare(options), options)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


def _one_side(options: argparse.Namespace) -> None:
    work = work_of(options)
    if options.side == OURS:
        found = ours(work)
    else:
        found = pytorch(work, compiled=options.torch_compile, channels_last=options.channels_last)
    pathlib.Path(options.result).write_text(json.dumps(found))


def _in_a_process(side: str, options: argparse.Namespace, cache: str) -> dict[str, Any]:
    """Runs one side in a process of its own and returns what it measured."""
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder, 'result.json')
        command = [sys.executable, '-m', 'benchmarks.loso', '--side', side, '--result', str(result)]
        command += ['--system', options.system, '--precision', options.precision]
        command += ['--folds', str(options.folds), '--epochs', str(options.epochs)]
        command += ['--dataset', options.dataset] if options.dataset else []
        command += ['--batches', str(options.batches)]
        command += ['--torch-compile'] if options.torch_compile else []
        command += ['--channels-last'] if options.channels_last else []
        caches = {
            'JAX_COMPILATION_CACHE_DIR': f'{cache}/jax',
            'JAX_PERSISTENT_COMPILATION_CACHE_MIN_COMPILE_TIME_SECS': '0',  # as a run has it
            'TORCHINDUCTOR_CACHE_DIR': f'{cache}/torch',
        }
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=os.environ | machine.HUGE_PAGES | caches
        )
        if done.returncode:
            said = done.stderr.strip() or 'it said nothing'
            raise InputError(f"{side}'s process ended with status {done.returncode}:\n{said}")
        return json.loads(result.read_text())


def _report(found: Mapping[str, Any], options: argparse.Namespace) -> None:
    print(
        f'ratio {found["ratio"]:.2f} [{found["ratio_min"]:.2f}, {found["ratio_max"]:.2f}]: seconds per '
        f'fold-epoch PyTorch {found["pytorch_seconds_per_fold_epoch"]:.3f}, '
        f'ours {found["ours_seconds_per_fold_epoch"]:.3f} (medians of {options.rounds}); '
        f'ratio of the fastest rounds {found["ratio_of_fastest"]:.2f}'
    )
    machine.write_outputs(found, options, plot)


if __name__ == '__main__':
    sys.exit(main())
