"""Runs that train in seconds."""

import io
import json
from unittest import mock

from rich.console import Console
from sklearn import metrics

from configs import cd
from dualatme_jax.report.pictures import confusion
from dualatme_jax.run import experiment, finish

TINY = 'small_systems.tiny'
SHORT = {
    'model.name': TINY,
    'training.epochs': 2,
    'training.batch_size': 11,
    'report.resamples': 20,
    'report.pictures': False,
    'checkpoint.keep_weights': False,
    'report.attention': False,  # which compiles a program of its own
    'engine.devices': 1,
    'engine.max_trials': 8,  # runs of one network share their compiled programs
}


def small(dataset_dir, **fields):
    """A config that trains in seconds: a tiny network, two epochs, eight subjects."""
    config = cd.get_config()
    config.data.path = str(dataset_dir)
    config.update_from_flattened_dict(SHORT | fields)
    return config


def run(config, folder):
    """Trains and reports; without confusion.png and report.html, which take longer than the training."""
    console = Console(file=io.StringIO(), width=200, markup=False, highlight=False)
    with mock.patch.object(confusion, 'confusion_matrices'), mock.patch.object(finish, 'write_page'):
        complete = experiment.run(config, folder, console).complete
    results = json.loads((folder / 'results.json').read_text())
    return complete, results, console.file.getvalue()


def person(table):
    """Whom each row is of, as folds are named that leave out one subject."""
    return table['database'] + '/' + table['subject']


def uf1(table):
    return metrics.f1_score(table['label'], table['prediction'], average='macro')
