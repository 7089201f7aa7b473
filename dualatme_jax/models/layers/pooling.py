"""Pooling of maps [C, H, W, B], as a maximum or a mean of slices.

The gradient of a maximum is a few selects so, where that of `reduce_window` is a scatter: eight times faster
on a CPU. Of equal maxima in a window the first one has the gradient, as in PyTorch.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np


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
    return _largest(x, x.shape[1:3], window, stride or window)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _largest(x: jax.Array, size: tuple[int, int], window: int, stride: int) -> jax.Array:
    """The largest value of each window of maps of `size`."""
    return _over_windows(jnp.maximum, x, window, stride)


def _largest_forward(x, size, window, stride):
    largest, *others = _places(x, window, stride)
    winner = jnp.zeros(largest.shape, np.min_scalar_type(window**2 - 1))
    for place, value in enumerate(others, start=1):
        winner = jnp.where(value > largest, winner.dtype.type(place), winner)
        largest = jnp.maximum(largest, value)
    # A byte a window is all that the gradient needs: kept from being computed again from the maps.
    return jax.lax.optimization_barrier((largest, winner))


def _largest_backward(size, window, stride, winner, cotangent):
    if stride == window:
        return (_beside_each_other(size, window, winner, cotangent),)
    parts = [jnp.where(winner == place, cotangent, 0) for place in range(window**2)]
    x = jax.ShapeDtypeStruct((len(cotangent), *size, cotangent.shape[-1]), cotangent.dtype)
    to_places = functools.partial(_places, window=window, stride=stride)
    # Once, and not again in every sum that the gradient of a normalisation takes over it.
    return jax.lax.optimization_barrier(jax.linear_transpose(to_places, x)(parts))


def _beside_each_other(size, window, winner, cotangent):
    """The gradient of windows without overlap: each place has its window's value, or none.

    So little work that a GPU rather does it again in every sum that a normalisation's gradient takes over it.
    """
    channels, rows, columns, batch = cotangent.shape
    place = np.arange(window**2, dtype=winner.dtype).reshape(window, 1, window, 1)
    won = winner[:, :, None, :, None] == place
    x = jnp.where(won, cotangent[:, :, None, :, None], 0).reshape(
        channels, rows * window, columns * window, batch
    )
    rest = [(0, length - covered, 0) for length, covered in zip(size, x.shape[1:3], strict=True)]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *rest, (0, 0, 0)])


_largest.defvjp(_largest_forward, _largest_backward)


def _places(x: jax.Array, window: int, stride: int) -> list[jax.Array]:
    """[C, H', W', B] for each place in a window, row by row: what the windows have there."""
    rows, columns = ((size - window) // stride * stride + 1 for size in x.shape[1:3])
    return [
        x[:, row : row + rows : stride, column : column + columns : stride]
        for row, column in itertools.product(range(window), repeat=2)
    ]


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
