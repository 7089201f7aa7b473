"""CapsuleNet's capsules, their lengths, and what they do at zero."""

import jax
import numpy as np
import pytest

from dualatme_jax import models, schema
from dualatme_jax.errors import InputError
from dualatme_jax.models import capsulenet
from dualatme_jax.training import freeze, start
from dualatme_jax.weights import names


def test_capsules_are_neighbouring_channels_place_after_place():
    maps = np.arange(16 * 2 * 3 * 1).reshape(16, 2, 3, 1)
    found = np.asarray(capsulenet.in_capsules(maps))
    assert found.shape == (2 * 2 * 3, 8, 1)
    np.testing.assert_array_equal(found[0], maps[:8, 0, 0])
    np.testing.assert_array_equal(found[1], maps[8:, 0, 0])
    np.testing.assert_array_equal(found[2], maps[:8, 0, 1])
    np.testing.assert_array_equal(found[-1], maps[8:, 1, 2])


def test_squashed_vectors_keep_their_direction():
    vectors = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    found = np.asarray(capsulenet.squashed(vectors, 1))
    long = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), long**2 / (1 + long**2), rtol=1e-5)
    np.testing.assert_allclose(
        found / np.linalg.norm(found, axis=1)[:, None], vectors / long[:, None], rtol=1e-5
    )


def test_a_vector_of_zeros_has_finite_gradients():
    def sums(x):
        return capsulenet.squashed(x, 1).sum() + capsulenet.length(x, 1).sum()

    value, gradient = jax.value_and_grad(sums)(np.zeros((2, 8), np.float32))
    assert abs(value) < 1e-15
    assert np.isfinite(gradient).all()


def test_published_names_have_the_capsules_transforms():
    tensors = names.tensors('capsulenet', 'paper', 3)
    assert tensors['digitcaps.weight'].shape == (3, 1152, 16, 8)
    assert tensors['conv.model.layer3.0.downsample.0.weight'].shape == (256, 128, 1, 1)
    assert not any('layer4' in name or 'fc' in name for name in tensors)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match='capsules is 0; expected 1 or more'):
        models.build('capsulenet', classes=3, capsules=0)


def test_faces_that_are_too_small_are_refused():
    with pytest.raises(
        InputError, match=r'cannot read apex_face of 3x64x64 .*maps of 8x8 for two convolutions of 9x9'
    ):
        models.shapes(models.build('capsulenet', classes=3), {schema.APEX_FACE: (3, 64, 64)})


def test_torchvision_s_resnet_18_is_what_it_begins_with():
    """By the names of torchvision's file, of which `conv1` is another layer in CapsuleNet's own."""
    theirs = {
        name: np.zeros(tensor.shape, tensor.dtype)
        for name, tensor in names.tensors('resnet18', 'paper', 10).items()
    }
    found = names.leaves_in('capsulenet', theirs)
    assert found['params', 'stem_conv', 'kernel'].shape == (7, 7, 3, 64)
    assert found['batch_stats', 'stage3_1', 'norm2', 'var'].shape == (256,)
    assert ('params', 'conv', 'kernel') not in found
    own = start.flat(models.shapes(capsulenet.build(classes=3), {schema.APEX_FACE: (3, 224, 224)}))
    assert {path for path in own if path[1].startswith('st')} <= found.keys()
    assert {path[0].partition('.')[0] for path in found if len(path) == 1} == {'layer4', 'fc'}


def test_the_first_15_tensors_are_those_of_the_stem_and_the_first_stage():
    params = models.shapes(capsulenet.build(classes=3), {schema.APEX_FACE: (3, 224, 224)})['params']
    _, frozen = freeze.split(params, ('params/stem_*', 'params/stage1_*'))
    tensors = names.tensors('capsulenet', 'paper', 3).values()
    first = [tensor.path for tensor in tensors if tensor.path[0] == 'params'][:15]
    assert {path for path, leaf in start.flat({'params': frozen}).items() if leaf is not None} == set(first)
