"""Reads and writes `.pth` files, of which no code is ever run. The only place that needs PyTorch."""

import collections
import io
import pathlib
import re
import warnings
from collections.abc import Mapping

import jax
import numpy as np

from dualatme_jax.convert import names
from dualatme_jax.convert.folds import Folds
from dualatme_jax.errors import InputError

# Before 2.6 a file could run code in spite of `weights_only` (CVE-2025-32434).
SAFE_SINCE = (2, 6)
_INSTALL = "`pip install 'torch>={}.{}'`".format(*SAFE_SINCE)


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a state_dict by their names; on the CPU, wherever they were saved from.

    Raises:
      InputError: no PyTorch; or a file that is damaged, holds other things than tensors, or is no state_dict.
    """
    torch = _torch()
    try:
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror or error}') from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # it warns of what is an error below
            found = torch.load(content, map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        # PyTorch's own message advises to load it unsafely.
        if named := re.search(r'GLOBAL ([\w.]+)', str(error)):
            raise InputError(
                f'{path}: holds a pickled {named[1]}, and loading that would run code, so it was refused and '
                'nothing of it was run; expected tensors only, as `torch.save(model.state_dict(), path)` '
                'writes them'
            ) from error
        raise InputError(
            f'{path}: truncated, damaged, or not a file that torch.save wrote '
            f'({str(error).partition(".")[0] or type(error).__name__}); take it anew'
        ) from error
    if not isinstance(found, Mapping) or not found:
        raise InputError(
            f'{path}: not a state_dict but {_described(found)}; expected tensors by their names, as '
            '`torch.save(model.state_dict(), path)` writes them'
        )
    if others := [name for name, value in found.items() if not isinstance(value, torch.Tensor)]:
        raise InputError(
            f'{path}: not a state_dict: {", ".join(map(repr, others[:5]))} '
            f'{"is" if len(others) == 1 else "are"} no tensor; expected tensors by their names. If one of '
            'these is the state_dict, save it alone'
        )
    try:
        return {str(name): tensor.detach().numpy() for name, tensor in found.items()}
    except (RuntimeError, TypeError) as error:  # sparse, quantised, bfloat16
        raise InputError(f'{path}: a tensor of another kind than dense float32 ({error})') from error


def write(path: pathlib.Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a state_dict that `model.load_state_dict(torch.load(path))` takes."""
    torch = _torch()
    state_dict = {name: torch.from_numpy(values) for name, values in tensors.items()}
    content = io.BytesIO()
    torch.save(collections.OrderedDict(state_dict), content)
    path.write_bytes(content.getbuffer())


def read_folds(source: pathlib.Path, model: str, variant: str) -> Folds:
    """Reads a folder with a `SUBJECT.pth` for each left-out subject.

    Raises:
      InputError: no such files, one that cannot be read, is of another model, has numbers that are not
        finite, or other classes or counters than the rest.
    """
    if not source.is_dir():
        raise InputError(f'--source {source} is not a folder: expected the one with the .pth files')
    # Hidden files are the file manager's: macOS puts a `._name` beside every file that it packs.
    files = sorted(path for path in source.glob('*.pth') if not path.name.startswith('.'))
    if not files:
        raise InputError(f'no .pth in {source}; expected one for each left-out subject, such as sub01.pth')
    first = read(files[0])
    classes = names.classes_of(model, first)
    variables = None
    for place, file in enumerate(files):
        state_dict = read(file) if place else first
        try:
            network = names.from_torch(model, variant, classes, state_dict)
        except InputError as error:
            raise InputError(f'{file}: {error}') from error
        if variables is None:
            variables = jax.tree.map(lambda leaf: np.empty((len(files), *leaf.shape), leaf.dtype), network)
        if jax.tree.structure(network) != jax.tree.structure(variables):
            raise InputError(
                f'{file}: of it and {files[0].name} only one counts batches in every num_batches_tracked; '
                'expected all files to be saved by the same program'
            )
        for stacked, leaf in zip(jax.tree.leaves(variables), jax.tree.leaves(network), strict=True):
            stacked[place] = leaf
    return Folds(model, variant, classes, tuple(file.stem for file in files), variables)


def _torch():
    try:
        import torch
    except ImportError as error:
        raise InputError(f'PyTorch cannot be imported ({error}); .pth files need it: {_INSTALL}') from error
    if tuple(map(int, torch.__version__.split('.')[:2])) < SAFE_SINCE:
        raise InputError(f'PyTorch {torch.__version__} can be made to run code by a file: {_INSTALL}')
    return torch


def _described(found) -> str:
    if isinstance(found, Mapping):
        return 'an empty one'
    return f'a {type(found).__name__}'
