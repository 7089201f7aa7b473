"""The systems, one file each. `build` makes one by name."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from dualatme_jax.errors import InputError
from dualatme_jax.models import dual_atme, dual_inception, off_apexnet, rcn, resnet18, ststnet

# The hyperparameters that a network of one branch does not read, and one without dropout.
ONE_BRANCH, NO_DROPOUT = ('cosine_weight',), ('dropout',)


@dataclasses.dataclass(frozen=True)
class System:
    """One row of `MODELS`.

    Attributes:
      build: makes the network from `variant`, `classes`, `dropout` and `init`.
      torch_names: from the path of each layer that has parameters to the name of the same layer in the
        published PyTorch code, or in a sensible one where none is published. Of all variants: a network has
        some of them.
      unread: the hyperparameters that no variant reads.
      variants: what `build` takes for `variant`. Where there is a `code`, that is what the published PyTorch
        code computes, else it is the first.
      torch_unread: layers that the published PyTorch code declares, and that no forward pass of some variant
        reads; named as in `torch_names`.
    """

    build: Callable[..., nn.Module]
    torch_names: Mapping[str, str]
    unread: tuple[str, ...] = ()
    variants: tuple[str, ...] = ('paper',)
    torch_unread: tuple[str, ...] = ()

    @property
    def published(self) -> str:
        """The variant that the published PyTorch code computes."""
        return 'code' if 'code' in self.variants else self.variants[0]


MODELS = {
    'dual_atme': System(dual_atme.build, dual_atme.TORCH_NAMES, variants=tuple(dual_atme.VARIANTS)),
    'ststnet': System(ststnet.build, ststnet.TORCH_NAMES, ONE_BRANCH),
    'off_apexnet': System(off_apexnet.build, off_apexnet.TORCH_NAMES, ONE_BRANCH + NO_DROPOUT),
    'dual_inception': System(dual_inception.build, dual_inception.TORCH_NAMES, ONE_BRANCH + NO_DROPOUT),
    **{
        name: System(
            functools.partial(rcn.build, name),
            rcn.TORCH_NAMES,
            ONE_BRANCH,
            variants=tuple(designs),
            torch_unread=rcn.TORCH_UNREAD.get(name, ()),
        )
        for name, designs in rcn.DESIGNS.items()
    },
    'resnet18': System(
        resnet18.build,
        resnet18.TORCH_NAMES,
        ONE_BRANCH + NO_DROPOUT,
        variants=tuple(resnet18.VARIANTS),
    ),
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
    """The row of the system called `name`; raises InputError if there is none."""
    if name not in MODELS:
        raise InputError(
            f'unknown model {name!r}: config.model.name takes {", ".join(map(repr, sorted(MODELS)))}'
        )
    return MODELS[name]


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
