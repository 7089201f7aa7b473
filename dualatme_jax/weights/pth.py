"""Reads and writes files of `torch.save`; no code of one is ever run. The only place that needs PyTorch."""

import _compat_pickle
import collections
import io
import json
import pathlib
import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from dualatme_jax.errors import InputError

# Before 2.6 a file could run code in spite of `weights_only` (CVE-2025-32434).
SAFE_SINCE = (2, 6)
_INSTALL = "`pip install 'torch>={}.{}'`".format(*SAFE_SINCE)

# Where checkpoints of training programs (PyTorch Lightning's too) have the network's state_dict, in the order
# in which it is looked for.
_KEYS = ('state_dict', 'model_state_dict', 'model', 'net', 'network')
_DEPTH = 3  # how deep it may lie in a checkpoint

# What `write` leaves in the state_dict's `_metadata`, which PyTorch keeps there for its own versions.
_ORIGIN = 'dualatme_jax'

# For whole pickled networks, or checkpoints with more than tensors, of an author one trusts: NEW_FOLDER, then
# the files.
_RESAVE = (
    'import sys, torch, pathlib; '
    'out = pathlib.Path(sys.argv[1]); out.mkdir(parents=True, exist_ok=True); '
    f'keys = {json.dumps(_KEYS)}; '
    'load = lambda f: torch.load(f, map_location="cpu", weights_only=False); '
    'state = lambda m: m.state_dict() if isinstance(m, torch.nn.Module) else '
    'next((state(m[k]) for k in keys if k in m), m); '
    '[torch.save(state(load(f)), out / pathlib.Path(f).name) for f in sys.argv[2:]]'
)
# Python's own packages, under the names of Python 2, which pickles have, too: what is of them is no network,
# but for settings that checkpoints do hold.
_OF_PYTHON = {'', *sys.stdlib_module_names, *_compat_pickle.IMPORT_MAPPING}
_SETTINGS = ('argparse.Namespace', 'pathlib.PosixPath', 'collections.defaultdict')


def parsed(content: bytes, path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str], list[str]]:
    """The tensors of a state_dict by their names, on the CPU, wherever they were saved from.

    Args:
      content: of a file that `torch.save` wrote: a state_dict, or a checkpoint that has one in it.
      path: of that file, for errors.

    Returns:
      The tensors; the `origin` that `write` was given; what was unwrapped, and what was left out.

    Raises:
      InputError: no PyTorch; or a file that is damaged, holds other things than tensors, or no state_dict.
    """
    torch = _torch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # it warns of what is an error below
            found = torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        raise InputError(f'{path}: {_reason(error, path)}') from error
    state_dict, notes = _unwrapped(found, path, torch.Tensor)
    tensors = {name: _array(f'{path}: {name}', tensor, torch) for name, tensor in state_dict.items()}
    return tensors, _origin(state_dict), notes


def write(path: pathlib.Path, tensors: Mapping[str, np.ndarray], origin: Mapping[str, str]) -> None:
    """Writes a state_dict that `model.load_state_dict(torch.load(path))` takes, and whence it is."""
    torch = _torch()
    state_dict = collections.OrderedDict((name, torch.from_numpy(values)) for name, values in tensors.items())
    state_dict._metadata = {_ORIGIN: dict(origin)}
    content = io.BytesIO()
    torch.save(state_dict, content)
    path.write_bytes(content.getbuffer())


def _torch():
    try:
        import torch
    except ImportError as error:
        raise InputError(f'PyTorch cannot be imported ({error}); .pth files need it: {_INSTALL}') from error
    if tuple(map(int, torch.__version__.split('.')[:2])) < SAFE_SINCE:
        raise InputError(f'PyTorch {torch.__version__} can be made to run code by a file: {_INSTALL}')
    return torch


def _reason(error: Exception, path: pathlib.Path) -> str:
    """Why PyTorch did not load a file; its own message advises to load it unsafely."""
    expected = 'expected tensors only, as `torch.save(model.state_dict(), path)` writes them'
    if isinstance(error, MemoryError) or 'alloc_cpu' in str(error):
        return 'asks for more memory than any network here takes, so it was refused; take it anew'
    if 'TorchScript' in str(error):
        return f'holds a TorchScript program, which is code, so it was refused; {expected}'
    if named := re.search(r'GLOBAL ([\w.]+)', str(error)):
        refused = (
            f'holds a pickled {named[1]}, and loading that would run code, so it was refused and nothing of '
            f'it was run; {expected}'
        )
        package = named[1].rpartition('.')[0].partition('.')[0]  # none for what is built in
        if package in _OF_PYTHON and named[1] not in _SETTINGS:
            return refused
        command = f'python -c {shlex.quote(_RESAVE)} NEW_FOLDER {shlex.quote(str(path))}'
        return (
            f'{refused}. If it is a whole network, or a checkpoint, of an author whom you trust, this writes '
            'its state_dict, and those of further files that you name, to NEW_FOLDER; run it beside the '
            f'Python code that defines the network:\n  {command}'
        )
    return (
        'truncated, damaged, or not a file that torch.save wrote '
        f'({str(error).partition(".")[0] or type(error).__name__}); take it anew'
    )


def _unwrapped(found: Any, path: pathlib.Path, tensor: type) -> tuple[Mapping[Any, Any], list[str]]:
    """The state_dict in what a file holds, and what was done to find it."""
    if not isinstance(found, Mapping) or not found:
        described = 'an empty one' if isinstance(found, Mapping) else f'a {type(found).__name__}'
        raise InputError(
            f'{path}: not a state_dict but {described}; expected tensors by their names, as '
            '`torch.save(model.state_dict(), path)` writes them'
        )
    others = [
        name for name, value in found.items() if not (isinstance(name, str) and isinstance(value, tensor))
    ]
    if not others:
        return found, []
    there = dict(_state_dicts(found, tensor, _DEPTH))
    for key in _KEYS:
        if chosen := [keys for keys in there if keys[-1] == key]:
            break
    else:
        chosen = list(there)
    if not chosen:
        raise InputError(
            f'{path}: not a state_dict: {", ".join(map(repr, others[:5]))} '
            f'{"is" if len(others) == 1 else "are"} no tensor; expected tensors by their names. If one of '
            'these is the state_dict, save it alone'
        )
    if len(chosen) > 1:
        listing = ', '.join(map(_as_path, chosen[:5]))
        raise InputError(f'{path}: has several state_dicts ({listing}); save the one that you want alone')
    left = [key for key in map(repr, found) if key != repr(chosen[0][0])]
    left += [_as_path(keys) for keys in there if keys != chosen[0] and keys[0] == chosen[0][0]]
    return there[chosen[0]], [
        f'took the state_dict out of {_as_path(chosen[0])}'
        + (f', and left out {", ".join(left)}' if left else '')
    ]


def _state_dicts(found: Mapping, tensor: type, depth: int) -> Iterator[tuple[tuple[str, ...], Mapping]]:
    """The mappings in a checkpoint that hold tensors only, by the keys that lead there."""
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, Mapping) or not value:
            continue
        if all(isinstance(name, str) and isinstance(inner, tensor) for name, inner in value.items()):
            yield (key,), value
        elif depth > 1:
            for keys, inner in _state_dicts(value, tensor, depth - 1):
                yield (key, *keys), inner


def _as_path(keys: tuple[str, ...]) -> str:
    return '/'.join(map(repr, keys))


def _array(where: str, tensor: Any, torch: Any) -> np.ndarray:
    """A tensor as an array that shares its memory."""
    if tensor.layout is not torch.strided or tensor.device.type != 'cpu' or tensor.is_quantized:
        raise InputError(f'{where} is another kind of tensor than dense numbers')
    # A view may repeat what is stored a thousand million times; it would be written out at the first use.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise InputError(
            f'{where} is {list(tensor.shape)}, and {tensor.untyped_storage().nbytes()} bytes are stored: an '
            'expanded view; expected a tensor that holds its numbers, as `.contiguous()` makes it'
        )
    tensor = tensor.detach()
    try:
        if tensor.dtype == torch.bfloat16:  # which NumPy does not have
            return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return tensor.resolve_conj().resolve_neg().numpy()
    except (RuntimeError, TypeError) as error:
        raise InputError(f'{where} is another kind of tensor than dense numbers ({error})') from error


def _origin(state_dict: Mapping) -> dict[str, str]:
    """The `origin` that `write` was given; empty for files of others."""
    metadata = getattr(state_dict, '_metadata', None)
    origin = metadata.get(_ORIGIN) if isinstance(metadata, Mapping) else None
    return dict(origin) if isinstance(origin, Mapping) else {}
