"""The losses, each one value per example: [B]. The caller masks and averages.

Axes: B examples, K classes, D features.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from dualatme_jax.errors import InputError, check_choice

# Numbers of a config's loss that are 0 in most published systems; no code is compiled for those that are 0.
OPTIONS = ('label_smoothing', 'mixup', 'class_balance', 'floor', 'mean_over_clips')

NAMES = ('focal', 'cross_entropy', 'weighted_cross_entropy', 'margin', 'squared_error')

# Losses that code is compiled for if some trial has them, as for `OPTIONS`.
MARGIN, SQUARED_ERROR = COMPILED = ('margin', 'squared_error')

# The feature of the networks that `margin` is for: [B, K], each class's length.
LENGTHS = 'lengths'

# Its numbers; 0 in trials of other losses.
MARGINS = ('margin_present', 'margin_absent', 'margin_others')


def focal(
    logits: jax.Array,
    labels: jax.Array,
    *,
    gamma: jax.Array,
    alpha: jax.Array,
    floor: jax.Array | None = None,
) -> jax.Array:
    """-alpha (1 - p)^gamma log p of the right class (Lin et al., 2017, equation 5).

    With gamma 0 and alpha 1 it is the cross-entropy.

    Args:
      logits: [B, K].
      labels: [B], integers in 0..K-1.
      gamma: how much clips that are right already are held back, 0 or more.
      alpha: a factor.
      floor: the least p, in [0, 1): where it is less, the loss does not grow and has no gradient.
    """
    log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=-1)[:, 0]
    if floor is not None:
        log_p = jnp.maximum(log_p, jnp.log(floor))
    # At p = 1 a power below 1 has an infinite gradient: the floor takes it away.
    miss = jnp.maximum(-jnp.expm1(log_p), jnp.finfo(log_p.dtype).tiny)
    return -alpha * miss**gamma * log_p


def margin(
    logits: jax.Array, labels: jax.Array, *, present: jax.Array, absent: jax.Array, weight: jax.Array
) -> jax.Array:
    """max(0, present - l)^2 of the right class's length l, weight * max(0, l - absent)^2 of each other one's.

    Of capsules (Sabour, Frosst, Hinton, 2017, equation 4), whose lengths lie in 0..1.

    Args:
      logits: [B, K], the logarithms of the lengths.
      labels: [B], integers in 0..K-1.
      present: the length that is long enough for the right class.
      absent: the length that is short enough for another one.
      weight: of the other classes.
    """
    lengths, right = jnp.exp(logits), jax.nn.one_hot(labels, logits.shape[-1])
    short = jnp.square(jnp.maximum(present - lengths, 0))
    long = jnp.square(jnp.maximum(lengths - absent, 0))
    return (right * short + weight * (1 - right) * long).sum(-1)


def squared_error(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over classes of (l - t)^2, where t is 1 for the right class and 0 for others.

    Of logits [1 - s, s] it is (s - label)^2: one linear output s, trained as Keras's `mse` has it.

    Args:
      logits: [B, K].
      labels: [B], integers in 0..K-1.
    """
    return jnp.square(logits - jax.nn.one_hot(labels, logits.shape[-1])).mean(-1)


def cosine_distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """1 - cos(a, b), in 0..2, for a and b [B, D]; 1 where either is zero.

    The similarity term of Dual-ATME's joint loss draws the two branches' features together.
    """
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)  # they may be kept in bfloat16, see `as_kept`
    squares = jnp.square(a).sum(-1) * jnp.square(b).sum(-1)
    # A floor under the square, not under the root, whose gradient at zero is infinite.
    return 1 - (a * b).sum(-1) * jax.lax.rsqrt(jnp.maximum(squares, 1e-16))


def classification(
    logits: jax.Array,
    labels: jax.Array,
    hyperparameters: Mapping[str, jax.Array],
    *,
    counts: jax.Array | None = None,
    smoothed: bool = False,
    margins: bool = False,
    squares: bool = False,
    floored: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Values [B] and weights [B] of every loss by name: the batch's loss is their weighted mean, see `mean`.

    Args:
      logits: [B, K].
      labels: [B], integers in 0..K-1.
      hyperparameters: of the trial, with those of `hyperparameters`; they may be traced.
      counts: [K], the trial's training clips of each class, where `class_balance` weighs classes by them:
        by (their mean / counts) ** class_balance.
      smoothed: whether `label_smoothing`, a part s of the target, is spread over all classes (Szegedy et al.,
        2016, section 7): (1 - s) times the right class's loss, and s times the mean of all classes'.
      margins: whether trials of which `margin_present` is above 0 have the margin loss.
      squares: whether trials of which `squared_error` is above 0 have the squared error.
      floored: whether the right class's probability counts as `floor` where it is less.
    """
    classes = logits.shape[-1]
    focal_of = functools.partial(
        focal,
        logits,
        gamma=hyperparameters['focal_gamma'],
        alpha=hyperparameters['focal_alpha'],
        floor=hyperparameters['floor'] if floored else None,
    )

    def without_margins(labels: jax.Array) -> jax.Array:
        if not squares:
            return focal_of(labels)
        own = squared_error(logits, labels)
        return jnp.where(hyperparameters[SQUARED_ERROR] > 0, own, focal_of(labels))

    def values_of(labels: jax.Array) -> jax.Array:
        if not margins:
            return without_margins(labels)
        present, absent, weight = (hyperparameters[name] for name in MARGINS)
        own = margin(logits, labels, present=present, absent=absent, weight=weight)
        return jnp.where(present > 0, own, without_margins(labels))

    weights = class_weights(hyperparameters, classes, counts)
    values = values_of(labels)
    if smoothed:
        every = jnp.stack([values_of(jnp.full_like(labels, k)) for k in range(classes)])
        share = hyperparameters['label_smoothing']
        values = (1 - share) * values + share * every.mean(0)
    return values, weights[labels]


def class_weights(
    hyperparameters: Mapping[str, jax.Array], classes: int, counts: jax.Array | None = None
) -> jax.Array:
    """[K]: what a clip of each class weighs; see `classification`."""
    weights = jnp.stack([hyperparameters[f'class_weight_{k}'] for k in range(classes)])
    if counts is not None:
        rarity = counts.sum() / (classes * jnp.maximum(counts, 1))
        weights = weights * rarity ** hyperparameters['class_balance']
    return weights


def mean(values: jax.Array, weights: jax.Array, total: jax.Array | None = None) -> jax.Array:
    """The weighted mean of values [B]: their sum by that of the weights, as PyTorch's weighted cross-entropy.

    Args:
      values: [B].
      weights: [B], 0 of padding.
      total: what the sum is divided by instead: the number of clips, as losses of Keras mostly are, or of a
        part of a batch what that of the whole one is divided by.
    """
    total = weights.sum() if total is None else total
    # The floor is for a batch of padding alone, whose step is dropped: it only keeps 0/0 away.
    return (values * weights).sum() / jnp.maximum(total, jnp.finfo(values.dtype).tiny)


def hyperparameters(loss: Mapping[str, Any], labels: Sequence[str]) -> dict[str, float]:
    """A config's loss in the numbers of one formula, so that trials of all losses share a program.

    The cross-entropy is the focal loss with gamma 0 and alpha 1; only the weighted one has class weights
    other than 1.

    Args:
      loss: the section of the config: `name`, `focal_gamma`, `focal_alpha`, `class_weights`, `MARGINS`,
        `cosine_weight`, and `OPTIONS`.
      labels: the classes.

    Raises:
      InputError: no loss of this name, weights that do not fit the classes, or numbers of which nothing
        would be learnt.
    """
    check_choice('loss', loss['name'], 'config.loss.name', NAMES)
    weighted = loss['name'] == 'weighted_cross_entropy'
    gamma, alpha = (loss['focal_gamma'], loss['focal_alpha']) if loss['name'] == 'focal' else (0.0, 1.0)
    weights = tuple(loss['class_weights']) if weighted else (1.0,) * len(labels)
    fit = len(weights) == len(labels) and all(
        isinstance(w, int | float) and 0 < w < math.inf for w in weights
    )
    if not fit:
        raise InputError(
            f'config.loss.class_weights is {weights}; expected one above 0, or the class would not be '
            f'learnt, for each of {", ".join(labels)}'
        )
    if alpha == 0:
        raise InputError(
            'config.loss.focal_alpha is 0, so no class would be learnt; expected a number above 0, such as 1'
        )
    if loss['name'] == MARGIN and not loss['margin_absent'] < loss['margin_present']:
        raise InputError(
            f'config.loss.margin_present is {loss["margin_present"]} and config.loss.margin_absent '
            f'{loss["margin_absent"]}; expected a length of the right class above that of the others'
        )
    return {
        'cosine_weight': loss['cosine_weight'],
        'focal_gamma': gamma,
        'focal_alpha': alpha,
        **{name: loss[name] if loss['name'] == MARGIN else 0.0 for name in MARGINS},
        SQUARED_ERROR: float(loss['name'] == SQUARED_ERROR),
        **{name: float(loss[name]) for name in OPTIONS},
        **{f'class_weight_{k}': float(weight) for k, weight in enumerate(weights)},
    }
