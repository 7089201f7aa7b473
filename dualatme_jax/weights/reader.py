"""Reads files of weights, in a process of its own: they come from outside."""

import pathlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

import ml_dtypes
import numpy as np

from dualatme_jax import files
from dualatme_jax.errors import InputError
from dualatme_jax.outside import guarded
from dualatme_jax.weights import pth, state_dict

SAFETENSORS = '.safetensors'
# How files of weights are called; the longest first, since one ends like another.
ENDINGS = ('.pth.tar', SAFETENSORS, '.pth', '.pt', '.ckpt')

_MIB = 2**20
_MOST_BYTES = 256 * _MIB  # of a file: the largest network here, with an optimizer's state, has 135 MiB
_MEMORY = 640 * _MIB  # to read one file in
_SECONDS = 9, 1  # for all files, and for each
_DTYPES = {
    'F64': np.float64,
    'F32': np.float32,
    'F16': np.float16,
    'BF16': ml_dtypes.bfloat16,
    'I64': np.int64,
    'I32': np.int32,
    'I16': np.int16,
    'I8': np.int8,
    'U8': np.uint8,
    'BOOL': np.bool_,
}


class Read(NamedTuple):
    """What a file holds.

    Attributes:
      tensors: by name, as `state_dict.plain` leaves them.
      origin: that `pth.write` was given; empty for files of others.
      notes: what was unwrapped, taken off and cast.
    """

    tensors: dict[str, np.ndarray]
    origin: dict[str, str]
    notes: list[str]


def read(path: pathlib.Path, known: Collection[str]) -> Read:
    """Reads one file, here; see `read_all` for one that nobody knows.

    Args:
      path: the file; its ending says what it is.
      known: see `state_dict.plain`.

    Raises:
      InputError: the library for it is missing, or it cannot be read, is no file of weights, or has others
        than a network's.
    """
    content = files.read_bytes(path, limit=_MOST_BYTES, what='file of weights')
    if _library(path) == 'safetensors':
        tensors, origin, notes = _of_safetensors(content, path), {}, []
    else:
        tensors, origin, notes = pth.parsed(content, path)
    del content
    try:
        tensors, more = state_dict.plain(tensors, known)
    except InputError as error:
        raise InputError(f'{path}: {error}') from error
    return Read(tensors, origin, notes + more)


class Reader:
    """Files of weights that another process has read within limits, one at a time.

    Args:
      paths: the files.
      known: see `state_dict.plain`.
      scratch: an empty folder on a disk that has room for their tensors.

    Raises:
      InputError: see `read`; or a file takes too much memory or time.
    """

    def __init__(self, paths: Sequence[pathlib.Path], known: Collection[str], scratch: pathlib.Path):
        self._scratch = scratch
        base, each = _SECONDS
        try:
            self._found, error = guarded.call(
                _read_to,
                list(paths),
                tuple(known),
                scratch,
                memory=_MEMORY,
                seconds=base + each * len(paths),
                what='it',
                libraries={_library(path) for path in paths},
            )
        except InputError as ended:
            done = len(list(scratch.glob('[0-9]*')))
            raise InputError(f'{paths[min(done, len(paths) - 1)]}: {ended}') from ended
        if error:
            raise InputError(error)

    def __getitem__(self, place: int) -> Read:
        """Returns what the file at that place holds."""
        names, origin, notes = self._found[place]
        with np.load(_arrays(self._scratch, place)) as arrays:
            tensors = {name: arrays[f'arr_{number}'] for number, name in enumerate(names)}
        return Read(tensors, origin, notes)


def _read_to(paths: list[pathlib.Path], known: tuple[str, ...], scratch: pathlib.Path):
    """Reads files until one is bad, and leaves the arrays of each in `scratch`: they would fill a pipe.

    Returns:
      For each file the names of its tensors, their origin and the notes; and what is wrong with the next one.
    """
    found = []
    for place, path in enumerate(paths):
        try:
            tensors, origin, notes = read(path, known)
        except InputError as error:
            return found, str(error)
        with files.replacing(_arrays(scratch, place)) as temporary, temporary.open('wb') as file:
            np.savez(file, *tensors.values())
        found.append((list(tensors), origin, notes))
    return found, None


def _library(path: pathlib.Path) -> str:
    return 'safetensors' if path.name.lower().endswith(SAFETENSORS) else 'torch'


def _arrays(scratch: pathlib.Path, place: int) -> pathlib.Path:
    return scratch / f'{place}.npz'


def _of_safetensors(content: bytes, path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        import safetensors
    except ImportError as error:
        raise InputError(
            f'safetensors cannot be imported ({error}), which {SAFETENSORS} files need: '
            '`pip install safetensors`'
        ) from error
    try:
        found = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise InputError(
            f'{path}: truncated, damaged, or no safetensors file ({error}); take it anew'
        ) from error
    if not found:
        raise InputError(f'{path}: holds no tensor; expected those of a network')
    for name, tensor in found:
        if tensor['dtype'] not in _DTYPES:
            raise InputError(f'{path}: {name} is {tensor["dtype"]}; expected one of {", ".join(_DTYPES)}')
    return {
        name: np.frombuffer(tensor['data'], _DTYPES[tensor['dtype']]).reshape(tensor['shape'])
        for name, tensor in found
    }
