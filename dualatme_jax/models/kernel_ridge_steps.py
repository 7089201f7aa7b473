"""Kernel ridge regression on the flow in several steps: a system of this project.

Input [3, T, 28, 28], u, v and strain of T steps, which `data_prep build --view flow_steps` stores. Each step
has the descriptors of `kernel_ridge`; those of one kind stand side by side, so that the squared distance of
two clips is the mean over their steps. Everything else is as there.
"""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from dualatme_jax import schema
from dualatme_jax.models import descriptors, kernel_ridge
from dualatme_jax.models.kernel_ridge import KernelRidge
from dualatme_jax.models.system import CLOSED_FORM, System


def build(
    *,
    classes: int,
    views: tuple[str, ...] = descriptors.NAMES,
    width: tuple[float, ...] = (1.0,),
    ridge: tuple[float, ...] = (0.6,),
    mirror: bool = True,
    combine: str = kernel_ridge.MEAN,
) -> KernelRidge:
    """The system.

    Args:
      classes: number of classes, which the learner counts itself.
      views: descriptors of each step, as of `kernel_ridge`.
      width: of the kernels, as of `kernel_ridge`.
      ridge: by how much coefficients are held back, as of `kernel_ridge`.
      mirror: whether a clip and its mirror image have the same scores.
      combine: 'mean', 'choose' or 'subsets', as of `kernel_ridge`.
    """
    of_flow = kernel_ridge.build(
        classes=classes, views=views, width=width, ridge=ridge, mirror=mirror, combine=combine
    )
    of_steps = {name: functools.partial(_of_steps, name) for name in of_flow.descriptors}
    return dataclasses.replace(of_flow, descriptors=of_steps)


def _of_steps(name: str, inputs: Mapping[str, jax.Array]) -> jax.Array:
    steps = jnp.moveaxis(inputs[schema.FLOW_STEPS], 1, 0)
    described = [descriptors.describe(name, step) for step in steps]  # [D] each, or [P, D] of parts
    return jnp.concatenate(described, axis=-1) / jnp.sqrt(len(steps))


SYSTEM = System(
    name='kernel_ridge_steps',
    title='Kernel ridge, steps',
    papers=('dualatmejax',),
    build=build,
    reads=(schema.FLOW_STEPS,),
    learner=CLOSED_FORM,
    config='configs/kernel_ridge_steps.py',
)
