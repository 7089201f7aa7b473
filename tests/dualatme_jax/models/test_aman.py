"""AMAN's frozen stage: magnified frames and their maps, as PyTorch has them, and what it refuses."""

import copy

import jax
import numpy as np
import pytest

from dualatme_jax import models
from dualatme_jax.errors import InputError
from dualatme_jax.models import aman, magnifier
from dualatme_jax.models.stage import Stage
from dualatme_jax.weights import names

torch = pytest.importorskip('torch')

from torch.nn import functional  # noqa: E402

from benchmarks.torch_systems.flow_images import ResNet18  # noqa: E402
from benchmarks.torch_systems.magnifier import Magnifier  # noqa: E402

AMAN = models.SYSTEMS['aman']
FACTORS = (2.0, 5.0)


def test_the_extractor_has_the_parameters_of_three_stages():
    assert sum(leaf.size for leaf in jax.tree.leaves(aman.extractor_shapes()['params'])) == 2_782_784


@pytest.fixture(scope='module')
def networks():
    """PyTorch's magnifier and ResNet-18."""
    torch.manual_seed(0)
    resnet = ResNet18('paper')
    with torch.no_grad():
        for name, buffer in resnet.named_buffers():
            if name.endswith('running_mean'):
                buffer.uniform_(-0.2, 0.2)
    return Magnifier(), resnet


def ours(part, network):
    return names.of_part(part, {name: leaf.numpy() for name, leaf in network.state_dict().items()})


def expected(frames, networks, *, learned):
    """Maps [frames, factors, 14, 14, 256] of frames [T, S, S, 3]; if `learned` by statistics of the batch."""
    magnify, resnet = (copy.deepcopy(network).double() for network in networks)
    resnet.train(learned)

    def resized(pictures, size):
        return functional.interpolate(pictures, (size, size), mode='bilinear', antialias=True)

    mean, deviation = (
        torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    read = torch.tensor(frames / 127.5 - 1).permute(0, 3, 1, 2)
    found = []
    with torch.no_grad():
        for frame in resized(read, 16) if learned else read:
            pictures = frame[None]
            if learned:
                first = resized(read[:1], 16)
                pictures = torch.cat([magnify(first, pictures, factor) for factor in FACTORS]).clamp(-1, 1)
            x = (resized((pictures + 1) / 2, 224) - mean) / deviation
            x = functional.max_pool2d(resnet.bn1(resnet.conv1(x)).relu(), 3, 2, padding=1)
            x = resnet.layer3(resnet.layer2(resnet.layer1(x)))
            found.append(x.permute(0, 2, 3, 1).numpy())
    return np.stack(found)


@pytest.mark.parametrize('learned', [True, False], ids=['learned magnifier, batch', 'no magnifier, running'])
@pytest.mark.slow
def test_its_maps_are_pytorch_s(networks, learned):
    frames = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 3), np.uint8)
    options = {
        'magnifier': 'learned' if learned else 'none',
        'factors': FACTORS,
        'magnified_size': 16,
        'frames': 2,
        'extractor': 'pretrained',
        'statistics': 'batch' if learned else 'running',
    }
    stage = AMAN.stage_of(options | {'half': False})
    weights = {'extractor': ours(aman.EXTRACTOR, networks[1])}
    if learned:
        weights['magnifier'] = ours(magnifier.PART, networks[0])
    assert stage.parts.keys() == weights.keys()
    found = stage.apply(weights, {'face_frames': frames[None]})[aman.MAPS]
    wanted = expected(frames, networks, learned=learned)
    assert wanted.shape == (2, 2 if learned else 1, 14, 14, 256)
    np.testing.assert_allclose(found[0], wanted, atol=1e-4 * wanted.max())
    if not learned:
        half = AMAN.stage_of(options).apply(weights, {'face_frames': frames[None]})[aman.MAPS]
        assert half.dtype == np.float16
        np.testing.assert_allclose(half, found, rtol=1e-3, atol=1e-4)


def counted(monkeypatch):
    """The frames of each clip that is computed, in the place of its maps."""
    clips = []

    def of_clip(weights, clip, **given):
        clips.append(clip)
        return clip[:, None]

    monkeypatch.setattr(aman, '_of_clip', of_clip)
    monkeypatch.setattr(aman, '_random_extractor', dict)
    return clips


def test_frames_are_taken_evenly_and_clips_that_fill_a_batch_are_not_computed(monkeypatch):
    clips = counted(monkeypatch)
    frames = np.random.default_rng(0).integers(0, 256, (2, 11, 4, 4, 3), np.uint8)
    filled = frames[[0, 1, 1]]
    found = AMAN.stage_of({'frames': 3}).apply({}, {'face_frames': filled})[aman.MAPS]
    np.testing.assert_array_equal(found[:, :, 0], filled[:, [0, 5, 10]])
    assert len(clips) == 2
    with pytest.raises(InputError, match=r'have 11 frames, and config\.model\.frames is 12; build them'):
        AMAN.stage_of({'frames': 12}).apply({}, {'face_frames': frames})


def test_without_files_it_says_what_is_missing_and_reads_none():
    stage = AMAN.stage_of({})
    assert isinstance(stage, Stage)
    assert stage.parts == {}
    assert stage.about == 'frames not magnified, extractor with random weights'
    assert AMAN.stage_of({'magnifier': 'learned'}).parts == {'magnifier': magnifier.PART}
    # Each choice of options is a version of its own in the cache.
    codes = {AMAN.stage_of(options).code for options in ({}, {'frames': 3}, {'statistics': 'batch'})}
    assert len(codes - {''}) == 3


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        ({'magnifier': 'flow'}, "magnifier is 'flow'; expected 'none' or 'learned'"),
        ({'statistics': 'eval'}, "statistics is 'eval'; expected 'running' or 'batch'"),
        ({'factors': ()}, r'factors is \(\); expected one or more'),
        ({'frames': 0}, 'frames is 0; expected 1 or more'),
        ({'magnified_size': 382}, 'magnified_size is 382; expected a multiple of 4'),
    ],
)
def test_options_that_cannot_be_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        models.build('aman', classes=3, **options)


def test_attention_is_finite_where_all_sigmoids_are_0():
    """As of a batch of padding alone, whose maps a normalisation enlarges."""
    network = aman.AMAN('joint', 3, 'torch', width=4)
    maps = {aman.MAPS: np.random.default_rng(0).normal(size=(2, 2, 2, 2, 2, 2)).astype(np.float32)}

    @jax.jit
    def logits(key):
        variables = network.init(key, maps, mask=np.ones(2), train=False)
        for name in ('over_factors', 'over_frames'):
            variables['params'][name]['bias'] -= 1e4
        return network.apply(variables, maps, mask=np.ones(2), train=False).logits

    assert np.isfinite(logits(jax.random.key(0))).all()
