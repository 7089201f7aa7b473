"""From Python: load, train, look at scores, predictions and networks; with a workdir and without."""

import dataclasses
import io
import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from small_dataset import write_clips
from small_run import SHORT, small

import dualatme_jax as dj
from dualatme_jax import schema
from dualatme_jax.report import curves
from dualatme_jax.run import experiment, sweep
from dualatme_jax.run.progress import Reporter
from dualatme_jax.training.checkpoint import load_weights

ROOT = pathlib.Path(__file__).parents[2]
# Two waves of four networks.
FIELDS = {
    'training.batch_size': 24,
    'engine.max_trials': 4,
    'checkpoint.every': 1,
    'checkpoint.keep_weights': True,
}


def test_importing_the_package_imports_nothing_heavy():
    heavy = {'jax', 'numpy', 'pandas', 'rich', 'ml_collections', 'matplotlib'}
    program = f'import sys, dualatme_jax; print({heavy} & set(sys.modules))'
    printed = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert printed.stdout == 'set()\n'


@pytest.fixture(scope='module')
def run(small_dataset_dir, tmp_path_factory):
    """A run without a workdir, in a folder of its own, which stays empty."""
    folder = tmp_path_factory.mktemp('empty')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = dj.train(small('nowhere', **FIELDS), dj.load(small_dataset_dir))
    assert not list(folder.iterdir())
    return found


@pytest.mark.slow
def test_its_numbers_are_those_of_the_command(run, small_dataset_dir, tmp_path):
    flags = SHORT | FIELDS | {'data.path': str(small_dataset_dir)}
    command = [
        sys.executable,
        '-m',
        'dualatme_jax.main',
        '--config=configs/cd.py',
        f'--workdir={tmp_path}',
    ]
    command += [f'--config.{field}={value}' for field, value in flags.items()]
    environment = os.environ | {'JAX_NUM_CPU_DEVICES': '4'}  # as this process has, whose programs it finds
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=environment)
    results = json.loads((tmp_path / 'results.json').read_text())
    assert run.complete
    assert run.scores == results['scores']
    assert run.results['per_seed'] == results['per_seed']
    table = pd.read_csv(tmp_path / 'predictions.csv', dtype={'subject': str})
    same = run.predictions.drop(columns='left_out')
    pd.testing.assert_frame_equal(same, table, check_dtype=False, rtol=1e-5)
    assert (run.predictions['left_out'] == table['database'] + '/' + table['subject']).all()
    assert run.trials['status'].eq('done').all()


def test_predictions_and_trials_are_tables_and_the_report_is_printed(run):
    chances = run.predictions.filter(like='prob_').to_numpy()
    assert len(run.predictions) == 24
    assert (chances.argmax(1) == run.predictions['prediction']).all()
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-5)
    assert set(run.trials['left_out']) == set(run.predictions['left_out'])
    assert run.trials['left_out'].nunique() == 8
    assert run.epoch_predictions is None
    console = Console(file=io.StringIO(), width=100)
    run.report(console)
    assert f'{run.scores["full"]["uf1"]["mean"]:.3f}' in console.file.getvalue()


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_in_its_workdir(run, small_dataset_dir, tmp_path, monkeypatch):
    told = Reporter.epoch

    def die(self, wave, done, losses):
        told(self, wave, done, losses)
        if (wave, done) == (1, 2):
            raise KeyboardInterrupt

    data, config = dj.load(small_dataset_dir), small('nowhere', **FIELDS)
    monkeypatch.setattr(Reporter, 'epoch', die)
    with pytest.raises(KeyboardInterrupt):
        dj.train(config, data, workdir=tmp_path)
    trained = []
    monkeypatch.setattr(Reporter, 'epoch', lambda self, *arguments: trained.append(arguments[:2]))
    again = dj.train(config, data, workdir=tmp_path)
    assert trained == [(1, 2)], 'the first wave had ended, the second had a checkpoint'
    pd.testing.assert_frame_equal(again.predictions, run.predictions)
    assert again.scores == run.scores
    # The losses too, those from before it was stopped among them; `run` has them in memory alone.
    assert np.isfinite(run.curves.losses).all()
    np.testing.assert_array_equal(again.curves.losses, run.curves.losses)
    np.testing.assert_array_equal(curves.read(tmp_path / 'curves.npz').losses, run.curves.losses)
    assert json.loads((tmp_path / 'results.json').read_text()) == again.results

    networks = run.variables
    assert {leaf.shape[0] for leaf in jax.tree.leaves(networks)} == {8}
    for number in (0, 1):
        there = load_weights(tmp_path / 'waves' / f'wave_00{number}' / 'weights')
        own = jax.tree.map(lambda leaf, number=number: leaf[4 * number : 4 * number + 4], networks)
        jax.tree.map(np.testing.assert_array_equal, own, there)
    some = [5, 2]
    expected = jax.tree.map(lambda leaf: leaf[some], networks)
    jax.tree.map(np.testing.assert_array_equal, again.variables_of(some), expected)
    with pytest.raises(dj.InputError, match='holds a run with more than this config: the seeds 0'):
        dj.train(small('nowhere', **FIELDS | {'seeds': (1,)}), data, workdir=tmp_path)


def test_each_system_of_a_sweep_gets_what_it_reads_of_the_clips_that_are_given(small_dataset_dir):
    config = small('nowhere', sweep=({'model.name': ('ststnet', 'dual_atme', 'off_apexnet')},))
    found = experiment.given(dj.load(small_dataset_dir), sweep.points(config))
    assert [tuple(data.inputs) for data in found.values()] == [('flow',), ('flow', 'flow_puzzled'), ('flow',)]


def test_clips_that_are_a_view_of_others_have_the_fingerprint_of_their_numbers(small_dataset_dir):
    data = dj.load(small_dataset_dir, reads=('flow',))
    turned = {key: array[..., ::-1] for key, array in data.inputs.items()}
    view, copy = (
        dataclasses.replace(data, inputs={key: make(array) for key, array in turned.items()})
        for make in (lambda array: array, np.ascontiguousarray)
    )
    assert experiment.digest(view) == experiment.digest(copy) != experiment.digest(data)


def test_a_config_is_found_by_its_name_or_its_path():
    assert dj.config('ststnet').model.name == 'ststnet'
    assert dj.config('cd:synthetic').data.build_synthetic
    assert dj.config(str(ROOT / 'configs/rcn_a.py')).model.name == 'rcn_a'
    with pytest.raises(AttributeError, match='epoch'):
        dj.config().training.epoch = 3
    with pytest.raises(dj.InputError, match=r'did you mean configs/ststnet\.py'):
        dj.config('stsnet')


def test_the_synthetic_release_is_built_where_the_command_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    built = []

    def build(path, regions, views, options):
        assert options == ''
        built.append((path, regions, views))
        write_clips(path, [2, 3, 2], labels=schema.LABELS, databases=schema.COMPOSITE)

    monkeypatch.setattr(experiment, 'build_synthetic', build)
    assert dj.load('synthetic').size == 7
    assert set(dj.load('synthetic', databases=('smic',)).database) == {'smic'}
    assert built == [(tmp_path / 'data/synthetic', '', ['flow'])]


@pytest.mark.parametrize(
    ('config', 'data', 'fields', 'says'),
    [
        ({'training': {}}, None, {}, 'the config is of type dict; expected what dj.config returns'),
        ('cd', 'data/cd', {}, 'the clips are of type str; expected what dj.load returns'),
        ('no_such', None, {}, r'--config=configs/no_such\.py: there is no such file'),
        (None, None, {}, 'no dataset at .*nowhere'),
        (None, True, {'training.epochs': 0}, 'config.training.epochs is 0'),
        (
            None,
            ('flow_puzzled',),
            {},
            "'flow', .* given have 'flow_puzzled'; load",
        ),
        (None, True, {'data.regions': 'EN'}, "the dataset given is made of 'unknown'"),
        (
            None,
            True,
            {'sweep': ({'data.regions': ('EM', 'EN')},)},
            'config.sweep varies data.regions',
        ),
    ],
)
def test_what_cannot_be_trained_is_named(small_dataset_dir, config, data, fields, says):
    config = small('nowhere', **fields) if config is None else config
    if data is True or isinstance(data, tuple):
        data = dj.load(small_dataset_dir, **{} if data is True else {'reads': data})
    with pytest.raises(dj.InputError, match=says):
        dj.train(config, data)
