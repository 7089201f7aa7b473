"""The layers against XLA's own pooling, Flax's normalisation and closed forms. Examples are the last axis.

Against PyTorch they are in `test_torch_layers.py`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dualatme_jax.models.layers import pooling
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.cbam import CBAM
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.maps import flat
from dualatme_jax.models.layers.unit import Unit


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_close(found, expected, tolerance=1e-5):
    """Every leaf within `tolerance` of the largest value of the expected leaf."""
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max()),
        found,
        expected,
    )


def test_features_are_in_the_order_channel_row_column():
    pictures = normal(0, 2, 3, 4, 5)
    maps = pictures.transpose(3, 1, 2, 0)
    assert maps.shape == (5, 3, 4, 2)
    np.testing.assert_array_equal(flat(maps).T, pictures.transpose(0, 3, 1, 2).reshape(2, -1))


def xla_max_pool(x, *, window, stride, padding):
    shape, strides = (1, window, window, 1), (1, stride, stride, 1)
    return jax.lax.reduce_window(x, -np.inf, jax.lax.max, shape, strides, padding)


HALF = functools.partial(xla_max_pool, window=2, stride=2, padding='VALID')
THREE = functools.partial(xla_max_pool, window=3, stride=1, padding='SAME')


HALVED = functools.partial(pooling.max_pool, window=2)
SAME = functools.partial(pooling.max_pool, window=3, stride=1, padding=1)


@pytest.mark.parametrize(
    ('pool', 'reference', 'shape'),
    [
        (HALVED, HALF, (3, 6, 4, 2)),
        (HALVED, HALF, (3, 7, 5, 2)),
        (SAME, THREE, (3, 5, 7, 2)),
        (SAME, THREE, (3, 1, 2, 2)),
    ],
)
def test_pooling_and_its_gradient_are_xla_s(pool, reference, shape):
    # No two values are equal; all are negative, so that padding with zeros would show.
    x = -1 - np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.float32)

    def call(function):
        output, pullback = jax.vjp(function, x)
        return output, *pullback(normal(1, *output.shape))

    assert_close(jax.jit(functools.partial(call, pool))(), jax.jit(functools.partial(call, reference))())


@pytest.mark.parametrize(('pool', 'size'), [(HALVED, 2), (SAME, 3)])
@pytest.mark.parametrize('maxima', [((0, 1), (1, 0)), ((0, 0), (1, 1)), ((0, 0), (0, 1), (1, 0), (1, 1))])
def test_the_first_of_equal_maxima_has_the_gradient_as_in_pytorch(pool, size, maxima):
    x = np.zeros((1, size, size, 1), np.float32)
    for place in maxima:
        x[0, *place] = 1
    centre = size // 2 if size == 3 else 0  # the output whose window is the whole image
    gradient = jax.jit(jax.grad(lambda x: pool(x)[0, centre, centre, 0]))(x)[0, :, :, 0]
    expected = np.zeros((size, size))
    expected[maxima[0]] = 1
    np.testing.assert_array_equal(gradient, expected)


NORM = BatchNorm()
SCALE, BIAS = np.array([0.5, 1, 2], np.float32), np.array([-1, 0, 1], np.float32)
RUNNING_MEAN, RUNNING_VAR = np.array([1, 2, 3], np.float32), np.array([0.25, 1, 4], np.float32)
PARAMS = {'scale': SCALE, 'bias': BIAS}
BATCH_STATS = {'mean': RUNNING_MEAN, 'var': RUNNING_VAR}


@jax.jit
def normalise(params, x, mask):
    """Output and new running statistics of a training batch."""
    variables = {'params': params, 'batch_stats': BATCH_STATS}
    output, updated = NORM.apply(variables, x, mask=mask, train=True, mutable=['batch_stats'])
    return output, updated['batch_stats']


def test_a_mean_far_from_zero_leaves_the_variance_its_digits():
    x = (1e4 + np.random.default_rng(0).normal(size=(3, 4, 5, 6))).astype(np.float32)
    _, updated = normalise(PARAMS, x, np.ones(6, np.float32))
    expected = 0.9 * RUNNING_VAR + 0.1 * x.astype(np.float64).var((1, 2, 3), ddof=1)
    np.testing.assert_allclose(updated['var'], expected, rtol=1e-5)


@jax.jit
def normalise_gradients(params, x, mask, cotangent):
    return jax.grad(lambda params, x: (normalise(params, x, mask)[0] * cotangent).sum(), (0, 1))(params, x)


@pytest.mark.parametrize('shape', [(3, 5), (3, 2, 4, 5)], ids=['dense', 'maps'])
def test_padding_is_as_if_it_were_not_there(shape):
    x, cotangent = 2 + normal(0, *shape), normal(1, *shape)
    # Padding lies between the examples too, and is far from them.
    real = np.array([1, 0, 1, 1, 0, 0, 1, 1], bool)
    padded, padded_cotangent = (
        np.full((*shape[:-1], 8), 1e3, np.float32),
        np.zeros((*shape[:-1], 8), np.float32),
    )
    padded[..., real], padded_cotangent[..., real] = x, cotangent

    output, stats = normalise(PARAMS, padded, real)
    gradient, x_gradient = normalise_gradients(PARAMS, padded, real, padded_cotangent)
    ones = np.ones(5)
    assert_close((output[..., real], stats), normalise(PARAMS, x, ones))
    assert_close((gradient, x_gradient[..., real]), normalise_gradients(PARAMS, x, ones, cotangent))
    assert not np.any(x_gradient[..., ~real])


def test_a_full_batch_is_normalised_as_by_flax():
    x = 3 + normal(0, 3, 2, 4, 6)
    flax_norm = nn.BatchNorm(use_running_average=False, axis=0, momentum=0.9, epsilon=1e-5)
    variables = {'params': PARAMS, 'batch_stats': BATCH_STATS}
    expected, updated = flax_norm.apply(variables, x, mutable=['batch_stats'])
    output, stats = normalise(PARAMS, x, np.ones(6))
    assert_close(output, expected)
    assert_close(stats['mean'], updated['batch_stats']['mean'])


def test_running_values_move_by_a_tenth_to_the_mean_and_the_unbiased_variance():
    x = 3 + normal(0, 3, 2, 1, 2)  # 4 values a channel: unbiased is 4/3 of biased
    _, stats = normalise(PARAMS, x, np.ones(2))
    assert_close(stats['mean'], 0.9 * RUNNING_MEAN + 0.1 * x.mean((1, 2, 3)))
    assert_close(stats['var'], 0.9 * RUNNING_VAR + 0.1 * x.var((1, 2, 3), ddof=1))


def test_debiased_running_values_are_caffe_s():
    """Caffe keeps sums that fade, and what they weigh: scale <- f scale + 1, mean <- f mean + the batch's."""
    layer, fraction, x = BatchNorm(momentum=0.1, debias=True), 0.9, 3 + normal(0, 4, 3, 2, 5)
    variables = layer.init(jax.random.key(0), x[0], mask=np.ones(5), train=False)
    weight = mean = var = 0
    for batch in x:
        _, updated = layer.apply(variables, batch, mask=np.ones(5), train=True, mutable=['batch_stats'])
        variables = {**variables, **updated}
        weight = fraction * weight + 1
        mean = fraction * mean + batch.mean((1, 2))
        var = fraction * var + batch.var((1, 2), ddof=1)
        stats = updated['batch_stats']
        assert_close((stats['mean'], stats['var'], stats['weight']), (mean / weight, var / weight, weight))


def test_evaluation_uses_the_running_values_and_keeps_them():
    x = normal(0, 3, 4)
    variables = {'params': PARAMS, 'batch_stats': BATCH_STATS}
    output, updated = NORM.apply(variables, x, mask=np.zeros(4), train=False, mutable=['batch_stats'])
    expected = (x.T - RUNNING_MEAN) / np.sqrt(RUNNING_VAR + 1e-5) * SCALE + BIAS
    assert_close(output, expected.T)
    assert_close(updated['batch_stats'], BATCH_STATS, 0)


@pytest.mark.parametrize('mask', [[1, 0], [0, 0]], ids=['one example', 'padding alone'])
def test_a_batch_without_variance_stays_finite(mask):
    x, mask = normal(0, 3, 2), np.array(mask)
    found = normalise(PARAMS, x, mask), normalise_gradients(PARAMS, x, mask, np.ones((3, 2)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_running_values_start_at_zero_and_one_though_a_batch_is_seen():
    variables = NORM.init(jax.random.key(0), 5 + normal(0, 3, 4), mask=np.ones(4), train=True)
    np.testing.assert_array_equal(variables['batch_stats']['mean'], np.zeros(3))
    np.testing.assert_array_equal(variables['batch_stats']['var'], np.ones(3))


@pytest.mark.parametrize(
    ('layer', 'shape', 'kernel'),
    [(Conv(2, 3, 'torch'), (5, 2, 2, 1), (3, 3, 5, 2)), (Dense(2, 'torch'), (5, 1), (5, 2))],
    ids=['conv', 'dense'],
)
def test_a_layer_adds_its_bias(layer, shape, kernel):
    params = {'kernel': normal(0, *kernel), 'bias': normal(1, 2)}
    output = layer.apply({'params': params}, np.zeros(shape, np.float32))
    assert output.shape == (2, *shape[1:])
    np.testing.assert_array_equal(output.T, np.broadcast_to(params['bias'], output.T.shape))


UNIT = Unit(3, 3, 'torch')


@functools.partial(jax.jit, static_argnames='train')
def of_unit(variables, x, mask, *, train):
    """Something of all outputs of `UNIT`, and its new running statistics."""
    found, updated = UNIT.apply(variables, x, mask=mask, train=train, mutable=['batch_stats'])
    return jnp.square(found.astype(jnp.float32) - 0.3).sum(), updated


@pytest.mark.parametrize('train', [True, False])
@pytest.mark.slow
def test_a_bias_before_a_normalisation_has_the_gradient_zero_in_training(train):
    x, mask = normal(0, 2, 5, 4, 6), np.array([1, 1, 1, 1, 1, 0], np.float32)
    variables = UNIT.init(jax.random.key(0), x, mask=mask, train=False)
    moved = jax.tree.map(lambda leaf: leaf, variables)
    moved['params']['conv']['bias'] = moved['params']['conv']['bias'] + 0.5
    gradients = jax.grad(lambda v: of_unit(v, x, mask, train=train)[0])(variables)['params']['conv']
    (value, stats), (other, other_stats) = (of_unit(v, x, mask, train=train) for v in (variables, moved))
    assert np.abs(gradients['kernel']).max() > 0.1
    if train:
        np.testing.assert_array_equal(gradients['bias'], 0)
        # What is behind the normalisation does not move with it, the running mean does.
        np.testing.assert_allclose(value, other, rtol=1e-5)
        mean, other_mean = (each['batch_stats']['norm']['mean'] for each in (stats, other_stats))
        np.testing.assert_allclose(other_mean - mean, 0.05, rtol=1e-5)
    else:
        assert np.abs(gradients['bias']).min() > 1e-3
        assert abs(value - other) > 1e-3


@pytest.mark.slow
def test_bfloat16_is_what_maps_are_kept_in_on_a_gpu_and_not_statistics_or_gradients(monkeypatch):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    x, mask = normal(0, 2, 8, 8, 6), np.ones(6, np.float32)
    variables = UNIT.init(jax.random.key(0), x, mask=mask, train=False)
    compute = functools.partial(jax.value_and_grad(of_unit, has_aux=True), variables, x, mask, train=True)
    exact = compute()
    with jax.default_matmul_precision('bfloat16'):
        maps = jax.eval_shape(functools.partial(UNIT.apply, mask=mask, train=False), variables, x)
        rounded = compute()
    assert maps.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(rounded)} == {np.dtype(np.float32)}
    assert_close(rounded, exact, 0.05)
    of_rounded, of_exact = (each[0][1]['batch_stats']['norm']['var'] for each in (rounded, exact))
    assert not np.array_equal(of_rounded, of_exact)


@pytest.mark.parametrize('layer', [Conv(2, 3, 'torch'), CBAM(2, 'torch')], ids=['convolution', 'cbam'])
def test_gradients_of_maps_in_bfloat16_are_summed_in_float32(monkeypatch, layer):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    x = np.zeros((4, 29, 28, 16), np.float32)
    params = jax.eval_shape(layer.init, jax.random.key(0), x)
    with jax.default_matmul_precision('bfloat16'):
        program = jax.make_jaxpr(
            jax.grad(lambda params, x: layer.apply(params, x).astype(jnp.float32).sum(), (0, 1))
        )(params, x)
    sums = [line for line in str(program).splitlines() if '= reduce_sum' in line]
    assert sums
    assert not [line for line in sums if 'bf16' in line.split('=')[0]]
