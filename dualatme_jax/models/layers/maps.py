"""From maps to others, and from maps to features."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn


class Marked(nn.Module):
    """Maps as they are, under a name by which a `LastMap` finds them."""

    def __call__(self, maps: jax.Array) -> jax.Array:
        """`maps`."""
        return maps


def flat(maps: jax.Array) -> jax.Array:
    """Maps [C, *S, B] as features [C * S.., B], in the order channel, row, column.

    The order of PyTorch's `flatten`, so that its dense layers' weights are ours.
    """
    return maps.reshape(-1, maps.shape[-1])


def flat_steps(maps: jax.Array, *, channels_last: bool = False) -> jax.Array:
    """Maps of clips [C, T, *S, B] as the features of each step [C * S.., T, B].

    In the order of `flat`, or with `channels_last` in that of Keras: row, column, channel.
    """
    by_step = maps.swapaxes(0, 1)
    if channels_last:
        by_step = jnp.moveaxis(by_step, 1, -2)
    return by_step.reshape(len(by_step), -1, maps.shape[-1]).swapaxes(0, 1)


def nearest(maps: jax.Array, size: int) -> jax.Array:
    """Maps [C, H, W, B] as [C, size, size, B], each place with the value at floor(place * H / size).

    As PyTorch's `interpolate(mode='nearest')`.
    """
    for axis in (1, 2):
        places = [k * maps.shape[axis] // size for k in range(size)]
        maps = jnp.stack([jax.lax.index_in_dim(maps, k, axis, keepdims=False) for k in places], axis)
    return maps


def enlarged(maps: jax.Array, factor: int) -> jax.Array:
    """Maps [C, *S, B] as [C, *factor * S, B]: each value `factor` times along each axis.

    As PyTorch's `interpolate(scale_factor=factor, mode='nearest')`.
    """
    for axis in range(1, maps.ndim - 1):
        maps = jnp.repeat(maps, factor, axis)
    return maps


def bilinear(maps: jax.Array, size: int, *, antialias: bool = True) -> jax.Array:
    """Maps [C, H, W, B] resized to [C, size, size, B].

    As PyTorch's `interpolate(mode='bilinear', align_corners=False)`: pixels are areas, and behind the centres
    of the outermost ones the value stays. Made smaller they are smoothed first with `antialias`.
    """
    shape = (maps.shape[0], size, size, maps.shape[-1])
    return jax.image.resize(maps, shape, 'bilinear', antialias=antialias)


def windows(maps: jax.Array, edge: int) -> jax.Array:
    """Maps [C, H, W, B] as tokens of windows, [C, edge * edge, N * B]: the N windows row by row."""
    channels, height, width, batch = maps.shape
    cut = maps.reshape(channels, height // edge, edge, width // edge, edge, batch)
    return cut.transpose(0, 2, 4, 1, 3, 5).reshape(channels, edge * edge, -1)


def joined_windows(tokens: jax.Array, edge: int, shape: Sequence[int]) -> jax.Array:
    """Tokens of windows, see `windows`, as the maps of `shape` (C, H, W, B) that were cut."""
    channels, height, width, batch = shape
    cut = tokens.reshape(channels, edge, edge, height // edge, width // edge, batch)
    return cut.transpose(0, 3, 1, 4, 2, 5).reshape(shape)
