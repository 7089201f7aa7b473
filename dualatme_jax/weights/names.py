"""The same numbers as our variables and as PyTorch's state_dict: other names, other layouts.

A network's file says in TORCH_NAMES what PyTorch calls each of its layers; what a layer holds is renamed
here. Kernels of ours have the axes height, width, in, out (of dense layers in, out), PyTorch's weights
out, in, height, width (out, in).
"""

import collections
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from dualatme_jax import models, schema
from dualatme_jax.data.names import MOST_CLASSES
from dualatme_jax.errors import InputError
from dualatme_jax.models.stage import Part

Variables = dict[str, Any]
StateDict = Mapping[str, np.ndarray]
Path = tuple[str, ...]  # of a leaf of our variables: collection, modules, leaf

# How many batches a BatchNorm has averaged over. Nothing of ours reads it; it is kept for the way back.
COUNTERS = 'batch_counters'

_SHOWN = 4  # problems of a kind that a message has

# What PyTorch calls a leaf, by collection and our name, in the order in which it lists them.
_LEAVES = {
    ('params', 'kernel'): 'weight',
    ('params', 'scale'): 'weight',
    ('params', 'embedding'): 'weight',
    ('params', 'bias'): 'bias',
    ('params', 'input_kernel'): 'weight_ih_l0',  # of a GRU
    ('params', 'recurrent_kernel'): 'weight_hh_l0',
    ('params', 'input_bias'): 'bias_ih_l0',
    ('params', 'recurrent_bias'): 'bias_hh_l0',
    ('batch_stats', 'mean'): 'running_mean',
    ('batch_stats', 'var'): 'running_var',
    ('batch_stats', 'weight'): 'running_weight',  # Caffe's third number of them, which PyTorch has not
    (COUNTERS, 'count'): 'num_batches_tracked',
}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """What a tensor of a state_dict must be.

    Attributes:
      path: of the leaf that holds it.
      shape: PyTorch's.
      dtype: of both.
      ones: axes of length 1 that PyTorch's has and our leaf lacks.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: str = 'float32'
    ones: tuple[int, ...] = ()

    @property
    def optional(self) -> bool:
        """Whether a state_dict may lack it: PyTorch did not always count batches."""
        return self.path[0] == COUNTERS

    def fits(self, found: np.ndarray) -> bool:
        """Whether `found` can be it.

        For a dense layer a convolution of 1x1 does as well: the published Dual-ATME has dense layers in its
        CBAM, where most other CBAMs have convolutions. On the way back it is a dense layer.
        """
        shape = found.shape[:2] if len(self.shape) == 2 and found.shape[2:] == (1, 1) else found.shape
        return shape == self.shape and found.dtype == self.dtype


@functools.cache
def tensors(model: str, variant: str, classes: int) -> dict[str, Tensor]:
    """What the state_dict of a network must hold, by PyTorch's names.

    Raises:
      InputError: no such model, it has no such variant, or not all of its layers have names in PyTorch.
    """
    found = {}
    for path, leaf in leaves(model, variant, classes).items():
        name, ones = _held(model, path)
        shape = tuple(leaf.shape[axis] for axis in _axes(path, len(leaf.shape)))
        shape = np.expand_dims(np.empty(shape, bool), ones).shape
        found[name] = dataclasses.replace(leaf, shape=shape, ones=ones)
    return _in_order(model, found)


def misfits(
    model: str,
    variant: str,
    classes: int,
    found: Mapping[Path, Any],
    *,
    stacked: int,
    any_size: bool = False,
) -> list[str]:
    """What differs between the leaves of so many stacked networks, and those that are found.

    Args:
      model, variant, classes: of the networks.
      found: for the path of each leaf what has a `shape` and a `dtype`.
      stacked: how many networks, each leaf's first axis.
      any_size: whether they may read flows of another size, so that some axes are longer.
    """
    expected = leaves(model, variant, classes)
    problems = [
        f'{"/".join(path)} is missing'
        for path, leaf in expected.items()
        if path not in found and not leaf.optional
    ]
    for path, leaf in found.items():
        if path not in expected:
            problems.append(f'{"/".join(path)} is none of the network')
            continue
        shape, wanted = tuple(leaf.shape), (stacked, *expected[path].shape)
        alike = shape == wanted or (any_size and len(shape) == len(wanted) and shape[0] == stacked)
        if leaf.dtype != expected[path].dtype or not alike:
            form = f'{expected[path].dtype} {list(wanted)}'
            problems.append(f'{"/".join(path)} is {leaf.dtype} {list(shape)}; expected {form}')
    return problems


@functools.cache
def leaves(model: str, variant: str, classes: int) -> dict[Path, Tensor]:
    """What the variables of a network must hold, by the path of each leaf; `shape` is ours here.

    Raises:
      InputError: no such model, it has no such variant, or it reads inputs that have no usual size.
    """
    system = models.system(model)
    if system.fitting:
        raise InputError(
            f'{model!r} has no weights: it is {system.fitting.how}; expected a network, such as '
            f'{", ".join(models.NETWORKS)}'
        )
    network = system.of_variant(variant, classes)
    if own := [key for key in system.reads if schema.view_of(key) is None and key not in system.sizes]:
        raise InputError(
            f'{model!r} reads {", ".join(own)}, whose size no view decides, so weights cannot be converted '
            f'or checked; expected inputs of the views {", ".join(schema.VIEWS)}'
        )
    usual = {key: system.usual_shape(key) for key in system.reads}
    found = {}
    for path, leaf in traverse_util.flatten_dict(models.shapes(network, usual)).items():
        found[path] = Tensor(path, leaf.shape)
        if path[-1] == 'var':
            counter = (COUNTERS, *path[1:-1], 'count')
            found[counter] = Tensor(counter, (), 'int64')
    return found


def not_finite(variables: Variables) -> list[str]:
    """The leaves that hold numbers that are not finite."""
    flat = traverse_util.flatten_dict(variables)
    return ['/'.join(path) for path, leaf in flat.items() if not np.isfinite(leaf).all()]


def from_torch(model: str, variant: str, classes: int, state_dict: StateDict) -> Variables:
    """Our variables of one network from its state_dict.

    Returns:
      NumPy arrays in nested `params` and `batch_stats`, and in COUNTERS what the state_dict counts. Layers
      that no forward pass reads are left out; see `read`.

    Raises:
      InputError: tensors are missing, surplus, of another form, or hold numbers that are not finite: whose
        they may be, how many of each kind there are, and some by name.
    """
    expected = tensors(model, variant, classes)
    state_dict = read(model, variant, state_dict)
    if listing := _problems(expected, state_dict):
        owners = _owners(state_dict)
        hint = (
            ''
            if model in owners or not owners
            else f'; by their names they are those of {" or ".join(owners)}'
        )
        raise InputError(
            f'not the weights of {model}, variant {variant}, with {classes} classes{hint}\n{listing}'
        )
    return {'batch_stats': {}} | _as_ours(expected, state_dict)


def of_part(part: Part, state_dict: StateDict) -> Variables:
    """The variables of a network within a stage, from the state_dict of its file, which may hold more.

    Raises:
      InputError: see `from_torch`.
    """
    expected = {}
    for path, leaf in traverse_util.flatten_dict(part.shapes()).items():
        shape = tuple(leaf.shape[axis] for axis in _axes(path, len(leaf.shape)))
        layer = part.torch_names['/'.join(path[1:-1])]
        expected[f'{layer}.{_LEAVES[path[0], path[-1]]}'] = Tensor(path, shape)
    counter = f'.{_LEAVES[COUNTERS, "count"]}'
    own = {
        name: found
        for name, found in state_dict.items()
        if name.partition('.')[0] not in part.unread and not name.endswith(counter)
    }
    if listing := _problems(expected, own):
        raise InputError(f'not the weights {part.about}\n{listing}')
    return _as_ours(expected, own)


def _problems(expected: Mapping[str, Tensor], state_dict: StateDict) -> str:
    """What differs between tensors and those that are expected, one line per kind; empty: nothing."""
    problems = collections.defaultdict(list)
    for problem in (*_misfits(expected, state_dict), *_not_finite(expected, state_dict)):
        kind, _, what = problem.partition(': ')
        problems[kind].append(what)
    return '\n'.join(f'  {len(found)} {kind}: {_some(found)}' for kind, found in problems.items())


def _as_ours(expected: Mapping[str, Tensor], state_dict: StateDict) -> Variables:
    leaves = {}
    for name, found in state_dict.items():
        leaves[expected[name].path] = _leaf(expected[name], found.reshape(expected[name].shape))
    return traverse_util.unflatten_dict(leaves)


def leaves_in(model: str, state_dict: StateDict) -> dict[Path, np.ndarray]:
    """What of a state_dict may be leaves of a model, whatever its variant, classes and sizes.

    It may be the model's, or that of the network whose layers it has to begin with (`torch_backbone`): which
    of them is decided by the names.

    Returns:
      The leaves by their paths, without counters; a tensor that is none by its name, or has other axes, stays
      under that name.

    Raises:
      InputError: the model has no names in PyTorch.
    """
    known: dict[str, Tensor] = {}
    for variant in models.system(model).variants:
        known |= tensors(model, variant, len(schema.LABELS))
    known = max(known, _of_backbone(model, known), key=lambda each: len(each.keys() & state_dict.keys()))
    found = {}
    for name, tensor in state_dict.items():
        expected = known.get(name)
        if expected is None:
            found[(name,)] = tensor
            continue
        axes = len(expected.shape)
        if set(tensor.shape[axes:]) == {1}:  # a convolution of 1x1 in place of a dense layer
            tensor = tensor.reshape(tensor.shape[:axes])
        if tensor.ndim != axes or any(tensor.shape[axis] != 1 for axis in expected.ones):
            found[(name,)] = tensor
        elif expected.path[0] != COUNTERS:
            found[expected.path] = _leaf(expected, tensor)
    return found


def _of_backbone(model: str, known: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of the tensors that a network to begin with has too, by the names of its file."""
    backbone = models.system(model).torch_backbone
    found = {}
    for name, tensor in known.items():
        layer = '/'.join(tensor.path[1:-1])
        if layer in backbone:
            found[f'{backbone[layer]}.{name.rpartition(".")[2]}'] = tensor
    return found


def read(model: str, variant: str, state_dict: StateDict) -> dict[str, np.ndarray]:
    """A state_dict without the layers that the published code declares and no forward pass reads."""
    layers = left_out(model, variant)
    return {name: found for name, found in state_dict.items() if name.rpartition('.')[0] not in layers}


def left_out(model: str, variant: str) -> list[str]:
    """The layers that the published code declares and this variant has not."""
    layers = {name.rpartition('.')[0] for name in tensors(model, variant, len(schema.LABELS))}
    return [layer for layer in models.system(model).torch_unread if layer not in layers]


def variants(model: str, classes: int, state_dict: StateDict) -> list[str]:
    """The variants of a model whose tensors these can be, by names, shapes and types."""
    return [
        variant
        for variant in models.system(model).variants
        if not any(_misfits(tensors(model, variant, classes), read(model, variant, state_dict)))
    ]


def to_torch(model: str, variables: Variables) -> dict[str, np.ndarray]:
    """The state_dict of one network; what PyTorch counts is in it if it is in the variables."""
    named = {}
    for path, leaf in traverse_util.flatten_dict(variables).items():
        leaf = np.asarray(leaf)
        name, ones = _held(model, path)
        leaf = np.expand_dims(leaf.transpose(_axes(path, leaf.ndim)), ones)
        named[name] = np.array(leaf, order='C')
    return _in_order(model, named)


def classes_of(model: str, state_dict: StateDict) -> int:
    """How many classes a state_dict distinguishes; the challenge's number where its classifier is no such."""
    system = models.system(model)
    if classifier := system.torch_names.get('classifier'):
        weight = state_dict.get(f'{classifier}.weight')
        classes = len(weight) if weight is not None and weight.ndim else 0
    else:
        classes = _by_lengths(state_dict, *(tensors(model, system.variants[0], count) for count in (2, 3)))
    return classes if 2 <= classes <= MOST_CLASSES else len(schema.LABELS)


def _by_lengths(state_dict: StateDict, two: Mapping[str, Tensor], three: Mapping[str, Tensor]) -> int:
    """The classes by the first axis that is longer with three of them than with two; 0 without one."""
    for name, tensor in two.items():
        found = state_dict.get(name)
        if found is None or found.ndim != len(tensor.shape):
            continue
        for length, short, long in zip(found.shape, tensor.shape, three[name].shape, strict=True):
            if short < long:
                return 2 + (length - short) // (long - short)
    return 0


def _misfits(expected: Mapping[str, Tensor], state_dict: StateDict) -> Iterator[str]:
    for name, tensor in expected.items():
        if name not in state_dict and not tensor.optional:
            yield f'missing: {name}, {_form(tensor)}'
    for name, found in state_dict.items():
        if name not in expected:
            yield f'surplus: {name}, {_form(found)}'
        elif not expected[name].fits(found):
            yield f'misshapen: {name} is {_form(found)}, not {_form(expected[name])}'


def _not_finite(expected: Mapping[str, Tensor], state_dict: StateDict) -> Iterator[str]:
    for name, found in state_dict.items():
        if name in expected and expected[name].fits(found) and not np.isfinite(found).all():
            yield f'not finite: {name}'


def _owners(state_dict: StateDict) -> list[str]:
    """The models that have a variant which a state_dict has all names of; else those with its layers."""
    layers = {name.rpartition('.')[0] for name in state_dict}
    able = [
        model
        for model, system in models.SYSTEMS.items()
        if layers <= {*system.torch_layers, *system.torch_unread}
    ]
    return [model for model in able if _is_named_as(model, state_dict)] or able


def _is_named_as(model: str, state_dict: StateDict) -> bool:
    classes = classes_of(model, state_dict)
    for variant in models.system(model).variants:
        expected = tensors(model, variant, classes)
        needed = {name for name, tensor in expected.items() if not tensor.optional}
        if needed <= read(model, variant, state_dict).keys() <= expected.keys():
            return True
    return False


def _held(model: str, path: Path) -> tuple[str, tuple[int, ...]]:
    """PyTorch's name of a leaf, and the axes of length 1 that its tensor has besides the leaf's."""
    collection, *layers, leaf = path
    layer, known = '/'.join(layers), models.system(model).torch_names
    if own := known.get(f'{layer}/{leaf}'):
        return own.name, own.ones
    if layer not in known or (collection, leaf) not in _LEAVES:
        lacks = f'the layer {layer!r}' if known else 'all of them'
        raise InputError(
            f'{model!r} has no names in PyTorch for its weights: torch_names of its record lacks {lacks}'
        )
    return f'{known[layer]}.{_LEAVES[collection, leaf]}', ()


def _leaf(expected: Tensor, found: np.ndarray) -> np.ndarray:
    """PyTorch's tensor in the layout of our leaf."""
    found = np.squeeze(found, expected.ones)
    return found.transpose(np.argsort(_axes(expected.path, found.ndim)))


def _in_order(model: str, named: Mapping[str, Any]) -> dict[str, Any]:
    """As the model lists layers and tensors, and within each layer as PyTorch does."""
    entries = [
        each if isinstance(each, str) else each.name for each in models.system(model).torch_names.values()
    ]
    parts = list(_LEAVES.values())

    def place(name: str) -> tuple[int, int]:
        if name in entries:
            return entries.index(name), 0
        layer, _, part = name.rpartition('.')
        return entries.index(layer), parts.index(part)

    return {name: named[name] for name in sorted(named, key=place)}


def _axes(path: Path, axes: int) -> tuple[int, ...]:
    """The axes of a leaf in PyTorch's order."""
    return (axes - 1, axes - 2, *range(axes - 2)) if path[-1].endswith('kernel') else tuple(range(axes))


def _some(found: Sequence[str]) -> str:
    more = [f'and {len(found) - _SHOWN} more'] if len(found) > _SHOWN else []
    return '; '.join([*found[:_SHOWN], *more])


def _form(tensor: Tensor | np.ndarray) -> str:
    return f'{tensor.dtype} {list(tensor.shape)}'
