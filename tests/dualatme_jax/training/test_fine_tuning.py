"""Networks that start from weights, and parts that are not trained, as an engine trains them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dualatme_jax.data import dataset as dataset_lib
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.output import Output
from dualatme_jax.training import engine, freeze, optimizers, start, trials
from dualatme_jax.training.checkpoint import WaveCheckpoints, load_weights, save_weights
from dualatme_jax.training.start import Start
from dualatme_jax.training.step import Training

EPOCHS = 3
FROZEN = ('params/extractor/*', 'params/head/bias')
HYPERPARAMETERS = {
    'learning_rate': 1e-2,
    'weight_decay': 0.1,
    'step_epochs': 10,
    'step_factor': 1.0,
    'step_until': 0,
    'beta1': 0.9,
    'beta2': 0.999,
    'epsilon': 1e-8,
    'focal_gamma': 2.0,
    'focal_alpha': 1.0,
    'cosine_weight': 0.0,
    'class_weight_0': 1.0,
    'class_weight_1': 1.0,
    'class_weight_2': 1.0,
}


class Part(nn.Module):
    """A dense layer and its normalisation."""

    features: int

    @nn.compact
    def __call__(self, x, *, mask, train):
        x = nn.Dense(self.features, name='dense', use_bias=False)(x.T).T
        return nn.relu(BatchNorm(name='norm')(x, mask=mask, train=train))


class Network(nn.Module):
    """Two parts and a head on the rows of a flow."""

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        x = inputs['flow'].astype(jnp.float32).mean(2).reshape(-1, inputs['flow'].shape[-1]) / 255
        x = Part(6, name='extractor')(x, mask=mask, train=train)
        x = Part(5, name='middle')(x, mask=mask, train=train)
        return Output(nn.Dense(3, name='head')(x.T))


@pytest.fixture(scope='module')
def dataset(small_dataset_dir):
    return dataset_lib.load(small_dataset_dir)


def make_engine(dataset, *, frozen=(), devices=1, **options):
    training = Training(
        model=lambda given: Network(),
        optimizer=optimizers.optimizer('adam'),
        hyperparameters=tuple(HYPERPARAMETERS),
        frozen=frozen,
    )
    rows = trials.table(dataset, seeds=(3,), points=[HYPERPARAMETERS]).to_dict('records')
    return engine.Engine(training, dataset, batch_size=11, devices=jax.devices()[:devices], **options), rows


def train(trainer, rows, folder, *, size=None, on_epoch=lambda done, losses: None, begin=None):
    return trainer.fit_predict(
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
    return path[1] == 'extractor' or path[1:] == ('head', 'bias')


@pytest.fixture(scope='module')
def frozen(dataset):
    return make_engine(dataset, frozen=FROZEN)


@pytest.mark.slow
def test_frozen_parameters_and_statistics_stay_bit_by_bit_and_all_others_move(frozen, tmp_path):
    trainer, rows = frozen
    before, wave = fresh(trainer, rows[:2]), train(trainer, rows[:2], tmp_path)
    assert ('batch_stats', 'extractor', 'norm', 'mean') in before
    for path, leaf in of(wave).items():
        assert (leaf.tobytes() == before[path].tobytes()) == is_frozen(path), path
    assert np.isfinite(wave.losses).all()
    # The optimizer knows nothing of them: it has moments of the others alone, and these are not zero.
    moments = [leaf for leaf in jax.tree.leaves(wave.states.opt_state) if leaf.ndim > 1]
    shapes = [leaf.shape for path, leaf in before.items() if path[0] == 'params' and not is_frozen(path)]
    assert sorted(leaf.shape for leaf in moments) == sorted(2 * shapes)
    assert all(np.asarray(leaf).any() for leaf in moments)


@pytest.mark.slow
@pytest.mark.parametrize(('mapping', 'devices'), [('shard_map', 1), ('shard_map', 4), ('pmap', 4)])
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
        for path in [('params', 'middle', 'dense', 'kernel'), ('batch_stats', 'extractor', 'norm', 'var')]
    }
    filled = Start(given, np.array([1, 0, 1])).filled(len(before['params', 'head', 'bias']))
    begun = trainer.parallel.started(drawn, filled)
    after = {path: np.asarray(leaf) for path, leaf in start.flat(begun.variables).items()}
    assert jax.tree.structure(begun) == jax.tree.structure(drawn)
    for path, leaf in after.items():
        expected = given[path][filled.places] if path in given else before[path]
        np.testing.assert_array_equal(leaf, expected)


@pytest.mark.slow
def test_an_interrupted_training_that_started_from_weights_ends_as_one_without(frozen, tmp_path):
    trainer, rows = frozen
    rows = rows[:2]
    source = {path: leaf[:1] + 0.1 for path, leaf in fresh(trainer, rows).items() if path[0] == 'params'}
    given = {path: leaf.copy() for path, leaf in source.items()}
    calls = []

    def begin():
        calls.append(1)
        return Start(source, np.array([0, 0]))

    whole = train(trainer, rows, tmp_path / 'whole', begin=begin)
    kernel = ('params', 'extractor', 'dense', 'kernel')
    assert of(whole)[kernel].tobytes() == 2 * source[kernel].tobytes()

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
    # Steps take the states for their own; what was given stays as it was.
    for path, leaf in source.items():
        np.testing.assert_array_equal(leaf, given[path])
    alone = train(trainer, rows, tmp_path / 'alone')
    assert (alone.losses != whole.losses).all()


@pytest.mark.slow
def test_frozen_weights_that_all_trials_begin_with_are_held_once(dataset, frozen, tmp_path):
    trainer, rows = frozen
    rows = rows[:2]
    source = {path: leaf[:1] + 0.1 for path, leaf in fresh(trainer, rows).items()}
    copied = train(trainer, rows, tmp_path / 'copied', begin=lambda: Start(source, np.array([0, 0])))
    shapes = trainer.shapes(rows)

    fixed = freeze.fixed(shapes.variables, FROZEN)
    assert fixed == {path for path in source if is_frozen(path)}
    once, _ = make_engine(dataset, frozen=FROZEN, shared={path: source[path][0] for path in fixed})
    assert start.flat(once.shapes(rows).variables).keys() == source.keys() - fixed
    assert jax.tree.map(jnp.shape, once.shapes(rows).opt_state) == jax.tree.map(jnp.shape, shapes.opt_state)
    assert once.shared_bytes == sum(source[path].nbytes for path in fixed)

    def stop(done, losses):
        if done == 2:
            raise KeyboardInterrupt

    def begin():
        return Start(source, np.array([0, 0]))

    with pytest.raises(KeyboardInterrupt):
        train(once, rows, tmp_path / 'once', begin=begin, on_epoch=stop)
    resumed = train(once, rows, tmp_path / 'once', begin=begin)
    np.testing.assert_allclose(resumed.losses, copied.losses, rtol=1e-4)
    found, expected = of(resumed), of(copied)
    assert found.keys() == expected.keys()
    for path, leaf in expected.items():
        assert found[path].shape == leaf.shape
        if path in fixed:
            np.testing.assert_array_equal(found[path], leaf)
    np.testing.assert_allclose(
        resumed.predictions.filter(like='prob_'), copied.predictions.filter(like='prob_'), atol=2e-3
    )
    save_weights(tmp_path / 'weights', resumed.variables)
    for path, leaf in start.flat(load_weights(tmp_path / 'weights')).items():
        np.testing.assert_array_equal(leaf, found[path])


def test_variables_are_taken_apart_and_put_together():
    variables = {'params': {'a': {'b': 1, 'c': 2}, 'd': {'e': 3}}, 'batch_stats': {'a': {'mean': 4}}}
    paths = {('params', 'd', 'e'), ('params', 'a', 'b'), ('batch_stats', 'a', 'mean')}
    own = freeze.without(variables, paths)
    assert own == {'params': {'a': {'c': 2}}, 'batch_stats': {}}
    others = {'params': {'a': {'b': 1}, 'd': {'e': 3}}, 'batch_stats': {'a': {'mean': 4}}}
    assert freeze.together(own, others) == variables
    assert freeze.without(variables, ()) == freeze.together(variables, {}) == variables
