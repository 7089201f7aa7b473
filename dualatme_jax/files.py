"""Paths as users write them; files that are regular, within bounds, whole, and as they were written."""

import contextlib
import errno
import functools
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import pathlib
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator
from typing import BinaryIO

from dualatme_jax.errors import InputError

CHECKSUMS = 'checksums.json'  # in a folder that `write_checksums` has sealed

_MIB = 2**20
_MOST_CHECKSUMS = 64 * _MIB  # bytes of such a file: more than a folder of ours can have
_SHOWN = 3  # damaged files that a message names


def expanded(path: str | os.PathLike, option: str) -> pathlib.Path:
    """Returns a path with its `~` or `~user` replaced by that home folder.

    Args:
      path: as the user wrote it.
      option: where, such as `--out`, for the error.

    Raises:
      InputError: no such user, or one without a home folder; or a path that no file can have: too long, not
        UTF-8, or with a zero byte.
    """
    try:
        whole = pathlib.Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f'{option} {path}: the home folder of {pathlib.Path(path).parts[0]!r} is not known: '
            'write the whole path'
        ) from error
    try:
        str(whole).encode()
        whole.lstat()
    except UnicodeEncodeError as error:
        raise InputError(f'{option} {path}: the path is not UTF-8: rename its folders and file') from error
    except ValueError as error:
        raise InputError(f'{option} {path}: a path cannot hold a zero byte: write another one') from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            shown = str(path) if len(str(path)) < 80 else f'{str(path)[:60]}...'
            raise InputError(
                f'{option} {shown}: the path is too long ({len(str(path))} characters): write a shorter one'
            ) from error
    return whole


def open_regular(path: str | os.PathLike, what: str) -> BinaryIO:
    """Opens a regular file to read its bytes; never waits for a pipe or a device.

    Args:
      path: the file; a link to one is followed.
      what: what it is, such as `sheet`, for the error.

    Raises:
      InputError: there is none, it cannot be opened, or it is a folder, a pipe, a device or the like.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # a ValueError: a zero byte in the path, or a half surrogate
        reason = getattr(error, 'strerror', None) or error
        raise InputError(
            f'cannot read the {what} {path}: {reason}; expected a file that exists and can be read'
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        kind = 'a folder' if pathlib.Path(path).is_dir() else 'a pipe, a device or the like'
        raise InputError(f'cannot read the {what} {path}: it is {kind}; expected a regular file')
    return os.fdopen(descriptor, 'rb')


def read_bytes(path: str | os.PathLike, *, limit: int, what: str) -> bytes:
    """Reads a regular file whole.

    Args:
      path: the file.
      limit: the most bytes that it may have.
      what: what it is, for the error.

    Raises:
      InputError: as `open_regular` does; or it is larger, or cannot be read.
    """
    with open_regular(path, what) as file:
        try:
            content = b'' if os.fstat(file.fileno()).st_size > limit else file.read(limit + 1)
        except OSError as error:
            raise InputError(f'cannot read the {what} {path}: {error.strerror}; copy it anew') from error
        size = max(os.fstat(file.fileno()).st_size, len(content))
    if size > limit:
        raise InputError(
            f'the {what} {path} has {size / _MIB:.1f} MiB; expected {limit / _MIB:.1f} MiB at most'
        )
    return content


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


@contextlib.contextmanager
def hashing(path: str | os.PathLike) -> Iterator[tuple[BinaryIO, 'hashlib._Hash']]:
    """Yields a file that takes `path`'s place as by `replacing`, and the SHA-256 of it, once it is closed."""
    digest = hashlib.sha256()
    with replacing(path) as temporary, io.BufferedWriter(_Hashing(temporary, digest)) as file:
        yield file, digest


class _Hashing(io.FileIO):
    """A new file, whose bytes are hashed as they are written."""

    def __init__(self, path: pathlib.Path, digest: 'hashlib._Hash'):
        super().__init__(path, 'wb')
        self._digest = digest

    def write(self, content) -> int:
        written = super().write(content)
        self._digest.update(memoryview(content)[:written])
        return written


def _umask() -> int:
    # Reading the mask needs setting it; mkstemp makes files that only their owner reads.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256(path: str | os.PathLike, what: str) -> str:
    """Returns the SHA-256 of a regular file, in hexadecimal digits; raises as `open_regular` does."""
    with open_regular(path, what) as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


@functools.cache
def code(*packages: str) -> str:
    """Returns the SHA-256 of all files of packages, in hexadecimal digits: what other code made may differ.

    Args:
      packages: their names, such as `data_prep`; nothing of them is imported.
    """
    digest = hashlib.sha256()
    for package in packages:
        (folder,) = map(pathlib.Path, importlib.util.find_spec(package).submodule_search_locations)
        for path in sorted(folder.rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                digest.update(f'{package}/{path.relative_to(folder)} {sha256(path, "code")}\n'.encode())
    return digest.hexdigest()


def installed(distributions: Iterable[str]) -> dict[str, str]:
    """Returns the version of each of some distributions that is installed."""
    found = {}
    for name in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def write_checksums(folder: pathlib.Path) -> None:
    """Seals a folder: writes the SHA-256 of every file in it and below it to its `CHECKSUMS`.

    Of a folder below it that is sealed already it takes the `CHECKSUMS` alone.
    """
    sums = {str(path.relative_to(folder)): sha256(path, 'file') for path in _files(folder)}
    with replacing(folder / CHECKSUMS) as temporary:
        temporary.write_text(json.dumps(sums, indent=1) + '\n')


def check_if_sealed(folder: pathlib.Path, what: str, *, only: Collection[str] | None = None) -> None:
    """As `check_checksums`, of a folder that older versions have left without checksums, which passes."""
    if (folder / CHECKSUMS).exists():
        check_checksums(folder, what, only=only)


def check_checksums(folder: pathlib.Path, what: str, *, only: Collection[str] | None = None) -> None:
    """Compares a folder with what `write_checksums` has written of it.

    Args:
      folder: the folder.
      what: what it holds, such as `weights`, for the error.
      only: the names of the files that are looked at; None: all are.

    Raises:
      InputError: files are missing, damaged or new, by name; or its `CHECKSUMS` itself is. What lies in a
        sealed folder below it is not compared.
    """
    content = read_bytes(folder / CHECKSUMS, limit=_MOST_CHECKSUMS, what=f'checksums of the {what}')
    try:
        sums = dict(json.loads(content))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f'the {what} {folder} cannot be checked: its {CHECKSUMS} is damaged') from error
    if only is None:
        found = {str(path.relative_to(folder)): path for path in _files(folder)}
    else:
        sums = {name: sums.get(name, '') for name in only}
        found = {name: folder / name for name in only if (folder / name).exists()}
    wrong = [f'{name} is missing' for name in sums.keys() - found.keys()]
    wrong += [f'{name} is new' for name in found.keys() - sums.keys()]
    wrong += [
        f'{name} is damaged'
        for name in found.keys() & sums.keys()
        if sha256(found[name], 'file') != sums[name]
    ]
    if wrong:
        more = f' and {len(wrong) - _SHOWN} more' if len(wrong) > _SHOWN else ''
        raise InputError(
            f'the {what} {folder} are not as they were written: {", ".join(sorted(wrong)[:_SHOWN])}{more}'
        )


def _files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """All that is no folder, in and below one, but its checksums; links are not followed into folders.

    Of sealed folders below it, their checksums.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_dir():
            if path.name != CHECKSUMS:
                yield path
        elif (path / CHECKSUMS).is_file():
            yield path / CHECKSUMS
        else:
            yield from _files(path)
