"""CBAM, the convolutional block attention module (Woo et al., 2018), as Dual-ATME uses it."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.layers.conv import Conv, Dense


class CBAM(nn.Module):
    """Channel attention, then spatial attention: [C, H, W, B] to the same shape.

    Channel: sigmoid(MLP(mean) + MLP(max)) over the positions, one MLP C - C/reduction - C with ReLU.
    Spatial: sigmoid(conv3x3([mean, max])) over the channels.
    """

    reduction: int
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[0]
        squeeze = Dense(channels // self.reduction, self.initializer, name='mlp_squeeze')
        excite = Dense(channels, self.initializer, name='mlp_excite')
        mean, most = (excite(nn.relu(squeeze(pooled))) for pooled in (x.mean((1, 2)), x.max((1, 2))))
        # Multiplied in float32, so that the gradients of the factors are summed so.
        kept = x.dtype
        x = (x * nn.sigmoid(mean + most)[:, None, None, :]).astype(kept)

        pooled = jnp.stack([x.mean(0), x.max(0)])
        spatial = Conv(1, 3, self.initializer, name='spatial')(pooled).astype(jnp.float32)
        return (x * nn.sigmoid(spatial)).astype(kept)
