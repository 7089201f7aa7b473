"""A state_dict as the network itself would have saved it: without a wrapper's names, in float32."""

import collections
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from dualatme_jax.errors import InputError

# What PyTorch's wrappers (DataParallel, DistributedDataParallel, torch.compile) put into names, at any depth.
_WRAPPERS = ('module', '_orig_mod')
_COUNTER = 'num_batches_tracked'


def plain(found: Mapping[str, np.ndarray], known: Collection[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Takes wrappers off the names of tensors, and rounds their numbers to float32.

    Args:
      found: tensors by name.
      known: the first parts of names that belong to the network, such as `conv1`: they are never taken off.

    Returns:
      The tensors (float32; counters of batches int64; integers else as they are), and what was done to them.

    Raises:
      InputError: two tensors come to have one name, or numbers are beyond float32.
    """
    names = _without_wrappers(found, known)
    notes = []
    if wrapped := sorted(name for name, short in names.items() if name != short):
        notes.append(f'took wrappers off {len(wrapped)} names: {wrapped[0]} is {names[wrapped[0]]}')
    count = collections.Counter(names.values())
    if twice := [short for short in count if count[short] > 1]:
        raise InputError(
            f'several tensors are {", ".join(sorted(twice)[:3])} once wrappers are taken off their names; '
            'save the network alone, without what wraps it'
        )
    cast = collections.Counter()
    tensors = {}
    for name, tensor in found.items():
        tensors[names[name]] = _counted(tensor) if name.endswith(_COUNTER) else _rounded(name, tensor)
        if tensors[names[name]].dtype != tensor.dtype:
            cast[f'{tensor.dtype} to {tensors[names[name]].dtype}'] += 1
    notes += [
        f'cast {count} {"tensor" if count == 1 else "tensors"} from {change}'
        for change, count in sorted(cast.items())
    ]
    return tensors, notes


def _without_wrappers(names: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Name -> name without wrappers' parts, and without a first part that all have, such as `model`."""
    parts = {name: [part for part in name.split('.') if part not in _WRAPPERS] for name in names}
    while (
        all(len(own) > 1 for own in parts.values())
        and len(firsts := {own[0] for own in parts.values()}) == 1
        and not firsts & set(known)
    ):
        parts = {name: own[1:] for name, own in parts.items()}
    return {name: '.'.join(own) for name, own in parts.items()}


def _rounded(name: str, tensor: np.ndarray) -> np.ndarray:
    # NumPy calls bfloat16, which is not its own, a kind of void.
    if tensor.dtype == np.float32 or not (tensor.dtype.kind == 'f' or tensor.dtype.name == 'bfloat16'):
        return tensor
    with np.errstate(over='ignore', invalid='ignore'):
        rounded = tensor.astype(np.float32)
    if (np.isinf(rounded) & ~np.isinf(tensor)).any():
        raise InputError(f'{name} holds {tensor.dtype} numbers that float32 cannot hold')
    return rounded


def _counted(tensor: np.ndarray) -> np.ndarray:
    """How many batches, which somebody may have cast with all the rest."""
    with np.errstate(invalid='ignore'):
        whole = tensor.real.astype(np.int64)
    return whole if (whole == tensor).all() else tensor
