"""Saves of a wave that are damaged, lost or not whole: the one before is taken, and never other numbers."""

import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualatme_jax.errors import InputError
from dualatme_jax.training import checkpoint
from dualatme_jax.training.checkpoint import Progress, WaveCheckpoints, load_weights, save_weights
from dualatme_jax.training.state import State

IDENTITY = {'config': 'same', 'trials': [0, 1]}


def states(epochs):
    weights = jnp.arange(6, dtype=jnp.float32).reshape(2, 3) + epochs
    return State({'layer': {'kernel': weights}}, {}, {'mu': -weights})


def progress(epochs):
    """Two trials after some epochs."""
    kept = {1: np.full((2, 1, 3), 1 / 3, np.float32)}
    return Progress(epochs, states(epochs), np.full((epochs, 2), 0.5), kept, 1.5 * epochs)


def restored(folder, identity=IDENTITY):
    checkpoints = WaveCheckpoints(folder, identity)
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), states(0))
    try:
        return checkpoints.restore(like), checkpoints.damaged
    finally:
        checkpoints.close()


def check(found, epochs):
    expected = progress(epochs)
    assert (found.epochs, found.seconds) == (epochs, 1.5 * epochs)
    jax.tree.map(np.testing.assert_array_equal, found.states, expected.states)
    np.testing.assert_array_equal(found.losses, expected.losses)
    assert found.kept.keys() == {1}
    np.testing.assert_array_equal(found.kept[1], expected.kept[1])


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """The saves after epochs 1, 2 and 3."""
    folder = tmp_path_factory.mktemp('checkpoints') / 'wave_000'
    checkpoints = WaveCheckpoints(folder, IDENTITY)
    for epochs in (1, 2, 3):
        checkpoints.save(progress(epochs))
    checkpoints.close()
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / 'wave_000')


def files_of(folder):
    return sorted(path for path in folder.rglob('*') if path.is_file())


def test_the_latest_save_is_continued_and_the_one_before_kept(folder):
    assert sorted(path.name for path in folder.iterdir()) == ['2', '3']
    found, damaged = restored(folder)
    check(found, 3)
    assert damaged == []


def test_every_file_of_a_save_is_missed(folder):
    for path in files_of(folder / '3'):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(InputError, match=r'is missing|cannot read the checksums'):
            checkpoint.files.check_checksums(folder / '3', 'checkpoint')
        path.write_bytes(content)


@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_a_flipped_bit_or_a_file_cut_short_costs_one_save_at_the_most(saved, tmp_path_factory, data):
    folder = shutil.copytree(saved, tmp_path_factory.mktemp('damaged') / 'wave_000')
    path = data.draw(st.sampled_from(files_of(folder)))
    step = path.relative_to(folder).parts[0]
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    change = data.draw(st.sampled_from(['flip', 'cut', 'delete']))
    if change == 'flip':
        bit = 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
    elif change == 'cut':
        path.write_bytes(content[:place])
    else:
        path.unlink()
    found, damaged = restored(folder)
    # White space in the checksums, and the case of their digits, say nothing.
    harmless = path.name == 'checksums.json' and not damaged
    check(found, 3 if step == '2' or harmless else 2)
    assert harmless or len(damaged) == 1
    assert harmless or f'/{step} ' in damaged[0] or f'/{step}/checksums.json' in damaged[0]


def test_where_no_save_is_sound_the_wave_begins_anew(folder):
    for step in '23':
        (folder / step / 'states' / '_METADATA').write_text('{}')
    found, damaged = restored(folder)
    assert found is None
    assert [text.split(': ')[1] for text in damaged] == ['states/_METADATA is damaged'] * 2


def test_after_a_damaged_save_its_epoch_is_saved_again(folder):
    (folder / '3' / 'progress' / 'metadata').write_text('{}')
    checkpoints = WaveCheckpoints(folder, IDENTITY)
    checkpoints.save(progress(3))
    checkpoints.close()
    check(restored(folder)[0], 3)


def test_a_process_that_dies_before_the_checksums_leaves_the_save_before(folder, monkeypatch):
    def die(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.files, 'write_checksums', die)
    checkpoints = WaveCheckpoints(folder, IDENTITY)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(progress(4))
    checkpoints.close()
    found, damaged = restored(folder)
    check(found, 3)
    assert '4/checksums.json' in damaged[0]


@pytest.mark.parametrize(
    'rest',
    [
        {},
        [],
        {'identity': IDENTITY, 'losses': 'none', 'kept': [], 'seconds': 1.0},
        {'identity': IDENTITY, 'losses': [], 'kept': 7, 'seconds': 1.0},
        {'identity': IDENTITY, 'losses': [], 'kept': [], 'seconds': None},
    ],
)
def test_a_save_that_another_program_wrote_is_refused_by_name(tmp_path, rest):
    manager = ocp.CheckpointManager(tmp_path / 'wave_000')
    items = {'states': ocp.args.StandardSave(states(5)), 'progress': ocp.args.JsonSave(rest)}
    manager.save(5, args=ocp.args.Composite(**items))
    manager.close()
    checkpoint.files.write_checksums(tmp_path / 'wave_000' / '5')
    with pytest.raises(InputError, match=r'wave_000.5: this checkpoint cannot be read .* delete it'):
        restored(tmp_path / 'wave_000')


def test_a_save_of_another_run_is_refused_and_left(folder):
    with pytest.raises(InputError, match=r'another run \(other config\)'):
        restored(folder, IDENTITY | {'config': 'other'})
    check(restored(folder)[0], 3)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_wait_until_a_save_is_whole(folder, monkeypatch, number):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    save = ocp.CheckpointManager.save

    def interrupted(self, *arguments, **options):
        signal.raise_signal(number)
        return save(self, *arguments, **options)

    monkeypatch.setattr(ocp.CheckpointManager, 'save', interrupted)
    checkpoints = WaveCheckpoints(folder, IDENTITY)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(progress(4))
    checkpoints.close()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    check(restored(folder)[0], 4)


VARIABLES = {'params': {'kernel': np.arange(6, dtype=np.float32)}, 'batch_stats': {'mean': np.ones(2)}}


def test_weights_that_are_not_as_they_were_written_are_refused(tmp_path):
    save_weights(tmp_path / 'weights', VARIABLES)
    save_weights(tmp_path / 'weights', VARIABLES)  # of a wave that is trained again
    jax.tree.map(np.testing.assert_array_equal, load_weights(tmp_path / 'weights'), VARIABLES)
    *_, largest = sorted(
        (path for path in files_of(tmp_path / 'weights') if path.name != 'checksums.json'),
        key=lambda path: path.stat().st_size,
    )
    content = largest.read_bytes()
    largest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    name = str(largest.relative_to(tmp_path / 'weights'))
    with pytest.raises(InputError, match=f'weights are not as they were written: {name} is damaged'):
        load_weights(tmp_path / 'weights')
    largest.write_bytes(content)
    (tmp_path / 'weights' / 'checksums.json').unlink()  # as older versions left them
    jax.tree.map(np.testing.assert_array_equal, load_weights(tmp_path / 'weights'), VARIABLES)
