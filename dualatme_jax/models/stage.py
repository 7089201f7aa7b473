"""A frozen stage: what a system computes of each clip once, with fixed weights, before it trains."""

import dataclasses
import functools
import hashlib
import inspect
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dualatme_jax.errors import InputError

# From weights by name and a batch by key, each [B, *S, C] as it is stored, to outputs by key, each [B, ...].
Apply = Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Stage:
    """A feature extractor, a magnifier or the like, which no training changes.

    Attributes:
      name: an identifier; its folder in the cache is called so.
      reads: keys of the dataset that it reads.
      gives: keys of what it returns, for the system to read.
      apply: the function, see `Apply`; each clip of the batch is computed for itself. It may return arrays of
        NumPy or of JAX; floats are kept as float32. JAX compiles it where it is `jax.jit(...)`.
      weights: what its file of weights is and where to get it, in words; empty: it has none.
    """

    name: str
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    apply: Apply
    weights: str = ''

    def __post_init__(self):
        if not self.name.isidentifier():
            raise InputError(f'a stage is called {self.name!r}; expected an identifier, such as i3d')
        if not self.reads or not self.gives:
            raise InputError(
                f'the stage {self.name} reads {self.reads} and gives {self.gives}; expected keys'
            )

    @property
    def code(self) -> str:
        """The SHA-256 of the file that `apply` is written in; empty where there is none."""
        function = inspect.unwrap(self.apply)
        while isinstance(function, functools.partial):
            function = inspect.unwrap(function.func)
        try:
            return hashlib.sha256(pathlib.Path(inspect.getsourcefile(function)).read_bytes()).hexdigest()
        except (OSError, TypeError):  # it was written in a notebook
            return ''
