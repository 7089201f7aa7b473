"""What of some weights fits into a network: by path, shape and type."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dualatme_jax.training import start

_PATHS = st.tuples(st.sampled_from(['params', 'batch_stats']), st.sampled_from('abc'), st.sampled_from('kb'))
_LEAVES = st.builds(
    np.zeros,
    st.lists(st.integers(1, 3), max_size=2).map(tuple),
    st.sampled_from([np.float32, np.float16]),
)
_WEIGHTS = st.dictionaries(_PATHS, _LEAVES, max_size=6)


@given(_WEIGHTS, _WEIGHTS)
def test_a_leaf_is_copied_where_path_shape_and_type_are_the_same_and_else_listed_on_its_side(
    network, weights
):
    fit = start.fit(network, weights)
    form = {path: (leaf.shape, leaf.dtype) for path, leaf in network.items()}
    there = {path: (leaf.shape, leaf.dtype) for path, leaf in weights.items()}
    same = form.items() & there.items()
    assert set(fit.copied) == {path for path, _ in same}
    for listed, own in ((fit.fresh, form), (fit.unused, there)):
        named = [line.split(' ')[0] for line in listed]
        assert sorted(named) == sorted('/'.join(path) for path in own.keys() - set(fit.copied))
    sizes = {path: math.prod(shape) for path, (shape, _) in form.items() if path[0] == 'params'}
    assert fit.parameters == (len(sizes), sum(sizes.values()))
    copied = [sizes[path] for path in fit.copied if path in sizes]
    assert fit.copied_parameters == (len(copied), sum(copied))


def test_what_does_not_fit_is_listed_with_what_is_on_the_other_side():
    network = {('params', 'classifier', 'kernel'): np.zeros((4, 5), np.float32)}
    weights = {
        ('params', 'classifier', 'kernel'): np.zeros((4, 3), np.float32),
        ('fc9.weight',): np.zeros((2, 4), np.float16),
    }
    fit = start.fit(network, weights)
    assert fit.fresh == ('params/classifier/kernel [4, 5], in the weights: [4, 3]',)
    assert fit.unused == (
        'params/classifier/kernel [4, 3], in the network: [4, 5]',
        'fc9.weight float16 [2, 4], in the network: none',
    )


def test_flat_holds_what_a_network_is_applied_with():
    variables = {'params': {'a': {'k': 1}}, 'batch_stats': {}, 'batch_counters': {'a': {'count': 2}}}
    assert start.flat(variables) == {('params', 'a', 'k'): 1}
