import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import flow
from dualatme_jax.errors import InputError

slopes = st.floats(-3, 3, allow_subnormal=False)


@given(ux=slopes, uy=slopes, vx=slopes, vy=slopes)
def test_strain_of_a_linear_flow_is_its_closed_form(ux, uy, vx, vy):
    y, x = np.mgrid[:9, :11].astype(float)
    found = flow.strain(np.dstack([ux * x + uy * y + 2, vx * x + vy * y - 1]))
    # The Frobenius norm of the symmetric part of the Jacobian.
    jacobian = np.array([[ux, uy], [vx, vy]])
    np.testing.assert_allclose(found, np.linalg.norm((jacobian + jacobian.T) / 2), atol=1e-9)


def test_neither_a_shift_nor_a_small_turn_strains():
    y, x = np.mgrid[:9, :9].astype(float)
    np.testing.assert_allclose(flow.strain(np.dstack([-0.1 * y + 3, 0.1 * x - 2])), 0, atol=1e-12)


@pytest.fixture(scope='module')
def texture():
    noise = np.random.default_rng(0).normal(size=(64, 72))
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.mark.parametrize('algorithm', ['tvl1', 'dis'])
@pytest.mark.parametrize('shift', [(1, 0), (0, -1), (2, 1)])
def test_flow_of_a_known_shift(texture, algorithm, shift):
    dx, dy = shift
    moved = np.roll(texture, (dy, dx), axis=(0, 1))
    found = flow.optical_flow(flow.solver(algorithm), texture, moved)
    assert found.shape == (64, 72, 2)
    inner = found[12:-12, 12:-12]
    np.testing.assert_allclose(np.median(inner, (0, 1)), shift, atol=0.1)
    assert np.abs(inner - shift).mean() < 0.1


def test_the_image_form_is_scaled_by_channel_and_ordered_u_v_strain():
    y, x = np.mgrid[:56, :56].astype(float)
    image = flow.flow_image(np.dstack([x, 10 * y**2]))
    assert image.shape == (28, 28, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image.min((0, 1)), 0)
    np.testing.assert_array_equal(image.max((0, 1)), 255)
    u, v, strain = (image[..., channel].astype(int) for channel in range(3))
    np.testing.assert_array_equal(u[0], np.rint(np.arange(28) / 27 * 255))
    assert (np.diff(u, axis=0) == 0).all()
    assert (np.diff(v, axis=0) >= 0).all()
    assert (np.diff(strain, axis=0) >= 0).all()


def test_a_motionless_clip_is_black():
    np.testing.assert_array_equal(flow.flow_image(np.zeros((40, 40, 2))), 0)


def test_the_recipe_tells_settings_and_defaults():
    recipe = flow.recipe(flow.solver('tvl1', Epsilon=0.05))
    assert recipe['algorithm'] == 'DualTVL1OpticalFlow'
    assert recipe['parameters']['Epsilon'] == 0.05
    assert recipe['parameters']['Lambda'] == 0.15  # OpenCV's default


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(InputError, match='tvl1, dis'):
        flow.solver('farneback')


def test_opencv_without_contrib_is_refused(monkeypatch):
    monkeypatch.setattr(cv2.version, 'contrib', False)
    with pytest.raises(InputError, match='opencv-contrib-python-headless'):
        flow.solver()
