"""The systems, one file each, whose records are listed here. `system` finds one by name."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from dualatme_jax.errors import InputError
from dualatme_jax.models import dual_atme, dual_inception, off_apexnet, rcn, resnet18, ststnet
from dualatme_jax.models.system import System

SYSTEMS = {
    system.name: system
    for system in (
        dual_atme.SYSTEM,
        ststnet.SYSTEM,
        off_apexnet.SYSTEM,
        dual_inception.SYSTEM,
        *rcn.SYSTEMS,
        resnet18.SYSTEM,
    )
}


def build(name: str, **options) -> nn.Module:
    """The network called `name`, made from its own options (see its `build`).

    Every network is called as `model.apply(variables, inputs, mask=mask, train=bool)` with the inputs by key,
    each [C, *S, B], and mask [B], and returns an `Output`. It has a field `dropout`, which may be traced.

    Raises:
      InputError: no such model, or a value that it cannot use.
    """
    return system(name).build(**options)


def system(name: str) -> System:
    """The record of the system called `name`; raises InputError if there is none."""
    if name not in SYSTEMS:
        raise InputError(
            f'unknown model {name!r}: config.model.name takes {", ".join(map(repr, sorted(SYSTEMS)))}'
        )
    return SYSTEMS[name]


def shapes(network: nn.Module, inputs: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Shapes of the network's variables where it reads inputs of these shapes; nothing is computed.

    Args:
      network: as `build` makes it.
      inputs: key -> (C, *S).

    Raises:
      InputError: no layer can have such maps: the pictures are too small for it, or not square, or others.
    """
    given = {key: jax.ShapeDtypeStruct((*shape, 1), 'float32') for key, shape in inputs.items()}
    try:
        return jax.eval_shape(
            lambda given: network.init(jax.random.key(0), given, mask=np.ones(1), train=False), given
        )
    except (TypeError, ValueError, IndexError) as error:  # so JAX and Flax call maps that do not fit
        sizes = ', '.join(f'{key} of {"x".join(map(str, shape))}' for key, shape in inputs.items())
        raise InputError(
            f'{type(network).__name__} cannot read {sizes} (channels first; {str(error).splitlines()[0]}); '
            'build the dataset with another --size, such as 28 for flows, or train another config.model.name'
        ) from error
