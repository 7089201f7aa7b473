"""Kernel ridge regression on descriptors of the flow: solved, not trained. A system of this project.

Input [3, 28, 28], u, v and strain. Each descriptor (models/descriptors.py) has a kernel, exp(-d / width) of
the squared distance d, averaged over both clips and their mirror images, so that a clip and its mirror image
have the same scores. Classes weigh alike whatever their sizes (training/ridge.py). Scores are averaged over
the descriptors. Nothing is drawn at random but the filters of one descriptor, which are fixed: all seeds give
the same.

The design was found by looking at scores of the public flow images. What is chosen from several values
(`width`, `ridge`, `combine`) is chosen for each fold within its training side alone.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence

import jax

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.models import descriptors
from dualatme_jax.models.system import CLOSED_FORM, System

MEAN, CHOOSE, SUBSETS = COMBINE = ('mean', 'choose', 'subsets')


@dataclasses.dataclass(frozen=True)
class KernelRidge:
    """What the learner of closed forms solves; a `build` with descriptors of its own returns one too.

    Attributes:
      descriptors: name of a view -> from the inputs of ONE clip as networks read them, key -> [C, *S], to a
        vector [D], or to one per part, [P, D]; best of usual squared distances of about 1.
      sets: names of the views whose scores are averaged; of several sets each fold has the best.
      width: of the kernels: the squared distance at which two clips are alike by 1/e; each fold has the best.
      ridge: lambda, by which coefficients are held back; each fold has the best.
      mirror: whether kernels are averaged over mirror images.
    """

    descriptors: Mapping[str, Callable[[Mapping[str, jax.Array]], jax.Array]]
    sets: tuple[tuple[str, ...], ...]
    width: tuple[float, ...] = (1.0,)
    ridge: tuple[float, ...] = (0.6,)
    mirror: bool = True

    def __post_init__(self):
        for name in ('width', 'ridge'):
            check_several(name, values := getattr(self, name))
            if low := [value for value in values if value <= 0]:
                raise InputError(f'config.model.{name} has {low[0]:g}; expected numbers above 0')

    @property
    def views(self) -> tuple[str, ...]:
        """The views of all sets."""
        return tuple(dict.fromkeys(name for names in self.sets for name in names))

    @property
    def choices(self) -> int:
        """How many settings there are to choose from."""
        return len(self.sets) * len(self.width) * len(self.ridge)

    @property
    def solved(self) -> int:
        """How many times all trials are solved: scores of several views are averaged afterwards."""
        return len(self.views) * len(self.width) * len(self.ridge)


def check_several(name: str, values: Sequence) -> None:
    """Raises InputError for an option that holds no value, or one twice."""
    if not values or len({*values}) < len(values):
        raise InputError(f'config.model.{name} is {values!r}; expected one or more different values')


def build(
    *,
    classes: int,
    views: tuple[str, ...] = descriptors.NAMES,
    width: tuple[float, ...] = (1.0,),
    ridge: tuple[float, ...] = (0.6,),
    mirror: bool = True,
    combine: str = MEAN,
) -> KernelRidge:
    """The system.

    Args:
      classes: number of classes, which the learner counts itself.
      views: descriptors of the flow, of 'uv14', 'uvs14', 'uvs10', 'hof7', 'hog5', 'rconv'.
      width: of the kernels, in usual squared distances; of several each fold has the best.
      ridge: by how much coefficients are held back, lambda, above 0; of several each fold has the best.
      mirror: whether a clip and its mirror image have the same scores.
      combine: 'mean': scores of all views are averaged; 'choose': each fold has the best view; 'subsets': the
        best average of some views.
    """
    del classes
    check_several('views', views)
    if unknown := [name for name in views if name not in descriptors.NAMES]:
        raise InputError(
            f'config.model.views has {unknown[0]!r}; expected some of {", ".join(descriptors.NAMES)}'
        )
    if combine not in COMBINE:
        raise InputError(f'config.model.combine is {combine!r}; expected {", ".join(map(repr, COMBINE))}')
    subsets = (itertools.combinations(views, size) for size in range(1, len(views) + 1))
    sets = {
        MEAN: (views,),
        CHOOSE: tuple((name,) for name in views),
        SUBSETS: tuple(itertools.chain.from_iterable(subsets)),
    }[combine]
    of_flow = {name: functools.partial(_of_flow, name) for name in views}
    return KernelRidge(of_flow, sets, width, ridge, mirror)


def _of_flow(name: str, inputs: Mapping[str, jax.Array]) -> jax.Array:
    return descriptors.describe(name, inputs[schema.FLOW])


SYSTEM = System(
    name='kernel_ridge',
    title='Kernel ridge',
    papers=('dualatmejax',),
    build=build,
    learner=CLOSED_FORM,
    config='configs/best.py',
)
