"""The record of a system: its network, what it reads, its names in PyTorch, what its paper reports."""

import dataclasses
from collections.abc import Callable, Mapping

from flax import linen as nn

from dualatme_jax.models.figures import Figure


@dataclasses.dataclass(frozen=True)
class System:
    """One system of the field, or of your own: everything that the package knows of it.

    Attributes:
      name: as `config.model.name` has it.
      title: its name in tables.
      build: makes the network from `classes` and the system's options; see docs/systems.md.
      reads: keys of the inputs that the network reads.
      config: the file with the settings of its paper, seen from the checkout; empty: none.
      torch_names: from the path of each layer that has parameters to the name of the same layer in the
        published PyTorch code, or in a sensible one where none is published. Of all variants: a network has
        some of them. Empty: its weights have no other form.
      torch_unread: layers that the published PyTorch code declares, and that no forward pass of some variant
        reads; named as in `torch_names`.
      variants: what `build` takes for `variant`. Where there is a `code`, that is what the published PyTorch
        code computes, else it is the first.
      unread: the hyperparameters that no variant reads.
      figures: its published scores, the authors' own first.
    """

    name: str
    title: str
    build: Callable[..., nn.Module]
    reads: tuple[str, ...] = ('flow',)
    config: str = ''
    torch_names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    torch_unread: tuple[str, ...] = ()
    variants: tuple[str, ...] = ('paper',)
    unread: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()

    @property
    def published(self) -> str:
        """The variant that the published PyTorch code computes."""
        return 'code' if 'code' in self.variants else self.variants[0]
