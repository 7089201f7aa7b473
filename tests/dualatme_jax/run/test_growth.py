"""A run that grows by seeds, points and epochs is the run that had all of them at once."""

import io
import json
import pathlib
import shutil

import pandas as pd
import pytest
from rich.console import Console
from small_run import run, small

from dualatme_jax.errors import InputError
from dualatme_jax.report import record
from dualatme_jax.run import collect, experiment, network
from dualatme_jax.run.kept import Kept
from dualatme_jax.run.progress import Reporter
from dualatme_jax.training.engine import Engine

KEY = ['seed', 'database', 'subject', 'clip']
SVC = 'made_up.flow_svc'
CS = 'model.C'


def config_of(dataset_dir, *values, **fields):
    """A config that scikit-learn fits in no time, of one or several values of C."""
    swept = {'sweep': ({CS: values},)} if values else {}
    return small(dataset_dir, **{'model.name': SVC, **swept, **fields})


def predictions(folder, name='predictions.csv'):
    """A table of predictions without the numbers of its trials, in an order that does not depend on them."""
    table = pd.read_csv(folder / name, dtype={'subject': str}).drop(columns='trial', errors='ignore')
    return table.sort_values([*table]).reset_index(drop=True)


def check_same(grown, at_once, *names):
    """The predictions of two folders are equal bit for bit, and so are their scores."""
    for name in ('predictions.csv', *names):
        found, expected = predictions(grown, name), predictions(at_once, name)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    one, two = (json.loads((path / 'results.json').read_text()) for path in (grown, at_once))
    for name in ('scores', 'per_seed', 'trials', 'sweep', 'ensemble', 'leaderboard', 'chosen'):
        assert one.get(name) == two.get(name), name


def content(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


@pytest.fixture(scope='module')
def fitted(small_dataset_dir, tmp_path_factory):
    """A finished run of one seed and no sweep."""
    folder = tmp_path_factory.mktemp('runs') / 'fitted'
    assert run(config_of(small_dataset_dir), folder)[0]
    return folder


@pytest.fixture
def folder(fitted, tmp_path):
    return shutil.copytree(fitted, tmp_path / 'run')


def test_a_run_becomes_a_sweep_of_more_seeds(folder, fitted, small_dataset_dir, tmp_path):
    config = config_of(small_dataset_dir, 0.1, 0.01, seeds=(2, 0), **{'report.ensemble': 'mean'})
    complete, results, printed = run(config, folder)
    assert complete
    assert '8 of 32 trials are there; training 24' in printed
    assert run(config, tmp_path / 'at_once')[0]
    check_same(folder, tmp_path / 'at_once', 'ensemble_predictions.csv')
    before, after = (pd.read_csv(path / 'trials.csv') for path in (fitted, folder))
    kept = ['trial', 'left_out', 'seed', 'wave', 'status', 'seconds']
    pd.testing.assert_frame_equal(after[kept][:8], before[kept])
    assert after[CS].tolist() == [0.01] * 8 + [0.1] * 16 + [0.01] * 8
    assert after['trial'].tolist() == [*range(32)]
    assert results['seconds'] == pytest.approx(after.groupby('wave')['seconds'].first().sum())
    kept = json.loads((folder / 'config.json').read_text())
    assert (kept['seeds'], kept['sweep']) == ([2, 0], [{CS: [0.1, 0.01]}])
    assert 'nothing is trained again' in run(config, folder)[2]
    # Another order of the same is the same.
    assert 'nothing is trained again' in run(config_of(small_dataset_dir, 0.01, 0.1, seeds=(0, 2)), folder)[2]


@pytest.mark.slow
def test_nested_selection_grows_by_points(small_dataset_dir, tmp_path):
    nested = {'selection.name': 'nested', 'selection.parts': 2}
    assert run(config_of(small_dataset_dir, 0.01, 1.0, **nested), tmp_path / 'run')[0]
    config = config_of(small_dataset_dir, 0.1, 0.01, 1.0, **nested)
    assert '48 of 72 trials are there; training 24' in run(config, tmp_path / 'run')[2]
    assert run(config, tmp_path / 'at_once')[0]
    check_same(tmp_path / 'run', tmp_path / 'at_once', 'inner_predictions.csv')


@pytest.mark.slow
def test_the_fields_of_a_grid_are_in_the_order_that_they_were_given_in(small_dataset_dir, tmp_path):
    """config.json sorts them, and so the points."""
    grid = {'model.balanced': (True, False), CS: (0.01, 1.0)}
    config = config_of(small_dataset_dir, sweep=(grid,))
    assert run(config, tmp_path / 'run')[0]
    config.sweep = (grid, {CS: 0.1})
    assert '32 of 40 trials are there; training 8' in run(config, tmp_path / 'run')[2]
    assert run(config, tmp_path / 'at_once')[0]
    check_same(tmp_path / 'run', tmp_path / 'at_once')


@pytest.mark.parametrize(
    ('values', 'fields', 'says'),
    [
        ((), {'seeds': (1,)}, r"the seeds 0\. A run grows.*--config.seeds='\(0, 1\)'.*another --workdir"),
        ((0.1, 1.0), {}, r'1 of its 1 points \(model\.C = 0\.01\)'),
        ((0.1,), {'seeds': (1, 2)}, r'the seeds 0 and 1 of its 1 points'),
        ((), {'seeds': (0, 1), 'model.balanced': True}, r'balanced is False there and True .* may grow by'),
        ((0.01, 0.1), {'data.train_subjects': 5}, r'train_subjects is 0 there and 5 here\n  sweep is \[\]'),
        ((0.01, 0.1), {'data.databases': ('smic', 'samm')}, r'dataset\.clips is 24 there and 14 here'),
    ],
)
def test_what_is_no_growth_is_refused_and_changes_nothing(folder, small_dataset_dir, values, fields, says):
    before = content(folder)
    with pytest.raises(InputError, match=rf'(?s){says}'):
        run(config_of(small_dataset_dir, *values, **fields), folder)
    assert content(folder) == before


@pytest.mark.parametrize('missing', ['waves/wave_000', 'trials.csv'])
def test_a_run_that_is_not_whole_does_not_grow(folder, small_dataset_dir, missing):
    where = folder / missing
    shutil.rmtree(where) if where.is_dir() else where.unlink()
    before = content(folder)
    with pytest.raises(InputError, match=r'wave_000, so this run can be|cannot read the table of tr'):
        run(config_of(small_dataset_dir, seeds=(0, 1)), folder)
    assert content(folder) == before


def test_what_is_not_trained_yet_can_be_left_out_again(folder, small_dataset_dir, monkeypatch):
    def full(*arguments, **options):
        raise OSError('No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr('dualatme_jax.run.fits._FITS', {'sklearn': full})
        with pytest.raises(OSError, match='No space'):
            run(config_of(small_dataset_dir, 0.01, 0.1, seeds=(0, 1)), folder)
    assert len(pd.read_csv(folder / 'trials.csv')) == 32
    assert '8 of 16 trials are there' in run(config_of(small_dataset_dir, seeds=(0, 1)), folder)[2]
    with pytest.raises(InputError, match='the seeds 1'):
        run(config_of(small_dataset_dir), folder)


def test_a_run_of_which_nothing_has_ended_becomes_any_other_sweep(small_dataset_dir, tmp_path, monkeypatch):
    def die(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Kept, 'keep', die)
        with pytest.raises(KeyboardInterrupt):
            run(config_of(small_dataset_dir, 0.01, 0.1), tmp_path)
    assert run(config_of(small_dataset_dir, 0.5, 1.0), tmp_path)[0]
    assert predictions(tmp_path)[CS].value_counts().to_dict() == {0.5: 24, 1.0: 24}


def test_a_run_that_is_killed_before_the_report_of_its_growth_is_not_finished(
    folder, small_dataset_dir, monkeypatch
):
    def die(*arguments, **options):
        raise KeyboardInterrupt

    config = config_of(small_dataset_dir, seeds=(0, 1))
    with monkeypatch.context() as patch:
        patch.setattr(collect, 'collect', die)
        with pytest.raises(KeyboardInterrupt):
            run(config, folder)
    assert (pd.read_csv(folder / 'trials.csv')['status'] == 'done').sum() == 16
    _, results, printed = run(config, folder)
    assert 'nothing is trained again' not in printed
    assert results['trials'] == 16
    assert 'nothing is trained again' in run(config, folder)[2]


@pytest.mark.parametrize('name', ['.trials.csv.sha256', 'config.json', 'trials.csv'])
def test_a_growth_that_is_killed_between_its_files_is_finished_by_the_next_command(
    folder, small_dataset_dir, tmp_path, monkeypatch, name
):
    replace = pathlib.Path.replace

    def die(self, target):
        if self == folder / '.growing' / name:
            raise KeyboardInterrupt
        return replace(self, target)

    config = config_of(small_dataset_dir, 0.1, 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, 'replace', die)
        with pytest.raises(KeyboardInterrupt):
            run(config, folder)
    assert run(config, folder)[0]
    assert not list(folder.glob('.growing*'))
    assert predictions(folder)[CS].value_counts().to_dict() == {0.1: 24, 0.01: 24}


def test_a_growth_that_is_killed_before_all_is_written_has_not_begun(folder, small_dataset_dir, monkeypatch):
    before = content(folder)

    def die(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, 'rename', die)
        with pytest.raises(KeyboardInterrupt):
            run(config_of(small_dataset_dir, 0.1, 0.01), folder)
    assert 'nothing is trained again' in run(config_of(small_dataset_dir), folder)[2]
    names = ('trials.csv', '.trials.csv.sha256', 'config.json', 'predictions.csv')
    assert all((folder / name).read_bytes() == before[folder / name] for name in names)
    assert not list(folder.glob('.growing*'))


def trained_as(config, folder, monkeypatch):
    """Runs it; returns the rows that were trained, by wave, and what was printed."""
    waves, fit_predict = [], Engine.fit_predict

    def listed(self, rows, **options):
        waves.append([row['trial'] for row in rows])
        return fit_predict(self, rows, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, 'fit_predict', listed)
        complete, _, printed = run(config, folder)
    assert complete
    return waves, printed


NETWORK = {'engine.max_trials': 4, 'selection.every': 2, 'training.epochs': 3}


@pytest.mark.slow
def test_a_network_s_seeds_and_epochs_grow_bit_for_bit(small_dataset_dir, tmp_path, monkeypatch):
    def config(seeds, epochs, **fields):
        return small(small_dataset_dir, **NETWORK | {'training.epochs': epochs, 'seeds': seeds} | fields)

    keep = {'checkpoint.keep_state': True}
    folder = tmp_path / 'run'
    waves, _ = trained_as(config((0,), 3, **keep), folder, monkeypatch)
    assert waves == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert sorted(str(path.relative_to(folder)) for path in folder.glob('checkpoints/*/*')) == [
        'checkpoints/wave_000/3',
        'checkpoints/wave_001/3',
    ]
    waves, printed = trained_as(config((0, 1), 3, **keep), folder, monkeypatch)
    assert waves == [[8, 9, 10, 11], [12, 13, 14, 15]]
    assert 'planning' not in printed, 'the waves of before say how'
    assert 'wave 4/4' in printed
    trained_as(config((0, 1), 3), tmp_path / 'at_once', monkeypatch)
    check_same(folder, tmp_path / 'at_once', 'epoch_predictions.csv')

    # Killed in mid-growth, with a new seed beside more epochs.
    told = Reporter.epoch

    def die(self, wave, done, losses):
        told(self, wave, done, losses)
        if (wave, done) == (2, 4):
            raise KeyboardInterrupt

    grown = config((0, 1, 2), 5, **{'checkpoint.every': 1})
    console = Console(file=io.StringIO(), width=200)
    with monkeypatch.context() as patch:
        patch.setattr(Reporter, 'epoch', die)
        with pytest.raises(KeyboardInterrupt):
            experiment.run(grown, folder, console)
    assert '16 trials that are there are trained on, from epoch 3 to 5' in console.file.getvalue()
    waves, printed = trained_as(grown, folder, monkeypatch)
    assert waves == [[*range(first, first + 4)] for first in (8, 12, 16, 20)]
    assert '8 of 24 trials are there; training 16' in printed
    trained_as(config((0, 1, 2), 5), tmp_path / 'longer', monkeypatch)
    check_same(folder, tmp_path / 'longer', 'epoch_predictions.csv')
    losses = [pd.read_csv(path / 'trials.csv')['loss'] for path in (folder, tmp_path / 'longer')]
    assert losses[0].tolist() == losses[1].tolist()
    assert not (folder / 'checkpoints').exists(), 'the last command kept no states'

    before = content(folder)
    with pytest.raises(InputError, match=r'(?s)ended without its last state.*checkpoint.keep_state=T'):
        run(config((0, 1, 2), 6), folder)
    with pytest.raises(InputError, match=r'holds a run of 5 epochs, and this config has 4'):
        run(config((0, 1, 2), 4), folder)
    assert content(folder) == before


@pytest.mark.slow
def test_the_networks_of_a_run_that_leaves_nobody_out_grow(small_dataset_dir, tmp_path):
    fields = {'folds': 'all', 'checkpoint.keep_weights': True}
    config = small(small_dataset_dir, **fields)
    assert run(config, tmp_path)[0]
    assert network.load(tmp_path).seeds == (0,)
    config.seeds = (1, 0)
    assert run(config, tmp_path)[0]
    assert network.load(tmp_path).seeds == (0, 1)
    assert len(network.load(tmp_path).variables['params']['classifier']['kernel']) == 2


@pytest.mark.slow
def test_a_leaderboard_grows_by_systems(small_dataset_dir, tmp_path):
    board = {'report.leaderboard': True, 'selection.every': 1, 'training.epochs': 1}

    def config(*systems):
        return config_of(small_dataset_dir, sweep=({'model.name': systems},), **board)

    assert run(config(SVC, 'made_up.bands'), tmp_path / 'run')[0]
    grown = config('small_systems.tiny', SVC, 'made_up.bands')
    assert '16 of 24 trials are there; training 8' in run(grown, tmp_path / 'run')[2]
    assert run(grown, tmp_path / 'at_once')[0]
    check_same(tmp_path / 'run', tmp_path / 'at_once', 'epoch_predictions.csv')
    with pytest.raises(InputError, match=r'1 of its 3 points \(model\.name = small_systems\.tiny\)'):
        run(config(SVC, 'made_up.bands', 'small_systems.tiny_too'), tmp_path / 'run')


def test_a_report_that_is_made_anew_says_what_it_is_of_and_has_trained_nothing(small_dataset_dir, folder):
    def made():
        found = record.read(folder)
        results = {name: found.results[name] for name in ('epochs', 'seeds', 'points')}
        return results, len(found.provenance), [line for line in found.notices if 'grew' in line]

    config = config_of(small_dataset_dir)
    expected = {'epochs': config.training.epochs, 'seeds': [*config.seeds], 'points': 1}
    assert made() == (expected, 1, [])
    (folder / 'results.json').unlink()
    assert run(config, folder)[0]
    assert made() == (expected, 1, [])
