"""What patterns freeze, and how frozen layers run."""

import fnmatch

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import traverse_util
from hypothesis import given
from hypothesis import strategies as st

from dualatme_jax.errors import InputError
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.training import freeze

_NAMES = st.sampled_from('ab')
_PATHS = st.sets(st.lists(_NAMES, min_size=1, max_size=3).map(tuple), min_size=1, max_size=6)


@st.composite
def trees(draw):
    """Nested parameters: no path is the beginning of another."""
    paths = draw(_PATHS)
    leaves = [path for path in paths if not any(p != path and p[: len(path)] == path for p in paths)]
    return traverse_util.unflatten_dict({path: np.array([number]) for number, path in enumerate(leaves)})


@given(trees(), st.lists(st.sampled_from(['*', 'params/a*', '*/b', 'params/?', 'params/a/b']), max_size=3))
def test_split_takes_what_a_pattern_matches_and_joined_puts_it_back(params, patterns):
    trained, frozen = freeze.split(params, patterns)
    for path, leaf in traverse_util.flatten_dict(params).items():
        matched = any(fnmatch.fnmatchcase('/'.join(('params', *path)), pattern) for pattern in patterns)
        for tree, there in ((trained, not matched), (frozen, matched)):
            found = traverse_util.flatten_dict(tree or {}).get(path)
            assert (found is leaf) == there
    joined = freeze.joined(trained, frozen)
    assert jax.tree.structure(joined) == jax.tree.structure(params)
    assert all(a is b for a, b in zip(jax.tree.leaves(joined), jax.tree.leaves(params), strict=True))


def test_without_patterns_the_tree_itself_is_trained():
    params = {'a': {'kernel': np.ones(2)}}
    assert freeze.split(params, ()) == (params, None)
    assert freeze.split(params, ())[0] is params


class Part(nn.Module):
    """A dense layer and a normalisation, of inputs [3, B]."""

    affine: bool = True

    @nn.compact
    def __call__(self, x, *, mask, train):
        x = nn.Dense(4, name='dense')(x.T).T
        return (BatchNorm(name='bn') if self.affine else Statistics(name='bn'))(x, mask=mask, train=train)


class Statistics(nn.Module):
    """A normalisation without parameters."""

    @nn.compact
    def __call__(self, x, *, mask, train):
        mean = self.variable('batch_stats', 'mean', jnp.zeros, x.shape[:1])
        if train and not self.is_initializing():
            mean.value = x.mean(1)
        return x - mean.value[:, None]


class Whole(nn.Module):
    affine: bool = True

    @nn.compact
    def __call__(self, x, *, mask, train):
        x = Part(self.affine, name='extractor')(x, mask=mask, train=train)
        return Part(self.affine, name='head')(x, mask=mask, train=train)


X, MASK = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32), jnp.ones(5)


@pytest.mark.parametrize(
    ('affine', 'patterns', 'expected'),
    [
        (True, ['params/extractor/*'], {('extractor', 'bn')}),
        (True, ['*/bn/scale', '*/bn/bias'], {('extractor', 'bn'), ('head', 'bn')}),
        (True, ['*/bn/scale'], set()),  # its bias is trained
        (True, ['*/kernel'], set()),
        (True, [], set()),
        (False, ['params/head/*'], {('head', 'bn')}),
        (False, ['*/kernel'], set()),
    ],
)
def test_a_normalisation_is_frozen_with_all_its_own_parameters(affine, patterns, expected):
    network = Whole(affine)
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), X, mask=MASK, train=False))
    assert freeze.normalisations(variables, patterns) == expected


@pytest.mark.slow
def test_frozen_layers_run_as_in_evaluation_and_the_others_as_in_training():
    network = Whole()
    variables = network.init(jax.random.key(0), X, mask=MASK, train=False)
    random = np.random.default_rng(1)
    statistics = jax.tree.map(lambda leaf: random.uniform(1, 2, leaf.shape), variables['batch_stats'])
    variables = variables | {'batch_stats': statistics}

    def updated(layers):
        with freeze.as_in_evaluation(layers):
            output, found = network.apply(variables, X, mask=MASK, train=True, mutable=['batch_stats'])
        return output, found['batch_stats']

    def moved(found):
        return {
            part
            for part in ('extractor', 'head')
            if not np.array_equal(found[part]['bn']['mean'], statistics[part]['bn']['mean'])
        }

    output, found = updated(frozenset({('extractor', 'bn')}))
    assert moved(found) == {'head'}
    # By hand: the extractor in evaluation, and the head in training.
    part = {name: tree['extractor'] for name, tree in variables.items()}
    between = Part().apply(part, X, mask=MASK, train=False)
    head = {name: tree['head'] for name, tree in variables.items()}
    expected, _ = Part().apply(head, between, mask=MASK, train=True, mutable=['batch_stats'])
    np.testing.assert_array_equal(output, expected)
    assert moved(updated(frozenset())[1]) == {'extractor', 'head'}


def test_keeping_leaves_the_statistics_of_frozen_layers():
    before = {'extractor': {'bn': {'mean': np.zeros(2)}}, 'head': {'bn': {'mean': np.zeros(2)}}}
    updated = jax.tree.map(lambda leaf: leaf + 1, before)
    kept = freeze.keeping(updated, before, frozenset({('head', 'bn')}))
    assert kept['extractor']['bn']['mean'].all()
    assert not kept['head']['bn']['mean'].any()
    assert freeze.keeping(updated, before, frozenset()) is updated


def test_patterns_that_match_nothing_or_everything_are_refused():
    params = {'entire': {'conv': {'kernel': np.ones(1)}}, 'classifier': {'kernel': np.ones(1)}}
    freeze.check(['params/entire/*'], params)
    freeze.check([], params)
    with pytest.raises(
        InputError, match=r"'entire/\*', which matches no parameter.*params/classifier/kernel"
    ):
        freeze.check(['params/entire/*', 'entire/*'], params)
    with pytest.raises(InputError, match='nothing to train'):
        freeze.check(['params/entire/*', '*/kernel'], params)
