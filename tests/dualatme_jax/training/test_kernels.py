"""Kernels of descriptors in parts: scikit-learn's, part by part."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from dualatme_jax.models import descriptors
from dualatme_jax.training import kernels


@pytest.fixture(scope='module')
def flows():
    return np.random.default_rng(0).normal(size=(6, 3, 28, 28)).astype(np.float32)


def described(name, flows):
    return np.stack([np.asarray(descriptors.describe(name, flow)) for flow in flows])


def mirrored(flows):
    return flows[..., ::-1] * np.float32([-1, 1, 1]).reshape(3, 1, 1)


def test_the_kernel_of_windows_is_the_mean_of_those_of_the_corners(flows):
    both = [described('uvs10', own) for own in (flows, mirrored(flows))]
    cells = [own.reshape(6, 3, 14, 2, 14, 2).mean((3, 5)) for own in (flows, mirrored(flows))]
    expected = []
    for rows in (slice(0, 10), slice(4, 14)):
        for columns in (slice(0, 10), slice(4, 14)):
            corner = [own[:, :, rows, columns].reshape(6, -1) for own in cells]
            corner = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in corner]
            expected += [rbf_kernel(x, y, gamma=1 / (1.6 * 0.7)) for x in corner for y in corner]
    found = kernels.rbf(both, np.float32(0.7))
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=2e-6)


@pytest.mark.parametrize('name', descriptors.NAMES)
def test_a_clip_and_its_mirror_image_have_one_row_of_the_kernel(flows, name):
    other = flows.copy()
    other[2] = mirrored(flows)[2]
    found = [
        kernels.rbf([described(name, own), described(name, mirrored(own))], np.float32(1))
        for own in (flows, other)
    ]
    np.testing.assert_allclose(*found, atol=1e-5)
    assert np.linalg.eigvalsh(np.asarray(found[0], float)).min() > -1e-6
    assert np.ptp(np.asarray(found[0])[~np.eye(6, dtype=bool)]) > 1e-3
