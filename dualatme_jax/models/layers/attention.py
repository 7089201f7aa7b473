"""Dot-product attention with several heads (Vaswani et al., 2017).

B examples, H heads of W numbers, T queries, S keys and values.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.layers.conv import Dense
from dualatme_jax.models.layers.product import product


class Attention(nn.Module):
    """[D, T, B] to [features, T, B], as PyTorch's and Keras's MultiheadAttention.

    PyTorch's has heads of D / H numbers and D features; the rows of its `in_proj_weight` are our query, key
    and value one below the other.

    Attributes:
      heads: H.
      width: W.
      features: numbers out.
      initializer: how it starts, see `initializers`.
      use_bias: whether queries, keys and values have biases; the output has.
      causal: whether a query sees no key behind its own place.
      pooled: whether for each key the largest of its scores stands for all queries, so that one step comes
        out, [features, 1, B].
    """

    heads: int
    width: int
    features: int
    initializer: str
    use_bias: bool = True
    causal: bool = False
    pooled: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, context: jax.Array | None = None) -> jax.Array:
        """Queries of `x` [D, T, B]; keys and values of `context` [E, S, B], by default x itself."""

        def heads(x, name):
            dense = Dense(self.heads * self.width, self.initializer, use_bias=self.use_bias, name=name)
            return dense(x).reshape(self.heads, self.width, *x.shape[1:])

        context = x if context is None else context
        found = scores(heads(x, 'query'), heads(context, 'key'))
        if self.causal:
            behind = jnp.arange(found.shape[2]) > jnp.arange(found.shape[1])[:, None]
            found = jnp.where(behind[..., None], -jnp.inf, found)
        if self.pooled:
            found = found.max(1, keepdims=True)
        mixed = attend(found, heads(context, 'value'))
        return Dense(self.features, self.initializer, name='out')(mixed.reshape(-1, *mixed.shape[2:]))


def scores(query: jax.Array, key: jax.Array) -> jax.Array:
    """How much each query asks for each key: [H, W, T, B] and [H, W, S, B] to [H, T, S, B].

    Their dot products over sqrt(W): maps of heads, which a pooling layer may take.
    """
    return _each(lambda query, key: product(query, key, 0, 0))(query, key) * query.shape[1] ** -0.5


def attend(scores: jax.Array, value: jax.Array) -> jax.Array:
    """Means of the values by the softmax over the keys: [H, T, S, B] and [H, W, S, B] to [H, W, T, B]."""
    return _each(lambda weights, value: product(value, weights, 1, 1))(nn.softmax(scores, 2), value)


def _each(function):
    """`function` for each head, the first axis, and each example, the last one."""
    return jax.vmap(jax.vmap(function), -1, -1)
