"""From pictures to maps, and from maps to features."""

import jax


def examples_last(pictures: jax.Array) -> jax.Array:
    """Pictures [B, H, W, C] as maps [C, H, W, B]."""
    return pictures.transpose(3, 1, 2, 0)


def flat(maps: jax.Array) -> jax.Array:
    """Maps [C, H, W, B] as features [H * W * C, B], in the order row, column, channel."""
    return maps.transpose(1, 2, 0, 3).reshape(-1, maps.shape[-1])
