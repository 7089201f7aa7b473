"""How much memory of this machine is free."""

import math
import pathlib

import psutil

_CGROUP = ('memory.max', 'memory.current')


def free() -> int:
    """Bytes that this process may still take: of the machine's, or what a container's limit leaves."""
    return int(min(psutil.virtual_memory().available, _container_free()))


def _container_free() -> float:
    """Bytes that a container's limit (cgroup version 2) leaves; infinite without a limit."""
    try:
        limit, used = (pathlib.Path('/sys/fs/cgroup', name).read_text() for name in _CGROUP)
        return int(limit) - int(used)
    except (OSError, ValueError):  # no such limit here, or the word `max`
        return math.inf
