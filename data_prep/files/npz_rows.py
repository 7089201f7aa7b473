"""The rows of an array in an .npz, one after the other: all of them may be more than memory has."""

import itertools
import math
import pathlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from dualatme_jax.errors import InputError

# What reading a damaged npz raises; RuntimeError of a damaged head of the file, which then seems encrypted or
# of another version of the format.
DAMAGED = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def write(file: zipfile.ZipFile, name: str, pieces: Iterable[np.ndarray], count: int) -> None:
    """Writes an array as `np.savez` does.

    Args:
      file: the .npz, open for writing.
      name: of the array.
      pieces: [n, ...] each, one behind the other; one at least.
      count: how many rows they have in all.

    Raises:
      OSError: it cannot be written.
    """
    pieces = iter(pieces)
    first = next(pieces)
    header = {
        'descr': np.lib.format.dtype_to_descr(first.dtype),
        'fortran_order': False,
        'shape': (count, *first.shape[1:]),
    }
    with file.open(f'{name}.npy', 'w', force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        for piece in itertools.chain([first], pieces):
            member.write(piece.tobytes())


def read(path: pathlib.Path, name: str) -> Iterator[np.ndarray]:
    """Yields the rows of an array; raises InputError for a file that is damaged or has none of this name."""
    try:
        with zipfile.ZipFile(path) as file, file.open(f'{name}.npy') as member:
            np.lib.format.read_magic(member)
            (count, *shape), _, dtype = np.lib.format.read_array_header_1_0(member)
            size = dtype.itemsize * math.prod(shape)
            for _ in range(count):
                yield np.frombuffer(member.read(size), dtype).reshape(shape)
    except DAMAGED as error:
        raise InputError(f'{path}: {name} cannot be read ({error!r}); make the file anew') from error
