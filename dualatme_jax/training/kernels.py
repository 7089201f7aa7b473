"""Kernels between clips, from a descriptor of each clip for itself.

Axes: N clips, C channels, *S space and time, P parts of a descriptor, D numbers of each.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.training.augment import Mirror
from dualatme_jax.training.prepare import Prepare

_AT_ONCE = 64  # clips that are described side by side


def described(
    descriptors: Mapping[str, Callable[[Mapping[str, jax.Array]], jax.Array]],
    dataset: Dataset,
    prepare: Prepare,
    mirror: Mirror | None = None,
) -> dict[str, list[np.ndarray]]:
    """What descriptors make of each clip alone.

    Args:
      descriptors: name -> from the inputs of one clip, key -> [C, *S], to [D], or to [P, D] of its
        parts, each of which has a kernel.
      dataset: the clips.
      prepare: see `prepare.preparation`.
      mirror: see `augment.mirroring`; None: of clips as they are alone.

    Returns:
      Name -> [N, D] or [N, P, D] float32, of the clips as they are, and behind it of the mirrored ones.

    Raises:
      InputError: the inputs are not what a descriptor takes, or its numbers are not finite.
    """

    def of_clip(stored: Mapping[str, jax.Array]) -> dict[str, list[jax.Array]]:
        read = prepare({key: jnp.moveaxis(x, -1, 0)[..., None] for key, x in stored.items()})
        ways = [
            {key: x[..., 0] for key, x in own.items()} for own in (read, *([mirror(read)] if mirror else []))
        ]
        return {name: [descriptor(way) for way in ways] for name, descriptor in descriptors.items()}

    every = jax.jit(functools.partial(jax.lax.map, of_clip, batch_size=_AT_ONCE))
    found = jax.tree.map(np.asarray, every(dict(dataset.inputs)))
    for name, own in found.items():
        for vectors in own:
            _check(name, vectors, dataset)
    return found


def _check(name: str, vectors: np.ndarray, dataset: Dataset) -> None:
    """Raises InputError unless there are vectors of finite numbers for each clip."""
    if vectors.ndim not in (2, 3):
        raise InputError(
            f'the descriptor {name} gives {vectors.shape[1:]} for a clip; expected one vector of '
            'numbers, or one per part'
        )
    if not np.isfinite(vectors).all():
        clip = int(np.argmin(np.isfinite(vectors).reshape(len(vectors), -1).all(1)))
        raise InputError(
            f'the descriptor {name} of {dataset.subjects[clip]}/{dataset.clip[clip]} has numbers that are '
            'not finite; build the dataset again, or leave the clip out'
        )


def rbf(vectors: Sequence[np.ndarray], width: np.floating) -> jax.Array:
    """[N, N]: exp(-d / width) of the squared distances d of vectors [N, D], computed in the type of `width`.

    Of parts, [N, P, D], it is the mean over them. With the vectors of the mirrored clips behind those of the
    clips it is the mean over both clips and their mirror images, which does not change where a clip is
    mirrored.
    """
    parts = [np.split(x, x.shape[1], axis=1) if x.ndim == 3 else [x] for x in vectors]
    pairs = [(x, y) for xs in parts for ys in parts for x, y in zip(xs, ys, strict=True)]
    return sum(_rbf(x.reshape(len(x), -1), y.reshape(len(y), -1), width) for x, y in pairs) / len(pairs)


@jax.jit
def _rbf(x: jax.Array, y: jax.Array, width: jax.Array) -> jax.Array:
    x, y = x.astype(width.dtype), y.astype(width.dtype)
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return jnp.exp(-jnp.maximum(squares, 0) / width)
