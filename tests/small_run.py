"""Runs that train in seconds."""

import io
import json

from rich.console import Console
from sklearn import metrics

from configs import cd
from dualatme_jax.run import experiment

VARIANT = 'model.variant'
SHORT = {
    VARIANT: 'hars',
    'training.epochs': 2,
    'training.batch_size': 11,
    'report.resamples': 20,
    'checkpoint.keep_weights': False,
    'engine.devices': 1,
    'engine.max_trials': 8,  # runs of one variant share their compiled programs
}


def small(dataset_dir, **fields):
    """A config that trains in seconds: one branch, two epochs, eight subjects."""
    config = cd.get_config()
    config.data.path = str(dataset_dir)
    config.update_from_flattened_dict(short(fields))
    return config


def short(fields):
    """Fields, and those that make a run short; of a system that they name its own variant."""
    return {
        name: value for name, value in SHORT.items() if 'model.name' not in fields or name != VARIANT
    } | fields


def run(config, folder):
    console = Console(file=io.StringIO(), width=200, markup=False, highlight=False)
    complete = experiment.run(config, folder, console).complete
    results = json.loads((folder / 'results.json').read_text())
    return complete, results, console.file.getvalue()


def uf1(table):
    return metrics.f1_score(table['label'], table['prediction'], average='macro')
