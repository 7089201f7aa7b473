import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.face import regions
from data_prep.face.landmarks import template
from dualatme_jax.errors import InputError

# Read off the mean strain of the public 28x28 flow images: top, bottom, left, right.
BOXES = {'F': (0, 7, 2, 26), 'E': (3, 10, 2, 26), 'N': (10, 17, 7, 21), 'M': (18, 25, 6, 22)}


@pytest.mark.parametrize('scale', [1, 2, 4, 8])
def test_the_template_landmarks_give_the_boxes_of_the_public_images(scale):
    side = 28 * scale
    expected = {letter: tuple(scale * bound for bound in box) for letter, box in BOXES.items()}
    assert regions.template_boxes((side, side)) == expected
    assert regions.boxes(template.stretched((side, side)).astype(np.float32), (side, side)) == expected


def test_boxes_follow_the_landmarks():
    moved = template.stretched((112, 112)) + np.array([3, -5])
    box = regions.boxes(moved, (112, 112))
    assert box['M'] == (72 - 5, 100 - 5, 24 + 3, 88 + 3)
    assert box['F'][0] == 0  # the forehead ends with the picture


def test_the_margins_are_as_wide_as_the_eyes_are_apart():
    landmarks = np.array(template.stretched((112, 112)))
    landmarks[36:48, 0] = 56 + 2 * (landmarks[36:48, 0] - 56)  # eyes 88 pixels apart instead of 44
    wider = [round(44 * margin) for margin in (regions.REGIONS['M'].top, regions.REGIONS['M'].sides)]
    top, bottom, left, right = regions.boxes(landmarks, (112, 112))['M']
    assert (top, bottom) == (72 - wider[0], 100 + wider[0])
    assert (left, right) == (24 - wider[1], 88 + wider[1])


def test_a_region_outside_of_the_face_is_refused():
    landmarks = np.array(template.stretched((112, 112)))
    landmarks[48:68, 1] += 40
    with pytest.raises(InputError, match='region M lies for the most part outside'):
        regions.boxes(landmarks, (112, 112))


@pytest.mark.parametrize('pair', [''.join(pair) for pair in itertools.permutations('EFNM', 2)])
@pytest.mark.parametrize('scale', [1, 4])
def test_each_half_shows_its_region_alone(pair, scale):
    upper, lower = ([scale * bound for bound in BOXES[letter]] for letter in pair)
    for half, (top, bottom, left, right) in ((0, upper), (1, lower)):
        face = np.zeros((28 * scale, 28 * scale), np.uint8)
        face[top:bottom, left:right] = 200
        puzzled = regions.puzzle(face, pair)
        np.testing.assert_array_equal(puzzled[14 * scale * half :][: 14 * scale], 200)


def test_boxes_of_the_own_face_are_used():
    face = np.zeros((56, 56), np.uint8)
    face[5:15, 10:20], face[30:50, 20:50] = 100, 200
    puzzled = regions.puzzle(face, 'ME', {'M': (5, 15, 10, 20), 'E': (30, 50, 20, 50)})
    np.testing.assert_array_equal(puzzled[:28], 100)
    np.testing.assert_array_equal(puzzled[28:], 200)


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


@pytest.mark.parametrize('pair', ['', 'EE', 'E', 'EMN', 'XY', 'em', 'FULL'])
def test_an_unknown_pair_is_refused(pair):
    with pytest.raises(InputError, match='two different letters of E, F, N, M'):
        regions.puzzle(np.zeros((28, 28)), pair)


def test_too_small_an_image_is_refused():
    with pytest.raises(InputError, match='at least 28x28'):
        regions.puzzle(np.zeros((27, 28)), 'EM')


def test_the_recipe_is_json_and_names_pair_and_definition():
    told = json.loads(json.dumps(regions.recipe('FN')))
    assert told['pair'] == 'FN'
    assert set(told['definition']) == set('EFNM')
    assert told['definition']['M']['landmarks'] == list(range(48, 68))
