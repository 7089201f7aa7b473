"""Where a network looks: Grad-CAM (Selvaraju et al., ICCV 2017), and the gate of CBAM (Woo et al., 2018).

It is computed beside the network, whose layers know nothing of it and give the numbers that they always give:
zeros are added to what a layer returns, and the gradient by these zeros is taken.

Axes: C channels, *S places (of frames, the time first), H rows, W columns, B examples, K classes.
"""

import collections
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers import lowering
from dualatme_jax.training.prepare import Prepare
from dualatme_jax.training.scaling import scaled

# Of one layer: path of its module, and which of its calls.
Call = tuple[str, int]

# From variables, inputs of one clip as they are stored, each [C, *S, 1], what scales them and classes [L], to
# what `grad_cam` returns.
Look = Callable[..., tuple[list[jax.Array], dict[int, jax.Array]]]


def compiled(network: nn.Module, last_maps: Sequence[LastMap], prepare: Prepare) -> Look:
    """`grad_cam` of clips as they are stored, compiled once for all networks of a kind.

    Args:
      network: as `models.build` makes it.
      last_maps: where in it.
      prepare: from inputs as they are stored to what the network reads.
    """

    @jax.jit
    def look(variables, inputs, scaling, labels):
        with jax.default_matmul_precision('highest'), lowering.use('grouped'):  # no trials are stacked here
            return grad_cam(network, last_maps, variables, scaled(prepare(inputs), scaling), labels)

    return look


def grad_cam(
    network: nn.Module,
    last_maps: Sequence[LastMap],
    variables: Mapping[str, Any],
    inputs: Mapping[str, jax.Array],
    labels: jax.Array,
) -> tuple[list[jax.Array], dict[int, jax.Array]]:
    """Where a network looks in one clip.

    Of each map the channels are weighted by the mean gradient of the class's logit, summed, and what is below
    0 becomes 0 (equations 1 and 2 there). Of several frames, and of what a network computes of one clip as
    several examples, it is the mean of their maps.

    Args:
      network: as `models.build` makes it.
      last_maps: where in it, see `System.last_maps_of`.
      variables: its `params` and `batch_stats`.
      inputs: of one clip as the network reads them, each [C, *S, 1].
      labels: [L], the classes to look for.

    Returns:
      Of each of `last_maps` its maps [L, H, W], for all of them on the same scale, on which 1 is the largest
      value that a class has in any; all 0 where nothing speaks for a class. And by their places among
      `last_maps`, the gates [H, W] of those that have one.

    Raises:
      KeyError: the network has no such layer, or calls it less often.
    """
    places = [(each.path, each.call) for each in last_maps]
    gates = {k: (each.gate, each.call) for k, each in enumerate(last_maps) if each.gate}

    def logits(added: Mapping[Call, jax.Array]) -> tuple[jax.Array, dict[Call, jax.Array]]:
        found: dict[Call, jax.Array] = {}
        with nn.intercept_methods(watching({*places, *gates.values()}, found, added)):
            output = network.apply(variables, inputs, mask=jnp.ones(1), train=False)
        return output.logits[0].astype(jnp.float32), found

    shapes = jax.eval_shape(lambda: logits({})[1])
    zeros = {call: jnp.zeros(shapes[call].shape, shapes[call].dtype) for call in places}
    scores, gradient_of, maps = jax.vjp(logits, zeros, has_aux=True)
    gradients = [gradient_of(chosen)[0] for chosen in jax.nn.one_hot(labels, len(scores))]
    raw = [jnp.stack([_weighted(maps[call], own[call]) for own in gradients]) for call in places]
    most = jnp.stack([x.max((1, 2)) for x in raw]).max(0)
    factor = jnp.where(most > 0, 1 / jnp.where(most > 0, most, 1), 0)
    return (
        [jnp.clip(x * factor[:, None, None], 0, 1) for x in raw],
        {k: nn.sigmoid(maps[call][0, ..., 0].astype(jnp.float32)) for k, call in gates.items()},
    )


def _weighted(maps: jax.Array, gradient: jax.Array) -> jax.Array:
    """[H, W]: maps [C, *S, B] weighted by their mean gradients of the same shape."""
    maps, gradient = maps.astype(jnp.float32), gradient.astype(jnp.float32)
    over = tuple(range(1, maps.ndim - 1))
    found = nn.relu((gradient.mean(over, keepdims=True) * maps).sum(0))
    return found.mean((*range(found.ndim - 3), -1))


def watching(
    wanted: Collection[Call], found: dict[Call, jax.Array], added: Mapping[Call, jax.Array]
) -> Callable[..., Any]:
    """An interceptor for `nn.intercept_methods`, of one application of a network.

    Args:
      wanted: calls that are watched.
      found: takes what each of them returns; of several results, the first.
      added: what is added to that before the network goes on.
    """
    times: collections.Counter[str] = collections.Counter()

    def intercepted(function, arguments, keywords, context):
        result = function(*arguments, **keywords)
        path = '/'.join(context.module.path)
        if context.method_name != '__call__':
            return result
        call = path, times[path]
        times[path] += 1
        if call not in wanted:
            return result
        first, *others = result if isinstance(result, tuple) else (result,)
        found[call] = first + added[call] if call in added else first
        return (found[call], *others) if others else found[call]

    return intercepted
