"""Layers of sequences against PyTorch's, and against Keras's formulas: outputs and gradients."""

import functools
import re

import jax
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from same_as_torch import TRIALS, assert_same, jit, normal, parameters  # noqa: E402
from torch.nn import functional  # noqa: E402

from dualatme_jax.models.layers.attention import Attention  # noqa: E402
from dualatme_jax.models.layers.conv import Dense  # noqa: E402
from dualatme_jax.models.layers.gru import GRU  # noqa: E402
from dualatme_jax.models.layers.layer_norm import LayerNorm  # noqa: E402

D, T, S, B, UNITS = 3, 5, 4, 2, 4


def torch_gru(params, x):
    """PyTorch's layer; of [D, T, B]."""
    names = {
        'weight_ih_l0': params['input_kernel'].T,
        'weight_hh_l0': params['recurrent_kernel'].T,
        'bias_ih_l0': params['input_bias'],
        'bias_hh_l0': params['recurrent_bias'],
    }
    layer = torch.nn.GRU(D, UNITS, dtype=torch.float64)
    states, _ = torch.func.functional_call(layer, names, x.movedim(0, -1))  # [T, B, D]
    return states.movedim(-1, 0)


def keras_gru(params, x, *, reset_after):
    """Keras's documentation: gates z, r, h; with reset_after the recurrent kernel has biases of its own.

    z = s(x Wz + bz + h Uz [+ cz]), r = s(x Wr + br + h Ur [+ cr]);
    n = tanh(x Wh + bh + r (h Uh + ch)) with reset_after, else tanh(x Wh + bh + (r h) Uh);
    h = z h + (1 - z) n.
    """
    kernels, recurrent = params['input_kernel'].split(UNITS, 1), params['recurrent_kernel'].split(UNITS, 1)
    biases = params['input_bias'].split(UNITS)
    own = params['recurrent_bias'].split(UNITS) if reset_after else (0, 0, 0)
    h, states = torch.zeros(B, UNITS, dtype=torch.float64), []
    for step in x.movedim(1, 0):  # [D, B]
        z_x, r_x, n_x = (step.T @ kernel + bias for kernel, bias in zip(kernels, biases, strict=True))
        z = torch.sigmoid(z_x + h @ recurrent[0] + own[0])
        r = torch.sigmoid(r_x + h @ recurrent[1] + own[1])
        new = r * (h @ recurrent[2] + own[2]) if reset_after else (r * h) @ recurrent[2]
        h = z * h + (1 - z) * torch.tanh(n_x + new)
        states.append(h.T)
    return torch.stack(states, 1)


GRUS = {
    'torch': torch_gru,
    'keras': functools.partial(keras_gru, reset_after=True),
    'keras_reset_before': functools.partial(keras_gru, reset_after=False),
}


@pytest.mark.parametrize('form', GRUS)
@pytest.mark.slow
def test_a_gru_is_pytorch_s_or_keras_s(form):
    layer, x = GRU(UNITS, 'torch', form), normal(0, TRIALS, D, T, B)
    params = parameters(layer, x[0])
    assert ('recurrent_bias' in params) == (form != 'keras_reset_before')
    assert_same(lambda params, x: layer.apply({'params': params}, x), GRUS[form], params, x)


def test_a_gru_has_as_many_parameters_as_the_dual_branch_network_s():
    """Its GRU has 512 units and reads 64 numbers; counted in a network built from the published code."""
    params = jax.eval_shape(GRU(512, 'glorot_uniform', 'keras').init, jax.random.key(0), np.zeros((64, 4, 1)))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 887_808


def torch_attention(params, x, context=None, *, heads, causal=False):
    """PyTorch's layer; of [D, T, B]."""
    parts = [params[name] for name in ('query', 'key', 'value')]
    behind = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
    query = x.movedim(0, -1)  # [T, B, D]
    context = query if context is None else context.movedim(0, -1)
    output, _ = functional.multi_head_attention_forward(
        query,
        context,
        context,
        len(x),
        heads,
        in_proj_weight=torch.cat([part['kernel'].T for part in parts]),
        in_proj_bias=torch.cat([part['bias'] for part in parts]) if 'bias' in parts[0] else None,
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=params['out']['kernel'].T,
        out_proj_bias=params['out']['bias'],
        attn_mask=behind if causal else None,
    )
    return output.movedim(-1, 0)


@pytest.mark.parametrize('options', [{}, {'use_bias': False, 'causal': True}], ids=str)
@pytest.mark.slow
def test_attention_to_itself_is_pytorch_s(options):
    layer, x = Attention(2, 3, 6, 'torch', **options), normal(0, TRIALS, 6, T, B)
    theirs = functools.partial(torch_attention, heads=2, causal='causal' in options)
    assert_same(lambda params, x: layer.apply({'params': params}, x), theirs, parameters(layer, x[0]), x)


@pytest.mark.slow
def test_attention_to_another_sequence_is_pytorch_s():
    layer, x, context = Attention(3, 2, 6, 'torch'), normal(0, TRIALS, 6, T, B), normal(1, TRIALS, 6, S, B)
    assert_same(
        lambda params, x, context: layer.apply({'params': params}, x, context),
        functools.partial(torch_attention, heads=3),
        parameters(layer, x[0], context[0]),
        x,
        context,
    )


@pytest.mark.slow
def test_scores_may_be_pooled_over_the_queries_as_in_the_dual_branch_network():
    """Its heads: Keras's max pool of size 10 with padding `same` leaves the largest score of each key."""
    layer, x = Attention(1, 3, 5, 'torch', pooled=True), normal(0, TRIALS, 6, T, B)

    def theirs(params, x):
        def dense(x, name):
            return params[name]['kernel'].T @ x + params[name]['bias'][:, None]

        x = x.movedim(-1, 0)  # [B, 6, T]
        query, key, value = (dense(x, name) for name in ('query', 'key', 'value'))
        padded = functional.pad(query.mT @ key / 3**0.5, (0, 0, 0, 10 - T), value=-torch.inf)
        pooled = functional.max_pool2d(padded[:, None], (10, 1))[:, 0]  # [B, 1, T]
        return dense(value @ pooled.softmax(-1).mT, 'out').movedim(0, -1)

    assert_same(lambda params, x: layer.apply({'params': params}, x), theirs, parameters(layer, x[0]), x)


LAYERS = {'gru': GRU(2, 'torch'), 'attention': Attention(2, 2, 4, 'torch'), 'dense': Dense(3, 'torch')}


@pytest.mark.parametrize('layer', [*LAYERS.values(), LayerNorm()], ids=[*LAYERS, 'layer norm'])
def test_an_example_does_not_see_the_others(layer):
    x = normal(0, 4, 3, B)
    params = jax.tree.map(lambda leaf: leaf[0], parameters(layer, x))
    other = x.copy()
    other[..., 1] = 1e3  # such as padding
    apply = jit(lambda x: layer.apply({'params': params}, x)[..., 0])
    np.testing.assert_array_equal(apply(x), apply(other))


@pytest.mark.parametrize(('layer', 'products'), [('gru', 2), ('attention', 6), ('dense', 1)])
def test_bfloat16_is_of_every_product_s_factors_with_sums_in_float32(monkeypatch, layer, products):
    """As many products forward, and two gradients of each."""
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    x = normal(0, 4, 3, B)
    params = jax.eval_shape(LAYERS[layer].init, jax.random.key(0), x)
    with jax.default_matmul_precision('bfloat16'):
        gradient = jax.value_and_grad(lambda params, x: LAYERS[layer].apply(params, x).sum(), (0, 1))
        program = jax.jit(gradient).lower(params, x).as_text()
    found = re.findall(r'stablehlo.dot_general .*: \((.*), (.*)\) -> (.*)', program)
    kinds = {tuple(re.search(r'b?f\d+(?=>)', part)[0] for part in each) for each in found}
    assert kinds == {('bf16', 'bf16', 'f32')}
    assert len(found) == 3 * products


def test_a_layer_norm_keeps_the_type_of_its_maps_and_computes_in_float32():
    x = (100 + normal(0, 4, 3, B)).astype(jax.numpy.bfloat16)
    params = {'scale': normal(1, 4), 'bias': normal(2, 4)}
    found, exact = (LayerNorm().apply({'params': params}, each) for each in (x, x.astype(np.float32)))
    assert found.dtype == jax.numpy.bfloat16
    np.testing.assert_array_equal(found, exact.astype(jax.numpy.bfloat16))
