"""How parameters start."""

from collections.abc import Callable

import jax
from flax import linen as nn

from dualatme_jax.errors import InputError

Initializer = Callable[..., jax.Array]

SCHEMES = ('torch', 'lecun')


def kernel(scheme: str, fan_in: int) -> Initializer:
    """Initializer of a kernel with `fan_in` inputs an output.

    `torch`: uniform in +-1/sqrt(fan_in), the default of PyTorch's Conv2d and Linear, from which the
    published systems start. `lecun`: truncated normal of variance 1/fan_in, the default of Flax.
    """
    return _uniform(fan_in) if scheme == 'torch' else nn.initializers.lecun_normal()


def bias(scheme: str, fan_in: int) -> Initializer:
    """Initializer of a bias: as the kernel's under `torch`, zero under `lecun`."""
    return _uniform(fan_in) if scheme == 'torch' else nn.initializers.zeros


def check(scheme: str) -> str:
    """Returns `scheme`; raises InputError if there is none of that name."""
    if scheme not in SCHEMES:
        raise InputError(
            f'unknown initialisation {scheme!r}: config.model.init takes {", ".join(map(repr, SCHEMES))}'
        )
    return scheme


def _uniform(fan_in: int) -> Initializer:
    bound = fan_in**-0.5

    def init(key, shape, dtype=jax.numpy.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init
