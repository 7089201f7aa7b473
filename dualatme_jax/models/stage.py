"""A frozen stage: what a system computes of each clip once, with fixed weights, before it trains."""

import dataclasses
import functools
import hashlib
import inspect
import pathlib
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dualatme_jax.errors import InputError

# From weights by name and a batch by key, each [B, *S, C] as it is stored, to outputs by key, each [B, ...].
Apply = Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Part:
    """A network within a stage, whose weights are in a file of their own.

    Attributes:
      about: what the file is and where to get it, in words, after `weights`.
      shapes: makes the shapes of its variables.
      torch_names: from the path of each of its layers to the name of the layer in the file.
      unread: first parts of names of tensors that the file may hold and the network does not have.
      system: that whose networks have the same layers, by the same paths: the weights may be those of a run,
        or of a folder that `dualatme_jax.convert` wrote. Empty: there is none.
    """

    about: str
    shapes: Callable[[], Mapping[str, Any]]
    torch_names: Mapping[str, str]
    unread: tuple[str, ...] = ()
    system: str = ''


@dataclasses.dataclass(frozen=True)
class Stage:
    """A feature extractor, a magnifier or the like, which no training changes.

    Attributes:
      name: an identifier; its folder in the cache is called so.
      reads: keys of the dataset that it reads.
      gives: keys of what it returns, for the system to read.
      apply: the function, see `Apply`; each clip of the batch is computed for itself. It may return arrays of
        NumPy or of JAX; floats are kept as float32, those of float16 as such. JAX compiles it where it is
        `jax.jit(...)`.
      weights: what its file of weights is and where to get it, in words; empty: it has none, or `parts`.
      parts: of a stage of networks with a file each, by name: `apply` gets the variables of each.
      about: what stands behind the input wherever a result is shown; empty: nothing.
    """

    name: str
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    apply: Apply
    weights: str = ''
    parts: Mapping[str, Part] = dataclasses.field(default_factory=dict)
    about: str = ''

    def __post_init__(self):
        if not self.name.isidentifier():
            raise InputError(f'a stage is called {self.name!r}; expected an identifier, such as i3d')
        if not self.reads or not self.gives:
            raise InputError(
                f'the stage {self.name} reads {self.reads} and gives {self.gives}; expected keys'
            )

    @property
    def code(self) -> str:
        """The SHA-256 of the file that `apply` is written in, and of what it was given when it was made.

        That is the arguments of a `functools.partial`, the object of a method, what a closure holds. Empty
        where there is no file, or where what was given cannot be pickled.
        """
        function, given = inspect.unwrap(self.apply), []
        while isinstance(function, functools.partial):
            given += [function.args, sorted(function.keywords.items())]
            function = inspect.unwrap(function.func)
        try:
            given.append(getattr(function, '__self__', None))
            given += [cell.cell_contents for cell in getattr(function, '__closure__', None) or ()]
            source = pathlib.Path(inspect.getsourcefile(function)).read_bytes()
            return hashlib.sha256(source + pickle.dumps(given)).hexdigest()
        except Exception:  # it was written in a notebook; of pickle any error may come
            return ''
