"""The benchmark's PyTorch network is ours: our parameters in it give our logits, loss and gradients."""

import functools
import re
import types

import jax
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from inputs import of_network  # noqa: E402

from benchmarks import pytorch as baseline  # noqa: E402
from benchmarks import workload  # noqa: E402
from configs import cd  # noqa: E402
from dualatme_jax import models, schema  # noqa: E402
from dualatme_jax.errors import InputError  # noqa: E402
from dualatme_jax.run import programs  # noqa: E402
from dualatme_jax.training import losses, scaling  # noqa: E402

BATCH = 5
BLOCKS = {0: 'inception1', 2: 'inception2'}  # place in a branch's nn.Sequential: name in ours
FIRST = ('branch1x1', 'branch3x3_reduce', 'branch5x5_reduce')  # one unit in PyTorch's


@functools.cache
def batch():
    random = np.random.default_rng(0)
    flow, puzzled = random.uniform(-1, 1, (2, BATCH, *schema.FLOW_SHAPE)).astype(np.float32)
    return flow, puzzled, random.integers(0, 3, BATCH)


@functools.cache
def variables():
    """Ours, with every leaf drawn at random: a normalisation at its start would hide a mistake."""
    shapes = jax.eval_shape(
        lambda key: network_of_ours().init(key, of_network(*batch()[:2]), mask=np.ones(BATCH), train=False),
        jax.random.key(0),
    )
    random = np.random.default_rng(1)

    def draw(path, leaf):
        if path[-1].key == 'kernel':
            bound = np.prod(leaf.shape[:-1]) ** -0.5
            return random.uniform(-bound, bound, leaf.shape).astype(np.float32)
        low, high = {'scale': (0.5, 1.5), 'var': (0.5, 1.5)}.get(path[-1].key, (-0.3, 0.3))
        return random.uniform(low, high, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, dict(shapes))


def network_of_ours():
    return models.build('dual_atme', variant='paper', classes=3, dropout=0.0, init='torch')


def as_torch(params, stats):
    """PyTorch's names and layouts for ours: parameters, or gradients in the tree of parameters."""
    state = {}

    def norm(name, own, running):
        state[f'{name}.weight'], state[f'{name}.bias'] = own['scale'], own['bias']
        state[f'{name}.running_mean'], state[f'{name}.running_var'] = running['mean'], running['var']

    def dense(name, own):
        state[f'{name}.weight'], state[f'{name}.bias'] = own['kernel'].T, own['bias']

    def conv(name, own):
        state[f'{name}.weight'], state[f'{name}.bias'] = own['kernel'].transpose(3, 2, 0, 1), own['bias']

    for branch in ('entire', 'puzzled'):
        for place, block in BLOCKS.items():
            own, running = params[branch][block], stats[branch][block]
            join = functools.partial(jax.tree.map, lambda *leaves: np.concatenate(leaves, axis=-1))
            units = {
                'first': (join(*(own[unit] for unit in FIRST)), join(*(running[unit] for unit in FIRST)))
            }
            units |= {unit: (own[unit], running[unit]) for unit in ('branch3x3', 'branch5x5', 'branch_pool')}
            for unit, (its, its_running) in units.items():
                conv(f'{branch}.{place}.{unit}.0', its['conv'])
                norm(f'{branch}.{place}.{unit}.1', its['norm'], its_running['norm'])
    dense('cbam.squeeze', params['cbam']['mlp_squeeze'])
    dense('cbam.excite', params['cbam']['mlp_excite'])
    conv('cbam.spatial', params['cbam']['spatial'])
    dense('fusion', params['fusion'])
    norm('fusion_norm', params['fusion_norm'], stats['fusion_norm'])
    dense('classifier', params['classifier'])
    return {name: torch.tensor(np.ascontiguousarray(value)) for name, value in state.items()}


@pytest.fixture
def network():
    """PyTorch's network with our parameters, without dropout."""
    made = baseline.DualATME(dropout=0.0)
    missing, unexpected = made.load_state_dict(
        as_torch(variables()['params'], variables()['batch_stats']), strict=False
    )
    assert not unexpected
    assert all(name.endswith('num_batches_tracked') for name in missing)
    return made


def images():
    return [torch.tensor(flow).permute(0, 3, 1, 2) for flow in batch()[:2]]


def apply_ours(params, *, train):
    flow, puzzled, _ = batch()
    return network_of_ours().apply(
        {'params': params, 'batch_stats': variables()['batch_stats']},
        of_network(flow, puzzled),
        mask=np.ones(BATCH, np.float32),
        train=train,
        rngs={'dropout': jax.random.key(0)},  # of rate 0
        mutable=['batch_stats'],
    )


def test_it_has_the_published_number_of_parameters(network):
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_833_193


def test_its_logits_and_features_are_ours(network):
    expected, _ = jax.jit(functools.partial(apply_ours, train=False))(variables()['params'])
    network.eval()
    with torch.inference_mode():
        logits, entire, puzzled = network(*images())
    np.testing.assert_allclose(logits, expected.logits, rtol=1e-5, atol=1e-5)
    for name, found in (('entire', entire), ('puzzled', puzzled)):
        np.testing.assert_allclose(found, expected.features[name], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_training_step_has_our_loss_gradients_and_statistics(network):
    labels = batch()[2]
    config = cd.get_config()
    training = programs.make_training(config, schema.LABELS)
    numbers = programs.hyperparameters(config, schema.LABELS)
    trial = _Trial({name: np.float32(value) for name, value in numbers.items()})

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def ours(params):
        output, updated = apply_ours(params, train=True)
        return training.joint_loss(output, labels, np.ones(BATCH, np.float32), trial), updated

    (expected_loss, updated), gradients = ours(variables()['params'])
    gradients, updated = jax.tree.map(np.asarray, (gradients, updated['batch_stats']))
    # In float64: PyTorch's own gradients in float32 are up to 2e-5 off, by its choice of algorithm.
    network.double().train()
    loss = baseline.joint_loss(*network(*(x.double() for x in images())), torch.tensor(labels))
    loss.backward()
    np.testing.assert_allclose(loss.item(), expected_loss, rtol=1e-5)
    expected = as_torch(gradients, updated)
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, parameter in network.named_parameters():
        # A bias before a normalisation has no gradient; both sides have rounding there.
        idle = name == 'fusion.bias' or re.fullmatch(r'(entire|puzzled)\..*\.0\.bias', name)
        floor = 1e-4 if idle else 3e-6
        close = functools.partial(np.testing.assert_allclose, atol=floor * largest, err_msg=name)
        close(parameter.grad, expected[name], rtol=1e-3)
    for name, buffer in network.named_buffers():
        if not name.endswith('num_batches_tracked'):
            np.testing.assert_allclose(buffer, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


class _Trial:
    def __init__(self, hyperparameters):
        self.hyperparameters = hyperparameters


def clips_that_show_their_class(count=24):
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    flow = random.integers(100, 156, (2, count, *schema.FLOW_SHAPE), np.uint8)
    for clip, label in enumerate(labels):
        flow[:, clip, 8 * label : 8 * (label + 1)] += 60
    return dict(zip(schema.VIEWS['flow'], flow, strict=True)), labels


def make(**options):
    return baseline.Baseline(*clips_that_show_their_class(), classes=3, options=baseline.Options(**options))


def test_training_learns():
    held_out = np.arange(6)
    (probabilities,) = make().train([held_out], epochs=20)
    assert probabilities.shape == (6, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert (probabilities.argmax(1) == clips_that_show_their_class()[1][held_out]).all()


def test_a_fold_is_no_continuation_of_the_one_before():
    # No step is taken, so what is left of the first fold would show.
    first, second = make().train([np.arange(4)] * 2, epochs=0)
    assert not np.allclose(first, second)
    trained = make()
    trained.train([np.arange(4)], epochs=3)
    again = trained.train([np.arange(4)], epochs=3, seed=1)
    np.testing.assert_array_equal(again[0], make().train([np.arange(4)], epochs=3, seed=1)[0])


@pytest.mark.parametrize('scale', ['fold', 'whole_set'])
def test_inputs_are_scaled_by_clips_as_ours_are(scale):
    config = cd.get_config()
    config.input.scale = scale
    inputs, labels = clips_that_show_their_class()
    inputs = {
        key: (array // (1 + np.arange(len(array)) % 5).reshape(-1, 1, 1, 1)).astype(np.uint8)
        for key, array in inputs.items()
    }
    made = baseline.Baseline(inputs, labels, classes=3, options=baseline.Options(), config=config)
    held_out = np.arange(0, len(labels), 5)  # the brightest
    made.train([held_out], epochs=0)
    train = np.isin(np.arange(len(labels)), held_out, invert=True)
    clips = types.SimpleNamespace(inputs=inputs)
    stored = {key: np.moveaxis(array, (-1, 0), (0, -1)).astype(np.float32) for key, array in inputs.items()}
    expected = scaling.scaled(stored, scaling.of_clips(clips, scale)(train))
    for found, wanted in zip(made._batch(torch.arange(len(labels))), expected.values(), strict=True):
        np.testing.assert_allclose(found.movedim(0, -1), wanted, rtol=1e-5, atol=1e-6)


def test_a_gpu_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip('there is one')
    with pytest.raises(InputError, match='sees no GPU'):
        make(device='cuda')


def test_the_margin_loss_of_capsules_is_ours():
    settings = workload.config('capsulenet').loss
    random = np.random.default_rng(0)
    logits = np.log(random.uniform(0.001, 0.999, (6, 3)).astype(np.float32))
    labels = np.arange(6) % 3
    numbers = losses.hyperparameters(settings, schema.LABELS)
    expected, _ = losses.classification(logits, labels, numbers, margins=True)
    found = baseline.criterion(settings)(torch.tensor(logits), torch.tensor(labels))
    assert float(found) == pytest.approx(float(expected.mean()), rel=1e-5)
