"""trials.csv: what is trained and what is still to be; files that are whole or absent."""

import os
import pathlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualatme_jax.errors import InputError
from dualatme_jax.files import replacing
from dualatme_jax.run.trial_table import TrialTable
from dualatme_jax.training.memory import Way
from dualatme_jax.training.wave import Wave

# Folds whose names all look like numbers and are none, and floats that need all their digits.
TRIALS = pd.DataFrame(
    {
        'trial': range(5),
        'fold': range(5),
        'left_out': ['01', '1', '006', '007', '1e3'],
        'seed': 0,
        'program': 0,
        'learning_rate': [1e-3 / 3, 0.1 + 0.2, 1e-3, 1e-3, 1e-3],
        'focal_gamma': 2.0,
    }
)


def planned(path, trials=TRIALS, *, wave_size=2):
    trial_table = TrialTable.create(path, trials)
    for program in sorted(set(trials['program'])):
        trial_table.plan(program, wave_size)
    return trial_table


def outcome(failed_epoch, *, losses, seconds=1.5):
    return Wave(
        predictions=None,
        losses=np.array(losses, float),
        failed_epoch=np.array(failed_epoch),
        seconds=seconds,
        states={},
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'trials.csv'


def test_a_new_ledger_reads_back_as_it_was_made(path):
    made = planned(path)
    found = TrialTable.open(path, TRIALS)
    pd.testing.assert_frame_equal(found.table, made.table)
    pd.testing.assert_frame_equal(found.table[TRIALS.columns], TRIALS, check_exact=True)
    assert found.table['left_out'].tolist() == ['01', '1', '006', '007', '1e3']
    assert (found.waves, found.wave_size(0), found.seconds, len(found.failed)) == ([0, 1, 2], 2, 0, 0)


@pytest.mark.parametrize('name', ['NA', 'nan', 'None'])
def test_a_fold_may_be_called_as_a_missing_value(path, name):
    planned(path, TRIALS.assign(left_out=name))
    assert set(TrialTable.open(path, TRIALS.assign(left_out=name)).table['left_out']) == {name}


def test_every_trial_is_pending_at_first_in_its_order(path):
    planned(path)
    pending = list(TrialTable.open(path, TRIALS).pending(0))
    found = {number: rows['trial'].tolist() for number, rows in pending}
    assert found == {0: [0, 1], 1: [2, 3], 2: [4]}
    for _, rows in pending:
        pd.testing.assert_frame_equal(rows, TRIALS.loc[rows.index], check_exact=True)


def test_a_closed_wave_is_done_and_its_diverged_trials_failed(path):
    trial_table = planned(path)
    trial_table.close_wave(1, outcome([0, 2], losses=[[0.7, 0.8], [0.5, np.nan]], seconds=3.0))
    for found in (trial_table, TrialTable.open(path, TRIALS)):
        assert [number for number, _ in found.pending(0)] == [0, 2]
        assert found.table['status'].tolist() == ['pending', 'pending', 'done', 'failed', 'pending']
        assert found.table['failed_epoch'].tolist() == [0, 0, 0, 2, 0]
        np.testing.assert_array_equal(found.table['loss'], [np.nan, np.nan, 0.5, np.nan, np.nan])
        assert found.failed['left_out'].tolist() == ['007']


def test_a_reopened_ledger_goes_on_to_its_end(path):
    planned(path).close_wave(0, outcome([0, 0], losses=[[1, 2]], seconds=1.5))
    TrialTable.open(path, TRIALS).close_wave(1, outcome([0, 0], losses=[[3, 4]], seconds=2.0))
    TrialTable.open(path, TRIALS).close_wave(2, outcome([0], losses=[[5]], seconds=0.25))
    trial_table = TrialTable.open(path, TRIALS)
    assert not list(trial_table.pending(0))
    assert trial_table.table['loss'].tolist() == [1, 2, 3, 4, 5]
    assert trial_table.seconds == 3.75, 'the time of each wave, not of each trial'


def test_what_is_pending_can_be_planned_again(path):
    trial_table = planned(path)
    trial_table.close_wave(0, outcome([0, 0], losses=[[1, 2]]))
    trial_table.plan(0, 1)
    found = TrialTable.open(path, TRIALS)
    assert found.table['wave'].tolist() == [0, 0, 1, 2, 3]
    assert found.wave_size(0) == 1
    assert [number for number, _ in found.pending(0)] == [1, 2, 3]


def test_what_is_not_planned_is_not_kept(path):
    trial_table = TrialTable.create(path, TRIALS)
    assert not path.exists()
    assert (trial_table.waves, trial_table.wave_size(0)) == ([], 0)


PROGRAMS = TRIALS.assign(program=[0, 1, 0, 1, 1], **{'model.variant': ['01', '1e3', '01', '1e3', '1e3']})


def test_a_wave_never_mixes_programs_and_each_program_is_planned_by_itself(path):
    trial_table = TrialTable.create(path, PROGRAMS)
    trial_table.plan(0, 5)
    found = TrialTable.open(path, PROGRAMS)
    assert found.table['wave'].tolist() == [0, -1, 0, -1, -1]
    assert (found.waves, found.wave_size(0), found.wave_size(1)) == ([0], 2, 0)
    assert [rows['trial'].tolist() for _, rows in found.pending(0)] == [[0, 2]]
    found.close_wave(0, outcome([0, 0], losses=[[1, 2]]))
    found.plan(1, 3)
    found.plan(1, 2)
    found = TrialTable.open(path, PROGRAMS)
    assert found.table['wave'].tolist() == [0, 1, 0, 1, 2]
    assert found.pending(0) == []
    assert {number: rows['trial'].tolist() for number, rows in found.pending(1)} == {1: [1, 3], 2: [4]}
    assert found.trials(1)['model.variant'].tolist() == ['1e3'] * 3, 'words that look like numbers'


@pytest.mark.parametrize('content', ['', 'trial,fold\n0,0\n', '\x00\xff'])
def test_a_file_that_is_no_ledger_is_named(path, content):
    path.write_text(content)
    with pytest.raises(InputError, match='is not the table of a run'):
        TrialTable.open(path, TRIALS)


def test_a_ledger_of_other_trials_is_refused(path):
    planned(path)
    with pytest.raises(InputError, match='other trials'):
        TrialTable.open(path, TRIALS.assign(seed=1))


def test_a_file_is_replaced_when_the_block_ends_well(path):
    path.write_text('old')
    with replacing(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (path.parent, path.suffix)
        temporary.write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new'
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize('old', ['old', None])
def test_an_error_leaves_what_was_there_and_no_temporary_file(path, old):
    if old:
        path.write_text(old)

    def write():
        with replacing(path) as temporary:
            temporary.write_text('ne')
            raise RuntimeError('disk')

    with pytest.raises(RuntimeError, match='disk'):
        write()
    assert [file.read_text() for file in path.parent.iterdir()] == ([old] if old else [])


def test_a_ledger_that_cannot_be_written_keeps_the_one_before(path, monkeypatch):
    trial_table = planned(path)

    def half_written(self, file, **options):
        file.write_text('trial,fo')
        raise OSError('No space left on device')

    monkeypatch.setattr(pd.DataFrame, 'to_csv', half_written)
    with pytest.raises(OSError, match='No space'):
        trial_table.close_wave(0, outcome([0, 0], losses=[[1, 2]]))
    assert len(list(TrialTable.open(path, TRIALS).pending(0))) == 3
    assert sorted(file.name for file in path.parent.iterdir()) == ['.trials.csv.sha256', 'trials.csv']


@pytest.mark.parametrize('digit', [b'0.5', b',0,done', b'done', b'1.5'])
def test_a_ledger_that_is_not_as_it_was_written_is_refused(path, digit):
    trial_table = planned(path)
    trial_table.close_wave(0, outcome([0, 0], losses=[[0.5, 0.25]]))
    content = path.read_bytes()
    place = content.index(digit)
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(InputError, match=r'not as it was written: put a copy .* \.trials\.csv\.sha256'):
        TrialTable.open(path, TRIALS)


def test_a_process_that_dies_before_the_table_takes_its_place_leaves_the_one_before(path, monkeypatch):
    trial_table = planned(path)
    replace = pathlib.Path.replace

    def die(self, target):
        if target == path:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(pathlib.Path, 'replace', die)
    with pytest.raises(KeyboardInterrupt):
        trial_table.close_wave(0, outcome([0, 0], losses=[[1, 2]]))
    monkeypatch.undo()
    found = TrialTable.open(path, TRIALS)
    assert len(found.pending(0)) == 3
    found.close_wave(0, outcome([0, 0], losses=[[1, 2]]))
    assert len(TrialTable.open(path, TRIALS).pending(0)) == 2


def test_a_table_of_an_older_version_trained_on_all_clips(path):
    planned(path)
    now = TRIALS.assign(subjects=0, undersample=0.0)
    assert len(TrialTable.open(path, now).pending(0)) == 3
    with pytest.raises(InputError, match='lists other trials than this run has'):
        TrialTable.open(path, now.assign(undersample=0.5))


@pytest.mark.parametrize(
    ('before', 'after', 'says'),
    [
        (',pending,', ',undone,', 'a status of pending, done or failed'),
        (',0,pending,0', ',-7,pending,0', 'no negative wave'),
        (',0,pending,0', ',0.5,pending,0', 'numbers as wave'),
        (',done,0,0.5', ',done,0,half', 'numbers as loss'),
        (',done,0,', ',done,none,', 'numbers as failed_epoch'),
    ],
)
def test_what_no_run_enters_is_refused_also_without_checksums(path, before, after, says):
    trial_table = planned(path)
    trial_table.close_wave(1, outcome([0, 0], losses=[[0.5, 0.25]]))
    (path.parent / '.trials.csv.sha256').unlink()  # as older versions left it
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(InputError, match=f'{says}.*another --workdir'):
        TrialTable.open(path, TRIALS)


def test_a_pipe_is_no_ledger_and_is_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(InputError, match='expected a regular file'):
        TrialTable.open(path, TRIALS)


def test_hundreds_of_waves_of_interleaved_programs_are_listed_in_order(tmp_path):
    trials = pd.concat([TRIALS] * 400, ignore_index=True)
    trials = trials.assign(trial=trials.index, program=trials.index % 2)
    trial_table = TrialTable.create(tmp_path / 'trials.csv', trials)
    trial_table.plan(0, 2)
    trial_table.plan(1, 3)
    for program, size in ((0, 2), (1, 3)):
        own = trials.index[trials['program'] == program].tolist()
        pending = trial_table.pending(program)
        assert [number for number, _ in pending] == trial_table.pending_waves(program)
        assert [rows['trial'].tolist() for _, rows in pending] == [
            own[start : start + size] for start in range(0, len(own), size)
        ]
        assert trial_table.pending_trials(program)['trial'].tolist() == own


def test_what_the_systems_of_some_rows_do_not_have_is_empty_and_read_again(path):
    trials = TRIALS.assign(dropout=[0.5, np.nan, 0.5, np.nan, 0.5])
    trial_table = TrialTable.create(path, trials)
    trial_table.plan(0, 5)
    found = TrialTable.open(path, trials)
    pd.testing.assert_frame_equal(found.table, trial_table.table)


def all_trials(seeds, points):
    """Every fold of three with each of some seeds at each point, of which each has a program of its own."""
    rows = [
        {'fold': fold, 'left_out': str(fold), 'seed': seed, 'point': number, 'inner': 0, 'program': number}
        | {'rate': point}
        for number, point in enumerate(points)
        for seed in seeds
        for fold in range(3)
    ]
    return pd.DataFrame(rows).rename_axis('trial').reset_index()


several = st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True)


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_a_table_that_grows_is_that_of_all_trials_and_keeps_what_it_knew(tmp_path_factory, data):
    seeds, points = data.draw(several), data.draw(several)
    more_seeds = data.draw(st.permutations([*{*seeds, *data.draw(several)}]))
    more_points = data.draw(st.permutations([*{*points, *data.draw(several)}]))
    before = TrialTable.create(None, all_trials(seeds, points))
    for program in range(data.draw(st.integers(1, len(points)))):
        before.plan(program, data.draw(st.integers(1, 7)))
    for wave in data.draw(st.lists(st.sampled_from(before.waves), unique=True)):
        size = int((before.table['wave'] == wave).sum())
        before.close_wave(wave, outcome([0] * size, losses=[[0.5] * size]))

    trials = all_trials(more_seeds, more_points)
    numbers = {number: more_points.index(point) for number, point in enumerate(points)}
    staying = before.staying(trials, numbers)
    grown = before.grown(trials, staying)
    table, here = grown.table, len(before.table)
    same = ['trial', 'fold', 'left_out', 'seed', 'rate', 'wave', 'status', 'loss', 'seconds']
    pd.testing.assert_frame_equal(table[same][:here], before.table[same])
    key = ['point', 'seed', 'fold']
    found = table[trials.columns].sort_values(key).drop(columns='trial').reset_index(drop=True)
    expected = trials.sort_values(key).drop(columns='trial').reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected)
    assert table['trial'].tolist() == [*range(len(trials))]
    assert (table['status'][here:] == 'pending').all()
    planned = table[table['wave'] >= 0]
    assert (planned.groupby('wave')['program'].nunique() == 1).all()
    assert planned.groupby('wave')['status'].nunique().eq(1).all(), 'no trial joins a wave that has ended'
    for program, rows in table[table['status'] == 'pending'].groupby('program'):
        assert (rows['wave'] >= 0).nunique() == 1, 'what is pending of a program is planned, or nothing is'
        assert grown.pending_trials(program)['trial'].tolist() == rows['trial'].tolist()

    path = tmp_path_factory.mktemp('grown') / 'trials.csv'
    grown.write(path)
    pd.testing.assert_frame_equal(TrialTable.open(path, trials).table, table)
    # The way back: what has ended, and what stands before it, stays.
    back = grown.staying(all_trials(seeds, points), {place: number for number, place in numbers.items()})
    assert back.tolist() == [*range(here)]


def test_what_has_ended_cannot_be_left_out():
    trial_table = TrialTable.create(None, all_trials((0, 1), (0.1,)))
    trial_table.plan(0, 3)
    assert trial_table.staying(all_trials((0,), (0.1,)), {0: 0}).tolist() == [0, 1, 2]
    assert trial_table.staying(all_trials((1,), (0.1,)), {0: 0}) is None, 'later trials have their numbers'
    assert trial_table.staying(all_trials((0, 1), (0.2,)), {}).tolist() == []
    trial_table.close_wave(1, outcome([0] * 3, losses=[[0.5] * 3]))
    assert trial_table.staying(all_trials((0,), (0.1,)), {0: 0}) is None
    assert trial_table.staying(all_trials((0, 1), (0.2,)), {}) is None


def test_what_is_trained_on_is_pending_again_in_its_waves():
    trial_table = TrialTable.create(None, all_trials((0,), (0.1, 0.2)))
    trial_table.plan(0, 2, Way(8, True))
    trial_table.plan(1, 3)
    for wave, size in enumerate((2, 1, 3)):
        trial_table.close_wave(wave, outcome([0] * size, losses=[[0.5] * size]))
    trials = all_trials((0, 1), (0.1, 0.2))
    grown = trial_table.grown(trials, trial_table.staying(trials, {0: 0, 1: 1}), again={0})
    assert grown.table['status'].tolist() == ['pending'] * 3 + ['done'] * 3 + ['pending'] * 6
    assert grown.table['wave'].tolist() == [0, 0, 1, 2, 2, 2, 3, 3, 4, -1, -1, -1]
    assert grown.table['micro_batch'].tolist() == [8] * 3 + [0] * 3 + [8] * 3 + [0] * 3
    assert grown.before(1) == (3, Way())
    assert (grown.wave_size(0), grown.wave_size(1)) == (2, 0)


def test_waves_of_before_say_how_large_those_of_more_trials_are():
    def before(sizes, pending):
        trials = all_trials(range(8), (0.1,))[: sum(sizes) + pending]
        trial_table = TrialTable.create(None, trials)
        trial_table.table['wave'] = [n for n, size in enumerate(sizes) for _ in range(size)] + [-1] * pending
        for wave, size in enumerate(sizes):
            trial_table.close_wave(wave, outcome([0] * size, losses=[[0.5] * size]))
        return trial_table.before(0)

    assert before((4, 4, 2), 7) == (4, Way())
    assert before((4, 4, 2), 3) == (3, Way())
    assert before((4,), 4) == (4, Way())
    assert before((4,), 5) is None, 'there were no more trials then'
    assert before((), 5) is None
