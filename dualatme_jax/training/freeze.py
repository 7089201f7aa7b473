"""Parts of a network that keep their weights while the rest is trained, by patterns of names.

A pattern is matched with the whole path of a parameter, such as `params/entire/conv1/kernel`, as file names
are by `fnmatch`: `*` takes any characters, slashes too. What is frozen stands outside the optimizer: it has
no gradient, no moments, no weight decay.

A normalisation layer of which all parameters are frozen normalises as in evaluation, by its running
statistics, and these stay; so a frozen extractor computes the same features in training and in prediction.
Other layers run as in training: dropout within a frozen part stays on, unless its rate is 0.
"""

import contextlib
import fnmatch
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import jax
from flax import linen as nn
from flax import traverse_util

from dualatme_jax.errors import InputError
from dualatme_jax.training import start

_SHOWN = 3  # names of parameters that a message has


def check(patterns: Sequence[str], params: Mapping[str, Any], *, prefix: str = '') -> None:
    """Raises InputError for a pattern that matches no parameter, or if nothing is left to train.

    Args:
      patterns: `config.freeze`.
      params: of the network, or their shapes.
      prefix: of the message: which of several networks it is.
    """
    paths = [name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    shown = ', '.join(paths[:_SHOWN]) + (', ...' if len(paths) > _SHOWN else '')
    for pattern in patterns:
        if not fnmatch.filter(paths, pattern):
            raise InputError(
                f'{prefix}config.freeze has {pattern!r}, which matches no parameter of the network; expected '
                f'patterns of names such as {shown}'
            )
    if all(_matches(path, patterns) for path in paths):
        raise InputError(
            f'{prefix}config.freeze is {tuple(patterns)}, which leaves nothing to train of {shown}; to '
            'score weights as they are, give config.evaluate_only'
        )


def name(path: Sequence[Any]) -> str:
    """What patterns call a parameter: `params/...`, from its path in a tree of JAX."""
    return f'params/{jax.tree_util.keystr(tuple(path), simple=True, separator="/")}'


def split(params: Any, patterns: Sequence[str]) -> tuple[Any, Any]:
    """The parameters that are trained, and the frozen ones; None stands in each tree for the other's."""
    if not patterns:
        return params, None

    def only(frozen: bool) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: leaf if _matches(name(path), patterns) == frozen else None, params
        )

    return only(False), only(True)


def joined(trained: Any, frozen: Any) -> Any:
    """The parameters that `split` has taken apart."""
    if frozen is None:
        return trained
    return jax.tree.map(lambda a, b: b if a is None else a, trained, frozen, is_leaf=lambda x: x is None)


def normalisations(variables: Mapping[str, Any], patterns: Sequence[str]) -> frozenset[tuple[str, ...]]:
    """The paths of the layers with running statistics that are frozen.

    All their own parameters are; of a layer without any a pattern matches its statistics, read as parameters.
    """
    if not patterns:
        return frozenset()
    own: dict[tuple[str, ...], list[str]] = {}
    layers = set()
    for collection in ('batch_stats', 'params'):
        for path, _ in jax.tree_util.tree_leaves_with_path(variables.get(collection, {})):
            own.setdefault((collection, *_layer(path)), []).append(name(path))
            if collection == 'batch_stats':
                layers.add(_layer(path))
    return frozenset(
        layer
        for layer in layers
        if all(_matches(path, patterns) for path in own.get(('params', *layer), own['batch_stats', *layer]))
    )


def fixed(variables: Mapping[str, Any], patterns: Sequence[str]) -> frozenset[tuple[str, ...]]:
    """The paths of all leaves that training leaves as they are: frozen parameters, and frozen statistics."""
    layers = normalisations(variables, patterns)
    return frozenset(
        path
        for path in start.flat(variables)
        if (path[0] == 'params' and _matches('/'.join(path), patterns))
        or (path[0] == 'batch_stats' and path[1:-1] in layers)
    )


def without(variables: Mapping[str, Any], paths: Collection[tuple[str, ...]]) -> dict[str, Any]:
    """Variables, `params` and `batch_stats`, without the leaves of these paths."""
    if not paths:
        return dict(variables)
    left = {path: leaf for path, leaf in start.flat(variables).items() if path not in paths}
    return {name: {} for name in variables} | traverse_util.unflatten_dict(left)


def together(variables: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Variables with leaves that `without` has taken away."""
    if not others:
        return dict(variables)
    return dict(variables) | traverse_util.unflatten_dict(start.flat(variables) | start.flat(others))


@contextlib.contextmanager
def as_in_evaluation(layers: Collection[tuple[str, ...]]) -> Iterator[None]:
    """Within the block the layers of these paths are called with `train=False`."""
    if not layers:
        yield
        return

    def interceptor(call: Callable, arguments, options, context: nn.module.InterceptorContext):
        if context.module.path in layers and 'train' in options:
            options = options | {'train': False}
        return call(*arguments, **options)

    with nn.intercept_methods(interceptor):
        yield


def keeping(updated: Any, before: Any, layers: Collection[tuple[str, ...]]) -> Any:
    """Running statistics after a step, with those of these layers as they were before."""
    if not layers:
        return updated
    return jax.tree_util.tree_map_with_path(
        lambda path, new, old: old if _layer(path) in layers else new, updated, before
    )


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def _layer(path: Sequence[Any]) -> tuple[str, ...]:
    return tuple(key.key for key in path[:-1])
