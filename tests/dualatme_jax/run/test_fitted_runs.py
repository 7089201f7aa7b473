"""Runs of systems that scikit-learn fits: as by hand, resumed, swept, chosen, and beside Dual-ATME."""

import dataclasses
import io
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from made_up import flow_svc
from rich.console import Console
from scipy import special
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from small_dataset import write_clips
from small_run import TINY, person, run, small, uf1

from dualatme_jax import models, score
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.data import splits
from dualatme_jax.errors import InputError
from dualatme_jax.models.stage import Stage
from dualatme_jax.models.system import System
from dualatme_jax.report import predictions
from dualatme_jax.run import experiment, programs
from dualatme_jax.run.trial_table import TrialTable

SVC = 'made_up.flow_svc'
WORDS = {'subject': str}


def config_of(dataset_dir, **fields):
    return small(dataset_dir, **{'model.name': SVC} | fields)


def by_hand(dataset, **options):
    """What each clip is predicted as by a pipeline that is fitted without its subject."""
    return cross_val_predict(
        flow_svc.build(classes=3, **options),
        dataset.inputs['flow'].mean(2).reshape(24, -1),
        dataset.label,
        groups=dataset.subjects,
        cv=LeaveOneGroupOut(),
        method='decision_function',
    )


@pytest.fixture(scope='module')
def dataset(small_dataset_dir):
    return dataset_lib.load(small_dataset_dir, reads=('flow',))


@pytest.mark.slow
def test_a_run_predicts_what_scikit_learn_does_by_hand(dataset, small_dataset_dir, tmp_path):
    config = config_of(small_dataset_dir, **{'model.C': 0.1, 'checkpoint.keep_weights': True})
    complete, results, printed = run(config, tmp_path)
    assert complete
    table = pd.read_csv(tmp_path / 'predictions.csv', dtype=WORDS)
    expected = by_hand(dataset, C=0.1)
    np.testing.assert_allclose(table.filter(like='prob_'), special.softmax(expected, 1), atol=1e-5)
    np.testing.assert_array_equal(table['prediction'], expected.argmax(1))
    assert results['scores']['full']['uf1']['mean'] == pytest.approx(uf1(table))
    assert pd.read_csv(tmp_path / 'trials.csv')['status'].tolist() == ['done'] * 8
    assert '8 trials, fitted by scikit-learn' in printed
    assert 'Flow SVC, one subject left out: fitted by scikit-learn, seed 0' in printed
    assert 'selection: none' in printed
    assert '  not read: config.augment, config.checkpoint, config.loss, config.optimizer' in printed
    assert 'fitted by scikit-learn; what is fitted is not kept' in printed
    assert not list(tmp_path.rglob('weights'))
    assert not (tmp_path / 'checkpoints').exists()
    assert 'nothing is trained again' in run(config, tmp_path)[2]


@pytest.mark.slow
def test_a_learning_curve_fits_each_fold_to_the_subjects_that_were_drawn(
    dataset, small_dataset_dir, tmp_path
):
    grid = {'data.train_subjects': (3, 5)}
    assert run(config_of(small_dataset_dir, sweep=(grid,)), tmp_path)[0]
    table = pd.read_csv(tmp_path / 'predictions.csv', dtype=WORDS)
    names = dataset.database, dataset.subject, dataset.label
    features = dataset.inputs['flow'].mean(2).reshape(24, -1)
    for subjects, rows in table.groupby('data.train_subjects'):
        expected = np.zeros(24, int)
        for fold in splits.folds('subject', *names):
            few = splits.few(fold, *names, subjects=subjects, seed=0)
            assert len(set(dataset.subjects[few.train])) == subjects
            fitted = flow_svc.build(classes=3).fit(features[few.train], dataset.label[few.train])
            expected[few.held_out] = fitted.decision_function(features[few.held_out]).argmax(1)
        np.testing.assert_array_equal(rows['prediction'], expected)
    assert list(pd.read_csv(tmp_path / 'sweep.csv')['data.train_subjects']) == [3, 5]


@pytest.mark.slow
def test_nested_selection_sees_the_subjects_alone_that_a_fold_trains_on(dataset, small_dataset_dir, tmp_path):
    fields = {'sweep': ({'model.C': (0.01, 1.0)},), 'selection.name': 'nested', 'selection.parts': 2}
    config = config_of(small_dataset_dir, **fields, **{'data.train_subjects': 4})
    complete, _, printed = run(config, tmp_path)
    assert complete
    assert 'one subject left out, 4 of the other subjects trained on' in printed
    inner = pd.read_csv(tmp_path / 'inner_predictions.csv', dtype=WORDS)
    names = dataset.database, dataset.subject, dataset.label
    for fold in splits.folds('subject', *names):
        few = splits.few(fold, *names, subjects=4, seed=0)
        rows = inner[inner['left_out'] == fold.name]
        assert set(person(rows)) == set(dataset.subjects[few.train])
        assert len(rows) == 2 * few.train.sum()
    config.data.train_subjects = 5
    with pytest.raises(InputError, match=r'data\.train_subjects is 4 there and 5 here'):
        run(config, tmp_path)
    config.data.train_subjects = 8
    with pytest.raises(InputError, match=r'train_subjects is 8, and with .* there are 7 subjects'):
        run(config, tmp_path)


def test_a_run_of_two_classes_has_the_area_and_the_accuracy_by_subject(tmp_path):
    folder = tmp_path / 'speakers'
    write_clips(folder, [3, 2, 4, 3], labels=('truthful', 'deceptive'), databases=('deception',))
    config = config_of(folder, **{'data.databases': ()})
    complete, results, printed = run(config, tmp_path / 'run')
    assert complete
    table = pd.read_csv(tmp_path / 'run' / 'predictions.csv', dtype=WORDS)
    found = results['scores']['deception']
    assert found['auc']['mean'] == pytest.approx(roc_auc_score(table['label'], table['prob_deceptive']))
    own = (table['label'] == table['prediction']).groupby(table['subject']).mean()
    assert found['acc_by_subject']['mean'] == pytest.approx(own.mean())
    assert [each['acc'] for each in results['by_subject']] == pytest.approx(own.tolist())
    assert 'Two classes: area under the ROC curve, accuracy by subject' in printed


@pytest.mark.slow
def test_a_run_of_inputs_that_leak_says_so_wherever_it_is_scored(
    dataset, small_dataset_dir, tmp_path, capsys
):
    leaky = dataclasses.replace(
        dataset, metadata=dataset.metadata | {'leaks': {'flow': 'cropped by the label'}}
    )
    console = Console(file=io.StringIO(), width=200)
    experiment.run(config_of(small_dataset_dir), tmp_path / 'run', console, dataset=leaky)
    said = 'LEAKS: flow: cropped by the label'
    assert console.file.getvalue().count(said) == 2  # before it is trained, and above the scores
    assert not list((tmp_path / 'run').glob('challenge_log*'))
    assert score.main([str(tmp_path / 'run'), '--json', str(tmp_path / 'scores.json')]) == 0
    assert said in capsys.readouterr().out
    assert json.loads((tmp_path / 'scores.json').read_text())['notice'] == said


KILLED = """
import os, signal, sys
from small_run import run
from test_fitted_runs import config_of
from dualatme_jax.run.trial_table import TrialTable
import pathlib

close_wave, closed = TrialTable.close_wave, []

def close_two(self, number, wave):
    if len(closed) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    close_wave(self, number, wave)
    closed.append(number)

TrialTable.close_wave = close_two
run(config_of(sys.argv[1], **{'engine.max_trials': 2}), pathlib.Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_with_the_wave_that_it_was_in(small_dataset_dir, tmp_path, monkeypatch):
    paths = [str(pathlib.Path(__file__).parents[2]), str(pathlib.Path(__file__).parent), *sys.path]
    ended = subprocess.run(
        [sys.executable, '-c', KILLED, str(small_dataset_dir), str(tmp_path / 'killed')],
        env=os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, paths))},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert (
        pd.read_csv(tmp_path / 'killed' / 'trials.csv')['status'].tolist() == ['done'] * 4 + ['pending'] * 4
    )
    closed, close_wave = [], TrialTable.close_wave
    monkeypatch.setattr(
        TrialTable,
        'close_wave',
        lambda self, number, wave: (closed.append(number), close_wave(self, number, wave)),
    )
    config = config_of(small_dataset_dir, **{'engine.max_trials': 2})
    complete, results, printed = run(config, tmp_path / 'killed')
    assert complete
    assert closed == [2, 3], 'what had ended is not fitted again'
    assert '4 trials, fitted by scikit-learn' in printed
    _, whole, _ = run(config, tmp_path / 'whole')
    assert results['scores'] == whole['scores']
    files = [(tmp_path / name / 'predictions.csv').read_bytes() for name in ('killed', 'whole')]
    assert files[0] == files[1]


@pytest.mark.slow
def test_an_option_is_swept_and_chosen_by_the_other_subjects(dataset, small_dataset_dir, tmp_path):
    values = (1e-6, 1e-3, 0.1)
    fields = {'sweep': ({'model.C': values},), 'selection.name': 'nested', 'selection.parts': 3}
    complete, results, printed = run(config_of(small_dataset_dir, **fields), tmp_path)
    assert complete
    table = pd.read_csv(tmp_path / 'predictions.csv', dtype=WORDS)
    for value in values:
        own = table[table['model.C'] == value]
        np.testing.assert_array_equal(own['prediction'], by_hand(dataset, C=value).argmax(1))
    assert [row['model.C'] for row in results['sweep']] == list(values)
    inner = pd.read_csv(tmp_path / 'inner_predictions.csv', dtype=WORDS)
    assert len(results['chosen']) == 8
    chosen = []
    for row in results['chosen']:
        person = table['database'] + '/' + table['subject'] == row['left_out']
        own = inner[inner['left_out'] == row['left_out']]
        assert len(own) == len(values) * (24 - person.sum() / len(values))
        of_values = own.groupby('model.C')[['label', 'prediction']].apply(uf1)
        assert of_values[row['model.C']] == pytest.approx(of_values.max())
        chosen.append(table[person & (table['model.C'] == row['model.C'])])
    assert results['scores']['full']['uf1']['mean'] == pytest.approx(uf1(pd.concat(chosen)))
    assert 'left-out subjects: model.C = ' in printed
    assert 'model.C' in predictions.read(tmp_path / 'predictions.csv')[0], 'a hyperparameter for `score` too'


def test_it_reads_what_a_frozen_stage_gives(dataset, small_dataset_dir, tmp_path, monkeypatch):
    stage = Stage('halved', ('flow',), ('half',), lambda weights, inputs: {'half': inputs['flow'] / 2})
    system = System('staged', 'Staged', flow_svc.build, reads=('half',), learner='sklearn', stage=stage)
    monkeypatch.setitem(models.SYSTEMS, 'staged', system)
    fields = {'model.name': 'staged', 'engine.cache': str(tmp_path / 'cache')}
    complete, _, printed = run(small(small_dataset_dir, **fields), tmp_path / 'run')
    assert complete
    assert 'stage halved: 0 of 24 clips' in printed
    chances = pd.read_csv(tmp_path / 'run' / 'predictions.csv').filter(like='prob_')
    expected = cross_val_predict(
        flow_svc.build(classes=3),
        dataset.inputs['flow'].reshape(24, -1) / 2,
        dataset.label,
        groups=dataset.subjects,
        cv=LeaveOneGroupOut(),
        method='decision_function',
    )
    np.testing.assert_allclose(chances, special.softmax(expected, 1), atol=1e-4)


@pytest.mark.slow
def test_it_stands_on_a_leaderboard_beside_dual_atme(dataset, small_dataset_dir, tmp_path):
    board = ({'model.name': 'dual_atme', 'model.variant': 'hars', 'training.epochs': 1}, {'model.name': SVC})
    fields = {'sweep': board, 'selection.every': 1, 'report.leaderboard': True, 'report.shortened': 'all'}
    complete, results, _ = run(small(small_dataset_dir, **fields), tmp_path)
    assert complete
    rows = {row['title']: row for row in results['leaderboard']}
    assert rows['Flow SVC']['status'] == rows['Dual-ATME']['status'] == 'scored'
    expected = pd.DataFrame({'label': dataset.label, 'prediction': by_hand(dataset).argmax(1)})
    assert rows['Flow SVC']['uf1_mean'] == pytest.approx(uf1(expected))
    assert rows['Dual-ATME']['reference']
    assert rows['Flow SVC']['p'] is not None
    assert 'Flow SVC' in (tmp_path / 'leaderboard.md').read_text()


@pytest.mark.slow
def test_fields_that_are_not_read_make_the_same_estimators(small_dataset_dir, tmp_path):
    grid = {'optimizer.learning_rate': (0.1, 0.2), 'training.epochs': (2, 3)}
    _, results, printed = run(config_of(small_dataset_dir, sweep=(grid,)), tmp_path)
    assert printed.count('trains the same networks as') == 3
    assert len({row['uf1_mean'] for row in results['sweep']}) == 1


def test_a_smoke_test_fits_two_folds_of_each_database(small_dataset_dir, tmp_path):
    complete, results, printed = run(config_of(small_dataset_dir, smoke=True), tmp_path)
    assert complete
    assert results['trials'] == 6
    assert 'SMOKE TEST' in printed


@pytest.mark.parametrize(
    ('fields', 'says'),
    [
        (
            {'evaluate_only': 'weights'},
            "config.evaluate_only is of networks, and 'made_up.flow_svc' has none",
        ),
        ({'init_from': 'weights'}, 'config.init_from is of networks'),
        ({'freeze': ('conv.*',)}, 'config.freeze is of networks'),
        ({'folds': 'all'}, "config.folds='all' is of networks"),  # and not that it keeps no weights
        ({'sweep': ({'model.name': (TINY, SVC)},), 'freeze': ('conv.*',)}, 'config.freeze is of networks'),
        (
            {'selection.name': 'nested', 'selection.every': 1},
            'expected a sweep of two or more, since what is no network has no epochs',
        ),
        (
            {'selection.name': 'best_on_test', 'selection.every': 1},
            "expected 'last' or 'nested', since what is no network has no epochs",
        ),
        ({'model.c': 1.0}, r"config.model.c: 'made_up.flow_svc' has no such option; it has C, balanced"),
        ({'model.C': -1.0}, r"trial 0, .* left out: .* The 'C' parameter of LinearSVC must be a float"),
    ],
)
def test_what_does_not_go_together_is_refused(small_dataset_dir, tmp_path, fields, says):
    with pytest.raises(InputError, match=says):
        run(config_of(small_dataset_dir, **fields), tmp_path)


def test_a_build_that_returns_no_classifier_is_refused(monkeypatch):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC as SupportVectors  # noqa: N811, SVC is a system here

    def build(*, classes: int):
        return StandardScaler()

    system = System(name='none', title='None', build=build, learner='sklearn')
    monkeypatch.setitem(models.SYSTEMS, 'none', system)
    with pytest.raises(InputError, match='build returns StandardScaler; expected a scikit-learn estimator'):
        models.build('none', classes=3)
    pairs = make_pipeline(StandardScaler(), SupportVectors(decision_function_shape='ovo'))
    monkeypatch.setitem(
        models.SYSTEMS,
        'none',
        System(name='none', title='', build=lambda *, classes: pairs, learner='sklearn'),
    )
    with pytest.raises(InputError, match="'ovo', which scores pairs of classes; expected 'ovr'"):
        models.build('none', classes=3)
    with pytest.raises(InputError, match="unknown learner 'torch' of none; expected 'gradient', 'sklearn'"):
        System(name='none', title='None', build=build, learner='torch')


@pytest.mark.parametrize(
    ('descriptor', 'says'),
    [
        (lambda inputs: inputs['flow'], r'gives uint8 \(24, 28, 28, 3\); expected 24 x D numbers, one row'),
        (lambda inputs: inputs['flow'][:5, 0, 0], r'gives uint8 \(5, 3\)'),
        (lambda inputs: inputs['flow'][:, 0, 0].astype(str), 'expected 24 x D numbers'),
        (
            lambda inputs: np.log(inputs['flow'][:, 0, 0] * 0.0),
            r'numbers of casme2/000/clip0 that are not fin',
        ),
        (
            lambda inputs: inputs['flow'][:, 0, 0] - inputs['flow'][:, 0, 0].mean(0),
            'has seen clips that trials',
        ),
        (
            lambda inputs: inputs['flow'][:, 0, 0] - 1.0 * inputs['flow'][:1, 0, 0],
            'has seen clips that trials',
        ),
        (
            lambda inputs: (inputs['flow'][:, 0, 0] - inputs['flow'][:, 0, 0].mean(0)) * 1e-6,
            'has seen clips that trials',
        ),
    ],
)
@pytest.mark.filterwarnings('ignore:divide by zero')
def test_a_descriptor_that_gives_no_vector_for_each_clip_is_refused(dataset, descriptor, says):
    with pytest.raises(InputError, match=says):
        programs.described(descriptor, dataset)
