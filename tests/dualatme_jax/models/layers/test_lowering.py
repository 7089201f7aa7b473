"""Every lowering against XLA's own convolution, one trial at a time; `product` against NumPy."""

import functools
import re

import hypothesis
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import strategies
from jax import lax

from dualatme_jax.errors import InputError
from dualatme_jax.models.layers import lowering
from dualatme_jax.models.layers.product import product

CHANNELS, FEATURES, BATCH, TRIALS = 3, 2, 2, 2

# Input sizes, kernel sizes and what else `convolve` takes. Most tiles do not divide the output.
GEOMETRIES = {
    'row': ((7,), (3,), {}),
    'row, all': ((11,), (3,), {'strides': (3,), 'padding': ((2, 0),), 'dilation': (2,)}),
    'pointwise': ((5, 4), (1, 1), {}),
    'square': ((7, 4), (5, 5), {}),
    'wide': ((3, 29), (3, 5), {}),
    'even': ((5, 6), (2, 4), {}),
    'larger than the input': ((1, 2), (3, 5), {}),
    'no padding': ((6, 7), (3, 5), {'padding': ((0, 0), (0, 0))}),
    'stride and dilation': ((7, 8), (3, 2), {'strides': (2, 4), 'dilation': (2, 1)}),
    'cut': ((8, 7), (3, 3), {'padding': ((-1, 1), (3, -2))}),
    'volume': (
        (5, 6, 4),
        (2, 3, 3),
        {'strides': (1, 2, 2), 'padding': ((1, 0), (0, 2), (1, 1)), 'dilation': (2, 1, 1)},
    ),
}

# `auto` is one of the others, see below.
WAYS = [name for name in lowering.LOWERINGS if name != 'auto']

# Compiled in half the time; the arithmetic is the same.
jit = functools.partial(jax.jit, compiler_options={'xla_backend_optimization_level': 0})


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def arguments(sizes, taps):
    """Input and kernel of stacked trials."""
    return normal(0, TRIALS, CHANNELS, *sizes, BATCH), normal(1, TRIALS, *taps, CHANNELS, FEATURES)


def same(taps, dilation):
    """Padding that keeps the size at stride 1; XLA's own 'SAME' is another one at other strides."""
    return [((k - 1) * d // 2, (k - 1) * d - (k - 1) * d // 2) for k, d in zip(taps, dilation, strict=True)]


def xla_convolve(x, kernel, *, strides=(), padding=(), dilation=()):
    """XLA's convolution of one trial, with its axes in the order that it is mostly used with."""
    axes = 'DHW'[-(x.ndim - 2) :]
    ones = (1,) * len(axes)
    dilation = dilation or ones
    output = lax.conv_general_dilated(
        jnp.moveaxis(jnp.moveaxis(x, -1, 0), 1, -1),
        kernel,
        strides or ones,
        padding or same(kernel.shape[:-2], dilation),
        rhs_dilation=dilation,
        dimension_numbers=(f'N{axes}C', f'{axes}IO', f'N{axes}C'),
        precision='highest',
    )
    return jnp.moveaxis(jnp.moveaxis(output, 0, -1), -2, 0)


def with_gradients(convolve, **options):
    """The function of input and kernel to the output and to both gradients of a weighted sum of it."""

    def weighted(x, kernel):
        output = convolve(x, kernel, **options)
        weights = jnp.cos(jnp.arange(output.size, dtype=output.dtype)).reshape(output.shape)
        return (output * weights).sum(), output

    def call(x, kernel):
        gradients, output = jax.grad(weighted, (0, 1), has_aux=True)(x, kernel)
        return output, *gradients

    return call


@functools.cache
def expected(geometry):
    """By XLA's convolution, of one trial after the other."""
    sizes, taps, options = GEOMETRIES[geometry]
    alone = jit(with_gradients(xla_convolve, **options))
    return [alone(*trial) for trial in zip(*arguments(sizes, taps), strict=True)]


def assert_close(found, wanted):
    """1e-5 of the largest value, in the output and in each gradient."""
    for part, true in zip(found, wanted, strict=True):
        assert part.shape == true.shape
        np.testing.assert_allclose(part, true, rtol=0, atol=1e-5 * np.abs(true).max())


def assert_trials_close(found, geometry):
    for trial, wanted in enumerate(expected(geometry)):
        assert_close([part[trial] for part in found], wanted)


@pytest.mark.parametrize('geometry', GEOMETRIES)
@pytest.mark.parametrize('name', WAYS)
@pytest.mark.slow
def test_stacked_trials_are_xla_s_one_by_one(name, geometry):
    sizes, taps, options = GEOMETRIES[geometry]
    with lowering.use(name):
        found = jit(jax.vmap(with_gradients(lowering.convolve, **options)))(*arguments(sizes, taps))
    assert_trials_close(found, geometry)


@pytest.mark.parametrize('geometry', ['row, all', 'square', 'volume'])
@pytest.mark.parametrize('name', WAYS)
@pytest.mark.slow
def test_one_trial_is_xla_s(name, geometry):
    sizes, taps, options = GEOMETRIES[geometry]
    x, kernel = arguments(sizes, taps)
    with lowering.use(name):
        found = jit(with_gradients(lowering.convolve, **options))(x[0], kernel[0])
    assert_close(found, expected(geometry)[0])


def nested(way, x, kernel):
    """Two stacks of the trials, the second one the other way round."""
    twice = [jnp.stack([leaf, leaf[::-1]]) for leaf in (x, kernel)]
    return jax.tree.map(lambda leaf: leaf[1, ::-1], jax.vmap(jax.vmap(way))(*twice))


def scanned(way, x, kernel):
    stacked = (x[None], kernel[None])
    _, found = lax.scan(lambda carry, trials: (carry, jax.vmap(way)(*trials)), 0, stacked)
    return jax.tree.map(lambda leaf: leaf[0], found)


def sharded(way, x, kernel):
    mesh = jax.sharding.Mesh(jax.devices()[:1], ('trial',))
    axis = jax.P('trial')
    return jax.shard_map(jax.vmap(way), mesh=mesh, in_specs=axis, out_specs=axis)(x, kernel)


@pytest.mark.parametrize('inside', [nested, scanned, sharded])
@pytest.mark.parametrize('name', ['tile', 'unrolled'])
def test_trials_may_be_stacked_anywhere(name, inside):
    sizes, taps, options = GEOMETRIES['square']
    way = with_gradients(lowering.convolve, **options)
    with lowering.use(name):
        found = jit(functools.partial(inside, way))(*arguments(sizes, taps))
    assert_trials_close(found, 'square')


@pytest.mark.parametrize('name', ['tile', 'unrolled'])
def test_a_convolution_may_be_computed_again_for_its_gradient(name):
    sizes, taps, _ = GEOMETRIES['square']
    with lowering.use(name):
        found = jit(jax.vmap(with_gradients(jax.checkpoint(lowering.convolve))))(*arguments(sizes, taps))
    assert_trials_close(found, 'square')


@pytest.mark.parametrize('name', ['tile', 'unrolled'])
def test_trials_may_share_their_input(name):
    sizes, taps, _ = GEOMETRIES['square']
    x, kernel = arguments(sizes, taps)
    with lowering.use(name):
        found = jit(jax.vmap(with_gradients(lowering.convolve), in_axes=(None, 0)))(x[0], kernel)
    alone = jit(with_gradients(xla_convolve))
    for trial in range(TRIALS):
        assert_close([part[trial] for part in found], alone(x[0], kernel[trial]))


@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_products_hold_no_convolution(geometry):
    sizes, taps, options = GEOMETRIES[geometry]

    def program(name):
        with lowering.use(name):
            way = jax.vmap(with_gradients(lowering.convolve, **options))
            return str(jax.make_jaxpr(way)(*arguments(sizes, taps)))

    for name in ('tile', 'im2col', 'row'):
        assert 'conv_general_dilated' not in program(name)
    assert 'conv_general_dilated' in program('grouped'), 'it has another name: this test sees nothing'


axes = strategies.tuples(
    strategies.integers(1, 9),  # size
    strategies.integers(1, 4),  # taps
    strategies.integers(1, 3),  # stride
    strategies.integers(1, 2),  # dilation
    strategies.tuples(strategies.integers(-1, 3), strategies.integers(-1, 3)),  # padding
    strategies.integers(1, 5),  # edge of a tile
)


@hypothesis.given(strategies.lists(axes, min_size=1, max_size=2))
@hypothesis.settings(derandomize=True, max_examples=10, deadline=None, database=None)
@pytest.mark.slow
def test_tiles_of_every_edge_are_xla_s(drawn):
    sizes, taps, strides, dilation, padding, edges = zip(*drawn, strict=True)
    geometry = tuple(
        lowering.Axis(size, k, stride, d, *ends)
        for size, k, stride, d, ends in zip(sizes, taps, strides, dilation, padding, strict=True)
    )
    hypothesis.assume(all(axis.out > 0 for axis in geometry))
    tiles = functools.partial(lowering.tiled(lambda of: edges[: len(of)]), axes=geometry)
    x, kernel = (leaf[0] for leaf in arguments(sizes, taps))
    way = with_gradients(xla_convolve, strides=strides, padding=padding, dilation=dilation)
    assert_close(jit(with_gradients(tiles))(x, kernel), jit(way)(x, kernel))


def test_an_unknown_lowering_is_refused_with_those_there_are():
    message = r"unknown lowering 'winograd': config.engine.lowering takes 'auto', 'tile', 'im2col'"
    with pytest.raises(InputError, match=message), lowering.use('winograd'):
        pass


def test_a_lowering_is_in_use_within_its_block_alone():
    def program():
        # A function of its own: what JAX has traced once it takes again, whichever way is in use by then.
        traced = jax.make_jaxpr(lambda x, kernel: lowering.convolve(x, kernel))
        return str(traced(np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1))))

    before = program()
    with lowering.use('grouped'):
        assert 'conv_general_dilated' in program()
    assert program() == before
    with pytest.raises(ZeroDivisionError), lowering.use('grouped'):
        raise ZeroDivisionError
    assert program() == before


# Axes of each factor that are summed, and the same in NumPy's letters.
SUMS = {(1, 0): 'ij,jk->ik', (0, 0): 'ji,jk->ik', (1, 1): 'ij,kj->ik', (0, 1): 'ji,kj->ik'}


def factors(over_a, over_b):
    """Factors of 5 terms, and a cotangent."""
    a, b = normal(0, 3, 5), normal(1, 5, 4)
    return a if over_a else a.T, b.T if over_b else b, normal(2, 3, 4)


def product_and_gradients(over_a, over_b):
    def call(a, b, cotangent):
        output, pullback = jax.vjp(lambda a, b: product(a, b, over_a, over_b), a, b)
        return output, *pullback(cotangent)

    return call


def in_numpy(letters, a, b, cotangent):
    """Product and gradients in float64."""
    a, b, cotangent = (np.asarray(part, np.float64) for part in (a, b, cotangent))
    ours, theirs = letters.split('->')[0].split(',')
    return (
        np.einsum(letters, a, b),
        np.einsum(f'ik,{theirs}->{ours}', cotangent, b),
        np.einsum(f'ik,{ours}->{theirs}', cotangent, a),
    )


@pytest.mark.parametrize('over', SUMS)
def test_a_product_and_its_gradients_are_numpy_s(over):
    given = factors(*over)
    found = jit(product_and_gradients(*over))(*given)
    assert_close(found, in_numpy(SUMS[over], *given))


@pytest.mark.parametrize('over', SUMS)
def test_bfloat16_rounds_the_factors_and_not_the_sums(over):
    given = factors(*over)
    with jax.default_matmul_precision('bfloat16'):
        found = jit(product_and_gradients(*over))(*given)
    rounded = [part.astype(ml_dtypes.bfloat16) for part in given]
    assert_close(found, in_numpy(SUMS[over], *rounded))
    for part, exact in zip(found, in_numpy(SUMS[over], *given), strict=True):
        assert part.dtype == np.float32
        assert np.abs(part - exact).max() > 1e-4 * np.abs(exact).max(), 'nothing was rounded'


def test_a_product_in_bfloat16_can_be_transposed():  # XLA's CPU backend does not run that in bfloat16
    a, b = normal(0, 64, 128), normal(1, 128, 32)
    with jax.default_matmul_precision('bfloat16'):
        found = jax.jit(lambda a, b: product(a, b).T)(a, b)
    rounded = [part.astype(ml_dtypes.bfloat16).astype(np.float32) for part in (a, b)]
    assert_close([found], [(rounded[0] @ rounded[1]).T])


def test_bfloat16_is_of_the_convolution_s_three_products_with_sums_in_float32(monkeypatch):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    jax.clear_caches()  # what was traced is kept without the name of the backend
    sizes, taps, _ = GEOMETRIES['square']
    with jax.default_matmul_precision('bfloat16'):
        stacked = jit(jax.vmap(with_gradients(lowering.convolve)))
        program = stacked.lower(*arguments(sizes, taps)).as_text()
    products = re.findall(r'stablehlo.dot_general .*: \((.*), (.*)\) -> (.*)', program)
    kinds = [[re.search(r'b?f\d+(?=>)', part)[0] for part in each] for each in products]
    assert kinds.count(['bf16', 'bf16', 'f32']) == 3
    # The others spread the kernels over their tiles, which rounds nothing.
    assert {tuple(kind) for kind in kinds} == {('bf16', 'bf16', 'f32'), ('f32', 'f32', 'f32')}
    assert program.count('HIGHEST, HIGHEST') == len(kinds) - 3


@pytest.mark.parametrize(
    ('channels', 'taps', 'padding', 'backend', 'own'),
    [
        (16, 3, (1, 1), 'cpu', True),
        (16, 3, (1, 1), 'gpu', False),
        (15, 3, (1, 1), 'cpu', False),
        (16, 1, (0, 0), 'cpu', False),
        (16, 3, (1, -1), 'cpu', False),
    ],
)
def test_wide_convolutions_on_a_cpu_are_xla_s_own_and_all_others_products(
    monkeypatch, channels, taps, padding, backend, own
):
    monkeypatch.setattr(jax, 'default_backend', lambda: backend)
    x, kernel = normal(0, TRIALS, channels, 5, 5, 2), normal(1, TRIALS, taps, taps, channels, channels)
    convolve = functools.partial(lowering.convolve, padding=(padding,) * 2)
    program = jit(jax.vmap(with_gradients(convolve)))
    assert ('convolution' in program.lower(x, kernel).as_text()) == own
    found = program(x, kernel)
    for trial in range(TRIALS):
        wanted = jit(with_gradients(xla_convolve, padding=(padding,) * 2))(x[trial], kernel[trial])
        assert_close([part[trial] for part in found], wanted)


@pytest.mark.parametrize(('axes', 'own'), [(1, True), (2, True), (3, False)])
def test_wide_convolutions_on_a_cpu_are_products_in_3d(axes, own):
    x, kernel = normal(0, 16, *[3] * axes, 2), normal(1, *[3] * axes, 16, 16)
    program = jit(with_gradients(lowering.convolve)).lower(x, kernel).as_text()
    assert ('convolution' in program) == own


@pytest.mark.parametrize(
    ('channels', 'size', 'taps', 'edge', 'products'),
    [(4, 5, 1, 1, 1), (5, 5, 1, 1, 3), (2, 14, 3, 4, 3), (2, 13, 3, 2, 3)],
    ids=['few terms', 'more terms', 'wide output', 'narrow output'],
)
def test_a_gpu_has_its_own_tiles_and_adds_few_terms_without_a_matrix_product(
    monkeypatch, channels, size, taps, edge, products
):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    axis = lowering.Axis(size, taps, low=taps // 2, high=taps // 2)
    assert lowering.tile((axis, axis)) == (edge, edge)
    # Of a shape that no other test has: what is traced is kept without the name of the backend.
    x, kernel = normal(0, channels, size, size, 3), normal(1, taps, taps, channels, channels)
    program = jit(with_gradients(lowering.convolve))
    # The kernels are spread by products too, of the highest precision.
    rounding = [line for line in program.lower(x, kernel).as_text().splitlines() if 'dot_general' in line]
    assert sum('HIGHEST' not in line for line in rounding) == products
    assert_close(program(x, kernel), jit(with_gradients(xla_convolve))(x, kernel))
