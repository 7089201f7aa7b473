"""Matrix products at the precision of the run, which is JAX's own setting, `jax.default_matmul_precision`."""

import functools

import jax
import jax.numpy as jnp
from jax import lax


def on_cpu() -> bool:
    """Whether JAX computes on CPUs."""
    return jax.default_backend() == 'cpu'


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def product(a: jax.Array, b: jax.Array, over_a: int = 1, over_b: int = 0) -> jax.Array:
    """a times b, summed over axis `over_a` of a and `over_b` of b, in float32: [N, M] x [M, P] to [N, P].

    A sum over another axis than the standard one takes its number, since a transposed factor would be
    copied; the gradients are products of the same kind. Under the precision `bfloat16` both factors are
    rounded first, here as in the gradients, which XLA by itself does on TPUs alone.
    """
    if jax.config.jax_default_matmul_precision == 'bfloat16':
        a, b = _rounded(a), _rounded(b)
    return lax.dot_general(a, b, (((over_a,), (over_b,)), ((), ())), preferred_element_type=jnp.float32)


def _rounded(factor: jax.Array) -> jax.Array:
    """A factor to 7 bits: in bfloat16, but on a CPU in float32, since XLA's cannot run all such products."""
    return lax.reduce_precision(factor, 8, 7) if on_cpu() else factor.astype(jnp.bfloat16)


def _forward(a, b, over_a, over_b):
    return product(a, b, over_a, over_b), (a, b)


def _backward(over_a, over_b, factors, cotangent):
    a, b = factors
    for_a = product(cotangent, b, 1, 1 - over_b) if over_a else product(b, cotangent, 1 - over_b, 1)
    for_b = product(cotangent, a, 0, 1 - over_a) if over_b else product(a, cotangent, 1 - over_a, 0)
    return for_a.astype(a.dtype), for_b.astype(b.dtype)


product.defvjp(_forward, _backward)


def as_kept(maps: jax.Array) -> jax.Array:
    """Maps in the type in which they are kept between layers.

    Under the precision `bfloat16` that is bfloat16, since convolutions round them anyway, and on a GPU they
    wait for the memory and not for the arithmetic. Else it is as they are, and on a CPU, which would take
    longer so.
    """
    rounded = jax.config.jax_default_matmul_precision == 'bfloat16'
    return maps.astype(jnp.bfloat16) if rounded and not on_cpu() else maps
