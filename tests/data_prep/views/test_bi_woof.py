import argparse

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import views
from data_prep.views import bi_woof
from data_prep.views.bi_woof import BiWoofView
from data_prep.views.flow import FlowView
from dualatme_jax import schema
from dualatme_jax.errors import InputError

SIZE = 50


def motion_of(u, v, strain=1.0):
    """[SIZE, SIZE, 3] of numbers, or of arrays [SIZE, SIZE]."""
    return np.stack(np.broadcast_arrays(u, v, strain, np.zeros((SIZE, SIZE)))[:3], -1).astype(np.float32)


def pointing(degrees, magnitude=2.0):
    return magnitude * np.cos(np.radians(degrees)), magnitude * np.sin(np.radians(degrees))


@pytest.mark.parametrize('histogram', bi_woof.HISTOGRAMS)
@pytest.mark.parametrize('bin', range(8))
def test_a_flow_of_one_direction_fills_one_bin_of_every_block(histogram, bin):
    """To 45 degrees from -180 on; of the published bins the last one takes nothing."""
    motion = motion_of(*pointing(-180 + 45 * bin + 20))
    found = bi_woof.bi_woof(motion, histogram=histogram).reshape(25, 8)
    expected = np.zeros((25, 8))
    if histogram == 'full-circle' or bin < 7:
        # By the number of pixels, as the strain is the same everywhere: 100 and up to 44 that are shared.
        edges = np.array([11, 12, 12, 12, 11])
        expected[:, bin] = np.outer(edges, edges).ravel() / np.sum(edges**2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_blocks_lie_as_in_the_published_program():
    """Counted from 1, both ends included: 1..h+1, (i-1)h..ih+1, 4h..H, of H = 53 and h = 10."""
    found = [(part.start + 1, part.stop) for part in bi_woof.block_bounds(53, 5)]
    assert found == [(1, 11), (10, 21), (20, 31), (30, 41), (40, 53)]
    assert bi_woof.block_bounds(53, 1) == [slice(0, 53)]


def test_the_magnitude_weighs_directions_and_the_strain_blocks():
    """One direction thrice as strong as the other; all strain in one block, then a part of it in another."""
    columns = np.arange(SIZE) % 2 == 0
    u = np.where(columns, 3.0, 0.0)  # to the right, 0 degrees: bin 4
    v = np.where(columns, 0.0, -1.0)  # upwards, -90 degrees: bin 2
    strain = np.zeros((SIZE, SIZE))
    strain[25, 25] = 8.0  # in the block in the middle alone
    found = bi_woof.bi_woof(motion_of(u, v, strain)).reshape(5, 5, 8)
    np.testing.assert_allclose(found[2, 2, [2, 4]], np.array([1, 3]) / np.sqrt(10), rtol=1e-6)
    assert np.count_nonzero(found) == 2
    strain[2, 2] = 6.0
    found = bi_woof.bi_woof(motion_of(u, v, strain)).reshape(5, 5, 8)
    # The block in the corner has 11 columns, of which 6 go to the right.
    corner = np.array([5, 18]) / 23
    expected = np.concatenate([6 * corner, 8 * np.array([0.25, 0.75])])
    np.testing.assert_allclose(
        np.concatenate([found[0, 0, [2, 4]], found[2, 2, [2, 4]]]),
        expected / np.linalg.norm(expected),
        rtol=1e-6,
    )


def test_a_block_in_which_nothing_moves_has_zeros():
    u = np.ones((SIZE, SIZE))
    u[:11, :11] = 0
    found = bi_woof.bi_woof(motion_of(u, 0.0)).reshape(5, 5, 8)
    assert not found[0, 0].any()
    assert found.any(-1).sum() == 24
    assert not bi_woof.bi_woof(motion_of(0.0, 0.0)).any()
    assert not bi_woof.bi_woof(motion_of(1.0, 0.0, strain=0.0)).any()


def test_directions_that_the_published_bins_drop():
    """The eighth bin holds 135 degrees itself: of two halves of a face, one is not counted."""
    half = np.where(np.arange(SIZE)[:, None] < SIZE // 2, 1.0, -1.0) * np.ones((SIZE, SIZE))
    motion = motion_of(-np.abs(half), np.where(half > 0, 1.0, 0.2))  # 135 degrees, and 168.7
    published, full = (
        bi_woof.bi_woof(motion, histogram=name).reshape(5, 5, 8) for name in bi_woof.HISTOGRAMS
    )
    assert (published[0, :, 7] > 0).all()
    assert not published[4].any()
    assert (full[4, :, 7] > 0).all()


wild = st.floats(-1e6, 1e6, width=32)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(wild, wild, st.floats(0, 1e6, width=32)), min_size=1, max_size=9), st.integers(1, 6)
)
def test_whatever_moves_the_numbers_have_norm_one_or_are_zero(pixels, blocks):
    motion = np.resize(np.array(pixels, np.float32), (28, 28, 3))
    for histogram in bi_woof.HISTOGRAMS:
        found = bi_woof.bi_woof(motion, blocks=blocks, histogram=histogram)
        assert found.dtype == np.float32
        assert found.shape == (blocks**2 * 8,)
        assert (found >= 0).all()
        norm = np.linalg.norm(found.astype(float))
        assert norm == pytest.approx(1, abs=1e-5) or norm == 0


def options(*given):
    parser = argparse.ArgumentParser()
    FlowView.add_options(parser)
    BiWoofView.add_options(parser)
    parser.set_defaults(regions='EM', face_size=56, size=None)
    return parser.parse_args(given)


def test_its_flow_is_that_of_the_view_flow():
    given = (
        '--flow',
        'dis',
        '--flow-setting',
        'PatchStride=2',
        '--strain',
        'quarter',
        '--strain-smoothing',
        '0',
    )
    view = BiWoofView.of(options(*given))
    assert view.flow == FlowView.of(options(*given))
    assert view.recipe()['flow'] == view.flow.motion_recipe()
    (feature,) = view.features().values()
    assert feature.shape == schema.USUAL_SIZES['bi_woof'] == (200,)
    assert views.heeded('bi_woof') == {
        *('face_size', 'flow', 'flow_setting', 'strain', 'strain_smoothing'),
        *('bi_woof_blocks', 'bi_woof_histogram', 'contrast', 'head_motion'),
    }


def test_histograms_that_cannot_be_are_refused():
    with pytest.raises(InputError, match='--bi-woof-blocks 15: expected 1 to 14'):
        BiWoofView.of(options('--bi-woof-blocks', '15'))
    with pytest.raises(
        InputError, match="--bi-woof-histogram 'half': expected one of published, full-circle"
    ):
        BiWoofView(histogram='half')
