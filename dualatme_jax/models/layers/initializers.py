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
INITIALIZERS = ('torch', 'lecun', 'kaiming')


def conv(name: str, *, fan_in: int, fan_out: int) -> tuple[Initializer, Initializer]:
    """Initializers of a convolution's kernel and bias.

    Args:
      name: one of `INITIALIZERS`.
      fan_in: the kernel's places times the channels in.
      fan_out: the kernel's places times the channels out.
    """
    if name == 'kaiming':
        return nn.initializers.normal((2 / fan_out) ** 0.5), _uniform(fan_in)
    return dense(name, fan_in=fan_in)


def dense(name: str, *, fan_in: int) -> tuple[Initializer, Initializer]:
    """Initializers of a dense layer's kernel and bias, by one of `INITIALIZERS`."""
    if name == 'torch':
        return _uniform(fan_in), _uniform(fan_in)
    normal = nn.initializers.normal(0.01) if name == 'kaiming' else nn.initializers.lecun_normal()
    return normal, nn.initializers.zeros


def check(name: str) -> str:
    """Returns `name`; raises InputError if there is none of that name."""
    if name not in INITIALIZERS:
        raise InputError(
            f'unknown initialisation {name!r}: config.model.init takes {", ".join(map(repr, INITIALIZERS))}'
        )
    return name


def _uniform(fan_in: int) -> Initializer:
    bound = fan_in**-0.5

    def init(key, shape, dtype=jax.numpy.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init
