"""Descriptors of a flow: one vector per clip, or one per part of it, each computed from that clip alone.

Axes: H and W of a flow, 28 or a multiple, which is averaged down to 28; I and J cells, O directions, P parts,
D numbers of a part.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dualatme_jax import schema
from dualatme_jax.errors import InputError

SIZE = schema.FLOW_SIZE  # that they are made for
DIRECTIONS = 8
_FILTERS = 200


def pooled(flow: jax.Array, cells: int) -> jax.Array:
    """Means over cells x cells equal cells of maps [C, H, W]: [C, cells, cells]."""
    channels, height, width = flow.shape
    return flow.reshape(channels, cells, height // cells, cells, width // cells).mean((2, 4))


def histograms(x: jax.Array, y: jax.Array, cells: int) -> jax.Array:
    """Directions of vectors (x, y) [H, W], weighted by length, in cells x cells cells: [I, J, O].

    A vector counts for the two directions next to its own and the cells next to its place, as in a histogram
    of oriented gradients (Dalal and Triggs, CVPR 2005); at the border for the outer cells alone.
    """
    turn = jnp.arctan2(y, x) % (2 * jnp.pi) / (2 * jnp.pi) * DIRECTIONS
    gap = jnp.abs(turn[..., None] - jnp.arange(DIRECTIONS))
    share = jnp.maximum(1 - jnp.minimum(gap, DIRECTIONS - gap), 0)
    near_rows, near_columns = (_near(edge, cells) for edge in x.shape)
    return jnp.einsum('ih,hwo,jw->ijo', near_rows, jnp.hypot(x, y)[..., None] * share, near_columns)


def _near(edge: int, cells: int) -> np.ndarray:
    """[cells, edge]: by how much each row or column of pixels counts for each cell."""
    place = np.clip((np.arange(edge) + 0.5) / edge * cells - 0.5, 0, cells - 1)
    return np.maximum(1 - np.abs(place - np.arange(cells)[:, None]), 0).astype(np.float32)


def _windows(flow: jax.Array, cells: int, edge: int) -> jax.Array:
    """Of cells x cells means the windows of edge x edge in the four corners, which overlap: [4, D]."""
    means, starts = pooled(flow, cells), (0, cells - edge)
    return jnp.stack([means[:, i : i + edge, j : j + edge].ravel() for i in starts for j in starts])


def _flow_directions(flow: jax.Array) -> jax.Array:
    return jnp.sqrt(histograms(flow[0], flow[1], 7))


def _gradient_directions(flow: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.stack([histograms(*reversed(jnp.gradient(part)), 5) for part in flow[:2]]))


def _random_filters() -> tuple[np.ndarray, np.ndarray]:
    """Filters [O, I, 5, 5] of u and v, and a bias [O, 1, 1] each: the same in every run."""
    random = np.random.default_rng(0)
    filters = random.normal(size=(_FILTERS, 2, 5, 5)) * 2 / np.sqrt(2 * 5 * 5)
    return filters.astype(np.float32), (0.6 * random.normal(size=(_FILTERS, 1, 1))).astype(np.float32)


def _random_convolutions(flow: jax.Array) -> jax.Array:
    filters, bias = _random_filters()
    maps = jax.lax.conv_general_dilated(flow[None, :2], filters, (1, 1), 'VALID')[0]
    return pooled(jax.nn.relu(maps + bias), 4)


# Name -> what computes it, the squared distance of two clips that is usual among the public flow images once
# vectors have length 1 (`benchmarks/closed_form.py` prints it), and what it is in words.
_KNOWN: dict[str, tuple[Callable[[jax.Array], jax.Array], float, str]] = {
    'uv14': (lambda flow: pooled(flow[:2], 14), 1.9, 'u and v, averaged over 14x14 cells'),
    'uvs14': (lambda flow: pooled(flow, 14), 1.6, 'u, v and strain, averaged over 14x14 cells'),
    'uvs10': (
        lambda flow: _windows(flow, 14, 10),
        1.6,
        'the same through four windows of 10x10 cells, one in each corner, which overlap; each has a kernel',
    ),
    'hof7': (_flow_directions, 1.1, 'square roots of histograms of the directions of the flow in 7x7 cells'),
    'hog5': (
        _gradient_directions,
        0.5,
        'square roots of histograms of the gradients of u and of v in 5x5 cells',
    ),
    'rconv': (
        _random_convolutions,
        0.8,
        '200 random filters of 5x5 pixels on u and v, rectified, averaged over 4x4 cells',
    ),
}
NAMES = tuple(_KNOWN)
_IN_PARTS = ('uvs10',)
MEANINGS = {name: words for name, (_, _, words) in _KNOWN.items()}


def describe(name: str, flow: jax.Array) -> jax.Array:
    """The descriptor `name` of the flow of one clip: [D], or one for each part of it, [P, D].

    The length of each is the same for every clip, so its scale is learnt from no other one; the squared
    distance of two clips is usually about 1. One without motion is 0.

    Args:
      name: one of `NAMES`.
      flow: [3, H, W], u, v and strain.

    Raises:
      InputError: no such flow.
    """
    if (
        flow.ndim != 3
        or len(flow) != len(schema.FLOW_CHANNELS)
        or any(edge % SIZE for edge in flow.shape[1:])
    ):
        raise InputError(
            f'the flow is {"x".join(map(str, flow.shape))} (channels first); the descriptors are made for '
            f'3x{SIZE}x{SIZE} or a multiple of {SIZE}: read it by --config.input.size={SIZE}'
        )
    compute, usual, _ = _KNOWN[name]
    found = compute(pooled(flow, SIZE))
    found = found if name in _IN_PARTS else found.ravel()
    length = jnp.linalg.norm(found, axis=-1, keepdims=True)
    return found / jnp.maximum(length * np.sqrt(usual), np.finfo(np.float32).tiny)
