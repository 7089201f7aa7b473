import argparse

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import local_binary_pattern

from data_prep import views
from data_prep.views import lbp_top
from data_prep.views.lbp_top import LbpTopView
from dualatme_jax import schema
from dualatme_jax.errors import InputError


def random_clip(*shape, levels=256):
    return np.random.default_rng(0).integers(0, levels, shape, np.uint8)


@pytest.mark.parametrize('radius', [1, 3])
@pytest.mark.parametrize('levels', [4, 256], ids=['many equal neighbours', 'few'])
def test_codes_of_the_plane_xy_are_those_of_scikit_image(radius, levels):
    clip = random_clip(3, 20, 24, levels=levels)
    found = lbp_top.patterns(clip, (radius, radius, 1), 4)[0]
    expected = local_binary_pattern(clip[1], 4, radius)[radius:-radius, radius:-radius]
    np.testing.assert_array_equal(found[0], expected)


def test_uniform_codes_fall_together_as_those_of_scikit_image():
    """Which have other numbers: a bin of ours is a number of theirs, and no two are one."""
    image = random_clip(60, 60)
    for neighbours, bins in ((4, 15), (8, 59)):
        codes, theirs = (
            local_binary_pattern(image, neighbours, 1, method).astype(int)
            for method in ('default', 'nri_uniform')
        )
        own = lbp_top.uniform(neighbours)
        assert own.max() + 1 == bins
        pairs = set(zip(own[codes].ravel(), theirs.ravel(), strict=True))
        assert len(pairs) == len({ours for ours, _ in pairs}) == len({other for _, other in pairs}) == bins
        assert len(set(own[own < bins - 1])) == bins - 1 == neighbours * (neighbours - 1) + 2


def by_definition(clip, radii, neighbours, plane, t, y, x):
    """The code of one pixel in one plane."""
    rx, ry, rt = radii
    code = 0
    for p in range(neighbours):
        cos, sin = np.cos(2 * np.pi * p / neighbours), np.sin(2 * np.pi * p / neighbours)
        place = {
            'XY': (t, y - ry * sin, x + rx * cos),
            'XT': (t + rt * sin, y, x + rx * cos),
            'YT': (t + rt * sin, y + ry * cos, x),
        }[plane]
        if clip[tuple(np.rint(np.round(place, 6)).astype(int))] >= clip[t, y, x]:
            code += 2**p
    return code


@pytest.mark.parametrize(('radii', 'neighbours'), [((1, 1, 4), 4), ((3, 2, 1), 8), ((2, 1, 3), 5)])
def test_every_plane_is_what_its_definition_says(radii, neighbours):
    clip = random_clip(10, 9, 11, levels=6)
    found = lbp_top.patterns(clip, radii, neighbours)
    rx, ry, rt = radii
    assert found.shape == (3, 10 - 2 * rt, 9 - 2 * ry, 11 - 2 * rx)
    for plane, codes in zip(lbp_top.PLANES, found, strict=True):
        for (t, y, x), code in np.ndenumerate(codes):
            assert code == by_definition(clip, radii, neighbours, plane, t + rt, y + ry, x + rx)


def ramp(axis):
    """A clip that grows brighter along time (0), downwards (1) or to the right (2)."""
    places = np.indices((10, 12, 12))[axis]
    return (10 * places).astype(np.uint8)


@pytest.mark.parametrize(
    ('axis', 'codes'),
    [
        # Bits: XY right 1, up 2, left 4, down 8; XT right 1, later 2, left 4, earlier 8; YT down 1, later 2,
        # up 4, earlier 8.
        (0, (15, 1 + 2 + 4, 1 + 2 + 4)),
        (1, (1 + 4 + 8, 15, 1 + 2 + 8)),
        (2, (1 + 2 + 8, 1 + 2 + 8, 15)),
    ],
    ids=['in time', 'down', 'right'],
)
def test_a_ramp_fills_one_bin_of_each_plane(axis, codes):
    """Neighbours across the ramp are as bright as the centre, which counts; the one before it is darker."""
    view = LbpTopView(face_size=28, blocks=2)
    vector = view.vector(iter(ramp(axis)), 10).reshape(4, 3, 16)
    expected = np.zeros((3, 16))
    expected[range(3), codes] = 1
    np.testing.assert_array_equal(vector, np.broadcast_to(expected, (4, 3, 16)))


def test_blocks_are_counted_row_by_row_and_each_by_itself():
    found = np.zeros((1, 2, 5, 7), int)
    found[0, :, :2, 3:] = 1  # rows 0 and 1 are the first of two blocks, columns from 3 on the second
    found[0, 0, 4, 0] = 2
    histograms = lbp_top.histograms(found, 2, 3)[:, :, 0]
    np.testing.assert_allclose(histograms[0], [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(histograms[1], [[17 / 18, 0, 1 / 18], [1, 0, 0]], rtol=1e-6)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    length=st.integers(2, 12),
    blocks=st.integers(1, 4),
    neighbours=st.integers(2, 8),
    codes=st.sampled_from(list(lbp_top.CODES)),
    radii=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)),
    levels=st.sampled_from([1, 2, 256]),
)
def test_every_histogram_sums_to_one(length, blocks, neighbours, codes, radii, levels):
    view = LbpTopView(face_size=28, blocks=blocks, neighbours=neighbours, codes=codes, radii=radii)
    vector = view.vector(iter(random_clip(length, 28, 28, levels=levels)), length)
    assert vector.shape == view.features()[schema.LBP_TOP].shape
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector.reshape(blocks**2 * 3, -1).sum(1), 1, rtol=1e-5)


def test_a_clip_as_it_is_must_have_frames_for_the_radius_in_time():
    view = LbpTopView(face_size=28, frames=0)
    assert view.vector(iter(random_clip(9, 28, 28)), 9).shape == (1200,)
    with pytest.raises(InputError, match=r'8 frames .* radius of 4 frames need 9: .*--lbp-frames 10'):
        view.vector(iter(random_clip(8, 28, 28)), 8)
    with pytest.raises(InputError, match=r'need 41: .*--lbp-frames 41'):
        LbpTopView(face_size=28, frames=0, radii=(1, 1, 20)).vector(iter(random_clip(8, 28, 28)), 8)


def options(*given):
    parser = argparse.ArgumentParser()
    LbpTopView.add_options(parser)
    parser.set_defaults(face_size=56)
    return parser.parse_args(given)


def test_its_options_are_the_guidelines_by_default():
    assert LbpTopView.of(options()) == LbpTopView(face_size=56)
    (feature,) = LbpTopView().features().values()
    assert feature.shape == schema.USUAL_SIZES['lbp_top'] == (1200,)
    given = ('--lbp-radii', '3', '3', '2', '--lbp-neighbours', '8', '--lbp-codes', 'uniform')
    assert LbpTopView.of(options(*given)).features()[schema.LBP_TOP].shape == (25 * 3 * 59,)
    assert views.heeded('lbp_top') == {
        *('face_size', 'lbp_frames', 'lbp_radii', 'lbp_neighbours', 'lbp_blocks', 'lbp_codes')
    }


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        (('--lbp-frames', '8'), '--lbp-frames 8: with a radius of 4 frames .* expected 9 to 1000, or 0'),
        (('--lbp-frames', '-1'), '--lbp-frames -1: '),
        (
            ('--lbp-radii', '0', '1', '4'),
            '--lbp-radii 0 1 4: expected 1 to 25 pixels in x and y, on a face of 56',
        ),
        (('--lbp-radii', '1', '26', '4'), '--lbp-radii 1 26 4'),
        (('--lbp-radii', '1', '1', '0'), '1 to 500 frames in time'),
        (('--lbp-neighbours', '9'), '--lbp-neighbours 9: expected 2 to 8'),
        (('--lbp-blocks', '0'), '--lbp-blocks 0: expected 1 to 14'),
    ],
)
def test_patterns_that_cannot_be_are_refused(given, said):
    with pytest.raises(InputError, match=said):
        LbpTopView.of(options(*given))
    with pytest.raises(InputError, match="--lbp-codes 'rotated': expected one of plain, uniform"):
        LbpTopView(codes='rotated')
