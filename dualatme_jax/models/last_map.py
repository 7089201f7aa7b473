"""Where a network has its last features with places, which show where it looked."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class LastMap:
    """Maps [C, *S, B] within a network, or within one of its branches.

    Attributes:
      path: of the module that returns them, such as `entire/inception2`; of several results, the first. Maps
        that no layer returns have a `layers.maps.Marked`.
      picture: key of the dataset's input that their places lie over.
      branch: its name, of a network that has several.
      call: which call of the module, of one that is called several times; from 0.
      gate: path of the convolution whose sigmoid, [1, H, W, B], weighs the places, called as often as the
        module; empty: there is none.
      onto: of a network that does not read the picture as a whole: from maps [M, H, W] and the picture's edge
        to maps [M, edge, edge] over it; None: their places are the picture's.
    """

    path: str
    picture: str
    branch: str = ''
    call: int = 0
    gate: str = ''
    onto: Callable[[np.ndarray, int], np.ndarray] | None = None


# From the network of some options to its maps.
LastMaps = Callable[[Any], tuple[LastMap, ...]]
