"""The tiny system, whose maps are its inputs: for tests of where a network looked."""

import dataclasses

from small_systems import tiny

from dualatme_jax.models.last_map import LastMap

SYSTEM = dataclasses.replace(
    tiny.record(__name__, 'Tiny, seen'),
    last_maps=tuple(LastMap(f'maps_{name}', key, name) for name, key in tiny.STREAMS.items()),
)
