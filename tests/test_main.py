"""The command, end to end: train, report, stop, continue, refuse."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from sklearn import metrics

ROOT = pathlib.Path(__file__).parent.parent
EPOCHS = 8


def command(*arguments):
    return [sys.executable, '-m', 'dualatme_jax.main', *map(str, arguments)]


def run(*arguments):
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope='module')
def arguments(small_dataset_dir):
    return [
        '--config=configs/cd.py',
        f'--config.data.path={small_dataset_dir}',
        f'--config.training.epochs={EPOCHS}',
        '--config.training.batch_size=11',
        '--config.checkpoint.every=2',
        '--config.engine.max_trials=8',
        '--config.report.resamples=50',
        '--config.seeds=(0,1)',
    ]


@pytest.fixture(scope='module')
def finished(arguments, tmp_path_factory):
    """A run of two waves that nothing interrupted: (workdir, what it printed)."""
    workdir = tmp_path_factory.mktemp('runs') / 'finished'
    process = run(*arguments, f'--workdir={workdir}')
    assert process.returncode == 0, process.stderr
    return workdir, process.stdout


def test_it_leaves_what_the_readme_promises(finished):
    workdir, printed = finished
    names = {path.name for path in workdir.iterdir()} - {'.lock'}
    assert names == {
        'challenge_log_seed0.txt',
        'challenge_log_seed1.txt',
        'config.json',
        'confusion.png',
        'predictions.csv',
        'results.json',
        'tensorboard',
        '.trials.csv.sha256',
        'trials.csv',
        'waves',
    }
    assert {path.name for path in (workdir / 'waves' / 'wave_001').iterdir()} == {
        'predictions.csv',
        'weights',
    }
    assert '16 trials, 8 side by side' in printed
    assert f'wave 2/2, 8 trials, epoch {EPOCHS}/{EPOCHS}' in printed
    assert 'UF1' in printed


def test_results_agree_with_scikit_learn_on_the_predictions(finished):
    workdir, _ = finished
    results = json.loads((workdir / 'results.json').read_text())
    predictions = pd.read_csv(workdir / 'predictions.csv')
    assert len(predictions) == 48
    assert results['selection'] == 'last'
    assert results['trials'] == 16
    assert results['seconds'] > 0
    by_seed = {part['seed']: part for part in results['per_seed']}
    for seed, rows in predictions.groupby('seed'):
        sets = {'full': rows} | dict(list(rows.groupby('database')))
        assert set(sets) == set(results['scores'])
        for name, part in sets.items():
            expected = {
                'acc': metrics.accuracy_score(part['label'], part['prediction']),
                'uar': metrics.balanced_accuracy_score(part['label'], part['prediction']),
                'uf1': metrics.f1_score(part['label'], part['prediction'], average='macro'),
            }
            assert by_seed[seed][name] == pytest.approx(expected, abs=1e-9)
    for name, scores in results['scores'].items():
        for metric, spread in scores.items():
            mean = (by_seed[0][name][metric] + by_seed[1][name][metric]) / 2
            assert spread['mean'] == pytest.approx(mean, abs=1e-9)


def test_trials_are_listed_with_their_outcome(finished):
    trials = pd.read_csv(finished[0] / 'trials.csv', dtype={'subject': str})
    assert trials['status'].eq('done').all()
    assert trials['subject'].str.len().eq(3).all()
    assert trials['seed'].tolist() == [0] * 8 + [1] * 8
    assert trials['loss'].gt(0).all()


def test_the_score_command_finds_the_same(finished):
    workdir, _ = finished
    expected = json.loads((workdir / 'results.json').read_text())['per_seed'][0]
    for name in ('predictions.csv', 'challenge_log_seed0.txt'):
        out = workdir.parent / 'score.json'
        score = [
            sys.executable,
            '-m',
            'dualatme_jax.score',
            workdir / name,
            '--json',
            out,
            '--resamples',
            '20',
        ]
        subprocess.run(score, check=True, capture_output=True, cwd=ROOT)
        assert json.loads(out.read_text())['per_seed'][0] == expected


def test_a_finished_run_is_reported_and_not_trained_again(finished, arguments):
    workdir, printed = finished
    before = (workdir / 'predictions.csv').read_bytes(), (workdir / 'results.json').read_bytes()
    again = run(*arguments, f'--workdir={workdir}')
    assert again.returncode == 0, again.stderr
    assert 'nothing is trained again' in again.stdout
    assert 'epoch' not in again.stdout.replace('last epoch', '')
    assert ((workdir / 'predictions.csv').read_bytes(), (workdir / 'results.json').read_bytes()) == before
    assert printed.splitlines()[-8:] == again.stdout.splitlines()[-8:]


def test_another_config_in_the_same_workdir_is_refused(finished, arguments):
    workdir, _ = finished
    process = run(*arguments, f'--workdir={workdir}', '--config.loss.cosine_weight=0.1')
    assert process.returncode == 2
    assert 'loss.cosine_weight is 0.01 there and 0.1 here' in process.stderr
    assert 'Traceback' not in process.stderr


def test_a_killed_run_continues_to_the_same_predictions(finished, arguments, tmp_path):
    workdir = tmp_path / 'killed'
    process = subprocess.Popen(
        command(*arguments, f'--workdir={workdir}'), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    # Kill it in the middle of the second wave, when a checkpoint of it is there.
    steps = workdir / 'checkpoints' / 'wave_001'
    deadline = time.monotonic() + 300
    while not (steps.is_dir() and any(path.name.isdigit() for path in steps.iterdir())):
        assert process.poll() is None, 'the run ended before it could be killed'
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (workdir / 'results.json').exists()

    continued = run(*arguments, f'--workdir={workdir}')
    assert continued.returncode == 0, continued.stderr
    assert 'wave 1/2' not in continued.stdout, 'the first wave had ended'
    assert 'epoch 1/' not in continued.stdout, 'the second had a checkpoint'
    assert 'continued after epoch' in continued.stdout
    assert 'planning' not in continued.stdout, 'the plan is read back'
    assert (workdir / 'predictions.csv').read_bytes() == (finished[0] / 'predictions.csv').read_bytes()


TERMINATED = """
import signal
from absl import app
from dualatme_jax import experiment, main
experiment.run = lambda *arguments: signal.raise_signal(signal.SIGTERM)
app.run(main.main, flags_parser=main.parse_flags)
"""


def test_sigterm_ends_a_run_as_ctrl_c_does():
    flags = [sys.executable, '-c', TERMINATED, '--config=configs/cd.py']
    process = subprocess.run(flags, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 130
    assert process.stderr == 'stopped; the same command continues from the last checkpoint\n'


@pytest.mark.parametrize(
    ('flag', 'says'),
    [
        ('--config.loss.gamma=1', 'gamma'),
        ('--config=configs/nowhere.py', 'configs/nowhere.py'),
        ('--config.model.variant=best', "config.model.variant takes 'paper', 'code'"),
    ],
)
def test_bad_input_is_named_without_a_traceback(arguments, tmp_path, flag, says):
    process = run(*arguments, f'--workdir={tmp_path / "run"}', flag)
    assert process.returncode == 2
    assert says in process.stderr
    assert 'Traceback' not in process.stderr


def test_a_diverged_trial_is_reported_and_its_seed_not_scored(arguments, tmp_path):
    flags = ['--config.optimizer.learning_rate=1e30', '--config.training.epochs=2']
    one_seed = [flag for flag in arguments if 'seeds' not in flag]
    process = run(*one_seed, *flags, f'--workdir={tmp_path}/run')
    assert process.returncode == 1, process.stderr
    assert 'failed: trial 0' in process.stdout
    results = json.loads((tmp_path / 'run' / 'results.json').read_text())
    assert results['scores'] is None
    assert len(results['failed']) == 8
    assert pd.read_csv(tmp_path / 'run' / 'trials.csv')['status'].eq('failed').all()


def test_help_lists_the_flags():
    process = run('--help')
    assert process.returncode == 0
    assert '--config' in process.stdout
    assert '--workdir' in process.stdout
