"""A batch in parts, one after the other: it takes the memory of one part, and has the gradients of the whole.

Axes: B examples of the batch, the last axis of all that it has.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class Batch:
    """What the loss of a batch depends on, apart from the network. B examples.

    Attributes:
      inputs: as the network reads them, each [C, *S, B].
      labels: [B].
      mask: [B], 0 of padding.
      others: [B], of a mixed batch the labels of those that the clips are mixed with; else None.
    """

    inputs: Mapping[str, jax.Array]
    labels: jax.Array
    mask: jax.Array
    others: jax.Array | None = None


# From running statistics, a batch and the key of its dropout to ((loss, statistics), gradients).
Gradients = Callable[[Any, Batch, jax.Array], tuple[tuple[jax.Array, Any], Any]]


def summed(
    gradients: Gradients, like: Any, batch_stats: Any, batch: Batch, key: jax.Array, size: int
) -> tuple[tuple[jax.Array, Any], Any]:
    """The sums over parts of `size` examples of losses and gradients, and the running statistics behind all.

    A normalisation sees its part alone, and its running statistics take one part after the other. Each part
    has a key of its own. A part of padding alone changes nothing.

    Args:
      gradients: of a part; its loss is the part's share of the batch's.
      like: what the gradients are of.
      batch_stats: running statistics before the batch.
      batch: is filled up with padding to whole parts.
      key: of the batch's dropout.
      size: examples of a part.
    """
    width = len(batch.mask)
    number = -(-width // size)

    def filled(x: jax.Array, **how) -> jax.Array:
        return jnp.pad(x, [*[(0, 0)] * (x.ndim - 1), (0, number * size - width)], **how)

    batch = jax.tree.map(lambda x: filled(x, mode='edge'), batch).replace(mask=filled(batch.mask))

    def add(so_far, place):
        (loss, before), sums = so_far
        part = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, place * size, size, -1), batch)
        (more, after), found = gradients(before, part, jax.random.fold_in(key, place))
        some = part.mask.sum() > 0
        after = jax.tree.map(lambda a, b: jnp.where(some, a, b), after, before)
        # Of padding alone they are 0, or not finite: one normalisation behind the other, each by a variance
        # of 0, overflows.
        more, found = jax.tree.map(lambda x: jnp.where(some, x, 0), (more, found))
        return ((loss + more, after), jax.tree.map(jnp.add, sums, found)), None

    start = (jnp.zeros(()), batch_stats), jax.tree.map(jnp.zeros_like, like)
    return jax.lax.scan(add, start, jnp.arange(number))[0]


def in_turn(function: Callable[[jax.Array], jax.Array], index: jax.Array, size: int) -> jax.Array:
    """`function` of [T] places, [T, K], of which it is given `size` at a time; the last ones filled up."""
    number = -(-len(index) // size)
    places = jnp.pad(index, (0, number * size - len(index)), mode='edge').reshape(number, size)
    found = jax.lax.map(function, places)
    return found.reshape(-1, found.shape[-1])[: len(index)]
