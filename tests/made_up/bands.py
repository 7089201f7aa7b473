"""Bands: kernel ridge regression on means of rows of v and of u, each a descriptor of one clip."""

from collections.abc import Mapping

import jax

from dualatme_jax.models.kernel_ridge import KernelRidge
from dualatme_jax.models.system import CLOSED_FORM, System


def vertical(inputs: Mapping[str, jax.Array]) -> jax.Array:
    """[28], means of the rows of v."""
    return 3 * inputs['flow'][1].mean(1)


def horizontal(inputs: Mapping[str, jax.Array]) -> jax.Array:
    """[28], means of the rows of u in the left half, which is another one where a clip is mirrored."""
    return 3 * inputs['flow'][0, :, :14].mean(1)


def build(
    *, classes: int, width: tuple[float, ...] = (1.0,), ridge: tuple[float, ...] = (0.6,), one: bool = False
) -> KernelRidge:
    """The system.

    Args:
      classes: number of classes, which the learner counts itself.
      width: of the kernels.
      ridge: lambda.
      one: whether each fold has the best view, and not the average of both.
    """
    views = {'v': vertical, 'u': horizontal}
    sets = (('v',), ('u',)) if one else (('v', 'u'),)
    return KernelRidge(views, sets, width, ridge)


SYSTEM = System(name='made_up.bands', title='Bands', build=build, learner=CLOSED_FORM)
