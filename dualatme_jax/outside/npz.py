"""Arrays in an npz file: written whole, and read from one of unknown origin."""

import io
import math
import os
import zipfile
from collections.abc import Mapping

import numpy as np

from dualatme_jax import files


def write(found: Mapping[str, np.ndarray], path: str | os.PathLike) -> None:
    """Writes arrays by name, whole or not at all; the same bytes for the same arrays."""
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **found)
    with files.replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


def arrays(content: bytes, *, most: int) -> dict[str, np.ndarray]:
    """The arrays of an npz file, by name; nothing in it is run.

    Args:
      content: of the file.
      most: bytes that all of them may take together.

    Raises:
      ValueError: they would take more, or more than the file says; or one holds objects. Others of NumPy,
        zipfile and zlib: it is damaged, or no such file.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > most:
            raise ValueError(f'more than {most / 2**20:.0f} MiB')
        for member in members:
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                header = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
                shape, _, dtype = (header or np.lib.format.read_array_header_2_0)(file)
                if math.prod(shape) * dtype.itemsize > member.file_size or dtype.kind not in 'biufU':
                    raise ValueError(f'{member.filename} of {dtype} {shape}')
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return dict(found)
