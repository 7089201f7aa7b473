"""Layers that read padded examples, or mix those of a batch, are refused by name; others are not."""

import pathlib
import re
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from small_run import run, small

from dualatme_jax import models
from dualatme_jax.errors import InputError
from dualatme_jax.models import per_example
from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.layers.maps import flat
from dualatme_jax.models.output import Output

GUIDE = pathlib.Path(__file__).parents[3] / 'docs' / 'networks.md'


class Net(nn.Module):
    """A layer on maps [4, 6, 6, B], and a classifier that starts at zero."""

    layer: Callable
    dropout: float | jax.Array = 0.5

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        x = flat(self.layer(self, inputs['flow'], mask, train))
        return Output(nn.Dense(3, kernel_init=nn.initializers.zeros, name='classifier')(x.T))


class Named(nn.BatchNorm):
    """One made from Flax's."""


class Mean(nn.Module):
    """The mean of a batch, in no layer of Flax."""

    @nn.compact
    def __call__(self, x):
        return x - x.mean(-1, keepdims=True)


class Counter(nn.Module):
    """Keeps a number in a collection of its own."""

    @nn.compact
    def __call__(self, x):
        self.variable('cache', 'seen', jnp.zeros, ())
        return x


def tokens(x):
    return x.reshape(4, -1, x.shape[-1]).T


def check(layer):
    per_example.check(Net(layer), ('dropout',), {'flow': (4, 6, 6)}, classes=3)


@pytest.mark.parametrize(
    ('layer', 'says'),
    [
        (
            lambda net, x, mask, train: nn.BatchNorm(use_running_average=not train, axis=0, name='norm')(x),
            r'^norm \(flax.linen.BatchNorm\) cannot be used here: its statistics would count the padded '
            r'examples .* Use dualatme_jax.models.layers.batch_norm.BatchNorm, .* See docs/networks.md',
        ),
        (
            lambda net, x, mask, train: Named(use_running_average=not train, axis=0)(x) if train else x,
            r'^Named_0 \(Named, a flax.linen.BatchNorm\) cannot',
        ),
        (
            lambda net, x, mask, train: nn.Dropout(net.dropout, deterministic=not train)(x),
            r'^Dropout_0 \(flax.linen.Dropout\) cannot .*layers.dropout.Dropout',
        ),
        (
            lambda net, x, mask, train: (
                nn.SelfAttention(2, dropout_rate=0.1, deterministic=not train)(tokens(x)).T
            ),
            r'^SelfAttention_0 \(flax.linen.SelfAttention\) cannot .*layers.attention.Attention',
        ),
        (
            lambda net, x, mask, train: x + jax.random.normal(net.make_rng('noise'), x.shape) if train else x,
            r"^Net draws random numbers that a step does not give \(.*\"noise\"\); .* make_rng\('dropout'",
        ),
        (
            lambda net, x, mask, train: x * jax.random.bernoulli(net.make_rng('dropout'), 0.5, x.shape),
            r'^Net draws random .*"dropout"\); .* in training alone',
        ),
        (lambda net, x, mask, train: Counter()(x), "^Net has variables in the collection 'cache'"),
        (
            lambda net, x, mask, train: x * net.dropout if net.dropout > 0 else x,
            '^Net decides by a number that differs from trial to trial .* use jnp.where',
        ),
        (
            lambda net, x, mask, train: nn.LayerNorm()(x),
            '^Net has a layer .*"/LayerNorm_0".* last axis',
        ),
        (lambda net, x, mask, train: nn.Dense(2)(x), '^Net has a layer whose .*"/Dense_0"'),
    ],
)
def test_what_cannot_be_trained_is_refused_when_it_is_traced(layer, says):
    with pytest.raises(InputError, match=says):
        check(layer)


@pytest.mark.parametrize(
    ('layer', 'says'),
    [
        (
            lambda net, x, mask, train: nn.GroupNorm(1, use_bias=False, use_scale=False)(x),
            r'^GroupNorm_0 \(flax.linen.GroupNorm\) reads padded examples: .*layers.batch_norm.BatchNorm',
        ),
        (lambda net, x, mask, train: Mean(name='mixer')(x), r'^mixer \(Mean\) reads padded examples'),
        (
            lambda net, x, mask, train: BatchNorm(name='norm')(x, mask=jnp.ones_like(mask), train=train),
            r'^norm \(BatchNorm\) reads padded examples',
        ),
        (
            lambda net, x, mask, train: x if train else Mean(name='mixer')(x),
            r'^mixer \(Mean\) mixes the examples of a batch: what it predicts of a clip changes',
        ),
    ],
)
def test_what_mixes_examples_is_named_though_the_classifier_starts_at_zero(layer, says):
    with pytest.raises(InputError, match=says):
        check(layer)


def test_layers_that_compute_each_example_for_itself_may_be_of_flax():
    """All in one network, whose normalisations have the channels last: GroupNorm and InstanceNorm need it."""

    def layer(net, x, mask, train):
        x = nn.LayerNorm(reduction_axes=0, feature_axes=0)(x)
        x = nn.InstanceNorm()(nn.GroupNorm(2)(nn.RMSNorm()(nn.LayerNorm()(x.T)))).T
        x = nn.InstanceNorm(use_bias=False, use_scale=False)(x)  # over the axes between first and last
        x = nn.MultiHeadDotProductAttention(2)(tokens(x), tokens(x)).T.reshape(x.shape)
        x = nn.SpectralNorm(nn.Conv(4, (3, 3)))(x.T, update_stats=train).T
        x = nn.WeightNorm(nn.Conv(4, (3, 3)))(x.T).T
        return Dropout(net.dropout)(BatchNorm(slices=2)(x, mask=mask, train=train), train=train)

    check(layer)


@pytest.mark.parametrize(
    ('output', 'says'),
    [
        (lambda x: x.T, '^Own returns an array; expected dualatme_jax.models.output.Output'),
        (
            lambda x: Output(x),
            r'^Own returns logits of shape \(3, 8\) for 8 examples and 3 classes; expected \(8, 3\)',
        ),
        (lambda x: Output(x.T, {'whole': x}), r"^Own returns features\['whole'\] .*; expected \(8, D\)"),
        (
            lambda x: Output(x.T, losses={'own': x.mean()}),
            r"^Own returns losses\['own'\] of shape \(\) .*; expected \(8\)",
        ),
    ],
)
def test_an_output_of_other_shapes_is_named(output, says):
    class Own(nn.Module):
        @nn.compact
        def __call__(self, inputs, *, mask, train):
            return output(inputs['flow'].mean(1) + self.param('bias', nn.initializers.zeros, (3, 1)))

    with pytest.raises(InputError, match=says):
        per_example.check(Own(), (), {'flow': (3, 5)}, classes=3)


def test_networks_of_the_package_are_refused_by_name_too():
    network = Net(lambda net, x, mask, train: nn.BatchNorm(True, axis=0)(x))
    with pytest.raises(InputError, match=r'^BatchNorm_0 \(flax.linen.BatchNorm\) cannot be used here'):
        models.shapes(network, {'flow': (4, 6, 6)})


@pytest.mark.slow
def test_the_guide_s_network_is_trained_and_refused_with_a_layer_of_flax(
    monkeypatch, small_dataset_dir, tmp_path
):
    [code] = re.findall(r'```python\n(.*?)```', GUIDE.read_text(), re.DOTALL)
    (tmp_path / 'of_guide').mkdir()
    file = tmp_path / 'of_guide' / 'two_streams.py'
    file.write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    fields = {'model.name': 'of_guide.two_streams', 'loss.cosine_pair': ('face', 'parts')}
    config = small(small_dataset_dir, **fields, **{'training.epochs': 1})
    complete, results, _ = run(config, tmp_path / 'run')
    assert complete
    assert results['scores']['full']['uf1']['mean'] > 0

    file.write_text(
        code.replace('Dropout(self.dropout)(', 'nn.Dropout(self.dropout)(').replace(
            '), train=train)\n        logits', '), deterministic=not train)\n        logits'
        )
    )
    del sys.modules['of_guide.two_streams']
    with pytest.raises(InputError, match=r'Dropout_0 \(flax.linen.Dropout\) cannot be used here'):
        run(config, tmp_path / 'other')
    assert not list((tmp_path / 'other').glob('waves/*'))
