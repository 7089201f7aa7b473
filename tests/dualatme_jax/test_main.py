"""The command, end to end: train, report, stop, continue, refuse."""

import errno
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import pandas as pd
import pytest
import small_run
from absl import flags
from absl.testing import flagsaver
from sklearn import metrics
from small_run import TINY

from configs import cd
from dualatme_jax import main, score
from dualatme_jax.errors import InputError
from dualatme_jax.run import experiment
from dualatme_jax.training import devices

ROOT = pathlib.Path(__file__).parents[2]
EPOCHS = 12  # a run must be killed before the last ones


def command(*arguments):
    return [sys.executable, '-m', 'dualatme_jax.main', *map(str, arguments)]


def run(*arguments):
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False)


FIELDS = {
    'model.name': TINY,
    'training.epochs': EPOCHS,
    'training.batch_size': 11,
    'checkpoint.every': 2,
    'engine.devices': 1,  # so that a process and the tests' own train bit for bit the same
    'engine.max_trials': 8,
    'report.resamples': 50,
    'report.pictures': False,
    'seeds': (0, 1),
}


@pytest.fixture(scope='module')
def arguments(small_dataset_dir):
    flags = [f'--config.{field}={value}' for field, value in FIELDS.items()]
    return ['--config=configs/cd.py', *flags, f'--config.data.path={small_dataset_dir}']


@pytest.fixture
def config(small_dataset_dir):
    """What `arguments` ask for, without a process."""
    config = cd.get_config()
    config.data.path = str(small_dataset_dir)
    config.update_from_flattened_dict(FIELDS)
    return config


@pytest.fixture
def parse(monkeypatch):
    """Reads a command line as the command does, without its process."""

    def call(*given):
        monkeypatch.setattr(sys, 'argv', ['main', *map(str, given)])
        main.parse_flags(sys.argv)

    with flagsaver.flagsaver():
        yield call
    flags.FLAGS.unparse_flags()


@pytest.fixture(scope='module')
def finished(arguments, tmp_path_factory):
    """A run of two waves that nothing interrupted: (workdir, what it printed)."""
    workdir = tmp_path_factory.mktemp('runs') / 'finished'
    process = run(*arguments, f'--workdir={workdir}')
    assert process.returncode == 0, process.stderr
    return workdir, process.stdout


@pytest.mark.slow
def test_it_leaves_what_the_readme_promises(finished):
    workdir, printed = finished
    names = {path.name for path in workdir.iterdir()} - {'.lock'}
    assert names == {
        'challenge_log_seed0.txt',
        'challenge_log_seed1.txt',
        'config.json',
        'confusion.png',
        'curves.npz',
        'methods.md',
        'methods.tex',
        'predictions.csv',
        'provenance.json',
        'report.html',
        'references.bib',
        'results.json',
        'results.tex',
        'tensorboard',
        '.trials.csv.sha256',
        'trials.csv',
        'waves',
    }
    assert {path.name for path in (workdir / 'waves' / 'wave_001').iterdir()} == {
        'checksums.json',
        'losses.npy',
        'predictions.csv',
        'weights',
    }
    assert '16 trials, 8 side by side' in printed
    assert printed.count('a trial: one network, trained for one fold') == 1
    assert 'a wave: the trials that are trained side by side' in printed
    assert 'puzzled flow: of two regions of the face' in printed
    assert f'wave 2/2, 8 trials, epoch {EPOCHS}/{EPOCHS}' in printed
    assert 'UF1' in printed
    assert '--config.training.epochs=12' in (workdir / 'report.html').read_text()


@pytest.mark.slow
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


@pytest.mark.slow
def test_trials_are_listed_with_their_outcome(finished):
    trials = pd.read_csv(finished[0] / 'trials.csv')
    assert trials['status'].eq('done').all()
    assert trials['left_out'].str.partition('/')[2].str.len().eq(3).all()
    assert trials['seed'].tolist() == [0] * 8 + [1] * 8
    assert trials['loss'].gt(0).all()


@pytest.mark.slow
def test_the_score_command_finds_the_same(finished):
    workdir, _ = finished
    expected = json.loads((workdir / 'results.json').read_text())['per_seed'][0]
    for name in ('predictions.csv', 'challenge_log_seed0.txt'):
        out = workdir.parent / 'score.json'
        score.main([str(workdir / name), '--json', str(out), '--resamples', '20'])
        assert json.loads(out.read_text())['per_seed'][0] == expected


@pytest.mark.slow
def test_a_finished_run_is_reported_and_not_trained_again(finished, config):
    workdir, printed = finished
    before = (workdir / 'predictions.csv').read_bytes(), (workdir / 'results.json').read_bytes()
    complete, _, again = small_run.run(config, workdir)
    assert complete
    assert 'nothing is trained again' in again
    assert 'planning' not in again
    assert 'epoch 1/' not in again
    assert ((workdir / 'predictions.csv').read_bytes(), (workdir / 'results.json').read_bytes()) == before
    assert printed.splitlines()[-8:] == again.splitlines()[-8:]


@pytest.mark.slow
def test_a_row_that_is_lost_from_a_finished_run_comes_back_from_its_waves(finished, config):
    path = finished[0] / 'predictions.csv'
    before = path.read_bytes()
    path.write_bytes(b''.join(before.splitlines(keepends=True)[:-1]))
    complete, _, printed = small_run.run(config, finished[0])
    assert complete
    assert 'predictions.csv was not what waves/ holds: it is written anew' in printed
    assert path.read_bytes() == before


@pytest.mark.slow
def test_another_config_in_the_same_workdir_is_refused(finished, config):
    config.loss.cosine_weight = 0.1
    with pytest.raises(InputError, match=r'loss.cosine_weight is 0.01 there and 0.1 here'):
        small_run.run(config, finished[0])


@pytest.mark.slow
def test_a_killed_run_continues_to_the_same_predictions(finished, arguments, config, tmp_path):
    workdir = tmp_path / 'killed'
    process = subprocess.Popen(
        command(*arguments, f'--workdir={workdir}'), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    # Kill it in the middle of the second wave, when a checkpoint of it is whole: its checksums come last.
    steps = workdir / 'checkpoints' / 'wave_001'
    deadline = time.monotonic() + 300
    while not any(steps.glob('*/checksums.json')):
        assert process.poll() is None, 'the run ended before it could be killed'
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (workdir / 'results.json').exists()

    complete, _, continued = small_run.run(config, workdir)
    assert complete
    assert 'wave 1/2' not in continued, 'the first wave had ended'
    assert 'epoch 1/' not in continued, 'the second had a checkpoint'
    assert 'continued after epoch' in continued
    assert 'planning' not in continued, 'the plan is read back'
    for name in ('predictions.csv', 'curves.npz'):
        assert (workdir / name).read_bytes() == (finished[0] / name).read_bytes()


TERMINATED = """
import signal
from absl import app
from dualatme_jax.run import experiment
from dualatme_jax import main, score
experiment.run = lambda *arguments: signal.raise_signal(signal.SIGTERM)
app.run(main.main, flags_parser=main.parse_flags)
"""


@pytest.mark.slow
def test_sigterm_ends_a_run_as_ctrl_c_does():
    flags = [sys.executable, '-c', TERMINATED, '--config=configs/cd.py']
    process = subprocess.run(flags, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 130
    assert process.stderr == 'stopped; the same command continues from the last checkpoint\n'


@pytest.mark.parametrize(
    ('flag', 'says'),
    [
        ('--config.loss.gamma=1', 'did you mean --config.loss.focal_gamma?'),
        ('--config.lr=1', 'did you mean --config.optimizer.learning_rate?'),
        ('--config=configs/nowhere.py', 'configs/ststnet.py'),
        ('--config.training.epochs=1e3', '--config.training.epochs=1e3: expected a whole number from 1 to'),
        ('--config.smoke=maybe', '--config.smoke=maybe: expected True or False, such as False'),
        ("--config.sweep=[{'loss.name': (]", 'expected a tuple of grids, such as --config.sweep="[{'),
        (f'--config.seeds={"(" * 300}', 'expected one or more different whole numbers'),
        ('surplus', 'unexpected arguments: surplus'),
        ('--workdirr=x', "Unknown command line flag 'workdirr'. Did you mean: workdir ?"),
        ('--config.training.optimizer=sgd', 'did you mean --config.optimizer.name?'),
        ('--process=x', "invalid literal for int() with base 10: 'x'"),
        ('--workdir=~no-such-user/x', "--workdir ~no-such-user/x: the home folder of '~no-such-user'"),
    ],
)
def test_bad_input_is_named(arguments, parse, capsys, flag, says):
    with pytest.raises(SystemExit) as left:
        parse(*(given for given in arguments if TINY not in given), flag)
    assert left.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ('flag', 'says'),
    [
        ('--epochs=3', "Unknown command line flag 'epochs'; did you mean --config.training.epochs?"),
        (b'--config.data.path=\xff', r"config.data.path is '\udcff'; expected a path"),
        pytest.param(
            '--config.model.variant=best',
            "config.model.variant takes 'paper', 'code'",
            marks=pytest.mark.slow,  # JAX is imported before
        ),
    ],
)
def test_bad_input_ends_the_command_without_a_traceback(tmp_path, flag, says):
    command_line = [*command('--config=configs/cd.py', f'--workdir={tmp_path / "run"}'), flag]
    process = subprocess.run(command_line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert says in process.stderr
    assert 'Traceback' not in process.stderr
    assert not (tmp_path / 'run').exists()


def test_ctrl_c_before_a_run_begins_ends_it_without_a_traceback(tmp_path):
    (tmp_path / 'own.py').write_text('raise KeyboardInterrupt\n')
    found = run(f'--config={tmp_path}/own.py')
    assert (found.returncode, found.stdout, found.stderr) == (130, '', 'stopped\n')


@pytest.mark.parametrize('flag', ['--workdir=x', '--config.lr=1'])
def test_without_a_config_they_are_listed(parse, capsys, flag):
    with pytest.raises(SystemExit) as left:
        parse(flag)
    assert left.value.code == 2
    printed = capsys.readouterr().err
    assert 'error: --config is missing; expected a file of your own, or one of\n  configs/' in printed


def test_flags_are_read_and_configs_loaded_without_jax():
    configs = '", "'.join(path.stem for path in (ROOT / 'configs').glob('*.py'))
    program = (
        'import sys; from dualatme_jax.main import config_file\n'
        f'for name in ["{configs}"]: config_file.Parser("config").parse(f"configs/{{name}}.py")\n'
        'print(sorted({"jax", "flax", "pandas", "matplotlib"} & set(sys.modules)))'
    )
    printed = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert printed.stdout == '[]\n'


def test_the_fields_are_listed_with_the_values_that_are_set(parse, capsys):
    parse('--config=configs/ststnet.py', '--config.training.epochs=7', '--fields')
    with pytest.raises(SystemExit) as left:
        main.main([])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert "config.model.name = 'ststnet'\n    'dual_atme', 'ststnet'," in printed
    assert 'config.training.epochs = 7\n' in printed


@pytest.mark.slow
def test_a_reader_of_the_fields_may_stop_early():
    flags = command('--config=configs/cd.py', '--fields')
    with subprocess.Popen(flags, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b''
    assert process.returncode == 0


def test_synthetic_clips_are_not_written_where_a_dataset_of_one_s_own_is_named(parse, capsys, tmp_path):
    own = tmp_path / 'mine'
    with pytest.raises(SystemExit) as left:
        parse('--config=configs/cd.py:synthetic', f'--config.data.path={own}', f'--workdir={tmp_path}/run')
    assert left.value.code == 2
    printed = capsys.readouterr().err
    assert f'--config.data.path={own} names a dataset of your own' in printed
    assert 'give --config=configs/cd.py to train on it' in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('error', 'says', 'status'),
    [
        (
            OSError(errno.ENOSPC, 'No space left on device', '/x/y'),
            '/x/y: No space left on device; make room',
            2,
        ),
        (
            NotADirectoryError(errno.ENOTDIR, 'Not a directory', 'run/tensorboard'),
            'run/tensorboard: Not a',
            2,
        ),
        (RuntimeError('a bug'), 'RuntimeError: a bug', 1),
    ],
)
def test_what_the_system_refuses_ends_the_run_by_a_sentence(
    monkeypatch, capsys, tmp_path, error, says, status
):
    def fail(*_):
        raise error

    called_without_flags(monkeypatch, tmp_path, fail)
    with pytest.raises(SystemExit) as left:
        main.main([])
    assert left.value.code == status
    printed = capsys.readouterr().err
    assert says in printed
    assert (main.KEPT in printed) == (status == 2)
    assert ('Traceback' in printed) == (status == 1)


@pytest.mark.parametrize(('complete', 'status'), [(True, 0), (False, 1)])
def test_a_run_with_trials_that_failed_ends_by_1(monkeypatch, tmp_path, complete, status):
    called_without_flags(monkeypatch, tmp_path, lambda *_: types.SimpleNamespace(complete=complete))
    with pytest.raises(SystemExit) as left:
        main.main([])
    assert left.value.code == status


def called_without_flags(monkeypatch, workdir, run):
    """Has `main.main` call `run`, with the config of cd.py."""
    given = dict.fromkeys(('COORDINATOR', 'PROCESSES', 'PROCESS'))
    given |= {'CONFIG': cd.get_config(), 'WORKDIR': str(workdir), 'FIELDS': False, 'DISTRIBUTED': False}
    given['TRACKER'] = None
    for name, value in given.items():
        monkeypatch.setattr(main, name, types.SimpleNamespace(value=value))
    monkeypatch.setattr(experiment, 'run', run)
    monkeypatch.setattr(devices, 'one_a_core', lambda: None)
    monkeypatch.setattr(signal, 'signal', lambda *_: None)


@pytest.mark.parametrize('module', ['dualatme_jax.convert', 'dualatme_jax.score', 'data_prep.__main__'])
@pytest.mark.parametrize('arguments', [[], ['--nonsense'], ['a', 'b', 'c']])
def test_the_other_commands_end_by_2_when_called_wrongly(module, arguments, capsys):
    with pytest.raises(SystemExit) as left:
        importlib.import_module(module).main(arguments)
    assert left.value.code == 2
    assert 'usage:' in capsys.readouterr().err


@pytest.mark.slow
def test_a_diverged_trial_is_reported_and_its_seed_not_scored(config, tmp_path):
    config.update_from_flattened_dict({'optimizer.learning_rate': 1e30, 'training.epochs': 2, 'seeds': (0,)})
    complete, results, printed = small_run.run(config, tmp_path / 'run')
    assert not complete
    assert 'failed: trial 0' in printed
    assert results['scores'] is None
    assert len(results['failed']) == 8
    assert pd.read_csv(tmp_path / 'run' / 'trials.csv')['status'].eq('failed').all()


def test_help_lists_the_flags():
    process = run('--help')
    assert process.returncode == 0
    assert '--config' in process.stdout
    assert '--workdir' in process.stdout


@pytest.mark.parametrize(
    ('name', 'smoke', 'expected'),
    [
        ('configs/cd.py', False, 'runs/cd'),
        ('/x/configs/cd.py:synthetic', False, 'runs/cd-synthetic'),
        ('configs/leaderboard.py:quick', True, 'runs/leaderboard-quick-smoke'),
    ],
)
def test_a_smoke_test_has_a_workdir_of_its_own(monkeypatch, name, smoke, expected):
    config = cd.get_config()
    config.smoke = smoke
    monkeypatch.setattr(main, 'config_name', lambda: name)
    monkeypatch.setattr(main, 'CONFIG', types.SimpleNamespace(value=config))
    monkeypatch.setattr(main, 'WORKDIR', types.SimpleNamespace(value=None))
    assert main.workdir() == pathlib.Path(expected)
