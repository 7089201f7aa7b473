import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.views import optical_flow
from dualatme_jax.errors import InputError

slopes = st.floats(-3, 3, allow_subnormal=False)


@given(ux=slopes, uy=slopes, vx=slopes, vy=slopes)
def test_strain_of_a_linear_flow_is_its_closed_form(ux, uy, vx, vy):
    y, x = np.mgrid[:9, :11].astype(float)
    found = optical_flow.strain(np.dstack([ux * x + uy * y + 2, vx * x + vy * y - 1]))
    # The Frobenius norm of the symmetric part of the Jacobian.
    jacobian = np.array([[ux, uy], [vx, vy]])
    np.testing.assert_allclose(found, np.linalg.norm((jacobian + jacobian.T) / 2), atol=1e-9)


def test_neither_a_shift_nor_a_small_turn_strains():
    y, x = np.mgrid[:9, :9].astype(float)
    np.testing.assert_allclose(optical_flow.strain(np.dstack([-0.1 * y + 3, 0.1 * x - 2])), 0, atol=1e-12)


@pytest.fixture(scope='module')
def texture():
    noise = np.random.default_rng(0).normal(size=(64, 72))
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.mark.parametrize('algorithm', optical_flow.ALGORITHMS)
@pytest.mark.parametrize('shift', [(1, 0), (0, -1), (2, 1)])
def test_flow_of_a_known_shift(texture, algorithm, shift):
    dx, dy = shift
    moved = np.roll(texture, (dy, dx), axis=(0, 1))
    found = optical_flow.compute(
        optical_flow.solver(algorithm, **optical_flow.SETTINGS[algorithm]), texture, moved
    )
    assert found.shape == (64, 72, 2)
    inner = found[12:-12, 12:-12]
    np.testing.assert_allclose(np.median(inner, (0, 1)), shift, atol=0.1)
    assert np.abs(inner - shift).mean() < 0.1


@given(ux=slopes, uy=slopes, vx=slopes, vy=slopes)
def test_the_legacy_strains_are_what_their_names_say(ux, uy, vx, vy):
    y, x = np.mgrid[:9, :11].astype(float)
    linear = np.dstack([ux * x + uy * y + 2, vx * x + vy * y - 1])
    quarter = np.sqrt(ux**2 + vy**2 + (uy + vx) ** 2 / 4)
    np.testing.assert_allclose(optical_flow.strain(linear, 'quarter'), quarter, atol=1e-9)
    # Transposed, a picture's rows are its columns.
    transposed = optical_flow.strain(linear, 'symmetric').T
    np.testing.assert_allclose(
        optical_flow.strain(linear.transpose(1, 0, 2), 'swapped'), transposed, atol=1e-9
    )


def test_an_unknown_strain_is_named_with_the_known_ones():
    with pytest.raises(InputError, match="'half': expected one of symmetric, quarter, swapped"):
        optical_flow.strain(np.zeros((9, 9, 2)), 'half')


def test_smoothing_takes_noise_off_a_strain_and_leaves_a_smooth_one():
    y, x = np.mgrid[:224, :224].astype(float)
    bump = 2 * np.exp(-((x - 110) ** 2 + (y - 100) ** 2) / 2 / 20**2)
    true = np.dstack([bump, -bump / 2]).astype(np.float32)
    grain = np.random.default_rng(0).normal(0, 0.03, true.shape).astype(np.float32)
    wanted = optical_flow.strain(true)

    def error(flowing, smoothing):
        return np.linalg.norm(optical_flow.strain(flowing, smoothing=smoothing) - wanted) / np.linalg.norm(
            wanted
        )

    smoothing = 224 * optical_flow.SMOOTHING
    assert error(true, smoothing) < 0.01
    assert error(true + grain, smoothing) < 0.15 < 0.5 < error(true + grain, 0)


@pytest.mark.parametrize('size', [28, 56, 112])
def test_raw_channels_keep_pixels_of_the_flow_at_any_size(size):
    constant = np.tile(np.float32([1.5, -0.25]), (112, 112, 1))
    found = optical_flow.resized(optical_flow.channels(constant), size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.tile(np.float32([1.5, -0.25, 0]), (size, size, 1)), atol=1e-6)


def test_a_puzzled_face_is_not_strained_at_its_seam():
    halves = np.concatenate([np.full((56, 112, 2), 1.0), np.full((56, 112, 2), -1.0)]).astype(np.float32)
    joined = optical_flow.channels(halves, smoothing=2.0)
    assert joined[..., 2].max() > 0.1
    apart = optical_flow.channels(halves, smoothing=2.0, seam=56)
    np.testing.assert_allclose(apart[..., 2], 0, atol=1e-6)
    np.testing.assert_array_equal(apart[..., :2], halves)


def test_a_flow_that_is_not_finite_is_refused(texture):
    with pytest.raises(InputError, match='not finite'):
        optical_flow.compute(optical_flow.solver('tvl1', Tau=float('nan')), texture, np.roll(texture, 1))
    with pytest.raises(InputError, match='cannot take the setting ScalesNumber inf'):
        optical_flow.solver('tvl1', ScalesNumber=float('inf'))


def test_a_setting_is_taken_by_opencvs_name():
    made = optical_flow.solver('tvl1', Lambda=0.3, WarpingsNumber=2.0)
    assert (made.getLambda(), made.getWarpingsNumber()) == (0.3, 2)
    with pytest.raises(InputError, match="tvl1 has no setting 'lambda': expected one of Epsilon"):
        optical_flow.solver('tvl1', **{'lambda': 0.3})


@pytest.mark.parametrize('algorithm', optical_flow.ALGORITHMS)
def test_the_recipe_holds_every_parameter(algorithm):
    made = optical_flow.solver(algorithm, **optical_flow.SETTINGS[algorithm])
    told = json.loads(json.dumps(optical_flow.recipe(made)))
    assert told['cv2'] == cv2.__version__
    assert told['parameters'].items() >= optical_flow.SETTINGS[algorithm].items()
    assert len(told['parameters']) >= 8


def test_the_image_form_is_scaled_by_channel_and_ordered_u_v_strain():
    y, x = np.mgrid[:56, :56].astype(float)
    channels = optical_flow.resized(optical_flow.channels(np.dstack([x, 10 * y**2])), 28)
    image = optical_flow.minmax(channels)
    assert image.shape == (28, 28, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image.min((0, 1)), 0)
    np.testing.assert_array_equal(image.max((0, 1)), 255)
    u, v, strain = (image[..., channel].astype(int) for channel in range(3))
    np.testing.assert_array_equal(u[0], np.rint(np.arange(28) / 27 * 255))
    low, high = optical_flow.span(channels).T
    restored = low + image / 255 * (high - low)
    assert (np.abs(restored - channels) <= (high - low) / 255 / 2 + 1e-4).all()  # half a step
    assert (np.diff(u, axis=0) == 0).all()
    assert (np.diff(v, axis=0) >= 0).all()
    assert (np.diff(strain, axis=0) >= 0).all()


def test_a_motionless_clip_is_black():
    np.testing.assert_array_equal(optical_flow.minmax(optical_flow.channels(np.zeros((40, 40, 2)))), 0)


def test_the_recipe_tells_settings_and_defaults():
    recipe = optical_flow.recipe(optical_flow.solver('tvl1', Epsilon=0.05))
    assert recipe['algorithm'] == 'DualTVL1OpticalFlow'
    assert recipe['parameters']['Epsilon'] == 0.05
    assert recipe['parameters']['Lambda'] == 0.15  # OpenCV's default


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(InputError, match="'brox': expected one of tvl1, dis, farneback"):
        optical_flow.solver('brox')


def test_opencv_without_contrib_is_refused(monkeypatch):
    monkeypatch.setattr(cv2.version, 'contrib', False)
    with pytest.raises(InputError, match='opencv-contrib-python-headless'):
        optical_flow.solver()


def test_the_strain_tensor_of_an_affine_flow_is_its_symmetric_gradient():
    y, x = np.mgrid[:12, :10].astype(float)
    flow = np.dstack([0.1 * x + 0.04 * y, -0.02 * x + 0.3 * y])
    expected = np.broadcast_to([0.1, 0.3, 0.01], (12, 10, 3))
    np.testing.assert_allclose(optical_flow.strain_tensor(flow), expected, atol=1e-12)
    exx, eyy, exy = np.moveaxis(optical_flow.strain_tensor(flow**2, smoothing=1.5), -1, 0)
    norm = np.sqrt(exx**2 + eyy**2 + 2 * exy**2)
    np.testing.assert_allclose(norm, optical_flow.strain(flow**2, smoothing=1.5), rtol=1e-9)
