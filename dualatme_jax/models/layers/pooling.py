"""Pooling of maps [C, *S, B], of one to three spatial axes, as a maximum or a mean of slices.

The gradient of a maximum is a few selects so, where that of `reduce_window` is a scatter: eight times faster
on a CPU. Of equal maxima in a window the first one has the gradient, as in PyTorch.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from dualatme_jax.models.layers.spatial import Padding, PerAxis, ends, per_axis


def max_pool(
    x: jax.Array,
    window: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil: bool = False,
) -> jax.Array:
    """The largest value of each window, as PyTorch's MaxPool1d, 2d and 3d have them.

    Args:
      x: [C, *S, B].
      window: its edges.
      stride: from window to window, by default their edges.
      padding: minus infinities around the map, less than the window, see `spatial.ends`.
      ceil: whether what is left at the end has a window too, or is dropped.

    Returns:
      [C, *S', B] with S' = (S + padding - window) // stride + 1; with `ceil` rounded up, but without a window
      that starts behind the map (PyTorch's ceil_mode, Caffe's pooling).
    """
    windows, strides = _edges(x, window, stride)
    sides = _sides(x, windows, strides, padding, ceil=ceil)
    if any(map(any, sides)):
        x = jnp.pad(x, ((0, 0), *sides, (0, 0)), constant_values=-jnp.inf)
    return _largest(x, x.shape[1:-1], windows, strides)


def _edges(x, window, stride):
    """Windows and strides of each axis."""
    windows = per_axis(window, x.ndim - 2)
    return windows, windows if stride is None else per_axis(stride, x.ndim - 2)


def _sides(x, windows, strides, padding, *, ceil):
    """Padding before and behind each axis, with as much more behind as the last window takes."""
    sides = ends(padding, x.shape[1:-1], windows, strides)
    return tuple(
        (low, high + (_rest(size + low, high, window, stride) if ceil else 0))
        for size, window, stride, (low, high) in zip(x.shape[1:-1], windows, strides, sides, strict=True)
    )


def _rest(size, high, window, stride):
    """How far a last window reaches out of `size` places and `high` of padding; it must not start there."""
    last = -(-(size + high - window) // stride) * stride
    last -= stride if last >= size else 0
    return max(last + window - size - high, 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _largest(
    x: jax.Array, sizes: tuple[int, ...], windows: tuple[int, ...], strides: tuple[int, ...]
) -> jax.Array:
    """The largest value of each window of maps of `sizes`."""
    return _over_windows(jnp.maximum, x, windows, strides)


def _largest_forward(x, sizes, windows, strides):
    largest, *others = _places(x, windows, strides)
    winner = jnp.zeros(largest.shape, np.min_scalar_type(math.prod(windows) - 1))
    for place, value in enumerate(others, start=1):
        winner = jnp.where(value > largest, winner.dtype.type(place), winner)
        largest = jnp.maximum(largest, value)
    # A byte a window is all that the gradient needs: kept from being computed again from the maps.
    return jax.lax.optimization_barrier((largest, winner))


def _largest_backward(sizes, windows, strides, winner, cotangent):
    if strides == windows:
        return (_beside_each_other(sizes, windows, winner, cotangent),)
    parts = [jnp.where(winner == place, cotangent, 0) for place in range(math.prod(windows))]
    x = jax.ShapeDtypeStruct((len(cotangent), *sizes, cotangent.shape[-1]), cotangent.dtype)
    to_places = functools.partial(_places, windows=windows, strides=strides)
    # Once, and not again in every sum that the gradient of a normalisation takes over it.
    return jax.lax.optimization_barrier(jax.linear_transpose(to_places, x)(parts))


def _beside_each_other(sizes, windows, winner, cotangent):
    """The gradient of windows without overlap: each place has its window's value, or none.

    So little work that a GPU rather does it again in every sum that a normalisation's gradient takes over it.
    """
    channels, *windows_along, batch = cotangent.shape
    place = np.arange(math.prod(windows), dtype=winner.dtype)
    place = place.reshape([edge for window in windows for edge in (window, 1)])
    within = (slice(None), *(slice(None), None) * len(windows))
    covered = [number * window for number, window in zip(windows_along, windows, strict=True)]
    x = jnp.where(winner[within] == place, cotangent[within], 0).reshape(channels, *covered, batch)
    rest = [(0, size - length, 0) for size, length in zip(sizes, covered, strict=True)]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *rest, (0, 0, 0)])


_largest.defvjp(_largest_forward, _largest_backward)


def _places(x: jax.Array, windows: tuple[int, ...], strides: tuple[int, ...]) -> list[jax.Array]:
    """[C, *S', B] for each place in a window, row by row: what the windows have there."""
    reaches = [
        (size - window) // stride * stride + 1
        for size, window, stride in zip(x.shape[1:-1], windows, strides, strict=True)
    ]
    return [
        x[:, *(slice(k, k + reach, stride) for k, reach, stride in zip(place, reaches, strides, strict=True))]
        for place in itertools.product(*map(range, windows))
    ]


def average_pool(
    x: jax.Array,
    window: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil: bool = False,
    count_padding: bool = True,
) -> jax.Array:
    """The mean of each window, as PyTorch's AvgPool1d, 2d and 3d have it: [C, *S, B] to [C, *S', B].

    Arguments and sizes as of `max_pool`. Padding counts as zeros with `count_padding`, else not at all, as
    nowhere in TensorFlow. What `ceil` adds behind it never counts.
    """
    windows, strides = _edges(x, window, stride)
    sides = _sides(x, windows, strides, padding, ceil=ceil)
    counted = ends(padding if count_padding else 0, x.shape[1:-1], windows, strides)
    axes = zip(x.shape[1:-1], sides, counted, windows, strides, strict=True)
    counts = [_counts(*axis) for axis in axes]
    if any(map(any, sides)):
        x = jnp.pad(x, ((0, 0), *sides, (0, 0)))
    total = _over_windows(jnp.add, x, windows, strides)
    if all((count == window).all() for count, window in zip(counts, windows, strict=True)):
        return total / math.prod(windows)
    count = functools.reduce(np.multiply.outer, counts)[..., None]
    return (total / count.astype(np.float32)).astype(x.dtype)


def _counts(size, sides, counted, window, stride):
    """[S']: how many of the places of each window of one axis count."""
    (low, high), (counted_low, counted_high) = sides, counted
    start = np.arange(0, size + low + high - window + 1, stride) - low
    return np.minimum(start + window, size + counted_high) - np.maximum(start, -counted_low)


def adaptive_average_pool(x: jax.Array, size: PerAxis) -> jax.Array:
    """Means of `size` bins along each axis: [C, *S, B] to [C, *size, B].

    As PyTorch's AdaptiveAvgPool1d, 2d and 3d: bin k reaches from floor(k * S / size) to
    ceil((k + 1) * S / size), so that neighbours overlap where S is no multiple of `size`.
    """
    for axis, bins in enumerate(per_axis(size, x.ndim - 2), start=1):
        length = x.shape[axis]
        bounds = [(k * length // bins, -(-(k + 1) * length // bins)) for k in range(bins)]
        x = jnp.stack([jax.lax.slice_in_dim(x, *edges, axis=axis).mean(axis) for edges in bounds], axis)
    return x


def global_average_pool(x: jax.Array) -> jax.Array:
    """The mean over all places: [C, *S, B] to [C, B]."""
    return x.mean(tuple(range(1, x.ndim - 1)))


def global_max_pool(x: jax.Array) -> jax.Array:
    """The largest value of all places: [C, *S, B] to [C, B]; equal ones share the gradient (`torch.amax`)."""
    return x.max(tuple(range(1, x.ndim - 1)))


def _over_windows(combine, x: jax.Array, windows: tuple[int, ...], strides: tuple[int, ...]) -> jax.Array:
    """`combine` over each window, first along the first axis and then along the next ones."""
    for axis, (window, stride) in enumerate(zip(windows, strides, strict=True), start=1):
        last = (x.shape[axis] - window) // stride * stride
        slices = (jax.lax.slice_in_dim(x, k, k + last + 1, stride, axis=axis) for k in range(window))
        x = functools.reduce(combine, slices)
    return x
