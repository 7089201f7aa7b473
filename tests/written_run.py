"""Workdirs of runs as they are left, written by hand: nothing is trained."""

import json

import numpy as np
import pandas as pd

from dualatme_jax import schema
from dualatme_jax.report import leaderboard, predictions, results, scores, selection
from dualatme_jax.report import sweep as sweep_report

RESAMPLES = 20
CONFIG = {
    'model': {'name': 'dual_atme'},
    'training': {'epochs': 3},
    'seeds': [0, 1],
    'selection': {'name': 'last'},
    'trained_on': {'origin': 'flow_images; flow'},
    'dataset': {'clips': 24, 'sha256': 'ab12'},
}


def table(*, seeds=2, subjects=6, clip='clip{}', chance=0.7, labels=schema.LABELS, random=0):
    """Predictions of four clips per subject, each right by chance."""
    draw = np.random.default_rng(random)
    rows = []
    for seed in range(seeds):
        for subject in range(subjects):
            for number in range(4):
                label = (subject + number) % len(labels)
                chances = draw.dirichlet(np.ones(len(labels)))
                wanted = label if draw.random() < chance else (label + 1) % len(labels)
                best = int(chances.argmax())
                chances[[wanted, best]] = chances[[best, wanted]]
                person = schema.COMPOSITE[subject % 3], f'00{subject}', clip.format(number)
                rows.append([seed * subjects + subject, seed, *person, label, wanted, *chances])
    columns = [*predictions.COLUMNS, *(f'prob_{name}' for name in labels)]
    return pd.DataFrame(rows, columns=columns)


def trials(rows, **more):
    """The table of trials that the predictions are of, all done."""
    own = rows.drop_duplicates('trial')
    found = pd.DataFrame({'trial': own['trial'], 'folds': 'subject', 'fold_parts': 0, 'fold': own['trial']})
    return found.assign(
        left_out=own['database'] + '/' + own['subject'],
        seed=own['seed'],
        point=0,
        inner=0,
        wave=0,
        status='done',
        failed_epoch=0,
        loss=0.5,
        seconds=1.5,
        chosen='',
        **more,
    ).sort_values('trial')


def write(folder, rows=None, *, labels=schema.LABELS, config=CONFIG, trial_table=None, **found):
    """Leaves the files of a finished run, with further results if they are given; returns the predictions."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = table(labels=labels) if rows is None else rows
    (folder / 'config.json').write_text(json.dumps(config))
    (trials(rows) if trial_table is None else trial_table).to_csv(folder / 'trials.csv', index=False)
    digest = predictions.write(rows, folder / 'predictions.csv')
    single = rows.drop(columns=predictions.hyperparameters(rows)).drop_duplicates(['seed', 'clip', 'subject'])
    report = {
        'notice': '',
        'protocol': 'one subject left out',
        'selection': 'last',
        'trials': int(rows['trial'].nunique()),
        'failed': [],
        'seconds': 61.0,
        'dataset': {'release': 'flow_images'},
        'labels': list(labels),
        'predictions_sha256': digest,
        **scores.score_run(single, resamples=RESAMPLES),
    }
    results.write(report | found, folder / 'results.json')
    return rows


def sweep(folder):
    """Leaves a sweep of two points, the second of which is its reference."""
    field = 'optimizer.learning_rate'
    rows = pd.concat(
        [
            table(chance=chance, random=number).assign(**{field: rate})
            for number, (rate, chance) in enumerate([(0.01, 0.5), (0.001, 0.9)])
        ],
        ignore_index=True,
    )
    rows['trial'] = rows.groupby([field, 'seed', 'subject'], sort=False).ngroup()
    frame = sweep_report.compare(rows, {field: 0.001}, resamples=RESAMPLES)
    home = rows[rows[field] == 0.001].drop(columns=field)
    own = scores.score_run(home, resamples=RESAMPLES)
    return write(folder, rows, sweep=_records(frame), **own)


def board(folder):
    """Leaves a leaderboard of two systems, and one that failed."""
    kept = {}
    for number, name in enumerate(('dual_atme', 'ststnet')):
        rows = table(chance=0.6 + 0.2 * number, random=number)
        rows['left_out'] = rows['database'] + '/' + rows['subject']
        kept[name] = pd.concat([rows.assign(epoch=1), rows.assign(epoch=2)], ignore_index=True)
    frame = leaderboard.compare(kept, {'rcn_a': 'out of <memory>'}, resamples=RESAMPLES)
    rows = pd.concat(
        [selection.last(own).assign(**{'model.name': name}) for name, own in kept.items()], ignore_index=True
    ).drop(columns='left_out')
    rows['trial'] = rows.groupby(['model.name', 'seed', 'subject'], sort=False).ngroup()
    return write(folder, rows, leaderboard=_records(frame))


def _records(frame):
    return json.loads(frame.to_json(orient='records', double_precision=15))
