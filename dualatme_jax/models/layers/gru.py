"""Gated recurrent units (Cho et al., 2014), as PyTorch and Keras compute them.

D numbers in, U units, T steps, B examples. With s the sigmoid, of each step's input x and state h:

    r = s(x W_r + h R_r), z = s(x W_z + h R_z)        reset and update
    n = tanh(x W_n + r * (h R_n)), or tanh(x W_n + (r * h) R_n)
    h' = z * h + (1 - z) * n

with biases beside each product, or beside the first ones alone.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.layers import initializers
from dualatme_jax.models.layers.product import product


@dataclasses.dataclass(frozen=True)
class Form:
    """Whose GRU it is.

    Attributes:
      gates: the order in which the columns of the kernels hold reset, update and new.
      reset_after: whether the reset gate acts after the recurrent product, which then has biases of its own,
        or on the state before.
    """

    gates: str
    reset_after: bool = True


FORMS = {
    'torch': Form('rzn'),
    'keras': Form('zrn'),
    'keras_reset_before': Form('zrn', reset_after=False),  # Keras's reset_after=False, its default before 2.0
}


class GRU(nn.Module):
    """All states, from zero: [D, T, B] to [U, T, B]; the last one is `[:, -1]`.

    Attributes:
      units: U.
      initializer: how it starts, see `initializers.recurrent`.
      form: a key of `FORMS`.
    """

    units: int
    initializer: str
    form: str = 'torch'

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        numbers, steps, batch = x.shape
        form, wide = FORMS[self.form], 3 * self.units
        of_kernel, of_recurrent, of_bias = initializers.recurrent(self.initializer, units=self.units)
        kernel = self.param('input_kernel', of_kernel, (numbers, wide))
        recurrent = self.param('recurrent_kernel', of_recurrent, (self.units, wide))
        bias = self.param('input_bias', of_bias, (wide,))
        if form.reset_after:
            recurrent_bias = self.param('recurrent_bias', of_bias, (wide,))[:, None]

        def parts(columns):
            """[G * U, B] by the gates' names, those of them that are there."""
            return dict(zip(form.gates, columns.reshape(-1, self.units, batch), strict=False))

        def step(h, inputs):
            x = parts(inputs)
            if form.reset_after:
                of_h = parts(product(recurrent, h, 0, 0) + recurrent_bias)
            else:
                of_h = parts(product(recurrent[:, : 2 * self.units], h, 0, 0))
            r, z = (nn.sigmoid(x[gate] + of_h[gate]) for gate in 'rz')
            if form.reset_after:
                n = jnp.tanh(x['n'] + r * of_h['n'])
            else:
                n = jnp.tanh(x['n'] + product(recurrent[:, 2 * self.units :], r * h, 0, 0))
            h = z * h + (1 - z) * n
            return h, h

        # The products with the inputs do not wait for the states: of all steps at once.
        inputs = product(kernel, x.reshape(numbers, -1), 0, 0) + bias[:, None]
        inputs = inputs.reshape(wide, steps, batch).swapaxes(0, 1)
        # A loop even for few steps. Output and gradients on two CPU cores, in a loop and unrolled: 4 steps of
        # 512 units 28 and 44 ms, 30 steps of 128 units 115 and 212 ms; and each unrolled step takes a second
        # or two to compile.
        start = jnp.zeros((self.units, batch), inputs.dtype)
        _, states = jax.lax.scan(step, start, inputs)
        return states.swapaxes(0, 1)
