"""Optimizers and schedules against Optax and closed forms."""

import jax
import numpy as np
import optax
import pytest

from configs import cd
from dualatme_jax.errors import InputError
from dualatme_jax.training import optimizers

# A quadratic, steep in one direction: gradients CURVATURE * x.
CURVATURE = np.array([1, 10, 0.1], np.float32)
BEGIN = np.array([1, -2, 3], np.float32)
STEPS = 5


CONFIG = cd.get_config().optimizer


def given(**fields):
    """Hyperparameters of an optimizer section."""
    return {
        name: np.float32(value) for name, value in optimizers.hyperparameters({**CONFIG, **fields}).items()
    }


def path(name, rate, *, coupled=False, **fields):
    """Parameters after each of some steps, as `Training.step` takes them."""
    hyperparameters = given(learning_rate=rate, **fields)
    return reference_path(optimizers.optimizer(name, coupled=coupled)(hyperparameters, 0))


def pytorch_path(make, **options):
    """The same of an optimizer of PyTorch."""
    torch = pytest.importorskip('torch')
    x = torch.nn.Parameter(torch.tensor(BEGIN).double())
    optimizer, expected = getattr(torch.optim, make)([x], **options), []
    for _ in range(STEPS):
        x.grad = torch.tensor(CURVATURE) * x.detach()
        optimizer.step()
        expected.append(x.detach().numpy().copy())
    return np.stack(expected)


@pytest.mark.parametrize('decay', [0.0, 0.3])
def test_rmsprop_with_coupled_weight_decay_takes_pytorch_s_steps(decay):
    found = path('rmsprop', 0.05, coupled=True, rms_decay=0.9, weight_decay=decay)
    expected = pytorch_path('RMSprop', lr=0.05, alpha=0.9, weight_decay=decay)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(('name', 'make'), [('adam', 'Adam'), ('rmsprop', 'RMSprop')])
def test_epsilon_is_pytorch_s(name, make):
    found = path(name, 0.05, epsilon=0.3)
    np.testing.assert_allclose(found, pytorch_path(make, lr=0.05, eps=0.3), rtol=1e-5)


def test_coupled_weight_decay_of_sgd_is_pytorch_s():
    found = path('sgd', 0.05, coupled=True, momentum=0.9, weight_decay=0.3)
    expected = pytorch_path('SGD', lr=0.05, momentum=0.9, weight_decay=0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not np.allclose(path('sgd', 0.05, momentum=0.9, weight_decay=0.3), expected, rtol=1e-3)


def test_biases_have_a_rate_of_their_own_as_pytorch_s_groups_do():
    torch = pytest.importorskip('torch')
    begin = {'norm': {'scale': BEGIN, 'bias': BEGIN}, 'dense': {'kernel': BEGIN[None], 'bias': BEGIN}}
    optimizer = optimizers.optimizer('sgd', coupled=True, bias_rate=2.0)
    optimizer = optimizer(given(learning_rate=0.05, momentum=0.9, weight_decay=0.3), 0)
    params, state = begin, optimizer.init(begin)
    theirs = {name: torch.nn.Parameter(torch.tensor(BEGIN).double()) for name in ('bias', 'other')}
    groups = [{'params': theirs['bias'], 'lr': 0.1}, {'params': theirs['other'], 'lr': 0.05}]
    reference = torch.optim.SGD(groups, momentum=0.9, weight_decay=0.3)
    for _ in range(STEPS):
        updates, state = optimizer.update(jax.tree.map(lambda x: CURVATURE * x, params), state, params)
        params = optax.apply_updates(params, updates)
        for x in theirs.values():
            x.grad = torch.tensor(CURVATURE) * x.detach()
        reference.step()
    for layer in params.values():
        for name, found in layer.items():
            expected = theirs['bias' if name == 'bias' else 'other'].detach().numpy()
            np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-5)


def reference_path(reference):
    x, state, expected = BEGIN, reference.init(BEGIN), []
    for _ in range(STEPS):
        updates, state = reference.update(CURVATURE * x, state, x)
        x = optax.apply_updates(x, updates)
        expected.append(x)
    return np.stack(expected)


@pytest.mark.parametrize(('beta1', 'beta2'), [(0.9, 0.999), (0.0, 0.5), (0.5, 0.0)])
@pytest.mark.slow
def test_adam_takes_optax_s_steps(beta1, beta2):
    expected = reference_path(optax.adam(0.1, b1=beta1, b2=beta2))
    np.testing.assert_allclose(path('adam', 0.1, beta1=beta1, beta2=beta2), expected, rtol=1e-4)


def test_weight_decay_is_adamw_s():
    expected = reference_path(optax.adamw(0.1, weight_decay=0.3))
    np.testing.assert_allclose(path('adam', 0.1, weight_decay=0.3), expected, rtol=1e-4)
    assert not np.allclose(path('adam', 0.1), expected, rtol=1e-2)


def test_weight_decay_is_decoupled_from_the_momentum_of_sgd():
    rate, decay, momentum = 0.05, 0.2, 0.9
    x, velocity, expected = BEGIN.astype(float), 0, []
    for _ in range(STEPS):
        velocity = momentum * velocity + CURVATURE * x
        x = x - rate * velocity - rate * decay * x
        expected.append(x)
    np.testing.assert_allclose(path('sgd', rate, weight_decay=decay), expected, rtol=1e-5)


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
        transformation = optimizers.optimizer('sgd')(given(learning_rate=1.0) | {'momentum': momentum}, 0)
        _, state = transformation.update(BEGIN, transformation.init(BEGIN), BEGIN)
        return -transformation.update(BEGIN, state, BEGIN)[0]

    np.testing.assert_allclose(second_direction(momenta), (1 + momenta[:, None]) * BEGIN, rtol=1e-6)


def rates(epochs, **fields):
    rate = jax.jit(optimizers.rate)
    return [float(rate(given(learning_rate=1.0, **fields), np.int32(epoch))) for epoch in epochs]


def test_the_constant_schedule_is_one():
    assert rates([0, 9, 10, 59], schedule='constant') == [1, 1, 1, 1]
    assert rates([0, 1], schedule='constant', step_epochs=0) == [1, 1]


def test_the_step_schedule_is_pytorch_s_step_lr():
    expected = [0.5 ** (epoch // 10) for epoch in range(60)]
    assert rates(range(60), schedule='step') == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('step_epochs', [1, 3, 7])
def test_the_step_schedule_takes_its_numbers(step_epochs):
    expected = [0.1 ** (epoch // step_epochs) for epoch in range(30)]
    assert rates(range(30), schedule='step', step_epochs=step_epochs, step_factor=0.1) == pytest.approx(
        expected, rel=1e-4
    )


def test_the_step_schedule_may_end():
    torch = pytest.importorskip('torch')
    # MMNet's training: ExponentialLR, stepped behind each of the first 50 epochs only.
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.987)
    expected = []
    for epoch in range(74):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        if epoch < 50:
            scheduler.step()
    found = rates(range(74), schedule='step', step_epochs=1, step_factor=0.987, step_until=50)
    assert found == pytest.approx(expected, rel=1e-5)
    assert found[49] > found[50] == found[73]


def test_weight_decay_is_that_of_pytorch_s_adamw():
    """As MMNet has it: a decay of .6, by which the rate multiplies."""
    torch = pytest.importorskip('torch')
    x = torch.tensor(BEGIN, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([x], lr=8e-4, weight_decay=0.6)
    expected = []
    for _ in range(STEPS):
        x.grad = torch.tensor(CURVATURE) * x.detach()
        optimizer.step()
        expected.append(x.detach().numpy().copy())
    np.testing.assert_allclose(path('adam', 8e-4, weight_decay=0.6), expected, rtol=1e-6)


def test_unknown_names_are_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"unknown optimizer 'lion': .* takes 'adam', 'sgd', 'rmsprop'"):
        optimizers.optimizer('lion')
    with pytest.raises(InputError, match=r"unknown schedule 'cosine': .* takes 'constant', 'step'"):
        given(schedule='cosine')


@pytest.mark.parametrize('step_epochs', [0, -1])
def test_steps_of_no_epochs_are_refused(step_epochs):
    with pytest.raises(InputError, match=f'step_epochs is {step_epochs}; expected 1 or more'):
        given(schedule='step', step_epochs=step_epochs)
