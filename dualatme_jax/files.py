"""Paths as users write them, and files that are either whole or not there."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

from dualatme_jax.errors import InputError


def expanded(path: str | os.PathLike, option: str) -> pathlib.Path:
    """Returns a path with its `~` or `~user` replaced by that home folder.

    Args:
      path: as the user wrote it.
      option: where, such as `--out`, for the error.

    Raises:
      InputError: no such user, or one without a home folder.
    """
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f'{option} {path}: the home folder of {pathlib.Path(path).parts[0]!r} is not known: '
            'write the whole path'
        ) from error


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
