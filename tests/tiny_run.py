"""A run of four subjects with a clip each and two seeds, as `waves.train` leaves it, without training."""

import io

import numpy as np
import pandas as pd
from rich.console import Console

from dualatme_jax import schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.run import collect
from dualatme_jax.run.kept import Kept
from dualatme_jax.run.trial_table import TrialTable
from dualatme_jax.training.wave import Wave

CLIPS = [('casme2', 'sub01', 'a'), ('casme2', 'NA', 'b'), ('smic', 's1', 'c'), ('samm', '006', 'd e')]
METADATA = {'release': 'test', 'regions': {'pair': 'EM'}, 'flow_puzzled': 'cut'}
_DATABASES, _SUBJECTS, _CLIPS = map(np.array, zip(*CLIPS, strict=True))
DATASET = Dataset(
    inputs={key: np.zeros((4, *schema.FLOW_SHAPE), np.uint8) for key in schema.VIEWS['flow']},
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
        {'folds': 'subject', 'fold_parts': 0, 'fold': fold, 'left_out': f'{clip[0]}/{clip[1]}'}
        | {'seed': seed, 'point': point.number, 'program': 0, 'inner': 0, 'parts': 0, 'subjects': 0}
        | point.values
        for point in swept.points
        for seed in (0, 1)
        for fold, clip in enumerate(CLIPS)
    ]
    return pd.DataFrame(rows).rename_axis('trial').reset_index()


def trained(folder, swept, *, failed=(), epochs=1):
    """Leaves a run of one trial per wave, all predictions right. Returns its table of trials."""
    trial_table, _ = train(folder, swept, failed=failed, epochs=epochs)
    collected(trial_table, swept, folder)
    return trial_table


def train(folder, swept, *, failed=(), epochs=1):
    """As `trained`, before anything is collected. Returns the table of trials, and what the waves left."""
    trials = table(swept)
    trial_table = TrialTable.create(folder and folder / 'trials.csv', trials)
    trial_table.plan(0, 1)
    kept = Kept(folder)
    for row in trials.to_dict('records'):
        trial, label = row['trial'], DATASET.label[row['fold']]
        chances = np.eye(3, dtype=np.float32)[label]
        well = [
            [trial, row['seed'], *CLIPS[row['fold']], label, label, epoch, *chances]
            for epoch in range(1, epochs + 1)
        ]
        columns = [*schema.PREDICTION_COLUMNS, schema.EPOCH, *(f'prob_{name}' for name in schema.LABELS)]
        rows = pd.DataFrame([] if trial in failed else well, columns=columns)
        wave = Wave(rows, np.ones((2, 1)), np.array([2 * (trial in failed)]), 0.5, {})
        kept.keep(trial, wave, weights=False)
        trial_table.close_wave(trial, wave)
    return trial_table, kept


def collected(trial_table, swept, folder, **options):
    """Collects the predictions that an earlier process has left; returns them, and what was printed."""
    console = Console(file=io.StringIO(), width=200, markup=False, highlight=False)
    found = collect.collect(trial_table, swept, DATASET, Kept(folder), console, **options)
    return found, console.file.getvalue()
