import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.views import temporal_interpolation


def published(frames, number):
    """The paper's way: an SVD of the frames, and the map from them to the curve by least squares."""
    length, mean = len(frames), frames.mean(0)
    left, sizes, right = np.linalg.svd((frames - mean).T, full_matrices=False)
    points = sizes[: length - 1, None] * right[: length - 1]  # [N - 1, N]
    k = np.arange(1, length)

    def curve(t):
        return np.sin(np.pi * k * t[:, None] + np.pi * (length - k) / (2 * length))

    to_curve = np.linalg.lstsq(points.T, curve(np.arange(1, length + 1) / length), rcond=None)[0]
    wanted = np.linalg.solve(to_curve.T, curve(np.linspace(1 / length, 1, number)).T)
    return (left[:, : length - 1] @ wanted).T + mean


@pytest.mark.parametrize(('length', 'number'), [(2, 10), (5, 10), (10, 10), (31, 10), (7, 3)])
def test_it_is_the_published_model_of_independent_frames(length, number):
    frames = np.random.default_rng(length).uniform(0, 255, (length, 60))
    found = temporal_interpolation.weights(length, number) @ frames
    np.testing.assert_allclose(found, published(frames, number), atol=1e-8)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(1, 200), st.integers(1, 40))
def test_a_still_clip_stays_still_and_the_ends_are_kept(length, number):
    shares = temporal_interpolation.weights(length, number)
    assert shares.shape == (number, length)
    np.testing.assert_allclose(shares.sum(1), 1)
    np.testing.assert_allclose(shares[0], np.eye(length)[0], atol=1e-9)
    if number > 1:
        np.testing.assert_allclose(shares[-1], np.eye(length)[-1], atol=1e-9)


def test_frames_that_are_there_come_out_bit_for_bit():
    clip = np.random.default_rng(0).integers(0, 256, (9, 4, 5), np.uint8)
    np.testing.assert_array_equal(temporal_interpolation.interpolated(iter(clip), 9, 9), clip)
    np.testing.assert_array_equal(temporal_interpolation.interpolated(iter(clip), 9, 17)[::2], clip)


def test_frames_that_depend_on_each_other_are_interpolated_too():
    """Where the published SVD has no solution: copies, and a clip that only grows brighter."""
    frame = np.random.default_rng(0).integers(0, 100, (4, 5), np.uint8)
    same = temporal_interpolation.interpolated([frame] * 6, 6, 10)
    np.testing.assert_array_equal(same, np.stack([frame] * 10))
    waves = [100 + 50 * np.cos(np.pi * (i + 0.5) / 4) for i in range(4)]  # one wave of the cosine series
    found = temporal_interpolation.weights(4, 7) @ waves
    places = np.linspace(0, 3, 7)
    np.testing.assert_allclose(found, 100 + 50 * np.cos(np.pi * (places + 0.5) / 4))


def test_what_swings_beyond_the_greys_is_cut_off():
    clip = np.array([0, 0, 255, 255], np.uint8).reshape(4, 1, 1)
    found = temporal_interpolation.interpolated(clip, 4, 40)
    exact = temporal_interpolation.weights(4, 40) @ clip.reshape(4, 1).astype(float)
    assert exact.min() < -1
    assert exact.max() > 256
    np.testing.assert_array_equal(found.ravel(), np.rint(exact.clip(0, 255)).ravel())
