"""A hidden folder beside what is being written: one process holds it, the next one clears what is left."""

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterator

from dualatme_jax.errors import InputError


def folder_of(out: pathlib.Path) -> pathlib.Path:
    """Returns the scratch folder of `out`."""
    # Hidden, so that a build which was killed is not taken for a dataset by its neighbours; of a fixed name,
    # so that the next one clears it away.
    return out.parent / f'.{out.name}.building'


@contextlib.contextmanager
def held(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the scratch folder of `out`, whose parents are made; it is deleted when the block ends.

    What a process that was killed has left in it is still there: its lock ended with the process.

    Raises:
      InputError: another process holds it, or something else is in its place, such as a link.
      OSError: it cannot be made.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder_of(out)
    handle = _locked(scratch, out)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(handle)


@contextlib.contextmanager
def new_folder(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields an empty folder beside `out`, which takes `out`'s place when the block ends well.

    The folder that it lies in is deleted with all that the block puts there.

    Raises:
      InputError: `out` holds something, cannot be written, or another process is writing it.
    """
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f'--out {out} holds something already; expected a folder that is new or empty')
        with held(out) as scratch:
            for rest in scratch.iterdir():  # of a process that was killed
                shutil.rmtree(rest)
            made = scratch / 'made'
            made.mkdir()
            yield made
            made.rename(out)
    except OSError as error:
        raise InputError(
            f'cannot write --out {out}: {error.strerror or error}; make room, or choose another'
        ) from error


def _locked(scratch: pathlib.Path, out: pathlib.Path) -> int:
    """Makes the folder `scratch` and returns a handle of it that holds its lock."""
    while True:
        with contextlib.suppress(FileExistsError):
            scratch.mkdir()
        try:  # a link is not followed: what is cleared must be our own
            handle = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # deleted by its holder, just now
            continue
        except NotADirectoryError as error:
            raise InputError(
                f'{scratch} is a link or a file; expected the hidden folder in which {out} is made: '
                'delete it, or choose another --out'
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its holder may have deleted it before the lock was had; another folder may be in its place.
            if os.path.samestat(os.fstat(handle), scratch.lstat()):
                return handle
        except FileNotFoundError:
            pass
        except BlockingIOError as error:
            os.close(handle)
            raise InputError(
                f'another process is writing {out}: wait for it, or choose another --out'
            ) from error
        os.close(handle)
