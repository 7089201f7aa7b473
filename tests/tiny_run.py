"""A run of four subjects with a clip each and two seeds, as `waves.train` leaves it, without training."""

import io

import numpy as np
import pandas as pd
from rich.console import Console

from dualatme_jax import schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.run import collect, waves
from dualatme_jax.run.trial_table import TrialTable
from dualatme_jax.training.engine import Wave

CLIPS = [('casme2', 'sub01', 'a'), ('casme2', 'NA', 'b'), ('smic', 's1', 'c'), ('samm', '006', 'd e')]
METADATA = {'release': 'test', 'regions': {'pair': 'EM'}, 'flow_puzzled': 'cut'}
_DATABASES, _SUBJECTS, _CLIPS = map(np.array, zip(*CLIPS, strict=True))
DATASET = Dataset(
    flow=np.zeros((4, *schema.FLOW_SHAPE), np.uint8),
    flow_puzzled=np.zeros((4, *schema.FLOW_SHAPE), np.uint8),
    label=np.array([0, 1, 2, 0], np.int32),
    database=_DATABASES,
    subject=_SUBJECTS,
    clip=_CLIPS,
    labels=schema.LABELS,
    metadata=METADATA,
)


def table(swept):
    """The table of trials: every subject left out, with seeds 0 and 1, at each point."""
    rows = [
        {'fold': fold, 'database': clip[0], 'subject': clip[1], 'seed': seed, 'point': point.number}
        | {'program': 0, 'inner': 0, 'parts': 0}
        | point.values
        for point in swept.points
        for seed in (0, 1)
        for fold, clip in enumerate(CLIPS)
    ]
    return pd.DataFrame(rows).rename_axis('trial').reset_index()


def trained(folder, swept, *, failed=(), epochs=1):
    """Leaves a run, ended, with one trial a wave; all predictions are right. Returns its table of trials."""
    trials = table(swept)
    trial_table = TrialTable.create(folder / 'trials.csv', trials)
    trial_table.plan(0, 1)
    for row in trials.to_dict('records'):
        trial, label = row['trial'], DATASET.label[row['fold']]
        well = [
            [trial, row['seed'], *CLIPS[row['fold']], label, label, epoch, *np.eye(3)[label]]
            for epoch in range(1, epochs + 1)
        ]
        columns = [*schema.PREDICTION_COLUMNS, schema.EPOCH, *(f'prob_{name}' for name in schema.LABELS)]
        rows = pd.DataFrame([] if trial in failed else well, columns=columns)
        wave = Wave(rows, np.ones((2, 1)), np.array([2 * (trial in failed)]), 0.5, {})
        waves.keep(wave, folder / 'waves' / f'wave_{trial:03d}', weights=False)
        trial_table.close_wave(trial, wave)
    collected(trial_table, swept, folder)
    return trial_table


def collected(trial_table, swept, folder, **options):
    """Collects the predictions; returns what was printed."""
    console = Console(file=io.StringIO(), width=200, markup=False, highlight=False)
    collect.collect(trial_table, swept, DATASET, folder, console, **options)
    return console.file.getvalue()
