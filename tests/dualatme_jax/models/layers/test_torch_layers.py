"""Layers whose arithmetic is PyTorch's by definition: outputs and gradients, alone and stacked."""

import functools

import jax
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from same_as_torch import (  # noqa: E402
    TRIALS,
    assert_same,
    distinct,
    examples_first,
    examples_last,
    normal,
    parameters,
)
from torch.nn import functional  # noqa: E402

from dualatme_jax.models.layers import lowering, maps, pooling  # noqa: E402
from dualatme_jax.models.layers.batch_norm import BatchNorm  # noqa: E402
from dualatme_jax.models.layers.conv import Conv, Dense  # noqa: E402
from dualatme_jax.models.layers.layer_norm import LayerNorm  # noqa: E402

CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
PAD = {'count_include_pad': False}

# Ours, PyTorch's, shape [C, *S, B].
MAPS = {
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
    'max pool of Micro-Attention': (
        functools.partial(pooling.max_pool, window=3, stride=2, ceil=True),
        functools.partial(functional.max_pool2d, kernel_size=3, stride=2, ceil_mode=True),
        (2, 8, 7, 2),
    ),
    'max pool whose last window would start behind': (
        functools.partial(pooling.max_pool, window=2, stride=2, padding=1, ceil=True),
        functools.partial(functional.max_pool2d, kernel_size=2, stride=2, padding=1, ceil_mode=True),
        (2, 5, 4, 2),
    ),
    'max pool of steps': (
        functools.partial(pooling.max_pool, window=3, stride=2, padding=1),
        functools.partial(functional.max_pool1d, kernel_size=3, stride=2, padding=1),
        (2, 7, 2),
    ),
    'max pool of volumes side by side': (
        functools.partial(pooling.max_pool, window=(2, 3, 2)),
        functools.partial(functional.max_pool3d, kernel_size=(2, 3, 2)),
        (2, 5, 6, 3, 2),
    ),
    'max pool of volumes that overlap': (
        functools.partial(pooling.max_pool, window=(2, 3, 3), stride=(2, 2, 1), padding=(0, 1, 1), ceil=True),
        functools.partial(
            functional.max_pool3d, kernel_size=(2, 3, 3), stride=(2, 2, 1), padding=(0, 1, 1), ceil_mode=True
        ),
        (2, 5, 4, 3, 2),
    ),
    # Keras's `same`: 4 to 2 with one more behind, 6 to 2 with none, 7 to 3 with one on each side.
    "max pool of TensorFlow's": (
        functools.partial(pooling.max_pool, window=3, padding='tensorflow'),
        lambda x: functional.max_pool3d(
            functional.pad(x, (1, 1, 0, 0, 1, 1), value=-torch.inf), kernel_size=3
        ),
        (2, 4, 6, 7, 2),
    ),
    'average pool that leaves a rest': (
        functools.partial(pooling.average_pool, window=2),
        functools.partial(functional.avg_pool2d, kernel_size=2),
        (3, 10, 7, 2),
    ),
    'average pool of KFC-MER': (
        functools.partial(pooling.average_pool, window=3, stride=2, padding=1),
        functools.partial(functional.avg_pool2d, kernel_size=3, stride=2, padding=1),
        (2, 8, 5, 2),
    ),
    "average pool of KFC-MER's shortcuts": (
        functools.partial(pooling.average_pool, window=2, ceil=True, count_padding=False),
        functools.partial(functional.avg_pool2d, kernel_size=2, ceil_mode=True, **PAD),
        (2, 7, 5, 2),
    ),
    'average pool that counts its padding and no more': (
        functools.partial(pooling.average_pool, window=3, stride=2, padding=1, ceil=True),
        functools.partial(functional.avg_pool2d, kernel_size=3, stride=2, padding=1, ceil_mode=True),
        (2, 6, 5, 2),
    ),
    'average pool of volumes': (
        functools.partial(
            pooling.average_pool, window=(2, 3, 3), stride=(1, 2, 2), padding=(1, 1, 0), count_padding=False
        ),
        functools.partial(
            functional.avg_pool3d, kernel_size=(2, 3, 3), stride=(1, 2, 2), padding=(1, 1, 0), **PAD
        ),
        (2, 4, 5, 5, 2),
    ),
    **{
        f'adaptive average pool of {height}x{width} to {size}': (
            functools.partial(pooling.adaptive_average_pool, size=size),
            functools.partial(functional.adaptive_avg_pool2d, output_size=size),
            (2, height, width, 2),
        )
        for height, width, size in ((12, 6, 5), (28, 10, 5), (6, 7, 7), (4, 3, 1))
    },
    'adaptive average pool of volumes': (
        functools.partial(pooling.adaptive_average_pool, size=(2, 3, 1)),
        functools.partial(functional.adaptive_avg_pool3d, output_size=(2, 3, 1)),
        (2, 5, 4, 3, 2),
    ),
    'global average pool': (pooling.global_average_pool, lambda x: x.mean((2, 3, 4)), (2, 3, 2, 2, 3)),
    'global max pool': (pooling.global_max_pool, lambda x: x.amax((2, 3)), (2, 3, 2, 3)),
    'nearest': (
        functools.partial(maps.nearest, size=10),
        functools.partial(functional.interpolate, size=(10, 10)),
        (1, 5, 7, 2),
    ),
    'enlarged': (
        functools.partial(maps.enlarged, factor=2),
        functools.partial(functional.interpolate, scale_factor=2),
        (2, 3, 5, 2),
    ),
    'bilinear': (
        functools.partial(maps.bilinear, size=56),
        functools.partial(functional.interpolate, size=(56, 56), mode='bilinear', align_corners=False),
        (3, 7, 9, 2),
    ),
    'flat': (maps.flat, lambda x: x.flatten(1), (2, 3, 2, 2, 3)),
    'flat steps': (maps.flat_steps, lambda x: x.movedim(2, 1).flatten(2).mT, (2, 3, 2, 4, 3)),
    'flat steps, channels last': (
        functools.partial(maps.flat_steps, channels_last=True),
        lambda x: x.movedim(1, -1).flatten(2).mT,
        (2, 3, 2, 4, 3),
    ),
}


@pytest.mark.parametrize('layer', MAPS)
@pytest.mark.slow
def test_a_layer_of_maps_is_pytorch_s(layer):
    ours, theirs, shape = MAPS[layer]
    assert_same(
        lambda _, x: ours(x),
        lambda _, x: examples_last(theirs(examples_first(x))),
        {},
        distinct(0, TRIALS, *shape),
    )


# Options of ours, those of PyTorch's that differ, and shape [C, *S, B].
CONVOLUTIONS = {
    'of STSTNet': ({'size': 3, 'padding': 2}, {}, (2, 11, 9, 2)),
    'without padding': ({'size': 5, 'padding': 0}, {}, (2, 11, 9, 2)),
    'of RCN': ({'size': 3, 'padding': 3, 'stride': 3, 'dilation': 3}, {}, (2, 11, 9, 2)),
    'without bias': ({'size': 7, 'padding': 3, 'stride': 2, 'use_bias': False}, {}, (2, 11, 9, 2)),
    'of the magnifier': (
        {'size': 5, 'padding': 2, 'stride': 2, 'use_bias': False, 'reflect': True},
        {'pad': (2, 2, 2, 2), 'mode': 'reflect'},
        (2, 8, 7, 2),
    ),
    'shortcut': ({'size': 1, 'padding': 0, 'stride': 2}, {}, (2, 11, 9, 2)),
}
# The same on every lowering.
VOLUMES = {
    'steps in groups': (
        {'size': 4, 'padding': ((2, 1),), 'stride': 2, 'dilation': 2, 'groups': 2},
        {'pad': (2, 1)},
        (4, 9, 2),
    ),
    'depthwise': ({'size': (3, 2), 'padding': (1, 0), 'stride': (2, 1), 'groups': 2}, {}, (2, 5, 4, 2)),
    # TensorFlow's `same` at stride 2, 1, 2: of 4 steps none before and one behind, of 5 columns one and one.
    'volumes as in TensorFlow': (
        {'size': (3, 2, 3), 'stride': (2, 1, 2), 'padding': 'tensorflow'},
        {'pad': (1, 1, 0, 1, 0, 1)},
        (3, 4, 3, 5, 2),
    ),
}


def assert_convolution(options, theirs, shape):
    """`theirs`: what PyTorch pads first, or nothing."""
    layer = Conv(4, initializer='torch', **options)
    x = normal(1, TRIALS, *shape)
    padded = {'padding': 0} if theirs else {}
    rest = {k: v for k, v in options.items() if k not in ('size', 'use_bias', 'reflect')} | padded

    def convolve(params, x):
        x = functional.pad(examples_first(x), **theirs) if theirs else examples_first(x)
        weight = params['kernel'].movedim((-1, -2), (0, 1))
        return examples_last(CONVOLVE[x.ndim - 2](x, weight, params.get('bias'), **rest))

    assert_same(lambda params, x: layer.apply({'params': params}, x), convolve, parameters(layer, x[0]), x)


@pytest.mark.parametrize('case', CONVOLUTIONS)
@pytest.mark.slow
def test_a_convolution_is_pytorch_s(case):
    assert_convolution(*CONVOLUTIONS[case])


@pytest.mark.parametrize('case', VOLUMES)
@pytest.mark.parametrize('way', lowering.LOWERINGS)
@pytest.mark.slow
def test_a_convolution_of_any_axes_is_pytorch_s_on_every_lowering(way, case):
    with lowering.use(way):
        assert_convolution(*VOLUMES[case])


@pytest.mark.filterwarnings('ignore:Using padding')  # PyTorch copies where it is odd
@pytest.mark.parametrize('padding', ['same', 'tensorflow'])
def test_padding_by_name_is_the_same_at_stride_1_and_pytorch_s(padding):
    options = {'size': (2, 4), 'dilation': (2, 1), 'padding': padding}
    layer, x = Conv(3, initializer='torch', **options), normal(0, 2, 5, 6, 2)
    params = jax.tree.map(lambda leaf: leaf[0], parameters(layer, x))
    weight, bias = (torch.tensor(params[name]) for name in ('kernel', 'bias'))
    expected = functional.conv2d(
        examples_first(torch.tensor(x)),
        weight.movedim((-1, -2), (0, 1)),
        bias,
        dilation=(2, 1),
        padding='same',
    )
    found = layer.apply({'params': params}, x)
    np.testing.assert_allclose(found, examples_last(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'groups': 2}, '2 groups do not divide 3 channels and 4 features'),
        ({'stride': (1, 2, 1)}, r'\(1, 2, 1\) has 3 numbers; expected one number, or 2: one per axis'),
        ({'padding': 'valid'}, "padding 'valid': expected numbers, 'same' or 'tensorflow'"),
    ],
)
def test_a_convolution_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        parameters(Conv(4, 3, 'torch', **options), np.zeros((3, 5, 5, 1), np.float32))


@pytest.mark.parametrize('use_bias', [True, False], ids=['bias', 'no bias'])
def test_a_dense_layer_over_time_is_pytorch_s(use_bias):
    layer, x = Dense(3, 'torch', use_bias=use_bias), normal(0, TRIALS, 5, 4, 2)

    def linear(params, x):
        y = functional.linear(x.movedim(0, -1), params['kernel'].T, params.get('bias'))
        return y.movedim(-1, 0)

    assert_same(lambda params, x: layer.apply({'params': params}, x), linear, parameters(layer, x[0]), x)


@pytest.mark.parametrize('shape', [(4, 3), (4, 3, 2), (4, 3, 2, 2)], ids=['features', 'sequences', 'maps'])
def test_a_layer_norm_is_pytorch_s(shape):
    layer, x = LayerNorm(epsilon=1e-3), 3 + normal(0, TRIALS, *shape)

    def normalise(params, x):
        y = functional.layer_norm(x.movedim(0, -1), (4,), params['scale'], params['bias'], eps=1e-3)
        return y.movedim(-1, 0)

    assert_same(lambda params, x: layer.apply({'params': params}, x), normalise, parameters(layer, x[0]), x)


# Padding lies between the examples, and is far from them.
REAL = np.array([1, 0, 1, 1, 0], bool)
STATS = {'mean': np.float32([1, 2, 3]), 'var': np.float32([0.25, 1, 4])}


@pytest.mark.parametrize('train', [True, False], ids=['training', 'evaluation'])
@pytest.mark.parametrize('spatial', [(), (4,), (2, 3), (2, 1, 3)], ids=len)
def test_a_batch_norm_of_any_axes_is_pytorch_s_of_the_examples_that_count(spatial, train):
    layer, x = BatchNorm(momentum=0.3, epsilon=1e-3), 2 + normal(0, TRIALS, 3, *spatial, len(REAL))
    x[..., ~REAL] = 1e3
    params = {'scale': normal(1, TRIALS, 3), 'bias': normal(2, TRIALS, 3)}

    def normalise(params, x):
        """The output, and below it the running statistics."""
        y, updated = layer.apply(
            {'params': params, 'batch_stats': STATS}, x, mask=REAL, train=train, mutable=['batch_stats']
        )
        stats = updated['batch_stats']
        # Not differentiated: PyTorch's are not, and here no loss reads them.
        return jax.numpy.concatenate([(y * REAL).ravel(), *map(jax.lax.stop_gradient, stats.values())])

    def by_torch(params, x):
        mean, var = (torch.tensor(leaf, dtype=torch.float64) for leaf in STATS.values())
        y = functional.batch_norm(
            examples_first(x[..., REAL]), mean, var, params['scale'], params['bias'], train, 0.3, 1e-3
        )
        padded = torch.zeros_like(x)
        padded[..., REAL] = examples_last(y)
        return torch.cat([padded.ravel(), mean, var])

    assert list(STATS) == sorted(STATS)
    assert_same(normalise, by_torch, params, x)


def test_slices_of_a_batch_norm_are_batches_that_pytorch_s_sees_one_after_the_other():
    real = np.array([True, True, True, False])
    layer, x = BatchNorm(momentum=0.3, slices=3), 2 + normal(0, TRIALS, 2, 5, 3 * len(real))
    mask = np.tile(real, 3)
    x[..., ~mask] = 1e3
    params = {'scale': normal(1, TRIALS, 2), 'bias': normal(2, TRIALS, 2)}
    stats = {'mean': np.float32([1, 2]), 'var': np.float32([3, 4])}

    def normalise(params, x):
        y, updated = layer.apply(
            {'params': params, 'batch_stats': stats}, x, mask=mask, train=True, mutable=['batch_stats']
        )
        after = updated['batch_stats'].values()
        return jax.numpy.concatenate([(y * mask).ravel(), *map(jax.lax.stop_gradient, after)])

    def by_torch(params, x):
        mean, var = (torch.tensor(leaf, dtype=torch.float64) for leaf in stats.values())
        found = torch.zeros_like(x)
        for start in range(0, len(mask), len(real)):
            own = [start + place for place in np.flatnonzero(real)]
            y = functional.batch_norm(
                examples_first(x[..., own]), mean, var, params['scale'], params['bias'], True, 0.3
            )
            found[..., own] = examples_last(y)
        return torch.cat([found.ravel(), mean, var])

    assert_same(normalise, by_torch, params, x)
