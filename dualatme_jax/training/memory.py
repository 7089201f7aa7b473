"""How many trials fit the device: the size of a wave."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence

import humanize
import jax

from dualatme_jax.errors import InputError
from dualatme_jax.machines import host_memory

GIB = 2**30

# Bytes in words: `73.8 MiB`.
amount = functools.partial(humanize.naturalsize, binary=True, format='%.4g')

# Of the free memory, the part that a wave may plan for: the rest is the allocator's slack, the evaluation's
# and other people's.
USABLE = 0.8


def budget(limit_gib: float, devices: Sequence[jax.Device]) -> int:
    """Bytes that a wave may use on all devices: `limit_gib` if it is not zero, else most of what is free."""
    if limit_gib < 0:
        raise InputError(f'config.engine.memory_gib is {limit_gib}; expected a size in GiB, or 0 for all')
    if limit_gib:
        return int(limit_gib * GIB)
    if devices[0].platform == 'cpu':  # CPU devices report no memory, and share that of the machine
        return int(host_memory.free() * USABLE)
    free = []
    for device in _here(devices):
        stats = device.memory_stats()
        if not stats:
            raise InputError(f'{device.device_kind} does not report its memory; set config.engine.memory_gib')
        free.append(stats['bytes_limit'] - stats['bytes_in_use'])
    return int(min(free) * len(devices) * USABLE)


def _here(devices: Sequence[jax.Device]) -> list[jax.Device]:
    """Those of this process."""
    return [device for device in devices if device.process_index == jax.process_index()]


def check_clips(needed: int, devices: Sequence[jax.Device]) -> None:
    """Raises InputError where the clips of a dataset, of `needed` bytes, do not fit a device.

    The devices of a CPU read them where they lie.
    """
    if devices[0].platform == 'cpu':
        free = host_memory.free()
    else:
        stats = _here(devices)[0].memory_stats()
        free = stats['bytes_limit'] - stats['bytes_in_use'] if stats else needed
    if needed > free:
        raise InputError(
            f'the clips take {amount(needed)}, all of which lie on each device, and {devices[0].device_kind} '
            f'has {amount(free)} free; build the dataset with fewer frames or smaller pictures, or, where a '
            'frozen stage makes them, let it make fewer numbers of each clip'
        )


@dataclasses.dataclass(frozen=True)
class Way:
    """How a trial is trained: what decides the memory that it takes.

    Attributes:
      micro_batch: examples of a part of a batch; 0: batches are whole.
      recompute: whether the backward pass computes the network's maps again.
    """

    micro_batch: int = 0
    recompute: bool = False


class OutOfMemoryError(InputError):
    """The device ran out of memory in a wave; fewer trials side by side may do."""


@contextlib.contextmanager
def explained(trials: int) -> Iterator[None]:
    """Turns the device's running out of memory with `trials` side by side into OutOfMemoryError."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if 'RESOURCE_EXHAUSTED' not in str(error):
            raise
        raise OutOfMemoryError(
            f'the device ran out of memory with {trials} trials side by side: {str(error).splitlines()[0]}\n'
            'what has ended is kept: free memory and give the same command, or have activations computed '
            "again by --config.engine.rematerialise='on'"
        ) from error


def most_at_once(limit: int, devices: Sequence[jax.Device], trials: int) -> int:
    """Trials that a wave should have at the most: `limit` if it is not zero, else what is fastest.

    More trials use an accelerator better. A CPU is busy with one per core; the maps of more
    only drive each other out of its caches (`python -m benchmarks.scaling`).
    """
    fastest = len(devices) if devices[0].platform == 'cpu' else trials
    return min(limit or fastest, trials)


def halved(size: int, devices: int) -> int:
    """Half as many trials, of which each device has as many, and one at least."""
    return max(size // 2 // devices, 1) * devices


def wave_size(*, trials: int, bytes_per_trial: int, budget_bytes: int, most: int, devices: int = 1) -> int:
    """Trials per wave: as many as fit, then evened out so that the waves are of one size.

    Args:
      trials: how many there are in all.
      bytes_per_trial: what one needs at its peak.
      budget_bytes: what there is, on all devices together.
      most: how many a wave may have at all.
      devices: which have equally many; what fills a wave up takes memory too.

    Raises:
      InputError: not even one trial a device fits.
    """
    fit = budget_bytes // bytes_per_trial // devices * devices
    if fit < 1:
        fewer = ', or fewer devices by config.engine.devices' if devices > 1 else ''
        raise InputError(
            f'no memory for one trial on each of {devices} devices: one needs '
            f'{amount(bytes_per_trial)} and {amount(budget_bytes)} may be used in all; '
            'lower config.training.batch_size, '
            f'free memory, or raise config.engine.memory_gib if it was set{fewer}'
        )
    return evened_out(trials, min(fit, most))


def evened_out(trials: int, most: int) -> int:
    """Trials per wave, at most `most`, so that the waves are of one size."""
    waves = -(-trials // min(most, trials))
    return -(-trials // waves)
