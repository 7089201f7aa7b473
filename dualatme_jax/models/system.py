"""The record of a system: its network or estimator, options, inputs, names in PyTorch, published scores."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dualatme_jax import schema
from dualatme_jax.errors import InputError
from dualatme_jax.models import options
from dualatme_jax.models.figures import Figure
from dualatme_jax.models.last_map import LastMap, LastMaps
from dualatme_jax.models.options import Option
from dualatme_jax.models.stage import Stage

# What makes a system predict: the engine trains a network, scikit-learn fits an estimator of its own, and a
# closed form solves all trials at once.
GRADIENT, SKLEARN, CLOSED_FORM = LEARNERS = ('gradient', 'sklearn', 'closed_form')


@dataclasses.dataclass(frozen=True)
class Fitting:
    """How a learner makes a system that has no network: no epochs, no weights, nothing to be evaluated later.

    Attributes:
      how: in words.
      reads: sections of a config, or fields of sections, that it reads beside those of every run.
    """

    how: str
    reads: tuple[str, ...]

    def is_read(self, field: str) -> bool:
        """Whether a field of a config, such as `input.scale`, is read."""
        return bool({field, field.partition('.')[0]} & {*self.reads})


# How motion is read, by whatever learner.
_ENCODING = ('input.encoding', 'input.percentile', 'input.clip')

FITTINGS = {
    SKLEARN: Fitting(
        'fitted by scikit-learn',
        ('data', 'model', 'stage', *_ENCODING, 'engine.max_trials', 'engine.cache'),
    ),
    CLOSED_FORM: Fitting(
        'solved in closed form',
        (
            *('data', 'model', 'stage', *_ENCODING, 'input.scale', 'input.size'),
            *('engine.max_trials', 'engine.memory_gib', 'engine.cache'),
        ),
    ),
}

# From inputs [N, *S, C] as they are stored, by key, to vectors [N, D], each clip for itself.
Descriptor = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def flattened(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """All numbers of each clip, [N, D], input after input in the order of their keys."""
    return np.concatenate([inputs[key].reshape(len(inputs[key]), -1) for key in sorted(inputs)], axis=1)


@dataclasses.dataclass(frozen=True)
class TorchTensor:
    """How the published PyTorch code holds one parameter, where not as its layer of PyTorch would.

    Attributes:
      name: the whole name of the tensor.
      ones: axes of length 1 that it has and ours lacks.
    """

    name: str
    ones: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class System:
    """One system of the field, or of your own: everything that the package knows of it.

    Attributes:
      name: as `config.model.name` has it; of a module of your own `__name__`.
      title: its name in tables.
      papers: what to cite for it: keys of report/references.bib, or of a file of your own.
      build: makes the network, a Flax module, from keywords: `classes`, how many there are, and its options,
        each with a default; or the estimator of scikit-learn, not fitted; or the `KernelRidge` that a closed
        form solves. Raises InputError for values that cannot be.
      reads: keys of the inputs that the network or the descriptor reads.
      learner: one of `LEARNERS`.
      descriptor: of 'sklearn': makes the vectors that the estimator reads.
      stage: computes some of them of each clip, once, before training; or makes that stage from options of
        `build` with the names of its keywords. None: all are in the dataset.
      sizes: of inputs that the stage makes, key -> [C, *S], as published.
      config: the file with the settings of its paper, seen from the checkout; empty: none.
      traced: options that are numbers which may differ from trial to trial within one compiled program: the
        network has a field of that name, which may be traced. Any other option makes another program.
      features: names of the features that the network returns, in some variant.
      torch_names: from the path of each layer that has parameters to the name of the same layer in the
        published PyTorch code, or in a sensible one where none is published. A parameter that is held in
        another way has an entry of its own, from its path to a `TorchTensor`. Of all variants: a network has
        some of them. Empty: its weights have no other form.
      torch_unread: layers that the published PyTorch code declares, and that no forward pass of some variant
        reads; named as in `torch_names`.
      torch_backbone: the same for a published file of another network, such as torchvision's ResNet-18, that
        has some of its layers to begin with.
      variants: what `build` takes for the option `variant`, if it has one. Where there is a `code`, that is
        what the published PyTorch code computes, else it is the first.
      figures: its published scores, the authors' own first.
      last_maps: its last features that have places, one per branch, which show where it looked; or what finds
        them in the network of some options. Empty: it has none, or they are not known.
    """

    name: str
    title: str
    build: Callable[..., Any]
    papers: tuple[str, ...] = ()
    reads: tuple[str, ...] = ('flow',)
    learner: str = GRADIENT
    descriptor: Descriptor = flattened
    stage: Stage | Callable[..., Stage] | None = None
    sizes: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    config: str = ''
    traced: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    torch_names: Mapping[str, str | TorchTensor] = dataclasses.field(default_factory=dict)
    torch_unread: tuple[str, ...] = ()
    torch_backbone: Mapping[str, str] = dataclasses.field(default_factory=dict)
    variants: tuple[str, ...] = ('paper',)
    figures: tuple[Figure, ...] = ()
    last_maps: tuple[LastMap, ...] | LastMaps = ()

    def __post_init__(self):
        if self.learner not in LEARNERS:
            raise InputError(
                f'unknown learner {self.learner!r} of {self.name}; expected {", ".join(map(repr, LEARNERS))}'
            )
        if self.traced and self.fitting:
            raise InputError(f'{self.name} lists traced options, which a network alone can have')
        known = self.options  # which says what cannot be of `build`
        for name in self.traced:
            if name not in known or not isinstance(known[name].default, float):
                raise InputError(f'traced names {name!r}; expected an option of build that is a float')

    @property
    def fitting(self) -> Fitting | None:
        """How it is made where it has no network; None of one that is trained."""
        return FITTINGS.get(self.learner)

    @functools.cached_property
    def options(self) -> dict[str, Option]:
        """What `build` takes besides `classes`, by name."""
        return options.of(self.build)

    def stage_of(self, section: Mapping[str, Any]) -> Stage | None:
        """The stage by a config's section `model`."""
        if self.stage is None or isinstance(self.stage, Stage):
            return self.stage
        names = inspect.signature(self.stage).parameters
        return self.stage(**{name: section.get(name, self.options[name].default) for name in names})

    def last_maps_of(self, network: Any) -> tuple[LastMap, ...]:
        """The last maps of a network that `build` made."""
        return self.last_maps(network) if callable(self.last_maps) else self.last_maps

    @functools.cached_property
    def _usual_stage(self) -> Stage | None:
        return self.stage_of({})

    @property
    def stored(self) -> tuple[str, ...]:
        """Keys that the dataset must have: what the stage reads, and the network without it."""
        first = self._usual_stage.reads if self.stage else ()
        return tuple(dict.fromkeys([*first, *(key for key in self.reads if key not in self.made)]))

    @property
    def made(self) -> tuple[str, ...]:
        """Keys of the inputs that the stage makes."""
        return self._usual_stage.gives if self.stage else ()

    def usual_shape(self, key: str) -> tuple[int, ...]:
        """[C, *S] of an input, by `sizes` or else by its view; KeyError for one's own of no known size."""
        return self.sizes[key] if key in self.sizes else schema.usual_shape(key)

    @property
    def torch_layers(self) -> list[str]:
        """The layers of `torch_names` as PyTorch calls them, in their order."""
        found = self.torch_names.values()
        return [each if isinstance(each, str) else each.name.rpartition('.')[0] for each in found]

    @property
    def shaping(self) -> tuple[str, ...]:
        """The options, but `variant`, by which trained weights fit or do not; neither a start nor a rate."""
        return tuple(name for name in self.options if name not in ('variant', 'init', *self.traced))

    @property
    def published(self) -> str:
        """The variant that the published PyTorch code computes."""
        return 'code' if 'code' in self.variants else self.variants[0]

    def variant_of(self, section: Mapping[str, Any]) -> str:
        """The variant that a config's section `model` has, which may have none where there is but one."""
        return section.get('variant', self.variants[0])

    def of_variant(self, variant: str, classes: int) -> Any:
        """The network of a variant with its other options as `build` has them."""
        given = {'variant': variant} if 'variant' in self.options else {}
        return self.build(classes=classes, **given)
