"""Dual-ATME: its sizes counted by hand, its variants, its attention in NumPy."""

import functools

import jax
import numpy as np
import pytest
from inputs import of_network

from dualatme_jax import models
from dualatme_jax.errors import InputError
from dualatme_jax.models.layers.cbam import CBAM

OPTIONS = {'variant': 'paper', 'classes': 3, 'dropout': 0.5, 'init': 'torch'}


def build(**options):
    return models.build('dual_atme', **OPTIONS | options)


def flows(seed, batch, size):
    return np.random.default_rng(seed).uniform(-1, 1, (2, batch, size, size, 3)).astype(np.float32)


@functools.cache
def network(variant):
    """Variables with every leaf away from zero, and the compiled evaluation of two small flows."""
    model = build(variant=variant)
    shapes = jax.eval_shape(
        lambda key: model.init(key, of_network(*flows(0, 2, 4)), mask=np.ones(2), train=False),
        jax.random.key(0),
    )
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.uniform(0.1, 0.3, leaf.shape).astype(np.float32), shapes)
    # Kernels of both signs: with positive ones alone every sigmoid would be full.
    variables['params'] = jax.tree.map(
        lambda leaf: leaf * rng.choice(np.float32([-1, 1]), leaf.shape), variables['params']
    )

    @jax.jit
    def evaluate(variables, flow, puzzled):
        return model.apply(variables, of_network(flow, puzzled), mask=np.ones(2), train=False)

    return variables, evaluate


# By hand, from the paper's figure. A unit is a convolution with bias and a normalisation's scale and bias:
# a k x k unit from c to o channels has k*k*c*o + 3*o parameters.
#   Inception 6 on 3    1x1 36, reductions 36 and 36, 3x3 342, 5x5 918, pool 36:        1,404
#   Inception 12 on 24  1x1 324, reductions 162 and 162, 3x3 684, 5x5 1836, pool 324:   3,492
BRANCH = 1404 + 3492
CBAM_48 = (48 * 3 + 3) + (3 * 48 + 48) + (3 * 3 * 2 * 1 + 1)
CLASSIFIER = 1024 * 3 + 3


def fusion(maps):
    return maps * 7 * 7 * 48 * 1024 + 1024 + 2 * 1024


PARAMETERS = {
    'paper': 4_833_193,
    'code': 4_833_193,
    'hars': BRANCH + fusion(1) + CLASSIFIER,
    'hars+attention': BRANCH + CBAM_48 + fusion(1) + CLASSIFIER,
    'aars': BRANCH + CBAM_48 + fusion(1) + CLASSIFIER,
}
BRANCHES = {
    'paper': {'entire', 'puzzled'},
    'code': {'entire', 'puzzled'},
    'hars': {'puzzled'},
    'hars+attention': {'puzzled'},
    'aars': {'entire'},
}
ATTENTION = {
    'paper': {'entire'},
    'code': {'entire', 'puzzled'},
    'hars': set(),
    'hars+attention': {'puzzled'},
    'aars': {'entire'},
}


@pytest.mark.parametrize('variant', PARAMETERS)
def test_sizes_of_the_published_network(variant):
    flow, puzzled = flows(0, 2, 28)
    output, variables = jax.eval_shape(
        lambda key: build(variant=variant).init_with_output(
            {'params': key}, of_network(flow, puzzled), mask=np.ones(2), train=False
        ),
        jax.random.key(0),
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(variables['params'])) == PARAMETERS[variant]
    assert output.logits.shape == (2, 3)
    assert output.features.keys() == BRANCHES[variant]
    assert {features.shape for features in output.features.values()} == {(2, 2352)}


@pytest.mark.parametrize('classes', [2, 7])
def test_the_classifier_has_a_row_a_class(classes):
    output, variables = jax.eval_shape(
        lambda key: build(classes=classes).init_with_output(
            {'params': key}, of_network(*flows(0, 2, 28)), mask=np.ones(2), train=False
        ),
        jax.random.key(0),
    )
    assert output.logits.shape == (2, classes)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables['params']))
    assert parameters == PARAMETERS['paper'] + (classes - 3) * 1025


def test_hand_count_agrees_with_the_published_one():
    assert PARAMETERS['paper'] == 2 * BRANCH + CBAM_48 + fusion(2) + CLASSIFIER


@pytest.mark.parametrize('variant', PARAMETERS)
@pytest.mark.slow
def test_one_attention_acts_where_the_variant_has_it(variant):
    variables, evaluate = network(variant)
    parts = set(variables['params']) - {'fusion', 'fusion_norm', 'classifier'}
    assert parts == BRANCHES[variant] | ({'cbam'} if ATTENTION[variant] else set())
    if not ATTENTION[variant]:
        return

    flow, puzzled = flows(1, 2, 4)
    other = jax.tree.map(lambda x: -x, variables['params']['cbam'])
    before = evaluate(variables, flow, puzzled)
    after = evaluate(variables | {'params': variables['params'] | {'cbam': other}}, flow, puzzled)
    changed = {
        name for name in BRANCHES[variant] if not np.array_equal(before.features[name], after.features[name])
    }
    assert changed == ATTENTION[variant]


@pytest.mark.parametrize('variant', PARAMETERS)
def test_a_network_sees_the_flows_of_its_branches_only(variant):
    variables, evaluate = network(variant)
    flow, puzzled = flows(1, 2, 4)
    logits = evaluate(variables, flow, puzzled).logits
    changed = {
        'entire': evaluate(variables, -flow, puzzled).logits,
        'puzzled': evaluate(variables, flow, -puzzled).logits,
    }
    assert {name for name in changed if not np.array_equal(changed[name], logits)} == BRANCHES[variant]


@pytest.mark.slow
def test_padding_changes_no_logits_in_training():
    model = build(variant='code', dropout=0.0)
    variables, _ = network('code')

    @jax.jit
    def train(variables, flow, puzzled, mask):
        return model.apply(
            variables,
            of_network(flow, puzzled),
            mask=mask,
            train=True,
            rngs={'dropout': jax.random.key(0)},  # of rate 0
            mutable=['batch_stats'],
        )

    short = flows(1, 3, 4)
    long = np.concatenate([short, 50 * flows(2, 2, 4)], axis=1)
    expected, expected_stats = train(variables, *short, np.ones(3))
    found, found_stats = train(variables, *long, np.array([1, 1, 1, 0, 0]))
    np.testing.assert_allclose(found.logits[:3], expected.logits, rtol=1e-4, atol=1e-4)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, found_stats, expected_stats)


def test_dropout_draws_from_its_key():
    variables, _ = network('hars')
    model = build(variant='hars', dropout=0.5)
    flow, puzzled = flows(1, 2, 4)

    @jax.jit
    def logits(variables, key):
        return model.apply(
            variables,
            of_network(flow, puzzled),
            mask=np.ones(2),
            train=True,
            rngs={'dropout': key},
            mutable=['batch_stats'],
        )[0].logits

    first, second, again = (logits(variables, jax.random.key(seed)) for seed in (0, 1, 0))
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(first, again)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_cbam_is_channel_then_spatial_attention():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 4, 5, 32))
    w1, w2, kernel = (rng.normal(size=shape) for shape in ((32, 2), (2, 32), (3, 3, 2, 1)))
    b1, b2, b3 = (rng.normal(size=size) for size in (2, 32, 1))

    def mlp(pooled):
        return np.maximum(pooled @ w1 + b1, 0) @ w2 + b2

    y = x * sigmoid(mlp(x.mean((1, 2))) + mlp(x.max((1, 2))))[:, None, None]
    pooled = np.pad(np.stack([y.mean(-1), y.max(-1)], -1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(pooled, (3, 3), (1, 2))
    expected = y * sigmoid(np.einsum('bhwcij,ijco->bhwo', windows, kernel) + b3)

    params = {
        'mlp_squeeze': {'kernel': w1, 'bias': b1},
        'mlp_excite': {'kernel': w2, 'bias': b2},
        'spatial': {'kernel': kernel, 'bias': b3},
    }
    single = jax.tree.map(np.float32, {'params': params})
    found = CBAM(reduction=16, initializer='torch').apply(single, np.float32(x.transpose(3, 1, 2, 0)))
    np.testing.assert_allclose(found.transpose(3, 1, 2, 0), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'variant': 'both'}, "unknown Dual-ATME variant 'both': config.model.variant takes 'paper', 'code'"),
        ({'init': 'he'}, "unknown initialisation 'he'"),
        ({'dropout': 1.0}, r'config.model.dropout is 1.0; expected a fraction in \[0, 1\)'),
        ({'dropout': -0.1}, 'config.model.dropout is -0.1'),
        ({'dropout': float('nan')}, 'config.model.dropout is nan'),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        build(**options)


def test_an_unknown_model_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"unknown model 'resnet': .* takes .*'dual_atme'"):
        models.build('resnet', **OPTIONS)
