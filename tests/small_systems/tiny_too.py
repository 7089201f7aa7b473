"""The network of `tiny` once more, as another system."""

from small_systems.tiny import record

SYSTEM = record(__name__, 'Tiny, too')
