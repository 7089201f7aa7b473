"""Layers whose arithmetic is PyTorch's by definition: outputs and gradients of the same inputs."""

import functools

import jax
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from torch.nn import functional  # noqa: E402

from dualatme_jax.models.layers import maps, pooling  # noqa: E402
from dualatme_jax.models.layers.conv import Conv  # noqa: E402

# Ours, PyTorch's, shape [C, H, W, B]. No two values are equal, and all are negative: padding would show.
LAYERS = {
    'max pool of STSTNet': (
        functools.partial(pooling.max_pool, window=3, padding=1),
        functools.partial(functional.max_pool2d, kernel_size=3, padding=1),
        (2, 30, 30, 2),
    ),
    'max pool of ResNet': (
        functools.partial(pooling.max_pool, window=3, stride=2, padding=1),
        functools.partial(functional.max_pool2d, kernel_size=3, stride=2, padding=1),
        (2, 14, 9, 2),
    ),
    'max pool that leaves a rest': (
        functools.partial(pooling.max_pool, window=2, stride=3),
        functools.partial(functional.max_pool2d, kernel_size=2, stride=3),
        (1, 10, 7, 3),
    ),
    'average pool that leaves a rest': (
        functools.partial(pooling.average_pool, window=2),
        functools.partial(functional.avg_pool2d, kernel_size=2),
        (3, 10, 7, 2),
    ),
    **{
        f'adaptive average pool of {height}x{width} to {size}': (
            functools.partial(pooling.adaptive_average_pool, size=size),
            functools.partial(functional.adaptive_avg_pool2d, output_size=size),
            (2, height, width, 2),
        )
        for height, width, size in ((12, 6, 5), (28, 10, 5), (6, 7, 7), (4, 3, 1))
    },
    'nearest': (
        functools.partial(maps.nearest, size=10),
        functools.partial(functional.interpolate, size=(10, 10)),
        (1, 5, 7, 2),
    ),
    'bilinear': (
        functools.partial(maps.bilinear, size=56),
        functools.partial(functional.interpolate, size=(56, 56), mode='bilinear', align_corners=False),
        (3, 7, 9, 2),
    ),
}


def assert_same(ours, theirs, shape):
    """Of functions of one array [C, H, W, B], PyTorch's of [B, C, H, W]: output and gradient."""
    x = -1 - np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    x /= np.abs(x).max()
    tensor = torch.tensor(x.transpose(3, 0, 1, 2), requires_grad=True)
    expected = theirs(tensor)
    cotangent = np.random.default_rng(1).normal(size=expected.shape).astype(np.float32)
    expected.backward(torch.tensor(cotangent))

    @jax.jit
    def call(x, cotangent):
        output, pullback = jax.vjp(ours, x)
        return output, pullback(cotangent)[0]

    output, gradient = call(x, cotangent.transpose(1, 2, 3, 0))
    for found, right in ((output, expected.detach()), (gradient, tensor.grad)):
        np.testing.assert_allclose(found.transpose(3, 0, 1, 2), right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('layer', LAYERS)
@pytest.mark.slow
def test_a_layer_and_its_gradient_are_pytorch_s(layer):
    assert_same(*LAYERS[layer])


@pytest.mark.parametrize(
    ('size', 'options'),
    [
        (3, {'padding': 2}),
        (5, {'padding': 0}),
        (3, {'padding': 3, 'stride': 3, 'dilation': 3}),
        (7, {'padding': 3, 'stride': 2}),
        (1, {'padding': 0, 'stride': 2}),
    ],
    ids=str,
)
@pytest.mark.parametrize('use_bias', [True, False], ids=['bias', 'no bias'])
@pytest.mark.slow
def test_a_convolution_is_pytorch_s(size, options, use_bias):
    random = np.random.default_rng(2)
    kernel = random.normal(size=(size, size, 2, 3)).astype(np.float32) / size
    bias = random.normal(size=3).astype(np.float32)
    layer = Conv(3, size, 'torch', use_bias=use_bias, **options)
    params = {'kernel': kernel} | ({'bias': bias} if use_bias else {})
    assert_same(
        lambda x: layer.apply({'params': params}, x),
        functools.partial(
            functional.conv2d,
            weight=torch.tensor(kernel.transpose(3, 2, 0, 1).copy()),
            bias=torch.tensor(bias) if use_bias else None,
            **options,
        ),
        (2, 11, 9, 2),
    )
