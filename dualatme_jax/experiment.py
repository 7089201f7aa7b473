"""One run, from config to report. Read top to bottom."""

import contextlib
import hashlib
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
import tensorboardX
from ml_collections import ConfigDict
from rich.console import Console

from dualatme_jax import dataset as dataset_lib
from dualatme_jax import models, schema
from dualatme_jax import workdir as workdir_lib
from dualatme_jax.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.ledger import Ledger
from dualatme_jax.progress import Reporter, reporting
from dualatme_jax.report import challenge_log, plots, predictions, results, scores, tables
from dualatme_jax.training import losses, memory, optimizers, trials
from dualatme_jax.training.checkpoint import WaveCheckpoints, save_weights
from dualatme_jax.training.engine import Engine, OnEpoch
from dualatme_jax.training.step import Training

# Every trial is scored with its last epoch's weights: nothing is selected on the left-out subject.
SELECTION = 'last'

# What numbers of the config may be: (section, field, least, most).
RANGES = [
    ('training', 'epochs', 1, math.inf),
    ('checkpoint', 'every', 1, math.inf),
    ('report', 'resamples', 1, math.inf),
    ('engine', 'max_trials', 0, math.inf),
    ('optimizer', 'learning_rate', 0, math.inf),
    ('optimizer', 'momentum', 0, 1),
    ('optimizer', 'step_factor', 0, 1),
    ('loss', 'focal_gamma', 0, math.inf),
    ('loss', 'focal_alpha', 0, math.inf),
    ('loss', 'cosine_weight', 0, math.inf),
]

# Trials whose step is compiled to learn what one takes: a small run trains with the program that this gives.
PROBED_TRIALS = 16


def run(config: ConfigDict, workdir: str | os.PathLike, console: Console | None = None) -> bool:
    """Trains what of the run is not trained yet, then reports.

    Args:
      config: as a file of `configs/` makes it.
      workdir: where the run is kept; one that holds a part of this run is continued, a finished one reported.
      console: where progress and the table of results are shown.

    Returns:
      Whether every trial ended well.

    Raises:
      InputError: the config, the dataset or the workdir cannot be used.
    """
    console = console or Console(markup=False, highlight=False)
    check_ranges(config)
    dataset = load_dataset(config.data)
    training = make_training(config, dataset.labels)
    table = trials.table(
        dataset,
        seeds=config.seeds,
        hyperparameters=hyperparameters(config),
        allow_missing_class=config.data.allow_missing_class,
    )
    engine = Engine(training, dataset, batch_size=config.training.batch_size)
    identity = json.loads(config.to_json()) | {'dataset': fingerprint(dataset)}
    with workdir_lib.claim(workdir, identity) as folder:
        if (folder / workdir_lib.RESULTS).exists():
            console.print(f'{folder} holds this run, finished; nothing is trained again', soft_wrap=True)
            ledger = Ledger.open(folder / workdir_lib.TRIALS, table)
        else:
            ledger = open_ledger(folder, table, engine, config, console)
            train(ledger, engine, config, folder, identity, console)
            collect(ledger, folder)
        return report(ledger, dataset, config, folder, console)


def check_ranges(config: ConfigDict) -> None:
    """Raises InputError for a number that is out of its range, before anything is read or built."""
    for section, field, low, high in RANGES:
        if not low <= config[section][field] <= high:
            upwards = f'to {high}' if high < math.inf else 'or more'
            raise InputError(
                f'config.{section}.{field} is {config[section][field]}; expected {low} {upwards}'
            )


def make_training(config: ConfigDict, labels: Sequence[str]) -> Training:
    """What all trials have in common; `labels` are the classes. Raises InputError for what cannot be."""
    weights = tuple(config.loss.class_weights)
    weighted = config.loss.name == 'weighted_cross_entropy'
    if weighted and (len(weights) != len(labels) or min(weights) < 0):
        raise InputError(
            f'config.loss.class_weights is {weights}; '
            f'expected one, not negative, for each of {", ".join(labels)}'
        )
    return Training(
        model=models.build(classes=len(labels), **config.model),
        classification=losses.classification(config.loss.name),
        class_weights=weights,
        optimizer=optimizers.optimizer(config.optimizer.name),
        schedule=optimizers.schedule(
            config.optimizer.schedule,
            step_epochs=config.optimizer.step_epochs,
            step_factor=config.optimizer.step_factor,
        ),
    )


def hyperparameters(config: ConfigDict) -> dict[str, float]:
    """The numbers that may differ from trial to trial within one compiled program."""
    return {
        'learning_rate': config.optimizer.learning_rate,
        'momentum': config.optimizer.momentum,
        'cosine_weight': config.loss.cosine_weight,
        'focal_gamma': config.loss.focal_gamma,
        'focal_alpha': config.loss.focal_alpha,
    }


def load_dataset(data: ConfigDict) -> Dataset:
    """The dataset of a config; the synthetic one is built on first use."""
    path = pathlib.Path(data.path).expanduser()
    if data.build_synthetic and not path.exists():
        # In a process of its own: training does not import OpenCV, nor building JAX.
        command = [sys.executable, '-m', 'data_prep', 'build', '--release', 'synthetic', '--out', str(path)]
        if subprocess.run(command, check=False).returncode:
            raise InputError(f'the synthetic release could not be built in {path}: see the message above')
    return dataset_lib.load(path, databases=tuple(data.databases))


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """Tells this data from any other: a run is continued on the data it began with."""
    digest = hashlib.sha256()
    for array in (dataset.flow, dataset.flow_puzzled, dataset.label):
        digest.update(array.tobytes())
    for names in (dataset.database, dataset.subject, dataset.clip):
        digest.update('\n'.join(names).encode())
    return {'clips': dataset.size, 'sha256': digest.hexdigest()}


def open_ledger(
    folder: pathlib.Path, table: pd.DataFrame, engine: Engine, config: ConfigDict, console: Console
) -> Ledger:
    """The ledger of a run that was begun, or a new one with its waves planned by memory."""
    path = folder / workdir_lib.TRIALS
    most = config.engine.max_trials or len(table)
    if path.exists():
        ledger = Ledger.open(path, table)
        if ledger.wave_size > most:
            ledger.plan_again(most)
            shutil.rmtree(folder / workdir_lib.CHECKPOINTS, ignore_errors=True)  # of larger waves
        return ledger
    console.print(f'{len(table)} trials; planning, which compiles the training', soft_wrap=True)
    budget = memory.budget(config.engine.memory_gib)
    probe = table[: min(most, PROBED_TRIALS)].to_dict('records')
    with memory.explained(len(probe)):
        bytes_per_trial = engine.bytes_per_trial(probe)
    size = memory.wave_size(
        trials=len(table), bytes_per_trial=bytes_per_trial, budget_bytes=budget, most=most
    )
    return Ledger.create(path, table, wave_size=size)


def train(
    ledger: Ledger,
    engine: Engine,
    config: ConfigDict,
    folder: pathlib.Path,
    identity: Mapping[str, Any],
    console: Console,
) -> None:
    """Trains the pending waves, each from its checkpoint if there is one, and keeps what they give."""
    decisive = {section: identity[section] for section in workdir_lib.DECISIVE}
    device = jax.local_devices()[0].device_kind
    console.print(f'{len(ledger.table)} trials, {ledger.wave_size} side by side, on {device}', soft_wrap=True)
    with reporting(console, epochs=config.training.epochs, waves=ledger.waves) as reporter:
        for number, rows in ledger.pending():
            name = workdir_lib.wave_name(number)
            checkpoints = WaveCheckpoints(
                folder / workdir_lib.CHECKPOINTS / name, decisive | {'trials': rows['trial'].tolist()}
            )
            tensorboard = folder / workdir_lib.TENSORBOARD / name
            with memory.explained(ledger.wave_size), listening(number, reporter, tensorboard) as on_epoch:
                wave = engine.train_wave(
                    rows.to_dict('records'),
                    size=ledger.wave_size,
                    epochs=config.training.epochs,
                    checkpoints=checkpoints,
                    every=config.checkpoint.every,
                    on_epoch=on_epoch,
                )
            kept = folder / workdir_lib.WAVES / name
            kept.mkdir(parents=True, exist_ok=True)
            predictions.write(wave.predictions, kept / workdir_lib.PREDICTIONS)
            if config.checkpoint.keep_weights:
                save_weights(kept / workdir_lib.WEIGHTS, wave.variables)
            # Only now is the wave over: a process that dies before this line continues from the checkpoint.
            ledger.close_wave(number, wave)
            checkpoints.delete()
            del wave  # its networks make room for the next ones


@contextlib.contextmanager
def listening(number: int, reporter: Reporter, folder: pathlib.Path) -> Iterator[OnEpoch]:
    """Yields what tells the progress bar and TensorBoard of each epoch of wave `number`."""
    with contextlib.ExitStack() as stack:
        writer = None

        def on_epoch(done: int, epoch_losses: np.ndarray) -> None:
            nonlocal writer
            reporter.epoch(number, done, epoch_losses)
            if writer is None:  # what an earlier process wrote from this epoch on is trained again
                writer = stack.enter_context(tensorboardX.SummaryWriter(str(folder), purge_step=done))
            finite = epoch_losses[np.isfinite(epoch_losses)]
            if finite.size:
                writer.add_scalar('loss/mean', finite.mean(), done)
                writer.add_scalar('loss/max', finite.max(), done)
            writer.add_scalar('trials/failed', epoch_losses.size - finite.size, done)
            writer.flush()

        yield on_epoch


def collect(ledger: Ledger, folder: pathlib.Path) -> None:
    """Puts the waves' predictions together in one file.

    Scores pool the predictions of all folds, so a seed of which a trial failed is left out as a whole; what
    its other trials predicted stays with their waves.
    """
    files = [
        folder / workdir_lib.WAVES / workdir_lib.wave_name(wave) / workdir_lib.PREDICTIONS
        for wave in range(ledger.waves)
    ]
    parts = [pd.read_csv(file, dtype={'subject': str, 'clip': str}, keep_default_na=False) for file in files]
    whole = [part[~part['seed'].isin(ledger.failed['seed'])] for part in parts]
    whole = [part for part in whole if len(part)] or parts[:1]
    predictions.write(pd.concat(whole, ignore_index=True), folder / workdir_lib.PREDICTIONS)


def report(
    ledger: Ledger, dataset: Dataset, config: ConfigDict, folder: pathlib.Path, console: Console
) -> bool:
    """Writes scores, challenge logs and plots, and shows the table; returns whether no trial failed."""
    failed = ledger.failed
    result = {
        'selection': SELECTION,
        'trials': len(ledger.table),
        'failed': failed[['trial', 'database', 'subject', 'seed', 'failed_epoch']].to_dict('records'),
        'seconds': ledger.seconds,
        'dataset': dataset.metadata,
        'labels': list(dataset.labels),
        'scores': None,
        'per_seed': [],
    }
    for row in result['failed']:
        console.print(
            f'failed: trial {row["trial"]}, {row["database"]}/{row["subject"]} left out, seed {row["seed"]}: '
            f'not finite in epoch {row["failed_epoch"]}; its seed is not scored',
            soft_wrap=True,
        )
    if set(failed['seed']) != set(ledger.table['seed']):
        table, labels = predictions.read(folder / workdir_lib.PREDICTIONS)
        result |= scores.score_run(table, resamples=config.report.resamples)
        console.print(tables.scores_table(table, result, selection=f'{SELECTION} epoch'))
        console.print(f'Input: {dataset.origin}', soft_wrap=True)
        plots.confusion_matrices(table, labels, folder / workdir_lib.CONFUSION)
        write_challenge_logs(table, labels, folder, console)
    results.write(result, folder / workdir_lib.RESULTS)
    shutil.rmtree(folder / workdir_lib.CHECKPOINTS, ignore_errors=True)
    console.print(f'trained in {ledger.seconds:.0f} s; everything is in {folder}', soft_wrap=True)
    return failed.empty


def write_challenge_logs(
    table: pd.DataFrame, labels: Sequence[str], folder: pathlib.Path, console: Console
) -> None:
    """One log a seed; classes and names that the log has no way to write are told, and cost nothing else."""
    if labels != schema.LABELS:
        console.print(
            f'no challenge log: its classes are {", ".join(schema.LABELS)}; '
            f"the dataset's are {', '.join(labels)}",
            soft_wrap=True,
        )
        return
    for seed, rows in table.groupby('seed'):
        try:
            challenge_log.write(rows, folder / f'challenge_log_seed{seed}.txt')
        except InputError as error:
            console.print(f'no challenge log of seed {seed}: {error}', soft_wrap=True)
