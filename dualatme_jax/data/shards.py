"""Reads the records of one file of a dataset in a process of its own: kilobytes may unpack to gigabytes."""

import pathlib
import resource

from dualatme_jax.outside import guarded

_MEMORY, _SECONDS = 256 * 2**20, 10.0  # besides the records
_THREADS = 64  # that ArrayRecord starts, whose stacks count as memory
_STACK = 8 * 2**20  # bytes of one, where it has no limit
_AT_ONCE = 64  # records


def read(path: pathlib.Path, count: int, most: int) -> list[bytes]:
    """Returns the records of a shard.

    Args:
      path: the file, in ArrayRecord.
      count: how many it must hold.
      most: bytes that each may have.

    Raises:
      RuntimeError: it is damaged, or holds others than these.
      InputError: it takes far more memory or time than these would.
    """
    stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
    stacks = _THREADS * (_STACK if stack == resource.RLIM_INFINITY else stack)
    return guarded.call(
        _records,
        str(path),
        count,
        most,
        memory=_MEMORY + stacks + 3 * count * most,
        seconds=_SECONDS + count / 1000,
        what=f'the clips in {path}',
    )


def _records(path: str, count: int, most: int) -> list[bytes]:
    from array_record.python import array_record_module  # here alone, and not where `read` is called

    reader = array_record_module.ArrayRecordReader(path)
    found = reader.num_records()
    if found != count:
        raise RuntimeError(f'it holds {found} clips instead of {count}')
    records: list[bytes] = []
    for start in range(0, count, _AT_ONCE):
        some = reader.read(list(range(start, min(start + _AT_ONCE, count))))
        longest = max(map(len, some))
        if longest > most:
            raise RuntimeError(f'it holds a clip of {longest} bytes; expected {most} at the most')
        records += some
    reader.close()
    return records
