"""Kernel ridge regression with weighted classes: every left-out group from one factorisation.

A trial trains on some clips, T, and leaves out the others, L. Its dual coefficients solve
(K_TT + lambda D) a = Y_T, where K is the kernel, D = diag(1 / w) with w_i = N_T / (classes * clips of i's
class in T), and Y has 1 - 1 / classes for a clip's class and -1 / classes for the others, so that its
weighted mean is 0 and no intercept is needed. It gives the left-out clips the scores K_LT a.

With A = K + lambda E of all clips and P = A^-1, blocks of P solve such equations for any T (block
leave-group-out; of single clips in Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
equation 5.12): P (r - P_LL^-1 [P r]_L, put at L) is [A_TT]^-1 r on T and 0 on L, and what is put at L, summed
over the steps below, is K_LT a itself.

E must be the same for all trials while D is not: it is the middle of what D is among them, and the Chebyshev
iteration (Golub and Varga, Numerische Mathematik 3, 1961) goes from one to the other. D / E lies within
1 - c and 1 + c, and since A_TT >= lambda E so does the spectrum of A_TT^-1 (K_TT + lambda D): how many steps
an accuracy takes is known before the first.

Axes: N clips, F trials, M clips that a trial leaves out at the most, K classes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import linalg

from dualatme_jax.errors import InputError

TOLERANCE = 1e-8  # by which an error is smaller than the solution, in the norm of A
_ROUNDING = 1e-8  # of the solution, at the most, which a ridge must be large enough for
_LEAST = 12  # rows of a part of a matrix that is inverted by parts


class Groups(NamedTuple):
    """Trials that are solved at once.

    Attributes:
      train: [F, N] bool, the clips that each trains on.
      left_out: [F, M] int32, the places of the others in ascending order; padded with N.
      prior: [F, K], 1 / the classes that it trains on; 0 of a class that it has not seen.
      inverse_weight: [F, K], 1 / w of a clip of each class; NaN of a class that it has not seen.
    """

    train: np.ndarray
    left_out: np.ndarray
    prior: np.ndarray
    inverse_weight: np.ndarray

    def some(self, places: np.ndarray) -> 'Groups':
        """A few of the trials, with M as these need it: a power of 2, or halfway to the next one.

        So that trials of several sizes share compiled programs.
        """
        found = Groups(*(array[places] for array in self))
        most = (~found.train).sum(1).max()
        power = 2 ** int(np.log2(most))
        most = next(size for size in (power, power * 3 // 2, power * 2) if size >= most)
        return found._replace(left_out=found.left_out[:, :most])


def groups(train: np.ndarray, label: np.ndarray, classes: int) -> Groups:
    """Trials by the clips that they train on, [F, N] bool, each some but not all; `label` is [N]."""
    counts = train.astype(int) @ np.eye(classes, dtype=int)[label]
    present = counts > 0
    prior = present / present.sum(1, keepdims=True)
    inverse = present.sum(1, keepdims=True) * counts / counts.sum(1, keepdims=True)
    size = train.shape[1]
    most = int((~train).sum(1).max())
    left_out = np.sort(np.where(train, size, np.arange(size)), axis=1)[:, :most]
    return Groups(train, left_out.astype(np.int32), prior, np.where(present, inverse, np.nan))


def reference(of: Groups) -> tuple[np.ndarray, float]:
    """E of a clip of each class, [K], and by how much D / E may differ from 1."""
    seen = [column[~np.isnan(column)] for column in of.inverse_weight.T]
    low, high = (np.array([end(column) if column.size else 1.0 for column in seen]) for end in (min, max))
    middle = (low + high) / 2
    return middle, float(((high - low) / 2 / middle).max())


def steps(contraction: float, tolerance: float = TOLERANCE) -> int:
    """Steps of the Chebyshev iteration for an accuracy, with a spectrum within 1 -+ `contraction`."""
    if contraction == 0:
        return 1
    each = contraction / (1 + math.sqrt(1 - contraction**2))
    return math.ceil(math.log(tolerance / 2) / math.log(each))


def check(ridge: Sequence[float], clips: int, middle: np.ndarray) -> None:
    """Raises InputError for a ridge with which a singular kernel, as of two equal clips, cannot be solved.

    Entries of the kernel are 1 at the most, so its largest eigenvalue is the number of clips at the most.
    """
    least = clips * np.finfo(float).eps / _ROUNDING / float(middle.min())
    if small := [each for each in ridge if each < least]:
        raise InputError(
            f'config.model.ridge has {small[0]:g}, with which a kernel of {clips} clips is singular up to '
            f'rounding if some of them are alike; expected {least:.1g} or more'
        )


@jax.jit
def inverse(kernel: jax.Array, ridge: jax.Array, middle: jax.Array, label: jax.Array) -> jax.Array:
    """P, [N, N], of a kernel [N, N], lambda, E of the classes [K] and the classes of the clips [N]."""
    return _inverse(kernel + jnp.diag(ridge * middle[label]))


def _inverse(matrix: jax.Array) -> jax.Array:
    """Of positive definite matrices [..., N, N]."""
    unit = jnp.broadcast_to(jnp.eye(matrix.shape[-1], dtype=matrix.dtype), matrix.shape)
    return linalg.cho_solve((jnp.linalg.cholesky(matrix), True), unit)


def _inverse_of_many(matrix: jax.Array, depth: int = 3) -> jax.Array:
    """The same by halves, which are multiplied instead: ten times as fast for a hundred matrices of 100."""
    half = matrix.shape[-1] // 2
    if half < _LEAST or not depth:
        return _inverse(matrix)
    a, b, c = matrix[..., :half, :half], matrix[..., :half, half:], matrix[..., half:, half:]
    a = _inverse_of_many(a, depth - 1)
    x = a @ b
    s = _inverse_of_many(c - jnp.matrix_transpose(b) @ x, depth - 1)  # of Schur's complement
    y = x @ s
    above = jnp.concatenate([a + y @ jnp.matrix_transpose(x), -y], -1)
    return jnp.concatenate([above, jnp.concatenate([-jnp.matrix_transpose(y), s], -1)], -2)


@jax.jit
def solve(
    inverted: jax.Array,
    ridge: jax.Array,
    middle: jax.Array,
    contraction: jax.Array,
    count: jax.Array,
    label: jax.Array,
    of: Groups,
) -> jax.Array:
    """The scores of what each trial leaves out.

    Args:
      inverted: P, see `inverse`.
      ridge: lambda.
      middle: E, and `contraction` of it, see `reference`.
      contraction: see there.
      count: see `steps`.
      label: [N].
      of: the trials.

    Returns:
      [F, M, K], in the order of `left_out`; the classes sum up to 0, and a class has its `prior` more as a
      probability.
    """
    clips, trials = len(inverted), len(of.prior)
    places, column = of.left_out.T, jnp.arange(trials)

    def times(x: jax.Array) -> jax.Array:
        return (inverted @ x.reshape(clips, -1)).reshape(x.shape)

    inner = inverted.at[of.left_out[:, :, None], of.left_out[:, None]].get(mode='fill', fill_value=0)
    padding = (of.left_out == clips)[..., None] * jnp.eye(places.shape[0], dtype=inverted.dtype)
    within = _inverse_of_many(inner + padding)  # multiplying by it takes a tenth of solving anew

    def at_left_out(r: jax.Array) -> jax.Array:
        found = times(r).at[places, column].get(mode='fill', fill_value=0)
        return -jnp.einsum('fij,jfk->ifk', within, found)

    train = of.train.T[..., None]
    # Of a class that a trial has not seen there is no clip to be weighed.
    change = jnp.nan_to_num(of.inverse_weight - middle)[:, label].T[..., None] * ridge * train

    def step(k: jax.Array, carry: tuple) -> tuple:
        r, before, q, found, found_before, omega = carry
        after = (1 - omega) * before - omega * change * times(r.at[places, column].set(q, mode='drop'))
        q = at_left_out(after)
        omega = 1 / (1 - contraction**2 * omega / jnp.where(k == 1, 2, 4))
        return after, r, q, omega * (q + found) + (1 - omega) * found_before, found, omega

    r = jnp.where(
        train, jax.nn.one_hot(label, of.prior.shape[1], dtype=inverted.dtype)[:, None] - of.prior, 0
    )
    q = at_left_out(r)
    carry = r, jnp.zeros_like(r), q, q, jnp.zeros_like(q), jnp.ones((), inverted.dtype)
    return jax.lax.fori_loop(1, count, step, carry)[3].swapaxes(0, 1)
