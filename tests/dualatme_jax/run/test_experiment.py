"""What an experiment refuses before it trains, and what it says."""

import io
import json
import re
import types

import jax
import numpy as np
import pandas as pd
import pytest
import tiny_run
from flax import traverse_util
from rich.console import Console
from sklearn import metrics

from configs import cd
from dualatme_jax import schema, score
from dualatme_jax.errors import InputError
from dualatme_jax.report import plots
from dualatme_jax.run import disk, experiment, finish, sweep
from dualatme_jax.run.progress import Reporter
from dualatme_jax.training.checkpoint import load_weights
from dualatme_jax.training.engine import Engine
from dualatme_jax.weights import folds, names


@pytest.mark.parametrize(
    ('field', 'value', 'says'),
    [
        ('data.path', 'nowhere', 'python -m data_prep build'),
        ('data.databases', ('casme3',), 'casme3'),
        ('input.scale', 'grey', "config.input.scale takes 'signed', 'unit', 'byte'"),
        ('input.channels', ('u', 'v'), r"config.input.channels is \('u', 'v'\); expected 'u', 'v', 'strain'"),
        ('sweep', ({'input.channels': [('u', 'u', 'v')]},), 'config.input.channels is'),
        ('model.name', 'resnet', "config.model.name takes 'dual_atme'"),
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
        ('engine.memory_gib', 0.01, 'no memory for one trial'),
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
@pytest.mark.slow
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


SINGLE = sweep.points(cd.get_config())


def trained(folder, *, failed):
    return tiny_run.trained(folder, SINGLE, failed=failed)


def report(trial_table, folder):
    console = Console(file=io.StringIO(), width=200, markup=False)
    made = reported(trial_table, SINGLE, folder)
    made.show(console)
    return json.loads((folder / 'results.json').read_text()), console.file.getvalue()


def reported(trial_table, swept, folder):
    """The report of a run that `tiny_run.trained` has left, written."""
    found, _ = tiny_run.collected(trial_table, swept, folder)
    made = finish.report(trial_table, tiny_run.DATASET, swept, found)
    made.write(folder)
    return made


def test_a_seed_with_a_failed_trial_is_named_and_left_out_of_the_scores(tmp_path):
    results, printed = report(trained(tmp_path, failed={5}), tmp_path)
    assert results['failed'] == [
        {'trial': 5, 'database': 'casme2', 'subject': 'NA', 'seed': 1, 'failed_epoch': 2}
    ]
    assert [part['seed'] for part in results['per_seed']] == [0]
    assert pd.read_csv(tmp_path / 'predictions.csv')['seed'].tolist() == [0] * 4
    assert 'casme2/NA left out, seed 1' in printed


def test_without_a_whole_seed_there_is_no_score(tmp_path):
    results, _ = report(trained(tmp_path, failed={0, 7}), tmp_path)
    assert results['scores'] is None
    assert len(results['failed']) == 2


def test_the_result_says_what_the_input_was(tmp_path):
    results, printed = report(trained(tmp_path, failed=set()), tmp_path)
    assert results['failed'] == []
    assert results['dataset'] == tiny_run.METADATA
    assert results['labels'] == ['negative', 'positive', 'surprise']
    lines = printed[: printed.index(' clips ')].split('\n')
    assert [line.strip() for line in lines if line.strip()][:2] == [
        'Dual-ATME: 60 epochs, 2 seeds (0, 1)',
        'Input: test; puzzled flow (EM): cut',
    ]


SWEPT = cd.get_config()
SWEPT.sweep = ({'loss.cosine_weight': (0.0, 0.01)},)
SWEPT.report.resamples = 20


def test_the_picture_of_a_sweep_names_its_point(tmp_path, monkeypatch):
    swept, told = sweep.points(SWEPT), []
    monkeypatch.setattr(plots, 'confusion_matrices', lambda *_, notice: told.append(notice))
    trial_table = tiny_run.trained(tmp_path, swept)
    reported(trial_table, swept, tmp_path)
    assert told == ['loss.cosine_weight = 0.01']
    assert not (tmp_path / 'paper.md').exists(), 'no table of the paper was asked for'


@pytest.mark.parametrize('name', ['results.json', 'sweep.md', 'confusion.png'])
@pytest.mark.slow
def test_a_report_that_fails_leaves_the_predictions_and_says_how_to_make_it_anew(tmp_path, name):
    swept = sweep.points(SWEPT)
    trial_table = tiny_run.trained(tmp_path, swept)
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir()
    console = Console(file=io.StringIO(), width=200, markup=False)

    def anew():
        with finish.made_anew(tmp_path, console):
            reported(trial_table, swept, tmp_path)

    with pytest.raises(InputError, match=f'{name}: .*predictions are kept in .* the same command makes'):
        anew()
    (tmp_path / name).rmdir()
    anew()
    assert json.loads((tmp_path / 'results.json').read_text())['scores']['full']['acc']['mean'] == 1


def test_predictions_that_cannot_be_used_are_not_said_to_be_kept(tmp_path):
    with (
        pytest.raises(InputError, match=r'^damaged; restore it$'),
        finish.made_anew(tmp_path, Console(quiet=True)),
    ):
        raise InputError('damaged; restore it')


def test_a_fault_of_ours_in_a_report_says_so_too(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(ZeroDivisionError), finish.made_anew(tmp_path, console):
        print(1 / 0)
    assert 'the report failed; the predictions are kept in' in console.file.getvalue()


def test_a_name_that_the_challenge_s_log_cannot_hold_costs_the_log_alone(tmp_path):
    results, printed = report(trained(tmp_path, failed=set()), tmp_path)
    assert results['scores']['full']['acc']['mean'] == 1
    assert 'no challenge log of seed 0' in printed
    assert 'd e' in printed
    assert not list(tmp_path.glob('challenge_log*'))


@pytest.mark.slow
def test_five_classes_of_other_databases_from_dataset_to_scores(five_class_dataset_dir, tmp_path):
    config = cd.get_config()
    config.data.path = str(five_class_dataset_dir)
    config.data.databases = ()
    config.model.variant = 'hars'  # one branch compiles fastest
    config.loss.name = 'weighted_cross_entropy'
    config.loss.class_weights = (1.0, 2.0, 3.0, 2.0, 1.0)
    config.training.epochs = 2
    config.checkpoint.keep_weights = False
    config.report.resamples = 20
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


def small(dataset_dir, **fields):
    """A config that trains in seconds: one branch, two epochs, eight subjects."""
    config = cd.get_config()
    config.data.path = str(dataset_dir)
    short = {
        'model.variant': 'hars',
        'training.epochs': 2,
        'training.batch_size': 11,
        'report.resamples': 20,
        'checkpoint.keep_weights': False,
        'engine.devices': 1,
        'engine.max_trials': 8,  # runs of one variant share their compiled programs
    }
    config.update_from_flattened_dict(short | fields)
    return config


def run(config, folder):
    console = Console(file=io.StringIO(), width=200, markup=False, highlight=False)
    complete = experiment.run(config, folder, console).complete
    results = json.loads((folder / 'results.json').read_text())
    return complete, results, console.file.getvalue()


GRID = {'optimizer.learning_rate': (1e-3, 0.01), 'loss.name': ('focal', 'cross_entropy')}


@pytest.fixture(scope='module')
def swept(small_dataset_dir, tmp_path_factory):
    """A sweep of four points and one program, one of them given twice."""
    folder = tmp_path_factory.mktemp('runs') / 'swept'
    return folder, *run(small(small_dataset_dir, sweep=(GRID, {'loss.name': 'focal'})), folder)


@pytest.mark.slow
def test_a_sweep_s_points_train_in_one_table(swept):
    folder, complete, results, printed = swept
    assert complete
    assert results['trials'] == 32
    assert '32 trials, 8 side by side' in printed
    assert printed.count('planning') == 1
    told = 'the sweep has optimizer.learning_rate = 0.001, loss.name = focal twice; it is trained once'
    assert told in printed
    table = pd.read_csv(folder / 'predictions.csv')
    assert table.groupby(list(GRID)).size().tolist() == [24] * 4
    assert not (folder / 'inner_predictions.csv').exists()


def test_a_sweep_s_scores_are_scikit_learn_s_and_the_reference_is_the_config_s_own(swept):
    folder, _, results, _ = swept
    table = pd.read_csv(folder / 'predictions.csv')
    for row in results['sweep']:
        own = table[(table[list(GRID)] == [row[name] for name in GRID]).all(axis=1)]
        expected = metrics.f1_score(own['label'], own['prediction'], average='macro')
        assert row['uf1_mean'] == pytest.approx(expected)
        home = (row['optimizer.learning_rate'], row['loss.name']) == (1e-3, 'focal')
        assert row['reference'] == home
        if home:
            assert results['scores']['full']['uf1']['mean'] == pytest.approx(expected)
    assert results['selection'] == 'last'
    assert len(results['sweep']) == 4
    assert (folder / 'sweep.csv').exists()
    assert 'Reference' in (folder / 'sweep.md').read_text()


def test_a_point_of_a_sweep_is_the_run_of_that_config(swept, small_dataset_dir, tmp_path):
    fields = {'optimizer.learning_rate': 0.01, 'loss.name': 'cross_entropy'}
    assert run(small(small_dataset_dir, **fields), tmp_path / 'alone')[0]
    alone = pd.read_csv(tmp_path / 'alone' / 'predictions.csv')
    table = pd.read_csv(swept[0] / 'predictions.csv')
    own = table[(table[list(fields)] == list(fields.values())).all(axis=1)]
    assert own['clip'].tolist() == alone['clip'].tolist()
    chances = [name for name in alone if name.startswith('prob_')]
    np.testing.assert_allclose(own[chances], alone[chances], atol=2e-3)


def test_a_finished_sweep_is_reported_again_and_another_one_refused(swept, small_dataset_dir):
    folder, _, results, _ = swept
    config = small(small_dataset_dir, sweep=(GRID, {'loss.name': 'focal'}))
    _, again, told = run(config, folder)
    assert again == results
    assert 'nothing is trained again' in told
    config.sweep = (GRID,)
    with pytest.raises(InputError, match='holds another run:\n  sweep is'):
        run(config, folder)


@pytest.mark.slow
def test_fields_that_change_the_program_split_the_table_and_nested_selection_chooses(
    small_dataset_dir, tmp_path
):
    fields = {
        'sweep': ({'model.dropout': (0.2, 0.5)}, {'training.epochs': 1}),
        'selection.name': 'nested',
        'selection.parts': 2,
        'optimizer.learning_rate': 0.01,
    }
    complete, results, printed = run(small(small_dataset_dir, **fields), tmp_path)
    assert complete
    trials = pd.read_csv(tmp_path / 'trials.csv')
    # A point has 8 subjects, each left out alone and with either half of the others.
    assert trials.groupby(['program', 'point']).size().to_dict() == {(0, 0): 24, (0, 1): 24, (1, 2): 24}
    assert trials.groupby('wave')['program'].nunique().eq(1).all()
    assert 'training.epochs = 1: 24 trials, 8 side by side' in printed

    names = ['model.dropout', 'training.epochs']
    inner = pd.read_csv(tmp_path / 'inner_predictions.csv', dtype={'subject': str, 'outer_subject': str})
    outer = pd.read_csv(tmp_path / 'predictions.csv', dtype={'subject': str})
    assert (inner['subject'] != inner['outer_subject']).all()
    assert set(inner['inner']) == {1, 2}
    assert len(outer) == 3 * 24
    assert results['selection'] == 'nested'
    assert len(results['chosen']) == 8
    right = total = 0
    for choice in results['chosen']:
        seen = inner[inner['outer_subject'] == choice['subject']]
        uf1 = seen.groupby(names)[['label', 'prediction']].apply(
            lambda rows: metrics.f1_score(rows['label'], rows['prediction'], average='macro')
        )
        assert uf1[tuple(choice[name] for name in names)] == pytest.approx(uf1.max())
        own = outer[outer['subject'] == choice['subject']]
        own = own[(own[names] == [choice[name] for name in names]).all(axis=1)]
        right, total = right + (own['label'] == own['prediction']).sum(), total + len(own)
    assert total == 24
    assert results['scores']['full']['acc']['mean'] == pytest.approx(right / total)
    assert sum(row['reference'] for row in results['sweep']) == 1


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
    train_wave = Engine.train_wave

    def tight(self, rows, *, size, **options):
        sizes.append(size)
        if size > 8:
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.')
        return train_wave(self, rows, size=size, **options)

    monkeypatch.setattr(Engine, 'train_wave', tight)
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


def test_one_trial_that_is_too_large_is_an_error(small_dataset_dir, tmp_path, monkeypatch):
    def none(self, rows, **options):
        raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')

    monkeypatch.setattr(Engine, 'train_wave', none)
    monkeypatch.setattr(Engine, 'compile', lambda *arguments: None)
    with pytest.raises(InputError, match='ran out of memory with 1 trials side by side'):
        run(small(small_dataset_dir), tmp_path)


def test_a_disk_that_is_too_small_is_told_before_training(small_dataset_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(disk.shutil, 'disk_usage', lambda folder: types.SimpleNamespace(free=10**8))
    fields = {'checkpoint.keep_weights': True, 'checkpoint.every': 1}
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


@pytest.mark.slow
def test_a_sweep_over_datasets_needs_the_same_clips(small_dataset_dir, synthetic_dataset_dir, tmp_path):
    paths = (str(small_dataset_dir), str(synthetic_dataset_dir))
    with pytest.raises(
        InputError, match=r'the points of a sweep need the same clips, but .*synthetic differs'
    ):
        run(small(small_dataset_dir, sweep=({'data.path': paths},)), tmp_path)


@pytest.fixture(scope='module')
def kept(small_dataset_dir, tmp_path_factory):
    """A nested run over epochs alone: 3 epochs, the predictions of each kept."""
    folder = tmp_path_factory.mktemp('runs') / 'kept'
    fields = {
        'training.epochs': 3,
        'optimizer.learning_rate': 0.01,
        'selection.name': 'nested',
        'selection.parts': 2,
        'selection.every': 1,
    }
    return folder, *run(small(small_dataset_dir, **fields), folder)


def uf1(table):
    return metrics.f1_score(table['label'], table['prediction'], average='macro')


@pytest.mark.slow
def test_one_training_answers_every_selection(kept):
    folder, complete, results, printed = kept
    assert complete
    table = pd.read_csv(folder / 'epoch_predictions.csv', dtype={'subject': str})
    assert table.groupby('epoch').size().to_dict() == {1: 24, 2: 24, 3: 24}
    last = table[table['epoch'] == 3]
    assert (folder / 'predictions.csv').read_text().count('\n') == 25
    found = {name: row['scores']['full'] for name, row in results['selections'].items()}
    assert found['last']['uf1']['mean'] == pytest.approx(uf1(last))
    # By hand: of each subject the epoch that is right most often, the first of equals.
    right = table.assign(right=table['label'] == table['prediction'])
    counts = right.groupby(['database', 'subject', 'epoch'])['right'].sum().unstack()
    best = counts.idxmax(axis=1)
    chosen = pd.concat(
        [rows[rows['epoch'] == best[key]] for key, rows in table.groupby(['database', 'subject'])]
    )
    assert found['best_on_test']['uf1']['mean'] == pytest.approx(uf1(chosen))
    assert [row['leaks'] for row in results['selections'].values()] == [False, False, True]
    gap = found['best_on_test']['uf1']['mean'] - found['last']['uf1']['mean']
    assert results['selections']['best_on_test']['gap'] == pytest.approx(gap)
    assert 'best_on_test, LEAKS' in printed


def test_nested_selection_of_the_epoch_asks_the_other_subjects(kept):
    folder, _, results, printed = kept
    words = {'subject': str, 'outer_subject': str}
    table = pd.read_csv(folder / 'epoch_predictions.csv', dtype=words)
    inner = pd.read_csv(folder / 'inner_predictions.csv', dtype=words)
    assert len(results['chosen']) == 8
    chosen = []
    for row in results['chosen']:
        own = inner[(inner['outer_database'] == row['database']) & (inner['outer_subject'] == row['subject'])]
        assert not ((own['database'] == row['database']) & (own['subject'] == row['subject'])).any()
        of_epochs = own.groupby('epoch')[['label', 'prediction']].apply(uf1)
        assert of_epochs[row['epoch']] == pytest.approx(of_epochs.max())
        person = (table['database'] == row['database']) & (table['subject'] == row['subject'])
        chosen.append(table[person & (table['epoch'] == row['epoch'])])
    assert results['selection'] == 'nested'
    assert results['scores']['full']['uf1']['mean'] == pytest.approx(uf1(pd.concat(chosen)))
    assert 'left-out subjects: epoch = ' in printed


@pytest.mark.slow
def test_the_leaking_selection_is_marked_wherever_it_is_shown(small_dataset_dir, tmp_path):
    fields = {'selection.name': 'best_on_test', 'selection.every': 1, 'engine.max_trials': 8}
    _, results, printed = run(small(small_dataset_dir, **fields), tmp_path)
    assert 'WHICH LEAKS' in printed
    assert results['selection'] == 'best_on_test'
    assert results['scores'] == results['selections']['best_on_test']['scores']


@pytest.mark.slow
def test_kept_epochs_survive_an_interruption(small_dataset_dir, tmp_path, monkeypatch):
    config = small(small_dataset_dir, **{'training.epochs': 3, 'selection.every': 1, 'checkpoint.every': 1})
    whole = run(config, tmp_path / 'whole')[1]
    epochs = Reporter.epoch

    def die(self, wave, done, losses):
        if done == 3:
            raise KeyboardInterrupt
        epochs(self, wave, done, losses)

    monkeypatch.setattr(Reporter, 'epoch', die)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / 'stopped')
    monkeypatch.undo()
    _, results, printed = run(config, tmp_path / 'stopped')
    assert 'continued after epoch 2' in printed
    assert results['selections'] == whole['selections']
    name = 'epoch_predictions.csv'
    assert (tmp_path / 'stopped' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()


BOARD = (
    {'model.name': 'off_apexnet', 'model.variant': 'paper', 'training.epochs': 3},
    {'model.name': 'ststnet', 'model.variant': 'paper', 'training.epochs': 4},
)


@pytest.mark.parametrize(
    ('fails', 'error', 'reason'),
    [
        (0, ValueError('shapes do not fit\nat all'), 'ValueError: shapes do not fit'),
        (1, MemoryError(), 'MemoryError'),
    ],
)
@pytest.mark.slow
def test_a_leaderboard_reports_all_systems_but_the_one_that_fails_which_goes_on(
    small_dataset_dir, tmp_path, monkeypatch, fails, error, reason
):
    names = [point['model.name'] for point in BOARD]
    broken, well = names[fails], names[1 - fails]
    epochs = BOARD[fails]['training.epochs']
    fields = {'sweep': BOARD, 'selection.every': 1, 'report.leaderboard': True, 'report.shortened': 'all'}
    config = small(small_dataset_dir, **fields, **{'checkpoint.every': 1})
    told = Reporter.epoch

    def die(self, wave, done, losses):
        told(self, wave, done, losses)
        if self._epochs == epochs and done == 3:
            raise error

    monkeypatch.setattr(Reporter, 'epoch', die)
    complete, results, printed = run(config, tmp_path)
    assert not complete
    board = {row['system']: row for row in results['leaderboard']}
    assert [board[name]['status'] for name in (well, broken)] == ['scored', 'failed']
    assert board[broken]['reason'] == reason
    table = pd.read_csv(tmp_path / 'epoch_predictions.csv')
    last = BOARD[1 - fails]['training.epochs']
    assert table.groupby('model.name')['epoch'].max().to_dict() == {well: last}
    assert board[well]['uf1_mean'] == pytest.approx(uf1(table[table['epoch'] == last]))
    assert board[well]['reference']
    text = (tmp_path / 'leaderboard.md').read_text()
    assert reason in text
    assert 'SHORTENED RUN: all' in text
    assert (tmp_path / 'leaderboard.png').exists()

    monkeypatch.undo()
    complete, results, printed = run(config, tmp_path)
    assert complete
    assert 'continued after epoch 2' in printed, 'its checkpoint is there still'
    assert printed.count('side by side') == 1, 'what had ended is not trained again'
    assert {row['system'] for row in results['leaderboard'] if row['status'] == 'scored'} == set(names)
    assert not (tmp_path / 'checkpoints').exists()
    assert 'nothing is trained again' in run(config, tmp_path)[2]


def test_more_predictions_than_memory_takes_are_refused_before_training(
    small_dataset_dir, tmp_path, monkeypatch
):
    fields = {'training.epochs': 4, 'selection.every': 2, 'selection.name': 'nested', 'selection.parts': 2}
    # Two kept epochs of 24 clips, by the left-out subject's network and by the inner ones of 8 subjects.
    monkeypatch.setattr(experiment, 'MOST_ROWS', 2 * 24 * (1 + 8) - 1)
    with pytest.raises(InputError, match=r'config\.selection\.every, now 2'):
        run(small(small_dataset_dir, **fields), tmp_path)


def test_a_run_that_is_no_leaderboard_ends_with_its_error(small_dataset_dir, tmp_path, monkeypatch):
    def broken(self, rows, **options):
        raise ValueError('shapes do not fit')

    monkeypatch.setattr(Engine, 'train_wave', broken)
    with pytest.raises(ValueError, match='shapes do not fit'):
        run(small(small_dataset_dir), tmp_path)


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


@pytest.mark.slow
def test_weights_from_elsewhere_score_each_subject_by_its_own_network(small_dataset_dir, tmp_path):
    fields = {'model.name': 'ststnet', 'model.variant': 'paper', 'checkpoint.keep_weights': True}
    config = small(small_dataset_dir, **fields)
    _, trained, _ = run(config, tmp_path / 'trained')
    expected = pd.read_csv(tmp_path / 'trained' / 'predictions.csv')
    # The networks of the run, in another order, as `dualatme_jax.convert` would leave them.
    variables = load_weights(tmp_path / 'trained' / 'waves' / 'wave_000' / 'weights')
    names = pd.read_csv(tmp_path / 'trained' / 'trials.csv', dtype={'subject': str})
    order = np.roll(np.arange(8), 3)
    turned = jax.tree.map(lambda leaf: np.asarray(leaf)[order], variables)
    people = [f'{names["database"][k]}_{names["subject"][k]}' for k in order]
    (tmp_path / 'weights').mkdir()
    folds.save(folds.Folds('ststnet', 'paper', 3, tuple(people), turned), tmp_path / 'weights')

    config.evaluate_only = str(tmp_path / 'weights')
    complete, results, printed = run(config, tmp_path / 'evaluated')
    assert complete
    found = pd.read_csv(tmp_path / 'evaluated' / 'predictions.csv')
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)
    assert results['scores'] == trained['scores']
    assert results['selection'] == 'evaluate_only'
    assert '8 networks of' in printed
    assert 'evaluated in' in printed
    assert 'selection: the weights of' in printed

    # A run's folder has them as they were trained.
    config.evaluate_only = str(tmp_path / 'trained')
    run(config, tmp_path / 'again')
    found = pd.read_csv(tmp_path / 'again' / 'predictions.csv')
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)
    config.seeds = (1,)
    with pytest.raises(InputError, match=r'has no seed 1; name one of 0 by --config\.seeds'):
        run(config, tmp_path / 'other')
    config.seeds = (0,)

    # Other weights in the same folder are another run, and the same ones elsewhere are not.
    config.evaluate_only = str(tmp_path / 'weights')
    (tmp_path / 'weights').rename(tmp_path / 'moved')
    config.evaluate_only = str(tmp_path / 'moved')
    assert 'nothing is trained again' in run(config, tmp_path / 'evaluated')[2]
    (tmp_path / 'negated').mkdir()
    negated = jax.tree.map(lambda leaf: -leaf, turned)
    folds.save(folds.Folds('ststnet', 'paper', 3, tuple(people), negated), tmp_path / 'negated')
    config.evaluate_only = str(tmp_path / 'negated')
    with pytest.raises(InputError, match='holds another run:\n  weights is'):
        run(config, tmp_path / 'evaluated')

    config.model.name = 'rcn_a'
    with pytest.raises(InputError, match=r"holds weights of 'ststnet', .* the config has 'rcn_a'"):
        run(config, tmp_path / 'other')
    short = folds.Folds('ststnet', 'paper', 3, tuple(people[:7]), jax.tree.map(lambda leaf: leaf[:7], turned))
    (tmp_path / 'short').mkdir()
    folds.save(short, tmp_path / 'short')
    config.model.name, config.evaluate_only = 'ststnet', str(tmp_path / 'short')
    with pytest.raises(InputError, match='has no weights'):
        run(config, tmp_path / 'lacking')
    assert not (tmp_path / 'other').exists()
    assert not (tmp_path / 'lacking').exists(), 'a workdir is not taken by what cannot be evaluated'


def test_weights_are_evaluated_by_the_variant_that_they_are_of(tmp_path):
    leaves = names.leaves('rcn_f', 'code', 3).items()
    stacked = {path: np.zeros((1, *leaf.shape), leaf.dtype) for path, leaf in leaves}
    (tmp_path / 'weights').mkdir()
    variables = traverse_util.unflatten_dict(stacked)
    folds.save(folds.Folds('rcn_f', 'code', 3, ('1',), variables), tmp_path / 'weights')
    fields = {'model.name': 'rcn_f', 'model.variant': 'paper', 'evaluate_only': str(tmp_path / 'weights')}
    config = small(tmp_path, **fields)
    printed = io.StringIO()
    found = experiment.as_converted(config, Console(file=printed, soft_wrap=True))
    assert (config.model.variant, found.model.variant) == ('paper', 'code')
    assert "holds the variant 'code' of 'rcn_f': that is config.model.variant now" in printed.getvalue()
    for other in ({'model.name': 'rcn_a'}, {'model.variant': 'code'}, {'evaluate_only': str(tmp_path)}):
        config.update_from_flattened_dict(other)
        assert experiment.as_converted(config, Console(quiet=True)) is config
