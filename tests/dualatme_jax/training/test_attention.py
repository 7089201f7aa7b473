"""Where a network looks: against a closed form, against PyTorch's gradients, and in every system."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dualatme_jax import models
from dualatme_jax.models import htnet
from dualatme_jax.models.last_map import LastMap
from dualatme_jax.models.layers.conv import Conv, Dense
from dualatme_jax.models.layers.pooling import global_average_pool
from dualatme_jax.models.output import Output
from dualatme_jax.training import attention


class Averaged(nn.Module):
    """A convolution, the mean of each of its maps, one dense layer: CAM (Zhou et al., 2016) is its map."""

    @nn.compact
    def __call__(self, inputs, *, mask, train):
        x = Conv(6, 3, 'torch', name='conv')(inputs['flow'])
        return Output(Dense(3, 'torch', name='classifier')(global_average_pool(x)).T)


def averaged(scale=1.0, frames=()):
    """The network, a clip [3, *frames, 5, 7, 1], and variables, the classifier's multiplied by `scale`."""
    picture = {'flow': jax.random.normal(jax.random.key(1), (3, *frames, 5, 7, 1))}
    network = Averaged()
    variables = jax.jit(network.init, static_argnames='train')(
        jax.random.key(0), picture, mask=jnp.ones(1), train=False
    )
    kernel = variables['params']['classifier']['kernel'] * scale
    params = variables['params'] | {'classifier': variables['params']['classifier'] | {'kernel': kernel}}
    return network, picture, {'params': params}


LAST = (LastMap('conv', 'flow'),)


@jax.jit
def maps_of(variables, picture):
    """Of all three classes."""
    return attention.grad_cam(Averaged(), LAST, variables, picture, jnp.arange(3))


@pytest.mark.parametrize('frames', [(), (4,)], ids=['picture', 'frames'])
def test_of_averaged_maps_it_is_the_class_activation_map(frames):
    network, picture, variables = averaged(frames=frames)
    (found,), gates = maps_of(variables, picture)
    _, state = network.apply(
        variables, picture, mask=jnp.ones(1), train=False, capture_intermediates=True, mutable='intermediates'
    )
    maps = state['intermediates']['conv']['__call__'][0][..., 0]
    kernel = variables['params']['classifier']['kernel']
    expected = np.maximum(np.einsum('ck,c...->k...', kernel, maps), 0)
    expected = expected.mean(1) if frames else expected
    np.testing.assert_allclose(found, expected / expected.max((1, 2), keepdims=True), atol=1e-6)
    assert gates == {}


def test_a_class_that_nothing_speaks_for_has_a_map_of_zeros():
    _, picture, variables = averaged(scale=0.0)
    (found,), _ = maps_of(variables, picture)
    assert found.shape == (3, 5, 7)
    assert not found.any()


def test_a_layer_that_is_not_there_is_an_error():
    network, picture, variables = averaged()
    with pytest.raises(KeyError):
        attention.grad_cam(network, (LastMap('conv', 'flow', call=1),), variables, picture, jnp.arange(1))


# System and variant, the places of its last maps, and how many of them have a gate.
PLACES = {
    ('dual_atme', 'paper'): ([(7, 7), (7, 7)], 1),
    ('dual_atme', 'code'): ([(7, 7), (7, 7)], 2),
    ('dual_atme', 'hars'): ([(7, 7)], 0),
    ('ststnet', 'paper'): ([(10, 10)], 0),
    ('off_apexnet', 'paper'): ([(7, 7), (7, 7)], 0),
    ('dual_inception', 'paper'): ([(7, 7), (7, 7)], 0),
    ('rcn_a', 'paper'): ([(6, 6)], 0),
    ('rcn_s', 'paper'): ([(6, 6)], 0),
    ('rcn_w', 'paper'): ([(5, 5)], 0),
    ('rcn_c', 'paper'): ([(5, 5)], 0),
    ('rcn_f', 'code'): ([(5, 5)], 0),
    ('resnet18', 'paper'): ([(7, 7)], 0),
    ('small_cnn', 'paper'): ([(7, 7)], 0),
    ('htnet', 'windows'): ([(2, 2)], 0),
    ('mmnet', '5class'): ([(14, 14)], 0),
    ('capsulenet', 'paper'): ([(6, 6)], 0),
    ('micro_attention', 'paper'): ([(7, 7)], 0),
    ('dual_branch_3dcnn', 'casme2'): ([(4, 15, 15)], 0),
    ('kfc_mer', 'paper'): ([(14, 14), (14, 14)], 0),
    ('aman', 'slices'): ([(7, 7)], 0),
    ('softnet', 'paper'): ([(14, 14)], 0),
    ('mean', 'paper'): ([(14, 14)], 0),
}
SHALLOW = {'htnet': {'blocks': (1, 1, 1)}, 'dual_branch_3dcnn': {'heads': 1}}  # traced faster


@pytest.mark.slow
@pytest.mark.parametrize(('system', 'expected'), PLACES.items(), ids=map('-'.join, PLACES))
def test_every_network_has_maps(system, expected):
    name, variant = system
    record = models.system(name)
    network = record.of_variant(variant, 3).clone(**SHALLOW.get(name, {}))
    last_maps = record.last_maps_of(network)
    maps = [(each.path, each.call) for each in last_maps]
    gates = [(each.gate, each.call) for each in last_maps if each.gate]

    def shapes(inputs):
        found = {}
        with nn.intercept_methods(attention.watching({*maps, *gates}, found, {})):
            network.init(jax.random.key(0), inputs, mask=jnp.ones(1), train=False)
        return found

    inputs = {key: jax.ShapeDtypeStruct((*record.usual_shape(key), 1), jnp.float32) for key in record.reads}
    found = jax.eval_shape(shapes, inputs)
    assert ([found[call].shape[1:-1] for call in maps], len(gates)) == expected
    assert [found[call].shape for call in gates] == [(1, 7, 7, 1)] * len(gates)
    assert {each.picture for each in last_maps} <= {*record.stored}


def test_no_network_is_left_out():
    assert {name for name, _ in PLACES} == {*models.NETWORKS}


def test_crops_of_htnet_go_back_where_they_were_read():
    picture = np.zeros((1, 28, 28, 1), np.float32)
    picture[0, 4, 20] = 1  # above the second eye
    centres = htnet.CENTRES['template']
    tiles = np.asarray(htnet.tiled(picture, centres))[..., 0]
    found = htnet.untiled(tiles, 28, centres=centres)
    read = np.zeros((28, 28), bool)
    for row, column in centres:
        read[row - 7 : row + 7, column - 7 : column + 7] = True
    np.testing.assert_array_equal(found[0] * 2 > 0.9, picture[0, ..., 0] * read > 0)
    assert (
        htnet.untiled(np.ones((1, 2, 2), np.float32), 28, centres=centres)[0][read].tolist()
        == [1] * read.sum()
    )
    assert not htnet.untiled(np.ones((1, 2, 2), np.float32), 28, centres=centres)[0][~read].any()


@pytest.mark.slow
def test_of_dual_atme_it_is_what_pytorch_s_gradients_give():
    torch = pytest.importorskip('torch')
    from benchmarks.torch_systems import flow_images
    from dualatme_jax.weights import names

    random = np.random.default_rng(0)
    system = models.system('dual_atme')
    network = system.of_variant('code', 3)
    pictures = {key: random.uniform(-1, 1, (3, 28, 28, 1)).astype(np.float32) for key in system.reads}
    shapes = models.shapes(network, dict.fromkeys(pictures, (3, 28, 28)))
    low = {'scale': 0.5, 'var': 0.5}
    variables = jax.tree_util.tree_map_with_path(
        lambda path, leaf: random.uniform(low.get(path[-1].key, -0.3), 0.5, leaf.shape).astype(np.float32),
        dict(shapes),
    )
    last_maps = system.last_maps_of(network)
    found, gates = jax.jit(lambda *given: attention.grad_cam(network, last_maps, *given, jnp.arange(3)))(
        variables, pictures
    )

    twin = flow_images.DualATME('code').double().eval()
    weights = {name: torch.tensor(leaf) for name, leaf in names.to_torch('dual_atme', variables).items()}
    twin.load_state_dict(weights, strict=False)
    maps, seen = [], []
    twin.cbam.register_forward_hook(lambda module, given, output: maps.append(output))
    twin.cbam.conv2d.register_forward_hook(lambda module, given, output: seen.append(torch.sigmoid(output)))
    logits = twin(*(torch.tensor(x.transpose(3, 0, 1, 2)).double() for x in pictures.values()))
    expected = []
    for label in range(3):
        gradients = torch.autograd.grad(logits[0, label], maps, retain_graph=True)
        expected.append(
            [
                torch.relu((own.mean((2, 3), keepdim=True) * x).sum(1))[0].detach().numpy()
                for own, x in zip(gradients, maps, strict=True)
            ]
        )
    for branch in range(2):
        scaled = [own[branch] / max(x.max() for x in own) for own in expected]
        np.testing.assert_allclose(found[branch], scaled, atol=1e-4)
        np.testing.assert_allclose(gates[branch], seen[branch][0, 0].detach(), atol=1e-5)
    assert min(np.ptp(gate) for gate in gates.values()) > 0.01
