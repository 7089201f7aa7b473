"""Pooling of maps [C, H, W, B], as a maximum or a mean of slices.

The gradient of a maximum is a few selects so, where that of `reduce_window` is a scatter: eight times faster
on a CPU. Equal maxima in a window share the gradient (PyTorch gives it to the first).
"""

import functools

import jax
import jax.numpy as jnp


def max_pool(x: jax.Array, window: int, *, stride: int | None = None, padding: int = 0) -> jax.Array:
    """The largest value of each square window, as PyTorch's MaxPool2d has them.

    Args:
      x: [C, H, W, B].
      window: its edge.
      stride: from window to window, by default their edge. What is left at the end is dropped.
      padding: minus infinities around the map, less than the window.

    Returns:
      [C, H', W', B] with H' = (H + 2 * padding - window) // stride + 1.
    """
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    x = jnp.pad(x, around, constant_values=-jnp.inf) if padding else x
    return _over_windows(jnp.maximum, x, window, stride or window)


def average_pool(x: jax.Array, window: int) -> jax.Array:
    """The mean of each square window of this edge, side by side: [C, H, W, B] to [C, H', W', B].

    As PyTorch's AvgPool2d: what is left at the end is dropped.
    """
    return _over_windows(jnp.add, x, window, window) / window**2


def adaptive_average_pool(x: jax.Array, size: int) -> jax.Array:
    """Means of `size` bins along each axis: [C, H, W, B] to [C, size, size, B].

    As PyTorch's AdaptiveAvgPool2d: bin k reaches from floor(k * H / size) to ceil((k + 1) * H / size), so
    that neighbours overlap where H is no multiple of `size`.
    """
    for axis in (1, 2):
        length = x.shape[axis]
        ends = [(k * length // size, -(-(k + 1) * length // size)) for k in range(size)]
        x = jnp.stack([jax.lax.slice_in_dim(x, low, high, axis=axis).mean(axis) for low, high in ends], axis)
    return x


def _over_windows(combine, x: jax.Array, window: int, stride: int) -> jax.Array:
    """`combine` over each window, first along the rows and then along the columns."""
    for axis in (1, 2):
        last = (x.shape[axis] - window) // stride * stride
        slices = (jax.lax.slice_in_dim(x, k, k + last + 1, stride, axis=axis) for k in range(window))
        x = functools.reduce(combine, slices)
    return x
