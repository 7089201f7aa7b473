import numpy as np
import pytest

from data_prep.face.landmarks import template
from data_prep.views import head_motion
from dualatme_jax.errors import InputError

SIZE = 112
POINTS = template.stretched((SIZE, SIZE))
Y, X = np.mgrid[:SIZE, :SIZE].astype(float)


def affine(matrix):
    return (np.dstack([X, Y, np.ones_like(X)]) @ np.transpose(matrix)).astype(np.float32)


def smile():
    """A motion of the corners of the mouth, none at the bridge of the nose."""
    away = [np.hypot(X - x, Y - y) for x, y in POINTS[[48, 54]]]
    bump = sum(np.clip(1 - distance / 12, 0, None) for distance in away)
    return np.dstack([0.4 * bump, -1.2 * bump]).astype(np.float32)


SHIFT = [[0, 0, 0.7], [0, 0, -1.3]]
SIMILARITY = [[0.01, -0.02, 0.7], [0.02, 0.01, -1.3]]
ANY = [[0.01, -0.02, 0.7], [0.005, -0.015, -1.3]]


@pytest.mark.parametrize(
    ('kind', 'matrix'), [('median', SHIFT), ('points', SHIFT), ('points', SIMILARITY), ('affine', ANY)]
)
def test_the_motion_of_the_head_is_found_exactly_beside_an_expression(kind, matrix):
    head = affine(matrix)
    found = head_motion.of(head + smile(), POINTS, kind)
    np.testing.assert_allclose(found, head, atol=2e-3)
    assert found.dtype == np.float32


def test_a_mean_over_the_face_would_take_a_part_of_the_expression_for_the_head():
    smiling = affine(SHIFT) + smile()
    assert abs(smiling.mean((0, 1)) - (0.7, -1.3)).max() > 0.02


def test_the_motion_of_the_head_is_the_same_every_time():
    grain = np.random.default_rng(0).normal(0, 0.05, (SIZE, SIZE, 2)).astype(np.float32)
    flow = affine(ANY) + smile() + grain
    first = head_motion.of(flow, POINTS, 'affine')
    np.testing.assert_array_equal(first, head_motion.of(flow, POINTS, 'affine'))
    np.testing.assert_allclose(first, affine(ANY), atol=0.1)


def test_no_head_moves_where_none_is_to_be_found():
    assert not head_motion.of(affine(ANY), POINTS, 'none').any()


def test_a_motion_that_no_points_share_is_named():
    with pytest.raises(InputError, match=r'no motion of the head is found, .* --head-motion none'):
        head_motion.of(affine(ANY), np.full((68, 2), -50.0), 'affine')
