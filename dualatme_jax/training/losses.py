"""The losses of Dual-ATME, each a value an example: [B]. The caller masks and averages.

Axes: B examples, K classes, D features.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dualatme_jax.errors import InputError

Classification = Callable[..., tuple[jax.Array, jax.Array]]


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log p of the right class.

    Args:
      logits: [B, K].
      labels: [B], integers in 0..K-1.
    """
    return -_log_probability(logits, labels)


def focal(logits: jax.Array, labels: jax.Array, *, gamma: jax.Array, alpha: jax.Array) -> jax.Array:
    """-alpha (1 - p)^gamma log p of the right class (Lin et al., 2017, equation 5).

    With gamma 0 and alpha 1 it is the cross-entropy.
    """
    log_p = _log_probability(logits, labels)
    # At p = 1 a power below 1 has an infinite gradient: the floor takes it away.
    miss = jnp.maximum(-jnp.expm1(log_p), jnp.finfo(log_p.dtype).tiny)
    return -alpha * miss**gamma * log_p


def cosine_distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """1 - cos(a, b), in 0..2, for a and b [B, D]; 1 where either is zero.

    The similarity term of Dual-ATME's joint loss draws the two branches' features together.
    """
    squares = jnp.square(a).sum(-1) * jnp.square(b).sum(-1)
    # A floor under the square, not under the root, whose gradient at zero is infinite.
    return 1 - (a * b).sum(-1) * jax.lax.rsqrt(jnp.maximum(squares, 1e-16))


def _focal(logits, labels, hyperparameters, class_weights):
    del class_weights
    gamma, alpha = hyperparameters['focal_gamma'], hyperparameters['focal_alpha']
    return focal(logits, labels, gamma=gamma, alpha=alpha), jnp.ones(labels.shape)


def _cross_entropy(logits, labels, hyperparameters, class_weights):
    del hyperparameters, class_weights
    return cross_entropy(logits, labels), jnp.ones(labels.shape)


def _weighted_cross_entropy(logits, labels, hyperparameters, class_weights):
    del hyperparameters
    return cross_entropy(logits, labels), class_weights[labels]


# Each takes logits, labels, hyperparameters and class weights, and returns values [B] and weights [B]. The
# batch's loss is the weighted mean: as PyTorch's, `weighted_cross_entropy` divides by the sum of weights.
CLASSIFICATION: dict[str, Classification] = {
    'focal': _focal,
    'cross_entropy': _cross_entropy,
    'weighted_cross_entropy': _weighted_cross_entropy,
}


def classification(name: str) -> Classification:
    """The classification loss called `name`; raises InputError if there is none."""
    if name not in CLASSIFICATION:
        raise InputError(
            f'unknown loss {name!r}: config.loss.name takes {", ".join(map(repr, CLASSIFICATION))}'
        )
    return CLASSIFICATION[name]


def _log_probability(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=-1)[:, 0]
