import cv2
import numpy as np
import pytest

from data_prep.views import contrast

FACE = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(112, 112)), (0, 0), 1.5)
FACE = cv2.normalize(FACE, None, 60, 130, cv2.NORM_MINMAX)


def normalised(face, kind):
    return contrast.normalised(np.rint(face).astype(np.uint8), kind).astype(int)


def test_light_counts_for_less_once_local_contrast_is_normalised():
    lit = FACE * np.linspace(0.8, 1.2, 112) + np.linspace(-20, 20, 112)[:, None]
    before = np.abs(lit - FACE).mean()
    after = np.abs(normalised(lit, 'local') - normalised(FACE, 'local')).mean()
    assert after < before / 10


def test_local_contrast_has_a_mean_and_a_deviation_that_are_known():
    found = normalised(3.5 * (FACE - 95) + 128, 'local')
    assert found.mean() == pytest.approx(128, abs=1)
    # Of a Gaussian texture, a deviation becomes 16 grey levels, less what the sensor's grain takes.
    assert 12 < found.std() < 16


def test_none_leaves_a_face_as_it_is_and_clahe_is_opencvs():
    face = np.rint(FACE).astype(np.uint8)
    assert contrast.normalised(face, 'none') is face
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(face)
    np.testing.assert_array_equal(contrast.normalised(face, 'clahe'), expected)
