"""Kernel ridge regression of all left-out subjects at once, against solving each fold anew by NumPy.

    python -m benchmarks.closed_form [--clips 442] [--subjects 68] [--folds 0] [--widths 25] [--ridges 9]
                                     [--parts 5] [--numbers 392] [--anew 10] [--json FILE]

Clips are random vectors whose mean shows the class, of subjects with about as many clips each. Every
subject is left out once, and the best of all settings (widths x ridges) is chosen for each by inner parts
of the others: trials x settings are solved. NumPy solves some of these (`--anew`) with one thread, spread
over all trials, and the others are taken to last as long. The largest difference of a probability between
both is shown. CPU seconds are those of all cores together, and depend less on what else the machine does
than the time that passed. Programs are compiled before.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import threadpoolctl
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from dualatme_jax import schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.machines import host_memory
from dualatme_jax.models.kernel_ridge import KernelRidge
from dualatme_jax.training import augment, kernels, prepare, trials
from dualatme_jax.training.choosing import Asked
from dualatme_jax.training.closed_form import ClosedForm

KEY = 'vector'
_READ = {'scale': 'stored', 'channels': ()}


def random_clips(clips: int, subjects: int, numbers: int) -> Dataset:
    """Clips with one vector each, of which the first numbers show the class, in a database of one's own."""
    random = np.random.default_rng(0)
    label = random.choice(3, clips, p=[0.57, 0.25, 0.18])
    vectors = random.normal(size=(clips, numbers))
    vectors[:, :30] += 0.7 * np.eye(3)[label].repeat(10, 1)
    person = np.sort(np.arange(clips) % subjects)
    return Dataset(
        inputs={KEY: (vectors / np.sqrt(2 * numbers)).astype(np.float32)},
        label=label.astype(np.int32),
        database=np.full(clips, 'random'),
        subject=np.array([f'{number:04d}' for number in person]),
        clip=np.array([f'{number:05d}' for number in range(clips)]),
        labels=schema.LABELS,
        metadata={},
    )


def learner(dataset: Dataset, widths: int, ridges: int, parts: int, **told: Callable) -> ClosedForm:
    """The learner of so many settings around those of configs/kernel_ridge.py."""
    return ClosedForm(
        KernelRidge(
            {KEY: lambda inputs: inputs[KEY]},
            ((KEY,),),
            tuple(np.geomspace(0.25, 4, widths).tolist()) if widths > 1 else (1.0,),
            tuple(np.geomspace(0.1, 2, ridges).tolist()) if ridges > 1 else (0.6,),
            mirror=False,
        ),
        dataset,
        prepare=prepare.preparation(**_READ),
        mirror=augment.mirroring(**_READ),
        room=int(0.8 * host_memory.free()),
        parts=parts,
        **told,
    )


def timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Seconds that passed, and of all cores; and what the work returned."""
    began, cpu = time.perf_counter(), time.process_time()
    found = work()
    return {'seconds': time.perf_counter() - began, 'cpu': time.process_time() - cpu}, found


def anew(kernel: np.ndarray, label: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Scores [T, K] of what one trial leaves out, with a ridge of 0.6, as NumPy solves it."""
    counts = np.bincount(label[train], minlength=3)
    matrix = kernel[np.ix_(train, train)] + 0.6 * np.diag(3 * counts[label[train]] / train.sum())
    return kernel[np.ix_(~train, train)] @ np.linalg.solve(matrix, np.eye(3)[label[train]] - 1 / 3)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures both; returns what the JSON file holds."""
    machine.check_at_least_one(options, 'clips', 'subjects', 'widths', 'ridges', 'numbers', 'anew')
    machine.check_outputs(options)
    dataset = random_clips(options.clips, options.subjects, options.numbers)
    rows = trials.table(dataset, seeds=(0,), points=[{}]).to_dict('records')
    rows = rows[:: max(1, len(rows) // options.folds)][: options.folds] if options.folds else rows
    said: list[str] = []
    one = learner(dataset, 1, 1, 0, on_plan=said.append)
    compiling, wave = timed(lambda: one.fit_predict(rows))
    settings = options.widths * options.ridges
    if settings > 1:  # the same shapes as those that are timed
        learner(dataset, 1, 2, options.parts).fit_predict(rows)
    several = learner(dataset, options.widths, options.ridges, options.parts, on_plan=said.append)
    ours, _ = timed(lambda: several.fit_predict(rows))
    asked = Asked.by(rows, dataset, options.parts if settings > 1 else 0)
    number = len(asked.train)
    some = np.unique(np.linspace(0, number - 1, min(options.anew, number)).astype(int))
    with jax.enable_x64(True):
        kernel = np.asarray(kernels.rbf([dataset.inputs[KEY]], np.float64(1)))
    with threadpoolctl.threadpool_limits(1):
        theirs, _ = timed(lambda: [anew(kernel, dataset.label, asked.train[place]) for place in some])
    every = {name: value / len(some) * number * settings for name, value in theirs.items()}
    return {
        'about': machine.describe(jax.devices()[0].device_kind) | machine.versions('jax', 'numpy'),
        'clips': dataset.size,
        'subjects': options.subjects,
        'trials': number,
        'settings': settings,
        'plan': said[-1],
        'first': compiling,
        'ours': ours,
        'numpy': every,
        'difference': difference(wave.predictions, rows, dataset, kernel),
    }


def difference(predictions: Any, rows: Sequence[dict], dataset: Dataset, kernel: np.ndarray) -> float:
    """The largest between probabilities of a few folds by both."""
    found = []
    for row in (rows[0], rows[len(rows) // 2], rows[-1]):
        fold = trials.fold_of(row, dataset)
        scores = np.maximum(anew(kernel, dataset.label, fold.train) + 1 / 3, 0)
        own = predictions[predictions['trial'] == row['trial']].filter(like='prob_').to_numpy()
        found.append(abs(own - scores / scores.sum(1, keepdims=True)).max())
    return float(max(found))


def table(found: dict[str, Any]) -> Table:
    """One row per way."""
    solved = found['trials'] * found['settings']
    title = f'{found["clips"]} clips, {found["trials"]} trials x {found["settings"]} settings = {solved}'
    view = Table(title=f'{title}\n{machine.named(found["about"])}, load {found["about"]["load"]:.1f}')
    view.add_column('')
    for head in ('seconds', 'CPU seconds', 'CPU ms each'):
        view.add_column(head, justify='right')
    names = {'ours': 'one factorisation per setting', 'numpy': 'each trial anew, numpy.linalg.solve'}
    for key, name in names.items():
        cpu = found[key]['cpu']
        view.add_row(name, f'{found[key]["seconds"]:.1f}', f'{cpu:.1f}', f'{1000 * cpu / solved:.2f}')
    view.caption = f'{found["plan"]}; largest difference of a probability {found["difference"]:.1e}'
    return view


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.closed_form', description=__doc__.splitlines()[0]
    )
    for name, default, about in (
        ('clips', 442, 'random clips'),
        ('subjects', 68, 'each is left out once'),
        ('widths', 25, 'of kernels'),
        ('folds', 0, 'subjects that are left out, 0: every one'),
        ('ridges', 9, 'of each'),
        ('parts', 5, 'inner parts by which the best setting is chosen'),
        ('numbers', 392, 'of a vector'),
        ('anew', 10, 'trials that NumPy solves'),
    ):
        parser.add_argument(f'--{name}', type=int, default=default, help=f'{about} (default: {default})')
    parser.add_argument('--json', metavar='FILE', help='write everything that was measured')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its table; returns the exit status."""
    options = parse(arguments)
    options.plot = None
    try:
        found = run(options)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    machine.write_outputs(found, options, None)
    Console().print(table(found))
    return 0


if __name__ == '__main__':
    sys.exit(main())
