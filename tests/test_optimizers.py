"""Optimizers and schedules against Optax and closed forms."""

import jax
import numpy as np
import optax
import pytest

from dualatme_jax.errors import InputError
from dualatme_jax.training import optimizers

# A quadratic, steep in one direction: gradients CURVATURE * x.
CURVATURE = np.array([1, 10, 0.1], np.float32)
BEGIN = np.array([1, -2, 3], np.float32)
STEPS = 5


def path(name, rate, **hyperparameters):
    """Parameters after each of some steps, as `Training.step` takes them."""
    transformation = optimizers.optimizer(name)(hyperparameters)
    x, moments, found = BEGIN, transformation.init(BEGIN), []
    for _ in range(STEPS):
        direction, moments = transformation.update(CURVATURE * x, moments, x)
        x = x - rate * direction
        found.append(x)
    return np.stack(found)


def test_adam_takes_optax_s_steps():
    reference = optax.adam(0.1)
    x, state, expected = BEGIN, reference.init(BEGIN), []
    for _ in range(STEPS):
        updates, state = reference.update(CURVATURE * x, state)
        x = optax.apply_updates(x, updates)
        expected.append(x)
    np.testing.assert_allclose(path('adam', 0.1), expected, rtol=1e-5)


def test_adam_begins_with_a_step_of_the_rate_against_the_sign():
    np.testing.assert_allclose(path('adam', 0.1)[0], BEGIN - 0.1 * np.sign(CURVATURE * BEGIN), rtol=1e-5)


@pytest.mark.parametrize('momentum', [0.0, 0.9])
def test_sgd_s_velocity_is_the_decayed_sum_of_gradients(momentum):
    x, gradients, expected = BEGIN.astype(float), [], []
    for _ in range(STEPS):
        gradients.append(CURVATURE * x)
        age = np.arange(len(gradients))[::-1]
        x = x - 0.05 * (momentum ** age[:, None] * gradients).sum(0)
        expected.append(x)
    np.testing.assert_allclose(path('sgd', 0.05, momentum=momentum), expected, rtol=1e-5)


def test_momentum_may_differ_between_stacked_trials():
    momenta = np.array([0.0, 0.5, 0.9], np.float32)

    @jax.vmap
    def second_direction(momentum):
        transformation = optimizers.optimizer('sgd')({'momentum': momentum})
        _, moments = transformation.update(BEGIN, transformation.init(BEGIN))
        return transformation.update(BEGIN, moments)[0]

    np.testing.assert_allclose(second_direction(momenta), (1 + momenta[:, None]) * BEGIN, rtol=1e-6)


def factors(name, epochs, **options):
    factor = jax.jit(optimizers.schedule(name, **{'step_epochs': 10, 'step_factor': 0.5} | options))
    return [float(factor(np.int32(epoch))) for epoch in epochs]


def test_the_constant_schedule_is_one():
    assert factors('constant', [0, 9, 10, 59]) == [1, 1, 1, 1]


def test_the_step_schedule_is_pytorch_s_step_lr():
    expected = [0.5 ** (epoch // 10) for epoch in range(60)]
    assert factors('step', range(60)) == pytest.approx(expected, rel=1e-6)


def test_the_step_schedule_takes_its_numbers():
    assert factors('step', range(7), step_epochs=3, step_factor=0.1) == pytest.approx(
        [1, 1, 1, 0.1, 0.1, 0.1, 0.01]
    )


def test_unknown_names_are_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"unknown optimizer 'lion': .* takes 'adam', 'sgd'"):
        optimizers.optimizer('lion')
    with pytest.raises(InputError, match=r"unknown schedule 'cosine': .* takes 'constant', 'step'"):
        optimizers.schedule('cosine', step_epochs=10, step_factor=0.5)


@pytest.mark.parametrize('step_epochs', [0, -1])
def test_steps_of_no_epochs_are_refused(step_epochs):
    with pytest.raises(InputError, match=f'step_epochs is {step_epochs}; expected 1 or more'):
        optimizers.schedule('step', step_epochs=step_epochs, step_factor=0.5)
