"""How parameters start."""

from collections.abc import Callable

import jax
from flax import linen as nn

from dualatme_jax.errors import InputError

Initializer = Callable[..., jax.Array]

# `torch`: kernels and biases uniform in +-1/sqrt(fan_in), the default of PyTorch's Conv2d and Linear.
# `lecun`: kernels from a truncated normal of variance 1/fan_in, no biases, the default of Flax.
# `kaiming`: what RCN and ResNet do: kernels of convolutions normal of variance 2/fan_out (He et al., 2015),
# those of dense layers normal of deviation 0.01, without bias. RCN's code leaves the convolutions' biases at
# PyTorch's default.
SCHEMES = ('torch', 'lecun', 'kaiming')


def conv(scheme: str, *, fan_in: int, fan_out: int) -> tuple[Initializer, Initializer]:
    """Initializers of a convolution's kernel and bias.

    Args:
      scheme: one of `SCHEMES`.
      fan_in: the kernel's places times the channels in.
      fan_out: the kernel's places times the channels out.
    """
    if scheme == 'kaiming':
        return nn.initializers.normal((2 / fan_out) ** 0.5), _uniform(fan_in)
    return dense(scheme, fan_in=fan_in)


def dense(scheme: str, *, fan_in: int) -> tuple[Initializer, Initializer]:
    """Initializers of a dense layer's kernel and bias, by one of `SCHEMES`."""
    if scheme == 'torch':
        return _uniform(fan_in), _uniform(fan_in)
    normal = nn.initializers.normal(0.01) if scheme == 'kaiming' else nn.initializers.lecun_normal()
    return normal, nn.initializers.zeros


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
