"""One step of one trial: which randomness it draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.output import Output
from dualatme_jax.training import optimizers
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
