"""Batches in parts, and activations computed again: the same step, in less memory."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dualatme_jax.models.layers.batch_norm import BatchNorm
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.dropout import Dropout
from dualatme_jax.models.output import Output
from dualatme_jax.training import optimizers, recompute
from dualatme_jax.training.parallel import stack
from dualatme_jax.training.parts import Batch, summed
from dualatme_jax.training.state import Clips
from dualatme_jax.training.step import Training
from dualatme_jax.training.trials import Trial

CLIPS, WIDTH = 14, 12
HYPERPARAMETERS = {
    'learning_rate': 0.1,
    'weight_decay': 0.0,
    'step_epochs': 10.0,
    'step_factor': 1.0,
    'step_until': 0.0,
    'momentum': 0.0,
    'coupled_decay': 0.0,
    'focal_gamma': 2.0,
    'focal_alpha': 1.0,
    'cosine_weight': 0.5,
    'label_smoothing': 0.1,
    'mixup': 0.4,
    'class_balance': 0.7,
    **{f'class_weight_{k}': weight for k, weight in enumerate((1.0, 0.3, 2.0))},
}


class Network(nn.Module):
    """Everything that a loss reads: logits, two features, a loss of its own, several steps of time."""

    normalised: bool = False
    dropped: bool = False

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        x = nn.relu(nn.Dense(4, name='mix')(inputs['flow'].T).T)
        if self.normalised:
            x = BatchNorm(name='norm')(x, mask=mask, train=train)
        x = x.reshape(-1, x.shape[-1])
        a, b = (jnp.tanh(Dense(5, 'torch', name=name)(x)) for name in 'ab')
        a = Dropout(0.5)(a, train=train) if self.dropped else a
        steps = [Dense(3, 'torch', name=f'head{k}')(a * b).T for k in (0, 1)]
        return Output(
            steps[-1],
            features={'entire': a.T, 'puzzled': b.T},
            step_logits=jnp.stack(steps, 1),
            losses={'size': jnp.square(x).mean(0)},
        )


def training(network, **options):
    return Training(
        model=lambda given: network,
        optimizer=optimizers.optimizer('sgd'),
        active=frozenset({'mixup', 'class_balance', 'label_smoothing'}),
        hyperparameters=tuple(HYPERPARAMETERS),
        **options,
    )


@pytest.fixture(scope='module')
def clips():
    flow = jax.random.normal(jax.random.key(0), (3, 4, CLIPS))
    return Clips({'flow': flow}, jnp.array([0, 0, 1, 2, 2, 2, 0, 1, 0, 2, 0, 0, 1, 2]))


@pytest.fixture(scope='module')
def rows():
    """Two trials: of one the batch is full, the other leaves so many out that a part is padding alone."""
    return stack(
        [
            Trial(
                jax.random.key(seed),
                np.arange(CLIPS) < trained,
                np.arange(5, dtype=np.int32),
                {name: np.float32(value) for name, value in HYPERPARAMETERS.items()},
            )
            for seed, trained in ((3, 13), (4, 7))
        ]
    )


def program(own, clips, rows):
    """`call(start)`: states before and behind one step of each trial, its losses and predictions after it."""
    before = jax.jit(jax.vmap(own.init, (0, None)))(rows, clips)

    def one(trial, state, start):
        order = own.shuffle(trial, clips, 0)
        state, loss = own.step(state, trial, clips, order, 0, start, width=WIDTH)
        return state, loss, own.predict(state, trial, clips)

    step = jax.jit(jax.vmap(one, (0, 0, None)))
    return lambda start: (before, *step(rows, before, start))


# Clips are mixed before a batch is cut into parts; without, a program compiles in half the time.
UNMIXED = frozenset({'class_balance', 'label_smoothing'})


@pytest.fixture(scope='module')
def everything(clips, rows):
    """Of a network with normalisation and dropout, in parts."""
    own = training(Network(normalised=True, dropped=True), micro_batch=4)
    return program(dataclasses.replace(own, active=UNMIXED), clips, rows)


@pytest.fixture(scope='module')
def mixed(clips, rows):
    """Of mixed clips, in parts."""
    return program(training(Network(), micro_batch=5), clips, rows)


same = functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-6)


@pytest.mark.slow
def test_parts_have_the_loss_and_the_gradients_of_the_whole_batch(clips, rows, mixed):
    jax.tree.map(same, mixed(0), program(training(Network()), clips, rows)(0))


@pytest.mark.slow
@pytest.mark.parametrize('which', ['everything', 'mixed'])
def test_a_batch_behind_the_last_clip_changes_nothing_in_parts(request, which):
    before, states, losses, _ = request.getfixturevalue(which)(CLIPS)
    jax.tree.map(np.testing.assert_array_equal, states, before)
    assert not losses.any()


@pytest.mark.slow
def test_a_normalisation_sees_its_part_and_passes_over_padding(clips, rows):
    network = Network(normalised=True)
    own = training(network, micro_batch=4)
    own = dataclasses.replace(own, active=frozenset())  # the inputs as they are
    before, states, *_ = program(own, clips, rows)(0)
    apply = jax.jit(
        lambda variables, inputs, mask: network.apply(
            variables, inputs, mask=mask, train=True, mutable=['batch_stats']
        )
    )
    for place, parts in enumerate(([4, 4, 4], [4, 3])):
        trial, state = jax.tree.map(lambda leaf, place=place: leaf[place], (rows, before))
        variables = state.variables
        order, done = own.shuffle(trial, clips, 0), 0
        for part in parts:  # by hand, one after the other
            inputs = {'flow': clips.inputs['flow'][..., order[done : done + part]]}
            _, updated = apply(variables, inputs, jnp.ones(part))
            variables = variables | updated
            done += part
        found = jax.tree.map(lambda leaf, place=place: leaf[place], states.batch_stats)
        jax.tree.map(same, found, variables['batch_stats'])


@pytest.mark.slow
def test_maps_that_are_computed_again_have_the_same_gradients(clips, rows, everything):
    own = training(Network(normalised=True, dropped=True), micro_batch=4, recompute=True)
    own = dataclasses.replace(own, active=UNMIXED)
    jax.tree.map(same, program(own, clips, rows)(0), everything(0))


def deep(weights, x):
    for weight in weights:
        x = jnp.tanh(x @ weight)
    return x


@pytest.mark.slow
def test_what_is_computed_again_is_not_kept():
    """24 layers: kept are about their root of maps and as many within a segment; at least half is saved."""
    weights = [jax.ShapeDtypeStruct((16, 16), jnp.float32)] * 24
    x = jax.ShapeDtypeStruct((4096, 16), jnp.float32)
    plain, again = (
        jax.jit(jax.grad(lambda weights, x, f=function: f(weights, x).sum()))
        .lower(weights, x)
        .compile()
        .memory_analysis()
        .temp_size_in_bytes
        for function in (deep, recompute.in_segments(deep))
    )
    assert again < 0.6 * plain


class Convolved(nn.Module):
    """Convolutions have gradients of their own, with constants that have none."""

    @nn.compact
    def __call__(self, x):
        for name in ('first', 'second'):
            x = nn.relu(Conv(3, 3, 'torch', name=name)(x))
        return x


@pytest.mark.slow
def test_convolutions_of_stacked_trials_are_computed_again():
    network, x = Convolved(), jnp.ones((3, 5, 5, 2))
    weights = jax.vmap(lambda key: network.init(key, x))(jax.random.split(jax.random.key(0), 2))
    plain, again = (
        jax.jit(jax.vmap(jax.grad(lambda weights, f=function: jnp.square(f(weights, x)).sum())))(weights)
        for function in (network.apply, recompute.in_segments(network.apply))
    )
    jax.tree.map(same, again, plain)


def test_segments_are_cut_where_little_passes():
    def function(x):
        for _ in range(6):
            wide = jnp.tile(x, 50)
            x = jnp.sin(wide).reshape(50, -1).sum(0)
        return x

    eqns = jax.make_jaxpr(function)(jnp.zeros(10)).jaxpr.eqns
    segments = recompute._segments(eqns)
    assert sum(map(len, segments)) == len(eqns)
    assert len(segments) > 3
    for segment in segments:
        assert segment[-1].outvars[0].aval.shape == (10,)


def test_padding_alone_adds_nothing_even_where_it_gives_nan():
    """One normalisation behind the other, each by a variance of 0, overflows."""

    def gradients(batch_stats, part, key):
        loss = (part.inputs['x'] * part.mask).sum() / part.mask.sum()
        return (loss, batch_stats), loss

    batch = Batch({'x': jnp.array([1.0, 3, 5, 5])}, jnp.arange(4), jnp.array([1.0, 1, 0, 0]))
    (loss, _), found = summed(gradients, jnp.float32(1), (), batch, jax.random.key(0), 2)
    assert (loss, found) == (2, 2)
