"""The systems, one file each, whose records are listed here. `system` finds one by name."""

from collections.abc import Sequence
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

    Every network is called as `model.apply(variables, flow, flow_puzzled, mask=mask, train=bool)`
    with flows [B, H, W, 3] and mask [B], and returns an `Output`. It has a field `dropout`, which may be
    traced.

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


def shapes(network: nn.Module, picture: Sequence[int]) -> dict[str, Any]:
    """Shapes of the network's variables where it reads flows of this shape, (H, W, 3); nothing is computed.

    Raises:
      InputError: no layer can have such maps: the flows are too small for it, or not square.
    """
    flow = jax.ShapeDtypeStruct((1, *picture), 'float32')
    try:
        return jax.eval_shape(
            lambda flow: network.init(jax.random.key(0), flow, flow, mask=np.ones(1), train=False), flow
        )
    except TypeError as error:  # so JAX calls maps that do not fit
        height, width = picture[:2]
        raise InputError(
            f'{type(network).__name__} cannot read flows of {width}x{height} pixels '
            f'({str(error).splitlines()[0]}); build the dataset with another --size, such as 28, or train '
            'another config.model.name'
        ) from error
