"""Networks that begin with weights from elsewhere: what fits by name and shape, the rest as it was drawn.

Axes: F trials of a wave, G different networks that they begin with.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

Path = tuple[str, ...]  # of a leaf: collection, modules, leaf
COLLECTIONS = ('params', 'batch_stats')  # of variables, those that a network is applied with


@dataclasses.dataclass(frozen=True)
class Fit:
    """What of some weights fits into a network.

    Attributes:
      copied: the leaves that do, in the network's order.
      fresh: the network's other leaves, each with the reason in words.
      unused: the other leaves of the weights, likewise.
      parameters: of the network, arrays and numbers in them, without running statistics.
      copied_parameters: those of `parameters` that are copied.
    """

    copied: tuple[Path, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]
    parameters: tuple[int, int]
    copied_parameters: tuple[int, int]


def fit(network: Mapping[Path, Any], weights: Mapping[Path, Any]) -> Fit:
    """Compares a network with weights; of each leaf `shape` and `dtype` are read."""
    copied = tuple(path for path, leaf in network.items() if path in weights and _same(leaf, weights[path]))

    def differing(own: Mapping[Path, Any], other: Mapping[Path, Any], where: str) -> tuple[str, ...]:
        return tuple(
            f'{"/".join(path)} {_form(leaf)}, {where}: {_form(other[path]) if path in other else "none"}'
            for path, leaf in own.items()
            if path not in copied
        )

    return Fit(
        copied=copied,
        fresh=differing(network, weights, 'in the weights'),
        unused=differing(weights, network, 'in the network'),
        parameters=_count(network, network),
        copied_parameters=_count(network, copied),
    )


@dataclasses.dataclass(frozen=True)
class Start:
    """What the trials of a wave begin with.

    Attributes:
      leaves: path -> [G, ...], on the host.
      places: [F], which of the G is a trial's.
    """

    leaves: Mapping[Path, np.ndarray]
    places: np.ndarray

    def filled(self, trials: int) -> 'Start':
        """The same for so many trials, F or more: what fills them up is the last one again."""
        return Start(self.leaves, np.pad(self.places, (0, trials - len(self.places)), mode='edge'))


def flat(variables: Mapping[str, Any]) -> dict[Path, Any]:
    """The leaves of variables by their paths, of COLLECTIONS alone."""
    return traverse_util.flatten_dict({name: variables[name] for name in COLLECTIONS if name in variables})


def _same(a: Any, b: Any) -> bool:
    return tuple(a.shape) == tuple(b.shape) and a.dtype == b.dtype


def _form(leaf: Any) -> str:
    kind = '' if leaf.dtype == np.float32 else f'{leaf.dtype} '
    return f'{kind}{list(leaf.shape)}'


def _count(network: Mapping[Path, Any], paths) -> tuple[int, int]:
    sizes = [math.prod(network[path].shape) for path in paths if path[0] == 'params']
    return len(sizes), sum(sizes)
