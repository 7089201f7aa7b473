"""How a convolution is computed, so that it stays fast when trials are stacked.

`vmap` turns a convolution with per-trial kernels into a grouped one, which XLA runs slowly on CPUs and GPUs.
Here it is a matrix product instead, which `vmap` turns into a batched matrix product, forward and backward.
The output is cut into tiles; the patch of the input under each tile becomes a column; and one matrix, into
which the kernel is spread, makes of each column the outputs of its tile. Larger tiles copy less of the input,
since patches overlap less, and multiply more zeros. A tile of one output is im2col; one of a whole row is a
Toeplitz matrix along the row. `tile` is the table of their edges, `auto` of which way a convolution takes.

The other ways are here to be compared: `benchmarks.lowering` measures all of them.

Axes: B examples, C channels in, O channels out, S spatial sizes (of any number of axes), K kernel sizes,
N tiles, P edges of a patch, T edges of a tile.
"""

import contextlib
import contextvars
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_batching import custom_vmap

from dualatme_jax.errors import check_choice
from dualatme_jax.models.layers.product import on_cpu, product
from dualatme_jax.models.layers.spatial import ends


@dataclasses.dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution.

    Attributes:
      size: of the input.
      taps: of the kernel.
      stride: from output to output.
      dilation: from tap to tap.
      low, high: zeros before and behind the input; negative ones cut it.
    """

    size: int
    taps: int
    stride: int = 1
    dilation: int = 1
    low: int = 0
    high: int = 0

    @property
    def reach(self) -> int:
        """Inputs from the first tap to the last."""
        return (self.taps - 1) * self.dilation + 1

    @property
    def out(self) -> int:
        """Size of the output."""
        return (self.size + self.low + self.high - self.reach) // self.stride + 1

    def transposed(self) -> 'Axis':
        """Of the convolution that leads the output's gradient, spread by the stride, back to the input."""
        spread = (self.out - 1) * self.stride + 1
        low = self.reach - 1 - self.low
        high = self.size - spread - low + self.reach - 1
        return Axis(spread, self.taps, 1, self.dilation, low, high)

    def tiles(self, edge: int) -> int:
        """Tiles of `edge` outputs that cover the output."""
        return -(-self.out // edge)

    def patch(self, edge: int) -> int:
        """Inputs under a tile of `edge` outputs."""
        return (edge - 1) * self.stride + self.reach

    def band(self, edge: int) -> np.ndarray:
        """[K, P, T]: 1 where tap k of a tile's output t reads the patch's input p."""
        tap, place, output = np.ogrid[: self.taps, : self.patch(edge), :edge]
        return (place == output * self.stride + tap * self.dilation).astype(np.float32)


Axes = tuple[Axis, ...]


# Output and both gradients of 128 examples on one CPU core, in ms, by `python -m benchmarks.lowering`:
#                     1 (im2col)    2     4     7   whole row
#   28x28, 6-6, 3x3          22    11    12    22        26
#   28x28, 6-6, 5x5          48    24    22    31        46
#   14x14, 6-12, 3x3          5     4     6    10         7
#   14x14, 6-12, 5x5         16     8    11    16        14
# On a GPU copies cost more and zeros less: the kernels of an epoch of 68 folds took an H200 94 ms with this
# rule, and 101 with the CPU's (benchmarks/README.md).
def tile(axes: Axes) -> tuple[int, ...]:
    """The edges of a convolution's tiles."""

    def edge(axis: Axis) -> int:
        if axis.taps == 1:
            return 1
        return 4 if (axis.out >= 14 and not on_cpu()) or (axis.out >= 28 and axis.taps > 3) else 2

    return tuple(edge(axis) for axis in axes)


def tiled(edges: Callable[[Axes], tuple[int, ...]]) -> Callable[..., jax.Array]:
    """The way of matrix products, by tiles of the edges that `edges` chooses."""
    return lambda x, kernel, axes: _traced_once(x, kernel, axes, edges)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _tiled(x: jax.Array, kernel: jax.Array, axes: Axes, choose) -> jax.Array:
    edges = choose(axes)
    matrix, columns = _spread(kernel, axes, edges), _columns(x, axes, edges)
    multiply = _term_by_term if len(columns) <= _FEW and not on_cpu() else product
    return _joined(multiply(matrix, columns).astype(x.dtype), axes, edges, x.shape[-1])


def _tiled_forward(x, kernel, axes, choose):
    return _tiled(x, kernel, axes, choose), (x, kernel)


def _tiled_backward(axes, choose, saved, cotangent):
    x, kernel = saved
    # The input's gradient is a convolution too, of the cotangent by the kernel turned round; autodiff would
    # add up overlapping patches instead.
    flipped = jnp.flip(kernel, range(len(axes))).swapaxes(-1, -2)
    spread = _padded(cotangent, [(0, 0, axis.stride - 1) for axis in axes])
    for_x = _tiled(spread, flipped, tuple(axis.transposed() for axis in axes), choose)

    edges = choose(axes)
    matrix = product(_parted(cotangent, axes, edges), _columns(x, axes, edges), 1, 1)
    gather = jax.linear_transpose(functools.partial(_spread, axes=axes, edges=edges), kernel)
    return for_x, gather(matrix)[0]


_tiled.defvjp(_tiled_forward, _tiled_backward)

# Terms of a sum for which the units of a GPU that multiply matrices, 16 at a time, are not worth it: an epoch
# of 68 folds took an H200 71 ms in bfloat16 with this, 74 without.
_FEW = 4


def _term_by_term(matrix: jax.Array, columns: jax.Array) -> jax.Array:
    """A matrix product whose sums have few terms."""
    return functools.reduce(jnp.add, (matrix[:, k, None] * columns[k] for k in range(len(columns))))


# A network has many convolutions of few shapes: this takes a sixth off the time to trace one.
_traced_once = jax.jit(_tiled, static_argnums=(2, 3), inline=True)


def _spread(kernel: jax.Array, axes: Axes, edges: Sequence[int]) -> jax.Array:
    """[*K, C, O] to [O * T.., C * P..]: the kernel at each of its places in a patch."""
    for axis, edge in zip(axes, edges, strict=True):
        # Takes the first axis of the kernel away and appends P and T.
        if edge == axis.dilation == 1:  # each tap has its place
            kernel = jnp.moveaxis(kernel, 0, -1)[..., None]
            continue
        # Exact, whatever the run's precision: what is added up in its gradient must not be rounded once more.
        band = jnp.asarray(axis.band(edge), kernel.dtype)
        kernel = jnp.tensordot(kernel, band, [[0], [0]], precision=lax.Precision.HIGHEST)
    patches = range(2, kernel.ndim, 2)
    order = (1, *(place + 1 for place in patches), 0, *patches)
    return kernel.transpose(order).reshape(kernel.shape[1] * math.prod(edges), -1)


def _columns(x: jax.Array, axes: Axes, edges: Sequence[int]) -> jax.Array:
    """[C, *S, B] to [C * P.., N.. * B]: the patch under each tile."""
    padding = []
    for axis, edge in zip(axes, edges, strict=True):
        covered = (axis.tiles(edge) - 1) * edge * axis.stride + axis.patch(edge)
        padding.append((axis.low, covered - axis.size - axis.low, 0))
    x = _padded(x, padding)
    rows = x.shape[0]
    for number, (axis, edge) in enumerate(zip(axes, edges, strict=True)):
        # The places in a patch gather behind the channels; the tiles stay where the axis was.
        here, step, tiles = 1 + 2 * number, edge * axis.stride, axis.tiles(edge)
        taken = [
            lax.slice_in_dim(x, place, place + (tiles - 1) * step + 1, step, axis=here)
            for place in range(axis.patch(edge))
        ]
        x = jnp.stack(taken, 1 + number)
        rows *= axis.patch(edge)
    return x.reshape(rows, -1)


def _joined(outputs: jax.Array, axes: Axes, edges: Sequence[int], batch: int) -> jax.Array:
    """[O * T.., N.. * B] to [O, *S, B]."""
    tiles = [axis.tiles(edge) for axis, edge in zip(axes, edges, strict=True)]
    x = outputs.reshape(-1, *edges, *tiles, batch)
    number = len(axes)
    order = [0, *itertools.chain(*((1 + number + k, 1 + k) for k in range(number))), 1 + 2 * number]
    covered = [count * edge for count, edge in zip(tiles, edges, strict=True)]
    x = x.transpose(order).reshape(-1, *covered, batch)
    return x[:, *(slice(axis.out) for axis in axes)]


def _parted(x: jax.Array, axes: Axes, edges: Sequence[int]) -> jax.Array:
    """[O, *S, B] to [O * T.., N.. * B]: `_joined` backwards."""
    tiles = [axis.tiles(edge) for axis, edge in zip(axes, edges, strict=True)]
    whole = zip(axes, tiles, edges, strict=True)
    x = _padded(x, [(0, count * edge - axis.out, 0) for axis, count, edge in whole])
    features, batch, number = x.shape[0], x.shape[-1], len(axes)
    x = x.reshape(features, *itertools.chain(*zip(tiles, edges, strict=True)), batch)
    order = [0, *range(2, 2 + 2 * number, 2), *range(1, 1 + 2 * number, 2), 1 + 2 * number]
    return x.transpose(order).reshape(features * math.prod(edges), -1)


def _padded(x: jax.Array, spatial: Sequence[tuple[int, int, int]]) -> jax.Array:
    """`lax.pad` of the spatial axes with zeros: before, behind, between."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *spatial, (0, 0, 0)])


def plain(x: jax.Array, kernel: jax.Array, axes: Axes) -> jax.Array:
    """XLA's own convolution; of stacked trials it becomes a grouped one."""
    spatial = 'DHW'[-len(axes) :]
    return lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        window_strides=[axis.stride for axis in axes],
        padding=[(axis.low, axis.high) for axis in axes],
        rhs_dilation=[axis.dilation for axis in axes],
        dimension_numbers=(f'C{spatial}N', f'{spatial}IO', f'C{spatial}N'),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def unrolled(x: jax.Array, kernel: jax.Array, axes: Axes) -> jax.Array:
    """XLA's own convolution, of stacked trials one after the other."""
    return _one_by_one(functools.partial(plain, axes=axes))(x, kernel)


def _unrolled_backward(axes, saved, cotangent):
    def gradients(x, kernel, cotangent):
        return jax.vjp(functools.partial(plain, axes=axes), x, kernel)[1](cotangent)

    return _one_by_one(gradients)(*saved, cotangent)


unrolled.defvjp(lambda x, kernel, axes: (unrolled(x, kernel, axes), (x, kernel)), _unrolled_backward)


def _one_by_one(function: Callable) -> Callable:
    """`function`, which `vmap` calls once for each trial."""
    batched = custom_vmap(function)

    @batched.def_vmap
    def rule(trials, stacked, *arguments):
        results = [
            # Itself again, since trials may be stacked more than once.
            batched(*(a[k] if many else a for a, many in zip(arguments, stacked, strict=True)))
            for k in range(trials)
        ]
        return jax.tree.map(lambda *parts: jnp.stack(parts), *results), jax.tree.map(
            lambda _: True, results[0]
        )

    return batched


by_tiles = tiled(tile)
im2col = tiled(lambda axes: (1,) * len(axes))


# Output and both gradients of 64 examples on one CPU core, in ms, by `benchmarks.lowering --wide --batch 64`:
#                      tile  im2col  unrolled
#   12x12,  32- 32, 3x3  13      11         8
#   28x28,  64- 64, 3x3 283     336       149
#   14x14, 128-128, 3x3 237     177       144
#   7x7,   256-256, 3x3 325     155       132
# In 3-D it is slower; of 2 examples, with PyTorch's 86 and 540 beside it:
#   4x43x43,    64-32, 3x3x3  207     218       322
#   10x128x128,  3-32, 5x5x5  692       -      2460
_WIDE = 16


def auto(x: jax.Array, kernel: jax.Array, axes: Axes) -> jax.Array:
    """The way that is fastest for a shape.

    With few channels tiles; with many their zeros cost more than they save. Then a CPU, which has a trial a
    core, takes XLA's own convolution, but in 3-D; elsewhere im2col, whose program does not grow with the
    trials: on an H200 an epoch of ResNet-18 took 294 ms so, and 320 with XLA's grouped convolution.
    """
    cut = any(axis.low < 0 or axis.high < 0 for axis in axes)  # XLA's own goes wrong there
    pointwise = all(axis.taps == 1 for axis in axes)
    if pointwise or cut or min(kernel.shape[-2:]) < _WIDE:
        return by_tiles(x, kernel, axes)
    # XLA's own would not round factors on a CPU, see `product`.
    rounded = jax.config.jax_default_matmul_precision == 'bfloat16'
    if not on_cpu() or rounded:
        return im2col(x, kernel, axes)
    return (by_tiles if len(axes) == 3 else unrolled)(x, kernel, axes)


LOWERINGS: dict[str, Callable[..., jax.Array]] = {
    'auto': auto,
    'tile': by_tiles,
    'im2col': im2col,
    'row': tiled(lambda axes: (*[1] * (len(axes) - 1), axes[-1].out)),
    'unrolled': unrolled,
    'grouped': plain,
}

DEFAULT = 'auto'

_chosen = contextvars.ContextVar('lowering', default=DEFAULT)


def check(name: str) -> str:
    """Returns `name`; raises InputError if it is none of `LOWERINGS`."""
    check_choice('lowering', name, 'config.engine.lowering', LOWERINGS)
    return name


@contextlib.contextmanager
def use(name: str) -> Iterator[None]:
    """Within the block, convolutions that are traced take the way `name` of `LOWERINGS`."""
    token = _chosen.set(check(name))
    try:
        yield
    finally:
        _chosen.reset(token)


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: Sequence[int] = (),
    padding: Sequence[tuple[int, int]] = (),
    dilation: Sequence[int] = (),
    groups: int = 1,
) -> jax.Array:
    """Cross-correlation, as `lax.conv_general_dilated` has it, of one to three spatial axes.

    Args:
      x: [C, *S, B], float32 or bfloat16.
      kernel: [*K, C / groups, O], float32.
      strides: one number per axis; none given: 1.
      padding: zeros before and behind each axis; none given: 'same', as many as keep the size at stride 1.
      dilation: one number per axis; none given: 1.
      groups: into which the channels are cut, in their order, each read by its share of the outputs.

    Returns:
      [O, *S, B], of x's type.
    """
    ones = (1,) * (x.ndim - 2)
    sizes, taps = x.shape[1:-1], kernel.shape[:-2]
    steps, strides = dilation or ones, strides or ones
    reaches = [(k - 1) * d + 1 for k, d in zip(taps, steps, strict=True)]
    padding = padding or ends('same', sizes, reaches, strides)
    axes = tuple(
        Axis(size, k, stride, d, *sides)
        for size, k, stride, d, sides in zip(sizes, taps, strides, steps, padding, strict=True)
    )
    way = functools.partial(LOWERINGS[_chosen.get()], axes=axes)
    if groups == 1:
        return way(x, kernel)
    # Groups are to a convolution what stacked trials are.
    x = x.reshape(groups, -1, *x.shape[1:])
    kernel = kernel.reshape(*kernel.shape[:-1], groups, -1)
    outputs = jax.vmap(way, (0, -2))(x, kernel)
    return outputs.reshape(-1, *outputs.shape[2:])
