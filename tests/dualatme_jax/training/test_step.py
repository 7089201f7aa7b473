"""One step of one trial: which randomness it draws."""

import dataclasses
import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from scipy import stats

from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.output import Output
from dualatme_jax.training import augment, optimizers, prepare
from dualatme_jax.training import step as step_lib
from dualatme_jax.training.state import Clips
from dualatme_jax.training.step import Training
from dualatme_jax.training.trials import Trial

CLIPS = 12
HYPERPARAMETERS = {
    'learning_rate': 0.0,
    'weight_decay': 0.0,
    'step_epochs': 1.0,
    'step_factor': 1.0,
    'step_until': 0.0,
    'momentum': 0.0,
    'focal_gamma': 0.0,
    'focal_alpha': 1.0,
    **{f'class_weight_{k}': 1.0 for k in range(3)},
}


class Dropped(nn.Module):
    """Logits that show nothing but which values were dropped."""

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        scale = self.param('scale', nn.initializers.ones, (3,))
        values = Dropout(0.5)(jnp.broadcast_to(jnp.arange(1.0, 4.0), (len(mask), 3)), train=train)
        return Output(values * scale)


@pytest.fixture(scope='module')
def losses():
    """The loss of a step by epoch and start; parameters, clips and labels are the same in all of them."""
    training = Training(model=lambda given: Dropped(), optimizer=optimizers.optimizer('sgd'))
    clips = Clips({'flow': jnp.zeros((3, 2, 2, CLIPS))}, jnp.zeros(CLIPS, int))
    trial = Trial(jax.random.key(3), np.ones(CLIPS, bool), np.zeros(1, np.int32), HYPERPARAMETERS)
    state = training.init(trial, clips)
    order = training.shuffle(trial, clips, 0)

    @jax.jit
    def loss(epoch, start):
        return training.step(state, trial, clips, order, epoch, start, width=4)[1]

    return {(epoch, start): float(loss(epoch, start)) for epoch in range(3) for start in (0, 4, 8)}


@pytest.mark.slow
def test_every_step_of_every_epoch_drops_other_values(losses):
    assert len(set(losses.values())) == 9


@pytest.mark.slow
def test_a_batch_wider_than_what_is_left_is_the_batch_of_what_is_left():
    class Network(nn.Module):
        @nn.compact
        def __call__(self, inputs, *, mask, train):
            return Output(nn.Dense(3)(inputs['flow'].reshape(-1, len(mask)).T))

    training = Training(model=lambda given: Network(), optimizer=optimizers.optimizer('sgd'))
    flow = jax.random.normal(jax.random.key(0), (3, 2, 2, CLIPS))
    clips = Clips({'flow': flow}, jnp.arange(CLIPS) % 3)
    trial = Trial(jax.random.key(3), np.ones(CLIPS, bool), np.zeros(1, np.int32), HYPERPARAMETERS)
    state, order, start = training.init(trial, clips), training.shuffle(trial, clips, 0), CLIPS - 3
    found, expected = (training.step(state, trial, clips, order, 0, start, width=width) for width in (8, 3))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), found, expected)


class Linear(nn.Module):
    """Logits that see where each value of the flow is."""

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        return Output(nn.Dense(3)(inputs['flow'].reshape(-1, len(mask)).T))


@pytest.mark.parametrize('scale', ['signed', 'fold'])
def test_at_test_a_clip_is_predicted_by_the_mean_of_its_and_of_its_mirror_image_s_chances(scale):
    read = {'scale': scale, 'channels': ('u', 'v', 'strain')}
    own = Training(
        model=lambda given: Linear(),
        optimizer=optimizers.optimizer('sgd'),
        prepare=prepare.preparation(**read),
        scale=scale,
    )
    mirroring = dataclasses.replace(own, mirror=augment.mirroring(**read))
    flow = np.random.default_rng(0).integers(0, 256, (3, 4, 5, CLIPS), np.uint8)
    other = np.concatenate([255 - flow[:1], flow[1:]])[:, :, ::-1]  # as data_prep stores a mirrored face
    numbers = {'flow': np.float32([100, 250])} if scale == 'fold' else {}
    trial = Trial(jax.random.key(3), np.ones(CLIPS, bool), np.arange(5), HYPERPARAMETERS, numbers)
    clips, mirrored = (Clips({'flow': jnp.asarray(x)}, jnp.arange(CLIPS) % 3) for x in (flow, other))

    @jax.jit
    def predicted(clips, mirrored):
        state = own.init(trial, clips)
        one, two = (own.predict(state, trial, each) for each in (clips, mirrored))
        averaged = [mirroring.predict(state, trial, each) for each in (clips, mirrored)]
        return one, two, [*averaged, mirroring.predict(state, trial, clips, at_once=2)]

    one, two, averaged = predicted(clips, mirrored)
    assert np.abs(one - two).max() > 0.05
    for found in averaged:
        np.testing.assert_allclose(found, (one + two) / 2, atol=1e-6)


class Mixed(nn.Module):
    """The inputs as logits; its own loss shows which clip stands at which place of a batch."""

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        self.param('none', nn.initializers.ones, ())
        places = jnp.arange(len(mask), dtype=jnp.float32)
        return Output(inputs['flow'].T, losses={'places': 100 * places * inputs['number'][0]})


def mixing(**options):
    return Training(
        model=lambda given: Mixed(),
        optimizer=optimizers.optimizer('sgd'),
        active=frozenset({'mixup'}),
        **options,
    )


def mixed(training, share, epochs=range(1)):
    """The loss of the first batch of some epochs, of clips whose flow is their label, mixed in one share."""
    labels = jnp.array([0, 0, 1, 2, 2, 1, 0, 1])
    clips = Clips({'flow': jax.nn.one_hot(labels, 3).T, 'number': jnp.arange(8.0)[None] ** 2}, labels)
    trained = np.arange(8) < 7  # one is left out
    trial = Trial(jax.random.key(3), trained, np.zeros(1, np.int32), HYPERPARAMETERS | {'mixup': 0.4})
    state = training.init(trial, clips)
    with mock.patch.object(step_lib, '_share', return_value=share):
        step = jax.jit(functools.partial(training.step, width=9))
        for epoch in epochs:
            order = training.shuffle(trial, clips, epoch)
            yield np.asarray(order)[:7], float(step(state, trial, clips, order, epoch, 0)[1]) / 7


def test_mixup_is_the_cross_entropy_with_mixed_targets_of_mixed_clips():
    """Zhang et al., 2018, equation 1; of clips that are their own targets, both are mixed alike."""
    [(order, loss)] = mixed(mixing(), 0.3)
    clips = np.eye(3)[np.array([0, 0, 1, 2, 2, 1, 0, 1])[order]]
    both = 0.3 * clips + 0.7 * np.roll(clips, -1, 0)
    numbers = 0.3 * order**2 + 0.7 * np.roll(order, -1) ** 2
    expected = optax.softmax_cross_entropy(both, both).mean() + 100 * (np.arange(7) * numbers).mean()
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_a_batch_in_the_order_of_the_dataset_is_mixed_with_any_others_of_it():
    places = np.arange(7)
    found = set()
    for order, loss in mixed(mixing(shuffled=False), 0.0, range(40)):  # all of it is the other clip's
        np.testing.assert_array_equal(order, places)
        by_distance = [100 * (places * np.roll(places, -distance) ** 2).mean() for distance in range(7)]
        distance = int(np.argmin(np.abs(np.array(by_distance) - loss)))
        found.add(distance)
        assert abs(by_distance[distance] - loss) < 2  # but for the cross-entropy
    assert found == {1, 2, 3, 4, 5, 6}


def test_shares_are_drawn_from_the_beta_distribution():
    shares = jax.jit(jax.vmap(step_lib._share, (0, None)))
    keys = jax.random.split(jax.random.key(0), 500)
    for strength in (0.2, 1.0):
        drawn = np.asarray(shares(keys, strength))
        assert stats.kstest(drawn, stats.beta(strength, strength).cdf).pvalue > 0.01
    assert (shares(keys, 0.0) == 1).all(), 'nothing is mixed'
