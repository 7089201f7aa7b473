"""The tables of predictions are what the waves hold and the table of trials asks for."""

import hashlib
import shutil

import pandas as pd
import pytest
import tiny_run
from rich.console import Console

from configs import cd
from dualatme_jax import files
from dualatme_jax.errors import InputError
from dualatme_jax.report import results
from dualatme_jax.run import collect, sweep
from dualatme_jax.run.trial_table import TrialTable


def every_epoch():
    config = cd.get_config()
    config.selection.every = 1
    return sweep.points(config)


SWEPT = every_epoch()
TABLES = ('predictions.csv', 'epoch_predictions.csv')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'run'
    folder.mkdir()
    return folder, tiny_run.trained(folder, SWEPT, epochs=2)


@pytest.fixture
def run(trained, tmp_path):
    """A finished run of two kept epochs: (its folder, its table of trials)."""
    return shutil.copytree(trained[0], tmp_path / 'run'), trained[1]


def again(run):
    return tiny_run.collected(run[1], SWEPT, run[0], finished=True)[1]


def without_row(content):
    lines = content.splitlines(keepends=True)
    return b''.join(lines[:3] + lines[4:])


CHANGES = {
    'a row is deleted': without_row,
    'a cell is changed': lambda content: content.replace(b',0,0,1.0,0.0,0.0', b',0,1,0.0,1.0,0.0', 1),
    'a byte is no text': lambda content: content[:80] + b'\xff' + content[81:],
    'it is another file': lambda content: bytes(range(256)),
    'it is missing': None,
}


@pytest.mark.parametrize('name', TABLES)
@pytest.mark.parametrize('change', CHANGES)
def test_a_table_that_the_waves_do_not_hold_is_written_anew_with_a_note(run, name, change):
    path = run[0] / name
    before = path.read_bytes()
    if change == 'it is missing':
        path.unlink()
    else:
        path.write_bytes(CHANGES[change](before))
        assert path.read_bytes() != before
    told = again(run)
    assert f'{name} was ' in told
    assert 'it is written anew' in told
    assert path.read_bytes() == before
    assert again(run) == '', 'of tables that are as they were nothing is said'


@pytest.mark.parametrize('gone', [False, True])
def test_a_wave_that_is_not_as_it_was_written_is_refused_by_name(run, gone):
    path = run[0] / 'waves' / 'wave_003' / 'predictions.csv'
    if gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b'3,0,samm', b'3,1,samm'))
    with pytest.raises(InputError, match=r'wave_003 .*predictions\.csv is (damaged|missing); restore it'):
        again(run)


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (without_row, r'has the clip casme2/sub01/a of trial 0 0 times; trials.csv asks for 1'),
        (
            lambda content: content + content.splitlines()[-1] + b'\n',
            'trial 7 2 times',
        ),
        (
            lambda content: content.replace(b'casme2,sub01,a', b'casme2,sub01,x'),
            'line 2: no clip of the dataset',
        ),
        (lambda content: content.replace(b',a,0,0', b',a,1,0'), 'line 2: no clip of the dataset with that'),
        (lambda content: content.replace(b'\n0,0', b'\n1,0'), 'of trial 0 0 times'),
        (lambda content: content.replace(b'trial', b'trail'), 'no table of predictions of a run .no columns'),
        (lambda content: b'', 'no table of predictions of a run'),
        (lambda content: b'\xff\xfe' + content, 'no table of predictions of a run'),
        (lambda content: content.replace(b'\n0,0', b'\n0,none'), 'no table of predictions of a run'),
    ],
)
def test_without_waves_the_tables_are_checked_against_the_trials(run, change, says):
    shutil.rmtree(run[0] / 'waves')
    told = again(run)
    assert 'waves/ has no wave_000: the tables of predictions are taken as they are' in told
    path = run[0] / 'predictions.csv'
    kept, changed = path.read_bytes(), change(path.read_bytes())
    if change is without_row:  # the first row
        lines = kept.splitlines(keepends=True)
        changed = b''.join([lines[0], *lines[2:]])
    assert changed != kept
    path.write_bytes(changed)
    with pytest.raises(InputError, match=says):
        again(run)


@pytest.mark.parametrize('name', TABLES)
def test_without_waves_a_changed_prediction_is_told_by_the_last_report(run, name):
    shutil.rmtree(run[0] / 'waves')
    checksums = {results.checksum_of(table): files.sha256(run[0] / table, 'table') for table in TABLES}
    results.write(checksums, run[0] / 'results.json')
    assert 'since they fit trials.csv and results.json\n' in again(run)
    path = run[0] / name
    path.write_bytes(CHANGES['a cell is changed'](path.read_bytes()))
    with pytest.raises(InputError, match=f'{name} is not what results.json was made from; restore it'):
        again(run)
    for text in ('{}', '{'):  # of an older version, and a damaged one
        (run[0] / 'results.json').write_text(text)
        assert 'trials.csv; results.json does not say whether they were changed' in again(run)


def test_a_wave_that_is_gone_before_the_run_is_reported_is_named(run):
    shutil.rmtree(run[0] / 'waves' / 'wave_002')
    with pytest.raises(InputError, match=r'cannot read the table of predictions .*wave_002'):
        tiny_run.collected(run[1], SWEPT, run[0])


def test_waves_of_older_versions_have_no_checksums_and_are_checked_all_the_same(run):
    path = run[0] / 'waves' / 'wave_000' / 'predictions.csv'
    (path.parent / 'checksums.json').unlink()
    assert again(run) == ''
    path.write_text(path.read_text().splitlines()[0] + '\n')
    with pytest.raises(InputError, match=r'wave_000/predictions.csv has the clip casme2/sub01/a of trial 0 '):
        again(run)


def test_a_seed_with_a_failed_trial_is_left_out_of_the_tables(tmp_path):
    trial_table = tiny_run.trained(tmp_path, SWEPT, failed={5}, epochs=2)
    assert set(pd.read_csv(tmp_path / 'predictions.csv')['seed']) == {0}
    shutil.rmtree(tmp_path / 'waves')
    assert 'taken as they are' in again((tmp_path, trial_table))


def test_what_this_process_trained_is_not_read_back_and_is_what_an_earlier_one_leaves(tmp_path, monkeypatch):
    trial_table, kept = tiny_run.train(tmp_path, SWEPT, failed={5}, epochs=2)
    with monkeypatch.context() as patch:
        for name in ('sha256', 'open_regular', 'read_bytes'):
            patch.setattr(files, name, None)  # whatever reads a file ends in a TypeError
        found = collect.collect(trial_table, SWEPT, tiny_run.DATASET, kept, Console(quiet=True))
    written = {name: (tmp_path / name).read_bytes() for name in TABLES}
    assert found.sums == {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}
    again, _ = tiny_run.collected(trial_table, SWEPT, tmp_path)
    assert again.sums == found.sums
    for name in TABLES:
        pd.testing.assert_frame_equal(again.tables[name], found.tables[name])
    shutil.rmtree(tmp_path / 'waves')
    tables, _ = tiny_run.collected(trial_table, SWEPT, tmp_path, finished=True)
    for name in TABLES:
        pd.testing.assert_frame_equal(tables.tables[name], found.tables[name])


def test_a_run_without_a_folder_has_the_same_tables_and_writes_none(tmp_path, monkeypatch):
    written, kept = tiny_run.train(tmp_path, SWEPT, epochs=2)
    expected = collect.collect(written, SWEPT, tiny_run.DATASET, kept, Console(quiet=True)).tables
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    trial_table, kept = tiny_run.train(None, SWEPT, epochs=2)
    found = collect.collect(trial_table, SWEPT, tiny_run.DATASET, kept, Console(quiet=True))
    assert found.sums == {}
    assert found.tables.keys() == expected.keys()
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found.tables[name], table)
    assert not list((tmp_path / 'here').iterdir())


def test_nothing_is_collected_of_a_run_without_an_ended_wave(tmp_path):
    trial_table = TrialTable.create(tmp_path / 'trials.csv', tiny_run.table(SWEPT))
    tiny_run.collected(trial_table, SWEPT, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['none.csv', '.'])
def test_a_table_that_is_no_file_is_named(tmp_path, name):
    with pytest.raises(InputError, match='cannot read the table of predictions'):
        collect.read(tmp_path / name)
