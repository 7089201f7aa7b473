"""The systems, one file each. `build` makes one by name."""

from flax import linen as nn

from dualatme_jax.errors import InputError
from dualatme_jax.models import dual_atme

MODELS = {'dual_atme': dual_atme.build}


def build(name: str, **options) -> nn.Module:
    """The network called `name`, made from its own options (see its `build`).

    Every network is called as `model.apply(variables, flow, flow_puzzled, mask=mask, train=bool)`
    with flows [B, H, W, 3] and mask [B], and returns an `Output`.

    Raises:
      InputError: no such model, or a value that it cannot use.
    """
    if name not in MODELS:
        raise InputError(
            f'unknown model {name!r}: config.model.name takes {", ".join(map(repr, sorted(MODELS)))}'
        )
    return MODELS[name](**options)
