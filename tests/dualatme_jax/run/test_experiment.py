"""What an experiment refuses before it trains, and what it says."""

import io
import json
import re
import types

import jax
import pandas as pd
import pytest
from rich.console import Console
from sklearn import metrics
from small_run import TINY, run, small

from configs import cd
from dualatme_jax import schema, score
from dualatme_jax.errors import InputError
from dualatme_jax.run import disk, experiment
from dualatme_jax.training.engine import Engine
from dualatme_jax.training.estimators import Estimators


@pytest.mark.parametrize(
    ('field', 'value', 'says'),
    [
        ('data.path', 'nowhere', 'python -m data_prep build'),
        ('data.databases', ('casme3',), 'casme3'),
        ('input.scale', 'grey', "config.input.scale takes 'signed', 'unit', 'imagenet', 'byte'"),
        ('input.channels', ('u', 'v'), r"config.input.channels is \('u', 'v'\); expected 'u', 'v', 'strain'"),
        ('sweep', ({'input.channels': [('u', 'u', 'v')]},), 'config.input.channels is'),
        ('model.name', 'resnet', "config.model.name takes .*'dual_atme'"),
        ('model.variant', 'best', "config.model.variant takes 'paper', 'code'"),
        ('model.init', 'zeros', "config.model.init takes 'torch', 'lecun'"),
        ('model.dropout', 1.0, 'config.model.dropout is 1.0'),
        ('loss.name', 'hinge', 'config.loss.name takes'),
        ('optimizer.learning_rate', -1.0, 'config.optimizer.learning_rate is -1.0; expected 0 or more'),
        ('loss.focal_gamma', float('nan'), 'config.loss.focal_gamma is nan'),
        ('optimizer.beta2', 1.0, 'config.optimizer.beta2 is 1.0; expected a fraction'),
        ('optimizer.weight_decay', -0.1, 'config.optimizer.weight_decay is -0.1; expected 0 or more'),
        ('selection.name', 'best', "config.selection.name takes 'last', 'nested', 'best_on_test'"),
        ('selection.name', 'best_on_test', r'no epoch but the last is kept; .*--config\.selection\.every=1'),
        ('selection.every', -1, 'config.selection.every is -1; expected a whole number from 0 to'),
        ({'selection.name': 'nested', 'selection.every': 60}, None, 'there is one point to choose from'),
        ({'selection.name': 'best_on_test', 'selection.every': 60}, None, 'no epoch but the last is kept'),
        ('selection.metric', 'auc', "config.selection.metric takes 'acc', 'uar', 'uf1'"),
        ('selection.name', 'nested', 'there is one point to choose from; expected a sweep of two or more'),
        ('sweep', ({'loss.gamma': (1, 2)},), 'there is no such field'),
        ('sweep', ({'optimizer.learning_rate': (0.1, -0.1)},), 'config.optimizer.learning_rate is -0.1'),
        ('sweep', ({'loss.name': ('focal', 'hinge')},), "unknown loss 'hinge'"),
        ('sweep', ({'model.variant': ('hars', 'best')},), 'config.model.variant takes'),
        ('optimizer.name', 'lion', 'config.optimizer.name takes'),
        ('optimizer.schedule', 'cosine', "takes 'constant', 'step'"),
        ('training.batch_size', 0, 'config.training.batch_size is 0'),
        ('training.epochs', 0, 'config.training.epochs is 0'),
        ('checkpoint.every', 0, 'config.checkpoint.every is 0'),
        ('report.resamples', 0, 'config.report.resamples is 0'),
        ({'loss.name': 'weighted_cross_entropy', 'loss.class_weights': (0.0,) * 3}, None, 'class_weights is'),
        ('engine.max_trials', -1, 'config.engine.max_trials is -1'),
        ('engine.memory_gib', -1.0, 'config.engine.memory_gib is -1'),
        pytest.param(
            {'model.name': TINY, 'engine.memory_gib': 1e-5},
            None,
            'one trial does not fit: nothing beside the clips may be used',
            marks=pytest.mark.slow,
        ),
        ('engine.memory_gib', float('nan'), 'config.engine.memory_gib is nan; expected 0 to 1048576'),
        ('engine.memory_gib', float('inf'), 'config.engine.memory_gib is inf; expected 0 to'),
        ('engine.memory_gib', 1e308, r'config.engine.memory_gib is 1e\+308; expected 0 to'),
        (
            'optimizer.learning_rate',
            1e39,
            r'learning_rate is 1e\+39; expected 0 or more, as float32 can hold it',
        ),
        ('loss.cosine_weight', 1e-46, 'cosine_weight is 1e-46; expected 0 or more, as float32 can hold it'),
        ('model.dropout', 0.999999999, r'config.model.dropout is 0.999999999; .* when rounded to float32'),
        ('optimizer.beta2', 1 - 1e-9, 'config.optimizer.beta2 is 0.999999999; .* rounded to float32'),
        ('loss.class_weights', (1.0, float('nan'), 1.0), r'config.loss.class_weights is \(1.0, nan, 1.0\)'),
        ('loss.class_weights', (1.0, True, 1.0), r'config.loss.class_weights is \(1.0, True, 1.0\)'),
        ('training.epochs', 10**20, 'config.training.epochs is 1000.*; expected .* from 1 to 2147483647'),
        ('training.epochs', True, 'config.training.epochs is True'),
        ('training.shuffle', None, 'config.training.shuffle is None; expected True or False'),
        ('report.resamples', 10**9, 'config.report.resamples is 1000000000; expected .* from 1 to 1000000'),
        ({'selection.name': 'nested', 'selection.parts': 0}, None, 'config.selection.parts is 0'),
        ('data.path', '', "config.data.path is ''; expected a path"),
        ('data.path', 'x\0y', 'config.data.path is .* expected a path'),
        ('data.path', 'x\udcff', 'config.data.path is .* expected a path'),
        ('data.path', 'x' * 5000, 'config.data.path .*: the path is too long'),
        ('evaluate_only', '~no-such-user/x', 'config.evaluate_only ~no-such-user/x: the home folder of'),
        ('engine.cache', '~no-such-user/x', 'config.engine.cache ~no-such-user/x: the home folder of'),
        ('seeds', (0, 0), r'config.seeds is \(0, 0\)'),
        ('seeds', (True,), r'config.seeds is \(True,\); expected one or more different whole numbers'),
        ('seeds', (2**32,), 'from 0 to 2.*32 - 1'),
        ('seeds', ('a',), 'whole numbers'),
        ('seeds', (), 'one or more'),
    ],
)
def test_what_cannot_be_used_is_named(small_dataset_dir, tmp_path, field, value, says):
    config = cd.get_config()
    config.data.path = str(small_dataset_dir)
    config.update_from_flattened_dict(field if isinstance(field, dict) else {field: value})
    with pytest.raises(InputError, match=says):
        experiment.run(config, tmp_path / 'run')


def test_a_workdir_that_cannot_be_written_is_named(small_dataset_dir, tmp_path):
    config = cd.get_config()
    config.data.path = str(small_dataset_dir)
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='cannot write to the workdir'):
        experiment.run(config, tmp_path / 'file' / 'run')


@pytest.mark.slow
def test_five_classes_of_other_databases_from_dataset_to_scores(five_class_dataset_dir, tmp_path):
    config = cd.get_config()
    config.data.path = str(five_class_dataset_dir)
    config.data.databases = ()
    config.model.name = TINY
    config.loss.name = 'weighted_cross_entropy'
    config.loss.class_weights = (1.0, 2.0, 3.0, 2.0, 1.0)
    config.training.epochs = 2
    config.checkpoint.keep_weights = False
    config.report.resamples = 20
    config.report.pictures = False
    console = Console(file=io.StringIO(), width=200, markup=False)
    assert experiment.run(config, tmp_path / 'run', console).complete

    labels = ['happiness', 'surprise', 'disgust', 'repression', 'others']
    table = pd.read_csv(tmp_path / 'run' / 'predictions.csv')
    assert list(table) == [*schema.PREDICTION_COLUMNS, *(f'prob_{label}' for label in labels)]
    assert len(table) == 22
    assert (table.filter(like='prob_').to_numpy().argmax(1) == table['prediction']).all()
    assert set(table['label']) == set(range(5))

    results = json.loads((tmp_path / 'run' / 'results.json').read_text())
    assert results['labels'] == labels
    assert list(results['scores']) == ['full', 'casme3', '4dme']
    for name, found in results['scores'].items():
        rows = table if name == 'full' else table[table['database'] == name]
        truth, prediction = rows['label'], rows['prediction']
        assert found['acc']['mean'] == pytest.approx(metrics.accuracy_score(truth, prediction))
        assert found['uar']['mean'] == pytest.approx(metrics.balanced_accuracy_score(truth, prediction))
        assert found['uf1']['mean'] == pytest.approx(metrics.f1_score(truth, prediction, average='macro'))
    score.main([str(tmp_path / 'run' / 'predictions.csv'), '--json', str(tmp_path / 'scores.json')])
    assert json.loads((tmp_path / 'scores.json').read_text())['per_seed'] == results['per_seed']

    assert (
        "no challenge log: its classes are negative, positive, surprise; the dataset's are"
        in console.file.getvalue()
    )
    assert not list((tmp_path / 'run').glob('challenge_log*'))
    assert (tmp_path / 'run' / 'confusion.png').exists()


@pytest.mark.slow
def test_a_failed_trial_fails_its_seed_and_point_alone(small_dataset_dir, tmp_path):
    config = small(small_dataset_dir, sweep=({'optimizer.learning_rate': (1e-3, 1e30, 0.01)},))
    complete, results, printed = run(config, tmp_path)
    assert not complete
    assert len(results['failed']) == 8
    assert {row['optimizer.learning_rate'] for row in results['failed']} == {1e30}
    assert 'optimizer.learning_rate = 1e+30: not finite' in printed
    assert 'its seed is not scored at this point' in printed
    assert [row['optimizer.learning_rate'] for row in results['sweep']] == [0.001, 0.01]
    assert results['scores']['full']['uf1']['mean'] is not None


@pytest.mark.slow
def test_a_wave_that_is_too_large_is_halved_and_told(small_dataset_dir, tmp_path, monkeypatch):
    sizes = []
    fit_predict = Engine.fit_predict

    def tight(self, rows, *, size, **options):
        sizes.append(size)
        if size > 8:
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.')
        return fit_predict(self, rows, size=size, **options)

    monkeypatch.setattr(Engine, 'fit_predict', tight)
    monkeypatch.setattr(Engine, 'bytes_per_trial', lambda self, rows: 1000)
    monkeypatch.setattr(Engine, 'compile', lambda *arguments: None)
    config = small(small_dataset_dir, **{'seeds': (0, 1), 'engine.max_trials': 16})
    complete, _, printed = run(config, tmp_path)
    assert complete
    assert sizes == [16, 8, 8]
    assert 'ran out of memory with 16 trials side by side: RESOURCE_EXHAUSTED' in printed
    assert 'going on with 8 side by side' in printed
    assert pd.read_csv(tmp_path / 'trials.csv')['wave'].tolist() == sorted([0, 1] * 8)
    assert len(pd.read_csv(tmp_path / 'predictions.csv')) == 2 * 24


@pytest.mark.slow
def test_a_plan_that_is_too_large_to_try_is_halved_and_told(small_dataset_dir, tmp_path, monkeypatch):
    tried = []

    def tight(self, rows):
        tried.append(len(rows))
        if len(rows) > 5:
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying.')
        return 1000

    monkeypatch.setattr(Engine, 'bytes_per_trial', tight)
    monkeypatch.setattr(Engine, 'compile', lambda *arguments: None)
    complete, _, printed = run(
        small(small_dataset_dir, **{'seeds': (0, 1), 'engine.max_trials': 8}), tmp_path
    )
    assert complete
    assert tried == [8, 4]
    assert 'ran out of memory with 8 trials side by side: RESOURCE_EXHAUSTED' in printed
    assert 'planning with 4' in printed
    assert '16 trials, 8 side by side' in printed, 'what the plan says fits is tried'


@pytest.mark.slow
def test_one_trial_that_is_too_large_is_an_error(small_dataset_dir, tmp_path, monkeypatch):
    def none(self, rows, **options):
        raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')

    monkeypatch.setattr(Engine, 'fit_predict', none)
    monkeypatch.setattr(Engine, 'compile', lambda *arguments: None)
    with pytest.raises(InputError, match='ran out of memory with 1 trials side by side'):
        run(small(small_dataset_dir), tmp_path)


def test_a_disk_that_is_too_small_is_told_before_training(small_dataset_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(disk.shutil, 'disk_usage', lambda folder: types.SimpleNamespace(free=10**8))
    monkeypatch.setattr(Engine, 'bytes_per_trial', lambda self, rows: 1000)
    monkeypatch.setattr(Engine, 'compile', lambda *arguments: None)
    fields = {'model.name': 'dual_atme', 'model.variant': 'hars'}
    fields |= {'checkpoint.keep_weights': True, 'checkpoint.every': 1}
    with pytest.raises(InputError, match='free, and the run needs') as error:
        run(small(small_dataset_dir, **fields), tmp_path)
    # 8 networks of the one-branch variant, of 2,417,415 parameters and some statistics, and three checkpoints
    # of them with Adam's moments.
    parameters = 4896 + 2352 * 1024 + 3 * 1024 + 1024 * 3 + 3
    weights, checkpoints = (8 * 4 * times * parameters / 2**20 for times in (1, 9))
    told = re.search(r'needs ([0-9.]+) MiB: ([0-9.]+) MiB of weights and ([0-9.]+) MiB', str(error.value))
    found = [float(number) for number in told.groups()]
    assert found == pytest.approx([weights + checkpoints, weights, checkpoints], abs=1)
    assert 'has 95.37 MiB free' in str(error.value)
    assert 'keep_weights=False' in str(error.value)
    assert not (tmp_path / 'trials.csv').exists(), 'the folder is not bound to this config'


def test_more_predictions_than_memory_takes_are_refused_before_training(
    small_dataset_dir, tmp_path, monkeypatch
):
    fields = {'training.epochs': 4, 'selection.every': 2, 'selection.name': 'nested', 'selection.parts': 2}
    # Two kept epochs of 24 clips, by the left-out subject's network and by the inner ones of 8 subjects.
    monkeypatch.setattr(experiment, 'MOST_ROWS', 2 * 24 * (1 + 8) - 1)
    with pytest.raises(InputError, match=r'config\.selection\.every, now 2'):
        run(small(small_dataset_dir, **fields), tmp_path)


def test_a_run_that_is_no_leaderboard_ends_with_its_error(small_dataset_dir, tmp_path, monkeypatch):
    def broken(self, rows):
        raise ValueError('shapes do not fit')

    monkeypatch.setattr(Estimators, 'fit_predict', broken)
    with pytest.raises(ValueError, match='shapes do not fit'):
        run(small(small_dataset_dir, **{'model.name': 'made_up.flow_svc'}), tmp_path)


@pytest.mark.parametrize(
    ('fields', 'says'),
    [
        ({'report.leaderboard': True}, 'every = 0 and name = .last.; expected every = 1 or more'),
        (
            {'evaluate_only': 'weights', 'seeds': (0, 1)},
            'trains nothing and .* config.seeds asks for something else',
        ),
        ({'evaluate_only': 'weights', 'selection.every': 2}, 'config.selection.every asks for'),
        ({'evaluate_only': 'weights', 'sweep': ({'model.dropout': (0.1, 0.2)},)}, 'config.sweep asks for'),
        ({'evaluate_only': 'weights'}, 'no converted weights in weights .*dualatme_jax.convert'),
    ],
)
def test_what_does_not_go_together_is_refused(small_dataset_dir, tmp_path, fields, says):
    with pytest.raises(InputError, match=says):
        run(small(small_dataset_dir, **fields), tmp_path)
