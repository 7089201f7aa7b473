"""Dual-ATME (Zhou, Huang, Li, Wang, Entropy 25(3):460, 2023).

Two branches of two Inception blocks, one on the optical flow of the entire face, one on that of the puzzled
face (two hand-picked regions, stacked); CBAM attention; both maps fused by a dense layer of 1024.
Input [3, 28, 28, B] twice, channels u, v, strain, scaled to -1..1; output [B, classes].

The paper's figure and its published code differ in where the attention acts: see `VARIANTS`.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models import options
from dualatme_jax.models.figures import LAST_EPOCH, NO, Figure
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import inception, initializers
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.cbam import CBAM
from dualatme_jax.models.layers.conv import Dense
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.layers.inception import InceptionBranch
from dualatme_jax.models.layers.maps import flat
from dualatme_jax.models.output import Output
from dualatme_jax.models.system import System


@dataclasses.dataclass(frozen=True)
class Variant:
    """Which branches there are and on which of them the (one, shared) CBAM acts."""

    branches: tuple[str, ...]
    attention: tuple[str, ...] = ()


VARIANTS = {
    # Figure 1 and the best row of Table 1.
    'paper': Variant(branches=('entire', 'puzzled'), attention=('entire',)),
    # The published code: one CBAM, called on both branches.
    'code': Variant(branches=('entire', 'puzzled'), attention=('entire', 'puzzled')),
    # The single branches of Table 1.
    'hars': Variant(branches=('puzzled',)),
    'hars+attention': Variant(branches=('puzzled',), attention=('puzzled',)),
    'aars': Variant(branches=('entire',), attention=('entire',)),
}

FACES = {'entire': 'flow', 'puzzled': 'flow_puzzled'}  # what each branch reads

# In the published code the first branch is the entire face's.
TORCH_NAMES = {
    **inception.torch_names('entire', 1),
    **inception.torch_names('puzzled', 2),
    'cbam/mlp_squeeze': 'cbam.shared_MLP.0',
    'cbam/mlp_excite': 'cbam.shared_MLP.2',
    'cbam/spatial': 'cbam.conv2d',
    'fusion': 'fc.0',
    'fusion_norm': 'fc.1',
    'classifier': 'fc.4',
}


class DualATME(nn.Module):
    """The network; `variant` says which branches and where attention. `dropout` may be traced."""

    variant: Variant
    classes: int
    dropout: float | jax.Array
    initializer: str

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array], *, mask: jax.Array, train: bool) -> Output:
        """Logits and features of a batch.

        Args:
          inputs: `flow`, the entire face, and `flow_puzzled`, [3, 28, 28, B] each, -1..1.
          mask: [B], 1 for examples, 0 for padding, which no statistic sees.
          train: batch statistics and dropout (rng `dropout`), or running statistics and none.
        """
        maps = {
            name: InceptionBranch((6, 12), self.initializer, name=name)(
                inputs[FACES[name]], mask=mask, train=train
            )
            for name in self.variant.branches
        }
        if self.variant.attention:
            attend = CBAM(reduction=16, initializer=self.initializer, name='cbam')
            maps |= {name: attend(maps[name]) for name in self.variant.attention}

        fused = flat(jnp.concatenate([*maps.values()]))
        x = Dense(1024, self.initializer, name='fusion')(fused)
        x = nn.relu(BatchNorm(name='fusion_norm')(x, mask=mask, train=train))
        x = Dropout(self.dropout)(x, train=train)
        logits = Dense(self.classes, self.initializer, name='classifier')(x)
        return Output(logits.T, {name: flat(x).T for name, x in maps.items()})


def last_maps(network: DualATME) -> tuple[LastMap, ...]:
    """Of each branch, behind the attention if it acts there."""
    attended = network.variant.attention
    return tuple(
        LastMap('cbam', FACES[name], name, call=attended.index(name), gate='cbam/spatial')
        if name in attended
        else LastMap(name, FACES[name], name)
        for name in network.variant.branches
    )


def build(*, classes: int, variant: str = 'paper', dropout: float = 0.5, init: str = 'torch') -> DualATME:
    """The network from names and numbers.

    Args:
      classes: number of classes.
      variant: 'paper'; 'code' (one CBAM on both branches); or one branch: 'hars', 'hars+attention', 'aars'.
      dropout: fraction dropped before the classifier, in [0, 1).
      init: how parameters start: 'torch' (the paper's), PyTorch's own, or another of layers/initializers.py.

    Raises:
      InputError: no such variant, fraction or initialisation.
    """
    options.check_variant('Dual-ATME', variant, VARIANTS)
    options.check_dropout(dropout)
    initializers.check(init)
    return DualATME(VARIANTS[variant], classes, dropout, init)


SYSTEM = System(
    name='dual_atme',
    title='Dual-ATME',
    papers=('zhou2023dualatme',),
    build=build,
    reads=('flow', 'flow_puzzled'),
    config='configs/cd.py',
    traced=('dropout',),
    features=('entire', 'puzzled'),
    torch_names=TORCH_NAMES,
    variants=tuple(VARIANTS),
    last_maps=last_maps,
    figures=(Figure(0.679, 0.680, 'Zhou et al., Dual-ATME, Entropy 25(3):460, 2023', NO, LAST_EPOCH),),
)
