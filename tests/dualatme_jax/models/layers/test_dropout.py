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
