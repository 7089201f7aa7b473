"""Dropout: Flax's, with a rate that may be traced."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from dualatme_jax.models.layers.dropout import Dropout

X = np.linspace(1, 2, 4000, dtype=np.float32).reshape(40, 100)


def drop(rate, train=True):
    return Dropout(rate).apply({}, X, train=train, rngs={'dropout': jax.random.key(0)})


@pytest.mark.parametrize('rate', [0.0, 0.3, 0.5, 0.9])
def test_what_is_kept_is_scaled_to_the_same_mean(rate):
    found = np.asarray(drop(rate))
    kept = found != 0
    np.testing.assert_allclose(found[kept], X[kept] / (1 - rate), rtol=1e-6)
    assert kept.mean() == pytest.approx(1 - rate, abs=4 * np.sqrt(rate * (1 - rate) / X.size))


def test_it_drops_what_flax_drops_within_a_network():
    class Network(nn.Module):
        ours: bool

        @nn.compact
        def __call__(self, x):
            if self.ours:
                return Dropout(0.3, name='dropout')(x.T, train=True).T
            return nn.Dropout(0.3, deterministic=False, name='dropout')(x)

    one, other = (Network(ours).apply({}, X, rngs={'dropout': jax.random.key(1)}) for ours in (True, False))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_stacked_trials_drop_at_rates_of_their_own():
    rates = np.float32([0.0, 0.25, 0.75])
    found = jax.jit(jax.vmap(drop))(rates)
    for rate, values in zip(rates, found, strict=True):
        np.testing.assert_allclose(values, drop(rate), rtol=1e-6)


def test_what_an_example_drops_does_not_depend_on_those_behind_it():
    alone = Dropout(0.5).apply({}, X[:, :57], train=True, rngs={'dropout': jax.random.key(0)})
    np.testing.assert_array_equal(alone, drop(0.5)[:, :57])


def test_evaluation_drops_nothing():
    np.testing.assert_array_equal(drop(0.9, train=False), X)


@pytest.mark.parametrize('shared', [(1,), (0, 1)], ids=['over time', 'whole examples'])
def test_values_may_fall_together(shared):
    x = 1 + X.reshape(8, 5, 100)
    found = Dropout(0.3, shared=shared).apply({}, x, train=True, rngs={'dropout': jax.random.key(0)})
    kept = np.asarray(found) != 0
    np.testing.assert_allclose(found[kept], x[kept] / 0.7, rtol=1e-6)
    draws = kept[tuple(slice(1) if axis in shared else slice(None) for axis in range(3))]
    np.testing.assert_array_equal(kept, np.broadcast_to(draws, x.shape))
    assert draws.mean() == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / draws.size))


def test_values_do_not_fall_together_by_themselves():
    x = X.reshape(8, 5, 100)
    kept = np.asarray(Dropout(0.3).apply({}, x, train=True, rngs={'dropout': jax.random.key(0)})) != 0
    assert (kept.any(1) & ~kept.all(1)).any()
