"""Layers against PyTorch: outputs and gradients, of one trial and of stacked ones.

Shapes are ours, examples last; PyTorch's side computes in float64.
"""

import functools

import jax
import numpy as np
import torch

TRIALS = 2

# Compiled in half the time; the arithmetic is the same.
jit = functools.partial(jax.jit, compiler_options={'xla_backend_optimization_level': 0})


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def distinct(seed, *shape):
    """No two values are equal, and all are negative: padding would show."""
    values = np.random.default_rng(seed).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    return (-1 - values) / values.size


def parameters(layer, *inputs):
    """Random values of the layer's parameters, stacked; inputs as of one trial."""
    shapes = jax.eval_shape(layer.init, jax.random.key(0), *inputs)['params']
    leaves, tree = jax.tree.flatten(shapes)
    return jax.tree.unflatten(tree, [normal(k, TRIALS, *leaf.shape) for k, leaf in enumerate(leaves)])


def examples_first(x):
    """PyTorch's [B, C, ...] of our [C, ..., B]."""
    return x.movedim(-1, 0)


def examples_last(x):
    """Our [C, ..., B] of PyTorch's [B, C, ...]."""
    return x.movedim(0, -1)


def assert_same(ours, theirs, params, *inputs, tolerance=1e-5):
    """That two functions of (parameters, *inputs) have the same output and gradients, all in our shapes.

    Args:
      ours: of arrays.
      theirs: of float64 tensors.
      params: a tree of arrays, stacked over trials.
      inputs: arrays, stacked over trials.
    """
    trials = [jax.tree.map(lambda leaf, k=k: leaf[k], (params, *inputs)) for k in range(TRIALS)]
    shape = jax.eval_shape(ours, *trials[0]).shape
    cotangents = normal(99, TRIALS, *shape)
    expected = [_by_torch(theirs, *given) for given in zip(trials, cotangents, strict=True)]

    def run(given, cotangent):
        output, pullback = jax.vjp(ours, *given)
        return output, pullback(cotangent)

    @jit
    def both(given, cotangents):
        return jax.vmap(run)(given, cotangents), run(jax.tree.map(lambda leaf: leaf[0], given), cotangents[0])

    stacked, alone = both((params, *inputs), cotangents)
    found = [alone, *(jax.tree.map(lambda leaf, k=k: leaf[k], stacked) for k in range(TRIALS))]
    for one, wanted in zip(found, (expected[0], *expected), strict=True):
        jax.tree.map(functools.partial(_assert_close, tolerance=tolerance), one, wanted)


def _by_torch(theirs, given, cotangent):
    """Output, and gradients of the cotangent's sum with it."""
    tensors = jax.tree.map(lambda leaf: torch.tensor(np.float64(leaf), requires_grad=True), given)
    output = theirs(*tensors)
    output.backward(torch.tensor(np.float64(cotangent)))
    return output.detach().numpy(), jax.tree.map(lambda leaf: leaf.grad.numpy(), tensors)


def _assert_close(found, wanted, tolerance):
    """Within `tolerance` of the largest value; where all are zero ours may be rounding errors."""
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * max(np.abs(wanted).max(), 1))
