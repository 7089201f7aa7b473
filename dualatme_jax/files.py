"""Files that are either whole or not there."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`; it takes `path`'s place when the block ends well.

    A reader sees the old file or the new one, never a half of either, whenever the process dies.
    The temporary path keeps the suffix, since many writers choose their format by it.
    """
    path = pathlib.Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.stem}.', suffix=path.suffix)
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    # Reading the mask needs setting it; mkstemp makes files that only their owner reads.
    mask = os.umask(0)
    os.umask(mask)
    return mask
