"""Trials shared by several devices: every way gives what one device gives, and no device waits for another.

Four devices are emulated on the CPU (`conftest`). The network is a small one of the same layers, since what
is tested is how trials are stacked and shared.
"""

import re

import jax
import numpy as np
import pytest
from flax import linen as nn

from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.errors import InputError
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.layers.lowering import LOWERINGS
from dualatme_jax.models.layers.maps import flat
from dualatme_jax.models.layers.pooling import max_pool
from dualatme_jax.models.output import Output
from dualatme_jax.training import devices, engine, optimizers, prepare, trials
from dualatme_jax.training.checkpoint import WaveCheckpoints
from dualatme_jax.training.parallel import Parallel
from dualatme_jax.training.state import Clips
from dualatme_jax.training.step import Training

EPOCHS = 3
# Not Adam, which scales the rounding in the gradient of a bias before a normalisation up to full steps.
HYPERPARAMETERS = {
    'learning_rate': 1e-2,
    'weight_decay': 0.0,
    'step_epochs': 10,
    'step_factor': 1.0,
    'step_until': 0,
    'momentum': 0.9,
    'focal_gamma': 2.0,
    'focal_alpha': 1.0,
    'class_weight_0': 1.0,
    'class_weight_1': 1.0,
    'class_weight_2': 1.0,
}


class Small(nn.Module):
    """Convolution, normalisation, pooling, dropout, dense; on the entire face alone."""

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        x = Conv(2, 3, 'torch')(inputs['flow'])
        x = max_pool(nn.relu(BatchNorm()(x, mask=mask, train=train)), 2)
        x = Dropout(0.25)(flat(x), train=train)
        return Output(Dense(3, 'torch')(x).T)


@pytest.fixture(scope='module')
def dataset(small_dataset_dir):
    return dataset_lib.load(small_dataset_dir)


@pytest.fixture(scope='module')
def rows(dataset):
    return trials.table(dataset, seeds=(3,), points=[HYPERPARAMETERS]).to_dict('records')


@pytest.fixture(scope='module')
def train(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp('checkpoints')

    def call(rows, number=4, *, epochs=EPOCHS, resume=False, **options):
        trainer = machine(dataset, number, **options)
        name = f'resumed{len(rows)}' if resume else f'{number}{options}{len(rows)}'
        return trainer.fit_predict(
            rows,
            size=len(rows),
            epochs=epochs,
            checkpoints=WaveCheckpoints(folder / name, {}),
            every=1 if resume else EPOCHS,
            on_epoch=lambda done, losses: None,
        )

    return call


@pytest.fixture(scope='module')
def one(train, rows):
    """All eight trials on one device."""
    return train(rows, 1)


def machine(dataset, number, **options):
    training = Training(
        model=lambda given: Small(),
        optimizer=optimizers.optimizer('sgd'),
        prepare=prepare.PAPER,
        hyperparameters=tuple(HYPERPARAMETERS),
    )
    return engine.Engine(training, dataset, batch_size=11, devices=devices.choose(number), **options)


def assert_same(found, expected, tolerance=2e-4):
    np.testing.assert_allclose(found.losses, expected.losses, rtol=tolerance)
    for wave in (found, expected):
        assert np.isfinite(wave.losses).all()
    np.testing.assert_allclose(
        found.predictions.filter(like='prob_'), expected.predictions.filter(like='prob_'), atol=tolerance
    )
    assert found.predictions.drop(columns=found.predictions.filter(like='prob_').columns).equals(
        expected.predictions.drop(columns=expected.predictions.filter(like='prob_').columns)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), found.variables, expected.variables
    )


@pytest.mark.parametrize('mapping', devices.MAPPINGS)
@pytest.mark.parametrize('dispatch', ['step', 'epoch'])
@pytest.mark.slow
def test_four_devices_give_what_one_gives(train, rows, one, mapping, dispatch):
    assert_same(train(rows, 4, mapping=mapping, dispatch=dispatch), one)


@pytest.mark.parametrize('mapping', devices.MAPPINGS)
@pytest.mark.slow
def test_a_table_that_does_not_divide_evenly_is_filled_up(train, rows, mapping):
    wave = train(rows[:6], 4, mapping=mapping)
    assert wave.losses.shape == (EPOCHS, 6)
    assert {len(leaf) for leaf in jax.tree.leaves(wave.variables)} == {6}
    assert_same(wave, train(rows[:6], 1))


@pytest.mark.slow
def test_a_run_continues_on_another_number_of_devices(train, rows, one):
    train(rows, 4, epochs=2, resume=True)
    assert_same(train(rows, 2, resume=True), one)


@pytest.mark.parametrize('mapping', devices.MAPPINGS)
@pytest.mark.parametrize('dispatch', ['step', 'epoch'])
def test_training_holds_no_collective(dataset, rows, mapping, dispatch):
    trainer = machine(dataset, 4, mapping=mapping, dispatch=dispatch)
    program = trainer.compiled_step(rows).as_text()
    found = re.findall(r'all-gather|all-reduce|all-to-all|collective-\w+|reduce-scatter', program)
    assert 'f32' in program
    assert not found


@pytest.mark.parametrize(
    # How a trial convolves is within the mapping, whichever it is: one of them has both.
    ('lowering', 'mapping'),
    [*((name, 'shard_map') for name in sorted(LOWERINGS.keys() - {'auto'})), ('grouped', 'pmap')],
)
@pytest.mark.slow
def test_every_lowering_trains_the_same_networks(train, rows, one, lowering, mapping):
    assert_same(train(rows, 4, mapping=mapping, lowering=lowering), one)


@pytest.mark.parametrize('dispatch', ['step', 'epoch'])
@pytest.mark.slow
def test_batches_without_a_clip_are_left_out_and_change_nothing(dataset, train, dispatch, monkeypatch):
    table = trials.table(dataset, seeds=(3,), points=[HYPERPARAMETERS], parts=2)
    held_out = trials.most_held_out(table, dataset)
    inner = [
        row
        for row in table[table['inner'] > 0].to_dict('records')
        if trials.device_trial(row, dataset, held_out).train.sum() <= 11
    ][:4]
    counts = []
    count = Parallel.batches_of

    def counted(self, stacked):
        counts.append(count(self, stacked))
        return counts[-1]

    monkeypatch.setattr(Parallel, 'batches_of', counted)
    options = {'dispatch': dispatch, 'held_out': held_out}
    found = train(inner, 2, **options)
    monkeypatch.setattr(Parallel, 'batches_of', lambda self, stacked: len(self._batches))
    whole = train(inner, 2, **options)
    # A fold of 24 clips has two batches of 11 an epoch; half of one, with few enough clips, has one.
    assert len(inner) == 4
    assert counts == [1]
    np.testing.assert_array_equal(found.losses, whole.losses)
    jax.tree.map(np.testing.assert_array_equal, found.variables, whole.variables)


@pytest.mark.slow
def test_a_precision_changes_what_it_says_and_no_more(train, rows, one):
    rounded = train(rows, 1, precision='bfloat16')
    assert not np.allclose(one.losses, rounded.losses, rtol=1e-4)
    np.testing.assert_allclose(one.losses, rounded.losses, rtol=0.1)
    # A CPU has no units of lower precision than float32 of its own.
    np.testing.assert_array_equal(one.losses, train(rows, 1, precision='tf32').losses)


def test_the_state_is_given_away(dataset, rows):
    trainer = machine(dataset, 2)
    plan = trainer.compiled_step(rows).memory_analysis()
    state = sum(np.prod(leaf.shape) * 4 for leaf in jax.tree.leaves(trainer.shapes(rows)))
    assert plan.alias_size_in_bytes * 2 == state


def test_devices_that_are_not_there(dataset):
    with pytest.raises(InputError, match=r'config.engine.devices is 5, but there are 4'):
        devices.choose(5)
    with pytest.raises(InputError, match=r'is -1, .* expected 1 to 4, or 0 for all'):
        devices.choose(-1)
    assert [len(devices.choose(number)) for number in (0, 3)] == [4, 3]


@pytest.mark.parametrize(
    ('field', 'known'),
    [('mapping', 'pmap'), ('dispatch', 'epoch'), ('precision', 'tf32'), ('rematerialise', 'off')],
)
def test_unknown_words_name_those_that_are_known(field, known):
    options = {'mapping': 'shard_map', 'dispatch': 'auto', 'precision': 'float32', 'rematerialise': 'auto'}
    options |= {field: 'fast'}
    with pytest.raises(InputError, match=f"config.engine.{field} takes .*'{known}'"):
        devices.check(**options)


def test_without_being_told_all_devices_share(dataset):
    training = Training(
        model=lambda hyperparameters: Small(), optimizer=optimizers.optimizer('sgd'), prepare=prepare.PAPER
    )
    assert len(Parallel(training, [(0, 4)]).devices) == jax.device_count() == 4


def test_the_devices_of_a_cpu_read_the_clips_where_they_lie(dataset):
    clips = Clips.of(dataset)
    training = Training(model=None, optimizer=None)
    placed = Parallel(training, [(0, 4)]).place_clips(clips)
    for key, stored in dataset.inputs.items():
        np.testing.assert_array_equal(clips.inputs[key], np.moveaxis(stored, (-1, 0), (0, -1)))
        shards = placed.inputs[key].addressable_shards
        assert len(shards) == 4
        assert {shard.data.unsafe_buffer_pointer() for shard in shards} == {clips.inputs[key].ctypes.data}


def test_compiled_programs_are_kept_or_it_is_told_why_not(tmp_path, monkeypatch):
    monkeypatch.delenv('JAX_COMPILATION_CACHE_DIR')
    before = jax.config.jax_compilation_cache_dir
    least = jax.config.jax_persistent_cache_min_compile_time_secs
    (tmp_path / 'file').touch()
    assert 'cannot be written' in devices.keep_programs(str(tmp_path / 'file' / 'cache'))
    assert devices.keep_programs('') is None
    assert jax.config.jax_compilation_cache_dir == before
    try:
        assert devices.keep_programs(str(tmp_path / 'cache')) is None
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / 'cache')
    finally:
        jax.config.update('jax_compilation_cache_dir', before)
        jax.config.update('jax_persistent_cache_min_compile_time_secs', least)


@pytest.mark.slow
def test_a_wave_continues_where_it_is_filled_up_to_another_length(train, rows):
    train(rows[:7], 4, epochs=2, resume=True)
    assert_same(train(rows[:7], 1, resume=True), train(rows[:7], 1))
