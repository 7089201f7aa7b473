"""One run, from config to report. Read top to bottom."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
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
from dualatme_jax.training import engine, losses, memory, optimizers, trials
from dualatme_jax.training.checkpoint import WaveCheckpoints, save_weights
from dualatme_jax.training.step import Recipe

# Every trial is scored with its last epoch's weights: nothing is selected on the left-out subject.
SELECTION = 'last'


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
    recipe = make_recipe(config)
    dataset = load_dataset(config.data)
    table = trials.table(
        dataset,
        seeds=config.seeds,
        hyperparameters=hyperparameters(config),
        allow_missing_class=config.data.allow_missing_class,
    )
    trainer = engine.Engine(recipe, dataset, batch_size=config.training.batch_size)
    identity = json.loads(config.to_json()) | {'dataset': fingerprint(dataset)}
    with workdir_lib.claim(workdir, identity) as folder:
        if (folder / workdir_lib.RESULTS).exists():
            console.print(f'{folder} holds this run, finished; nothing is trained again', soft_wrap=True)
            ledger = Ledger.open(folder / workdir_lib.TRIALS)
        else:
            ledger = open_ledger(folder, table, trainer, config)
            train(ledger, trainer, config, folder, identity, console)
        return report(ledger, config, folder, console)


def make_recipe(config: ConfigDict) -> Recipe:
    """What all trials have in common; raises InputError for what cannot be."""
    for section, field in [('training', 'epochs'), ('checkpoint', 'every'), ('report', 'resamples')]:
        if config[section][field] < 1:
            raise InputError(f'config.{section}.{field} is {config[section][field]}; expected 1 or more')
    if config.engine.max_trials < 0:
        raise InputError(
            f'config.engine.max_trials is {config.engine.max_trials}; expected a number, or 0 for no limit'
        )
    if len(config.loss.class_weights) != len(schema.LABELS):
        raise InputError(
            f'config.loss.class_weights is {tuple(config.loss.class_weights)}; '
            f'expected one for each of {", ".join(schema.LABELS)}'
        )
    return Recipe(
        model=models.build(classes=len(schema.LABELS), **config.model),
        classification=losses.classification(config.loss.name),
        class_weights=tuple(config.loss.class_weights),
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
    path = pathlib.Path(data.path)
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
    folder: pathlib.Path, table: pd.DataFrame, trainer: engine.Engine, config: ConfigDict
) -> Ledger:
    """The ledger of a run that was begun, or a new one with its waves planned by memory."""
    path = folder / workdir_lib.TRIALS
    if path.exists():
        return Ledger.open(path)
    most = min(len(table), config.engine.max_trials or len(table))
    size = memory.wave_size(
        trials=len(table),
        budget_bytes=memory.budget(config.engine.memory_gib),
        bytes_per_trial=trainer.bytes_per_trial(table[:most].to_dict('records')),
        most=most,
    )
    return Ledger.create(path, table, wave_size=size)


def train(
    ledger: Ledger,
    trainer: engine.Engine,
    config: ConfigDict,
    folder: pathlib.Path,
    identity: Mapping[str, Any],
    console: Console,
) -> None:
    """Trains the pending waves, each from its checkpoint if there is one, and keeps what they give."""
    device = jax.local_devices()[0]
    console.print(
        f'{len(ledger.table)} trials, {ledger.wave_size} side by side, on {device.device_kind}',
        soft_wrap=True,
    )
    decisive = {section: identity[section] for section in workdir_lib.DECISIVE}
    with reporting(console, epochs=config.training.epochs, waves=ledger.waves) as reporter:
        for number, rows in ledger.pending():
            name = f'wave_{number:03d}'
            checkpoints = WaveCheckpoints(
                folder / workdir_lib.CHECKPOINTS / name, decisive | {'trials': rows['trial'].tolist()}
            )
            with memory.explained(ledger.wave_size):
                wave = trainer.train_wave(
                    rows.to_dict('records'),
                    size=ledger.wave_size,
                    epochs=config.training.epochs,
                    checkpoints=checkpoints,
                    every=config.checkpoint.every,
                    on_epoch=listener(number, reporter, folder / workdir_lib.TENSORBOARD / name),
                )
            kept = folder / workdir_lib.WAVES / name
            kept.mkdir(parents=True, exist_ok=True)
            predictions.write(wave.predictions, kept / workdir_lib.PREDICTIONS)
            if config.checkpoint.keep_weights:
                save_weights(kept / workdir_lib.WEIGHTS, wave.states)
            # Only now is the wave over: a process that dies before this line predicts again.
            ledger.close_wave(number, wave)
            checkpoints.delete()


def listener(number: int, reporter: Reporter, folder: pathlib.Path) -> engine.OnEpoch:
    """Tells the progress bar and TensorBoard of each epoch of wave `number`."""
    writer: list[tensorboardX.SummaryWriter] = []

    def on_epoch(done: int, epoch_losses: np.ndarray) -> None:
        reporter.epoch(number, done, epoch_losses)
        if not writer:  # what an earlier process wrote from this epoch on is trained again
            writer.append(tensorboardX.SummaryWriter(str(folder), purge_step=done))
        finite = epoch_losses[np.isfinite(epoch_losses)]
        if finite.size:
            writer[0].add_scalar('loss/mean', finite.mean(), done)
            writer[0].add_scalar('loss/max', finite.max(), done)
        writer[0].add_scalar('trials/failed', epoch_losses.size - finite.size, done)
        writer[0].flush()

    return on_epoch


def report(ledger: Ledger, config: ConfigDict, folder: pathlib.Path, console: Console) -> bool:
    """Writes predictions, scores, challenge logs and plots, and shows the table; returns if no trial failed.

    Scores pool the predictions of all folds, so a seed with a failed trial has none; it is named instead.
    """
    parts = [
        pd.read_csv(file, dtype={'subject': str, 'clip': str}, keep_default_na=False)
        for file in sorted((folder / workdir_lib.WAVES).glob(f'*/{workdir_lib.PREDICTIONS}'))
    ]
    table = pd.concat(parts, ignore_index=True)
    predictions.write(table, folder / workdir_lib.PREDICTIONS)
    failed = ledger.failed
    whole = table[~table['seed'].isin(failed['seed'])]
    result = {
        'selection': SELECTION,
        'trials': len(ledger.table),
        'failed': failed[['trial', 'database', 'subject', 'seed', 'failed_epoch']].to_dict('records'),
        'seconds': ledger.seconds,
        'scores': None,
        'per_seed': [],
    }
    for row in result['failed']:
        console.print(
            f'failed: trial {row["trial"]}, {row["database"]}/{row["subject"]} left out, seed {row["seed"]}: '
            f'the loss was not finite in epoch {row["failed_epoch"]}; its seed is not scored',
            soft_wrap=True,
        )
    if not whole.empty:
        result |= scores.score_run(whole, resamples=config.report.resamples)
        for seed, rows in whole.groupby('seed'):
            challenge_log.write(rows, folder / f'challenge_log_seed{seed}.txt')
        plots.confusion_matrices(whole, folder / workdir_lib.CONFUSION)
        console.print(tables.scores_table(whole, result, selection='last epoch'))
    results.write(result, folder / workdir_lib.RESULTS)
    shutil.rmtree(folder / workdir_lib.CHECKPOINTS, ignore_errors=True)
    console.print(f'trained in {ledger.seconds:.0f} s; everything is in {folder}', soft_wrap=True)
    return failed.empty
