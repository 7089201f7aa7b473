"""Networks that start from weights, and parts that are not trained: side by side, as an engine trains them."""

import jax
import numpy as np
import pytest

from configs import ststnet
from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.run import programs
from dualatme_jax.training import engine, start, trials
from dualatme_jax.training.checkpoint import WaveCheckpoints
from dualatme_jax.training.start import Start

EPOCHS = 3
FROZEN = ('params/conv1/*', 'params/norm1/*', 'params/conv2/kernel')


@pytest.fixture(scope='module')
def dataset(small_dataset_dir):
    return dataset_lib.load(small_dataset_dir)


def make_engine(dataset, *, frozen=(), devices=1, **options):
    config = ststnet.get_config()
    config.optimizer.name, config.optimizer.weight_decay, config.freeze = 'adam', 0.1, frozen
    training = programs.make_training(config, dataset.labels)
    given = programs.hyperparameters(config, dataset.labels)
    rows = trials.table(dataset, seeds=(3,), points=[given]).to_dict('records')
    return engine.Engine(training, dataset, batch_size=11, devices=jax.devices()[:devices], **options), rows


def train(trainer, rows, folder, *, size=None, on_epoch=lambda done, losses: None, begin=None):
    return trainer.train_wave(
        rows,
        size=size or len(rows),
        epochs=EPOCHS,
        checkpoints=WaveCheckpoints(folder, {}),
        every=1,
        on_epoch=on_epoch,
        start=begin,
    )


def fresh(trainer, rows):
    """The variables of networks as they are drawn, [F, ...] by path."""
    states = trainer.parallel.init(trainer._stack(rows), trainer._clips)
    return {path: np.asarray(leaf) for path, leaf in start.flat(states.variables).items()}


def of(wave):
    return start.flat(wave.variables)


def is_frozen(path):
    return path[1] in ('conv1', 'norm1') or path[1:] == ('conv2', 'kernel')


@pytest.fixture(scope='module')
def frozen(dataset):
    return make_engine(dataset, frozen=FROZEN)


@pytest.mark.slow
def test_frozen_parameters_and_statistics_stay_bit_by_bit_and_all_others_move(frozen, tmp_path):
    trainer, rows = frozen
    before, wave = fresh(trainer, rows[:2]), train(trainer, rows[:2], tmp_path)
    assert {path for path in before if is_frozen(path)} > {('batch_stats', 'norm1', 'mean')}
    for path, leaf in of(wave).items():
        assert (leaf.tobytes() == before[path].tobytes()) == is_frozen(path), path
    assert np.isfinite(wave.losses).all()
    # The optimizer knows nothing of them: it has moments of the others alone, and these are not zero.
    moments = [leaf for leaf in jax.tree.leaves(wave.states.moments) if leaf.ndim > 1]
    shapes = [leaf.shape for path, leaf in before.items() if path[0] == 'params' and not is_frozen(path)]
    assert sorted(leaf.shape for leaf in moments) == sorted(2 * shapes)
    assert all(np.asarray(leaf).any() for leaf in moments)


@pytest.mark.slow
def test_a_frozen_part_gives_the_same_in_training_as_in_prediction(frozen, tmp_path):
    """A network of which all but the classifier is frozen is a fit of fixed features, and loses by no noise."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ('mapping', 'devices'), [('shard_map', 1), ('shard_map', 4), ('pmap', 4)]
)
def test_what_is_given_takes_the_place_of_what_is_drawn_and_the_rest_is_drawn_as_ever(
    dataset, mapping, devices
):
    trainer, rows = make_engine(dataset, devices=devices, mapping=mapping)
    rows = rows[:3]
    stacked = trainer._stack([*rows, rows[-1]])
    drawn = trainer.parallel.init(stacked, trainer._clips)
    before = {path: np.asarray(leaf) for path, leaf in start.flat(drawn.variables).items()}
    random = np.random.default_rng(0)
    given = {
        path: random.normal(size=(2, *before[path].shape[1:])).astype(np.float32)
        for path in [('params', 'conv1', 'kernel'), ('batch_stats', 'norm1', 'var')]
    }
    kept = {path: leaf.copy() for path, leaf in given.items()}
    filled = Start(given, np.array([1, 0, 1])).filled(len(before['params', 'conv1', 'kernel']))
    begun = trainer.parallel.started(drawn, filled)
    after = {path: np.asarray(leaf) for path, leaf in start.flat(begun.variables).items()}
    assert jax.tree.structure(begun) == jax.tree.structure(drawn)
    for path, leaf in after.items():
        expected = given[path][filled.places] if path in given else before[path]
        np.testing.assert_array_equal(leaf, expected)
    # A step takes the states for its own; what was given stays as it was.
    trainer.parallel.epoch(begun, stacked, trainer._clips, 0)
    for path, leaf in given.items():
        np.testing.assert_array_equal(leaf, kept[path])


@pytest.mark.slow
def test_an_interrupted_training_that_started_from_weights_ends_as_one_without(frozen, tmp_path):
    trainer, rows = frozen
    rows = rows[:2]
    source = {path: leaf[:1] + 0.1 for path, leaf in fresh(trainer, rows).items() if path[0] == 'params'}
    calls = []

    def begin():
        calls.append(1)
        return Start(source, np.array([0, 0]))

    whole = train(trainer, rows, tmp_path / 'whole', begin=begin)
    assert of(whole)['params', 'conv1', 'kernel'].tobytes() == 2 * source['params', 'conv1', 'kernel'].tobytes()

    def stop(done, losses):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(trainer, rows, tmp_path / 'stopped', begin=begin, on_epoch=stop)
    resumed = train(trainer, rows, tmp_path / 'stopped', begin=begin)
    assert len(calls) == 2  # the checkpoint has what was given
    np.testing.assert_array_equal(resumed.losses, whole.losses)
    for path, leaf in of(whole).items():
        np.testing.assert_array_equal(of(resumed)[path], leaf)
    alone = train(trainer, rows, tmp_path / 'alone')
    assert (alone.losses != whole.losses).all()
