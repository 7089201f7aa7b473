import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import regions
from dualatme_jax.errors import InputError


def test_the_template_names_the_four_regions_inside_the_grid():
    assert set(regions.template()) == set('EFNM')
    for top, bottom, left, right in regions.template().values():
        assert 0 <= top < bottom <= regions.GRID
        assert 0 <= left < right <= regions.GRID
        assert left + right == regions.GRID  # an aligned face is symmetric


@pytest.mark.parametrize('pair', ['EM', 'EN', 'FM', 'FN'])
@pytest.mark.parametrize('scale', [1, 4])
def test_each_half_shows_its_region_alone(pair, scale):
    face = np.zeros((28 * scale, 28 * scale), np.uint8)
    for grey, region in ((100, pair[0]), (200, pair[1])):
        top, bottom, left, right = (bound * scale for bound in regions.template()[region])
        face[top:bottom, left:right] = grey
    puzzled = regions.puzzle(face, pair)
    np.testing.assert_array_equal(puzzled[: 14 * scale], 100)
    np.testing.assert_array_equal(puzzled[14 * scale :], 200)


def test_a_region_is_stretched_without_being_turned():
    rows, columns = np.mgrid[:28, :28].astype(np.float32)
    puzzled = regions.puzzle(np.dstack([columns, rows]), 'EM')
    upper, lower = puzzled[:14], puzzled[14:]
    assert (np.diff(upper[..., 0], axis=1) >= 0).all()
    assert (np.diff(upper[..., 1], axis=0) >= 0).all()
    # The means of the coordinates are the regions' centres: E is rows 3-10, columns 2-26; M 18-25, 6-22.
    np.testing.assert_allclose(upper.mean((0, 1)), (13.5, 6), atol=0.1)
    np.testing.assert_allclose(lower.mean((0, 1)), (13.5, 21), atol=0.1)


@given(height=st.integers(28, 90), width=st.integers(28, 90), pair=st.sampled_from(regions.PAIRS))
def test_any_size_keeps_its_shape_and_type(height, width, pair):
    for shape, dtype in (((height, width), np.uint8), ((height, width, 3), np.float32)):
        puzzled = regions.puzzle(np.ones(shape, dtype), pair)
        assert puzzled.shape == shape
        assert puzzled.dtype == dtype
        np.testing.assert_allclose(puzzled, 1)


def test_full_is_the_face_itself():
    face = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    np.testing.assert_array_equal(regions.puzzle(face, 'full'), face)


@pytest.mark.parametrize('pair', ['', 'ME', 'E', 'EMN', 'XY', 'em'])
def test_an_unknown_pair_is_refused(pair):
    with pytest.raises(InputError, match='EM, EN, FM, FN, full'):
        regions.puzzle(np.zeros((28, 28)), pair)


def test_too_small_an_image_is_refused():
    with pytest.raises(InputError, match='at least 28x28'):
        regions.puzzle(np.zeros((27, 28)), 'EM')
