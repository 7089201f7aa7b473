"""How parameters start."""

import dataclasses
import math
from collections.abc import Callable

import jax
from flax.linen import initializers

from dualatme_jax.errors import check_choice

Initializer = Callable[..., jax.Array]


def _uniform(fan_in: int) -> Initializer:
    bound = fan_in**-0.5

    def init(key, shape, dtype=jax.numpy.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def _uniform_by_inputs(key, shape, dtype=jax.numpy.float32):
    """`_uniform` of a kernel [..., C, O]."""
    return _uniform(math.prod(shape[:-1]))(key, shape, dtype)


def _normal_by_outputs(key, shape, dtype=jax.numpy.float32):
    """Normal of variance 2/fan_out, of a kernel [*K, C, O]."""
    fan_out = math.prod(shape[:-2]) * shape[-1]
    return initializers.normal((2 / fan_out) ** 0.5)(key, shape, dtype)


def _zeros(fan_in: int) -> Initializer:
    del fan_in
    return initializers.zeros


@dataclasses.dataclass(frozen=True)
class _Start:
    """One row of `INITIALIZERS`.

    Attributes:
      conv, dense: of kernels, which see their fans by their shape.
      conv_bias, dense_bias: from fan_in.
      recurrent: from the units to those of a recurrent layer's kernel for its input, its recurrent kernel and
        its biases; None: as dense, with an orthogonal recurrent kernel.
    """

    conv: Initializer
    dense: Initializer
    conv_bias: Callable[[int], Initializer] = _zeros
    dense_bias: Callable[[int], Initializer] = _zeros
    recurrent: Callable[[int], tuple[Initializer, Initializer, Initializer]] | None = None


def _of_all(kernel: Initializer) -> _Start:
    return _Start(kernel, kernel)


INITIALIZERS = {
    # Kernels and biases uniform in +-1/sqrt(fan_in), PyTorch's default; of its GRU by the units instead.
    'torch': _Start(
        _uniform_by_inputs, _uniform_by_inputs, _uniform, _uniform, lambda units: (_uniform(units),) * 3
    ),
    # Truncated normal of variance 1/fan_in, the default of Flax.
    'lecun': _of_all(initializers.lecun_normal()),
    # What RCN and ResNet do: kernels of convolutions normal of variance 2/fan_out (He et al., 2015), those of
    # dense layers normal of deviation 0.01. RCN's code leaves the convolutions' biases at PyTorch's default.
    'kaiming': _Start(_normal_by_outputs, initializers.normal(0.01), _uniform),
    # This variance for dense layers too, and no biases: PyTorch's kaiming_normal_(mode='fan_out'), Caffe's
    # `msra` of FAN_OUT.
    'kaiming_fan_out': _of_all(_normal_by_outputs),
    # PyTorch's kaiming_normal_, Caffe's `msra`: normal of variance 2/fan_in.
    'kaiming_fan_in': _of_all(initializers.variance_scaling(2.0, 'fan_in', 'normal')),
    # Keras's: truncated normal of variance 2/fan_in.
    'he_normal': _of_all(initializers.he_normal()),
    # Variance 2/(fan_in + fan_out) (Glorot & Bengio, 2010), the default of Keras; PyTorch's xavier_uniform_.
    'glorot_uniform': _of_all(initializers.glorot_uniform()),
    # Caffe's `xavier`: uniform of variance 1/fan_in.
    'caffe_xavier': _of_all(initializers.lecun_uniform()),
    # What definitions of Caffe mostly have: `msra` for convolutions, `xavier` for dense layers.
    'caffe': _Start(initializers.variance_scaling(2.0, 'fan_in', 'normal'), initializers.lecun_uniform()),
    # Dense layers of vision transformers.
    'normal_0.02': _of_all(initializers.normal(0.02)),
    'orthogonal': _of_all(initializers.orthogonal()),
}


def check(name: str) -> str:
    """Returns `name`; raises InputError if there is no initializer of that name."""
    check_choice('initialisation', name, 'config.model.init', INITIALIZERS)
    return name


def conv(name: str, *, fan_in: int, bias: float | None = None) -> tuple[Initializer, Initializer]:
    """Initializers of a convolution's kernel [*K, C / groups, O] and bias [O].

    Args:
      name: a key of `INITIALIZERS`.
      fan_in: the kernel's places times the channels that an output reads.
      bias: a constant instead of the table's.
    """
    start = INITIALIZERS[name]
    return start.conv, _constant(bias) or start.conv_bias(fan_in)


def dense(name: str, *, fan_in: int, bias: float | None = None) -> tuple[Initializer, Initializer]:
    """Initializers of a dense layer's kernel [fan_in, features] and bias [features], see `conv`."""
    start = INITIALIZERS[name]
    return start.dense, _constant(bias) or start.dense_bias(fan_in)


def recurrent(name: str, *, units: int) -> tuple[Initializer, Initializer, Initializer]:
    """Initializers of a recurrent layer's kernels [D, G * units] and [units, G * units], and biases.

    G is the number of gates; `name` a key of `INITIALIZERS`.
    """
    start = INITIALIZERS[name]
    if start.recurrent:
        return start.recurrent(units)
    return start.dense, initializers.orthogonal(), start.dense_bias(units)


def _constant(bias: float | None) -> Initializer | None:
    return None if bias is None else initializers.constant(bias)
