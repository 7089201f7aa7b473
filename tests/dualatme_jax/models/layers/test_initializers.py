"""How parameters start, by their distributions."""

import functools

import jax
import numpy as np
import pytest

from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.gru import GRU

# Layer, input shape, kernel shape.
LAYERS = {
    'conv': (functools.partial(Conv, 512, 3), (5, 2, 2, 1), (3, 3, 5, 512)),
    'dense': (functools.partial(Dense, 512), (40, 1), (40, 512)),
}


@functools.cache
def started(layer, initializer):
    """A fresh layer's parameters and the inverse root of its inputs an output."""
    make, shape, kernel_shape = LAYERS[layer]
    params = make(initializer).init(jax.random.key(0), np.zeros(shape, np.float32))['params']
    assert params['kernel'].shape == kernel_shape
    return jax.tree.map(np.asarray, params), np.prod(kernel_shape[:-1]) ** -0.5


@pytest.mark.parametrize('parameter', ['kernel', 'bias'])
@pytest.mark.parametrize('layer', LAYERS)
def test_torch_start_fills_its_bounds_and_never_leaves_them(layer, parameter):
    params, bound = started(layer, 'torch')
    values = params[parameter]
    assert -bound <= values.min() < -0.98 * bound
    assert 0.98 * bound < values.max() <= bound
    assert abs(values.mean()) < 0.1 * bound


@pytest.mark.parametrize('layer', LAYERS)
def test_lecun_start_has_variance_one_over_fan_in_and_no_bias(layer):
    params, deviation = started(layer, 'lecun')
    assert params['kernel'].std() == pytest.approx(deviation, rel=0.03)
    assert not params['bias'].any()


def test_kaiming_start_is_normal_by_the_outputs_of_a_convolution_and_small_in_a_dense_layer():
    conv, bound = started('conv', 'kaiming')
    assert conv['kernel'].std() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.03)
    assert abs(conv['kernel']).max() > 3 * conv['kernel'].std(), 'not cut off'
    assert -bound <= conv['bias'].min() < -0.98 * bound
    assert 0.98 * bound < conv['bias'].max() <= bound
    dense, _ = started('dense', 'kaiming')
    assert dense['kernel'].std() == pytest.approx(0.01, rel=0.03)
    assert not dense['bias'].any()


# By the kernel's inputs and outputs: its variance, and its bound in deviations where it has one.
VARIANCES = {
    'kaiming_fan_out': (lambda fan_in, fan_out: 2 / fan_out, None),
    'kaiming_fan_in': (lambda fan_in, fan_out: 2 / fan_in, None),
    'he_normal': (lambda fan_in, fan_out: 2 / fan_in, 2 / 0.8796),
    'glorot_uniform': (lambda fan_in, fan_out: 2 / (fan_in + fan_out), 3**0.5),
    'caffe_xavier': (lambda fan_in, fan_out: 1 / fan_in, 3**0.5),
    'normal_0.02': (lambda fan_in, fan_out: 0.02**2, None),
}


@pytest.mark.parametrize('layer', LAYERS)
@pytest.mark.parametrize('initializer', VARIANCES)
def test_a_start_has_its_variance_and_its_bound_and_no_bias(initializer, layer):
    variance, bound = VARIANCES[initializer]
    params, _ = started(layer, initializer)
    kernel = params['kernel']
    places = kernel.size // np.prod(kernel.shape[-2:])
    std = variance(places * kernel.shape[-2], places * kernel.shape[-1]) ** 0.5
    assert kernel.std() == pytest.approx(std, rel=0.03)
    assert abs(kernel.mean()) < 0.1 * std
    if bound is None:
        assert abs(kernel).max() > 3 * std, 'not cut off'
    else:
        assert 0.98 * bound * std < abs(kernel).max() <= 1.001 * bound * std
    assert not params['bias'].any()


@pytest.mark.parametrize('layer', LAYERS)
def test_an_orthogonal_start_is_orthonormal(layer):
    params, _ = started(layer, 'orthogonal')
    kernel = params['kernel'].reshape(-1, 512)
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(len(kernel)), atol=1e-5)


@pytest.mark.parametrize('make', [functools.partial(Conv, 2, 1), functools.partial(Dense, 2)], ids=LAYERS)
def test_a_bias_may_start_at_a_number(make):
    layer = make('torch', initial_bias=0.2)
    params = layer.init(jax.random.key(0), np.zeros((3, 2, 2), np.float32))['params']
    np.testing.assert_array_equal(params['bias'], np.float32([0.2, 0.2]))


def test_a_depthwise_kernel_starts_by_the_channel_that_it_reads():
    params = Conv(512, 3, 'torch', groups=512).init(jax.random.key(0), np.zeros((512, 3, 3, 1), np.float32))
    kernel = np.abs(params['params']['kernel'])
    assert kernel.shape == (3, 3, 1, 512)
    assert 0.98 / 3 < kernel.max() <= 1 / 3


@pytest.mark.parametrize('initializer', ['torch', 'lecun', 'glorot_uniform'])
def test_a_gru_starts_as_pytorch_s_or_with_an_orthogonal_recurrent_kernel(initializer):
    layer, x = GRU(64, initializer, 'keras'), np.zeros((256, 1, 1), np.float32)
    params = jax.tree.map(np.asarray, layer.init(jax.random.key(0), x)['params'])
    assert {name: leaf.shape for name, leaf in params.items()} == {
        'input_kernel': (256, 192),
        'recurrent_kernel': (64, 192),
        'input_bias': (192,),
        'recurrent_bias': (192,),
    }
    if initializer == 'torch':
        for leaf in params.values():
            assert 0.97 / 8 < abs(leaf).max() <= 1 / 8
        return
    recurrent = params['recurrent_kernel']
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(64), atol=1e-5)
    assert not params['input_bias'].any()
    assert not params['recurrent_bias'].any()
    variance = 1 / 256 if initializer == 'lecun' else 2 / (256 + 192)
    assert params['input_kernel'].std() == pytest.approx(variance**0.5, rel=0.03)
