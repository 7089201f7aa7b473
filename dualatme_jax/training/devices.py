"""Which devices train, how exactly they multiply, and where their programs are kept."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Sequence

import jax

from dualatme_jax.errors import InputError, check_choice

# Names of `config.engine.precision` -> what JAX calls them. `tf32` rounds factors to 10 bits where a GPU has
# such units, `bfloat16` to 7 bits, and keeps maps so between layers but on CPUs; where XLA's own convolutions
# are taken, see `lowering`, a CPU rounds nothing. Sums are float32 always.
PRECISIONS = {'float32': 'highest', 'tf32': 'tensorfloat32', 'bfloat16': 'bfloat16'}

MAPPINGS = ('shard_map', 'pmap')
DISPATCHES = ('auto', 'epoch', 'step')
REMATERIALISE = ('auto', 'on', 'off')


def one_a_core() -> None:
    """Lets a CPU count as one device per core; to be called before JAX is used, or it does nothing.

    Trials need not wait for each other then: on 2 cores a step takes a fifth less than with both cores on one
    device. `JAX_NUM_CPU_DEVICES`, or XLA's own flag, comes first.
    """
    chosen = 'JAX_NUM_CPU_DEVICES' in os.environ or 'device_count' in os.environ.get('XLA_FLAGS', '')
    if chosen or jax.config.jax_num_cpu_devices > 0:
        return
    with contextlib.suppress(RuntimeError):  # JAX is in use, with the devices that it has
        jax.config.update('jax_num_cpu_devices', len(os.sched_getaffinity(0)))


def keep_programs(folder: str) -> str | None:
    """Keeps compiled programs in `folder` from run to run; returns why not, if it cannot be.

    The folder of `JAX_COMPILATION_CACHE_DIR` comes first; none named: programs are not kept.
    """
    if not folder or 'JAX_COMPILATION_CACHE_DIR' in os.environ:
        return None
    try:
        path = pathlib.Path(folder).expanduser()
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except (OSError, RuntimeError) as error:
        return f'compiled programs are not kept: {folder} cannot be written ({error})'
    jax.config.update('jax_compilation_cache_dir', str(path))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)  # many small ones take a second too
    return None


def choose(number: int, *, trials: int | None = None) -> Sequence[jax.Device]:
    """The first `number` devices of all processes; 0: all, of one process no more than there are `trials`.

    Raises:
      InputError: there are fewer, or they cannot be divided among the processes.
    """
    found = jax.devices()
    if number < 0 or number > len(found):
        raise InputError(
            f'config.engine.devices is {number}, but there are {len(found)} ({found[0].device_kind}); '
            f'expected 1 to {len(found)}, or 0 for all'
        )
    if number and jax.process_count() > 1 and number != len(found):
        raise InputError(
            f'config.engine.devices is {number}; with {jax.process_count()} processes every one trains on '
            f'all of its devices, {len(found)} in all: expected 0'
        )
    if not number and jax.process_count() == 1:
        number = trials
    return found[: number or None]


def check(*, mapping: str, dispatch: str, precision: str, rematerialise: str) -> None:
    """Raises InputError for a word that `config.engine` does not take, or that is not available here."""
    for field, value, known in (
        ('mapping', mapping, MAPPINGS),
        ('dispatch', dispatch, DISPATCHES),
        ('precision', precision, PRECISIONS),
        ('rematerialise', rematerialise, REMATERIALISE),
    ):
        check_choice(field, value, f'config.engine.{field}', known)
    if mapping == 'pmap' and jax.process_count() > 1:
        raise InputError("config.engine.mapping is 'pmap'; several processes need 'shard_map'")
