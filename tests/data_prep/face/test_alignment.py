import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.face import regions
from data_prep.face.alignment import align, whole_frame
from data_prep.face.landmarks import ibug, template
from dualatme_jax.errors import InputError

TEMPLATE = template.points()


def picture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A smooth picture on the template's grid, where x and y run from 0 to 28."""
    waves = np.sin(0.9 * x + 0.3) * np.cos(0.7 * y) + 0.5 * np.sin(0.5 * x * np.cos(1) + 1.3 * y)
    return 128 + 60 * waves


def similarity(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    """[2, 3], from the template's grid to a frame."""
    turn = scale * np.exp(1j * np.deg2rad(degrees))
    middle = turn * (14 + 14j)
    return np.array(
        [
            [turn.real, -turn.imag, shift[0] - middle.real],
            [turn.imag, turn.real, shift[1] - middle.imag],
        ]
    )


def scene(pose: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns a frame that shows the picture in a pose, and the template's landmarks in it."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    back = np.linalg.inv(pose[:, :2])
    on_grid = (np.stack([x, y], axis=-1) - pose[:, 2]) @ back.T
    frame = np.rint(picture(on_grid[..., 0], on_grid[..., 1])).astype(np.uint8)
    return frame, TEMPLATE @ pose[:, :2].T + pose[:, 2]


def aligned(size: int) -> np.ndarray:
    """The picture as an aligned face shows it: at each pixel its mean over the pixel's area."""
    steps = (np.arange(8 * size) + 0.5) * 28 / (8 * size)
    fine = picture(*np.meshgrid(steps, steps))
    return fine.reshape(size, 8, size, 8).mean((1, 3))


@pytest.mark.parametrize('size', [28, 56, 112, 128, 224])
@pytest.mark.parametrize(
    ('scale', 'degrees', 'shift'), [(8, 0, (150, 150)), (9.3, 20, (160.7, 170.2)), (6.1, -13, (149.5, 158))]
)
def test_a_turned_scaled_and_shifted_face_aligns_to_the_same(size, scale, degrees, shift):
    frame, landmarks = scene(similarity(scale, degrees, shift), (340, 320))
    alignment = align(landmarks, frame.shape, size)
    assert np.abs(alignment.warp(frame) - aligned(size)).mean() < 1
    np.testing.assert_allclose(alignment.points(landmarks), TEMPLATE * size / 28 - 0.5, atol=1e-6)


@settings(derandomize=True, max_examples=50)
@given(
    scale=st.floats(3, 9), degrees=st.floats(-60, 60), x=st.floats(145, 155), size=st.sampled_from([28, 224])
)
def test_the_eyes_stand_level_at_the_template_s_places(scale, degrees, x, size):
    _, landmarks = scene(similarity(scale, degrees, (x, 150)), (2, 2))
    landmarks = landmarks + np.random.default_rng(0).normal(0, 0.2, (68, 2))
    alignment = align(landmarks, (400, 400, 3), size)
    right, left = ibug.eye_centres(alignment.points(landmarks))
    np.testing.assert_allclose((right + 0.5) * 28 / size, (8.5, 8.2), atol=1e-6)
    np.testing.assert_allclose((left + 0.5) * 28 / size, (19.5, 8.2), atol=1e-6)
    assert np.linalg.det(alignment.matrix[:, :2]) > 0  # no mirror


def test_a_still_clip_stays_still():
    frame, landmarks = scene(similarity(7.7, 11, (150, 160)), (320, 300))
    alignment = pickle.loads(pickle.dumps(align(landmarks, frame.shape, 112)))
    first, *others = [alignment.warp(frame.copy()) for _ in range(3)]
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_a_motion_in_the_frame_is_the_same_motion_in_the_face():
    pose = similarity(8, 30, (170, 180))
    frame, landmarks = scene(pose, (360, 340))
    moved = pose.copy()
    moved[:, 2] += (4, 0)
    alignment = align(landmarks, frame.shape, 112)
    # 4 pixels at 8 pixels a unit are 2 pixels at 4, turned back by 30 degrees.
    expected = 2 * np.array([np.cos(np.deg2rad(30)), -np.sin(np.deg2rad(30))])
    motion = alignment.points(scene(moved, (2, 2))[1]) - alignment.points(landmarks)
    np.testing.assert_allclose(motion, np.broadcast_to(expected, (68, 2)), atol=1e-9)


def test_a_whole_frame_is_scaled_along_each_axis():
    y, x = np.mgrid[:340, :280]
    frame = np.rint(picture((x + 0.5) * 28 / 280, (y + 0.5) * 28 / 340)).astype(np.uint8)
    alignment = whole_frame(frame.shape, 112)
    assert np.abs(alignment.warp(frame) - aligned(112)).mean() < 1
    corners = alignment.points([(-0.5, -0.5), (279.5, 339.5)])
    np.testing.assert_allclose(corners, [(-0.5, -0.5), (111.5, 111.5)], atol=1e-9)


def test_a_whole_frame_of_the_right_size_is_left_as_it_is():
    frame = np.random.default_rng(0).integers(0, 256, (56, 56, 3), dtype=np.uint8)
    np.testing.assert_array_equal(whole_frame(frame.shape, 56).warp(frame), frame)


def test_shrinking_takes_the_mean_instead_of_single_pixels():
    # A pattern finer than the new pixels: single pixels would give bands of 0 and 255.
    frame = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (140, 140))
    face = whole_frame(frame.shape, 28).warp(frame)
    assert np.abs(face.astype(float) - 127.5).max() <= 1
    blocks = np.random.default_rng(1).integers(0, 256, (112, 112), dtype=np.uint8)
    mean = blocks.reshape(28, 4, 28, 4).mean((1, 3))
    assert np.abs(whole_frame(blocks.shape, 28).warp(blocks) - mean).max() <= 0.5


@pytest.mark.parametrize('shape', [(90, 80), (90, 80, 3)])
def test_grey_and_colour_keep_their_shape(shape):
    frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    face = align(TEMPLATE * 2.5, shape, 28).warp(frame)
    assert face.shape == (28, 28, *shape[2:])
    assert face.dtype == np.uint8


def test_a_face_half_outside_is_refused():
    landmarks = TEMPLATE * 5
    align(landmarks, (150, 150), 28)
    with pytest.raises(InputError, match=r'partly outside of the frame \(70x150 pixels\).*brows and nose'):
        align(landmarks, (150, 70), 28)
    with pytest.raises(InputError, match=r'partly outside .* such as 19 at'):
        align(landmarks - (0, 23), (150, 150), 28)


def frame_of(cut):
    """A frame with the picture in which the template's face is 112 pixels wide, cut at the four sides."""
    top, bottom, left, right = cut
    frame, points = scene(similarity(4, 0, (55.5, 55.5)), (112, 112))
    return frame[top : 112 - bottom, left : 112 - right], points - (left, top)


@pytest.mark.parametrize(
    ('cut', 'pair', 'share'),
    [
        ((12, 16, 12, 12), 'full', 0.43),  # brows, eyes, nose and mouth are on it, and hardly more
        ((0, 40, 0, 0), 'EN', 0.36),  # the mouth is not
        ((25, 0, 0, 0), 'NM', 0.22),  # the brows are not
    ],
)
def test_a_tight_crop_is_padded_by_its_mirror_image(cut, pair, share):
    frame, landmarks = frame_of(cut)
    alignment = align(landmarks, frame.shape, 112, pair)
    assert alignment.outside() == pytest.approx(share, abs=0.02)
    top, bottom, left, right = cut
    face = alignment.warp(frame).astype(float)
    mirrored = np.pad(frame, ((top, bottom), (left, right)), mode='symmetric')
    assert np.abs(face - mirrored).max() <= 2
    boxes = alignment.boxes(landmarks, pair)
    assert set(regions.letters(pair)) <= boxes.keys()


def test_only_a_region_that_is_used_must_be_on_the_frame():
    frame, landmarks = frame_of((0, 40, 0, 0))
    assert 'M' not in align(landmarks, frame.shape, 112, 'EN').boxes(landmarks, 'EN')
    with pytest.raises(InputError, match=r'partly outside of the frame .*landmarks of mouth do'):
        align(landmarks, frame.shape, 112, 'EM')
    frame, landmarks = frame_of((17, 0, 0, 0))  # the forehead is cut off above the brows
    with pytest.raises(
        InputError, match=r'[56]\d% of the region F lie outside of the frame \(112x95 pixels\)'
    ):
        align(landmarks, frame.shape, 112, 'FM').boxes(landmarks, 'FM')
    assert 'F' not in align(landmarks, frame.shape, 112, 'EM').boxes(landmarks, 'EM')
    with pytest.raises(
        InputError, match='landmarks of nose and eyes do'
    ):  # without eyes there is no alignment
        align(landmarks - (0, 30), frame.shape, 112, 'NM')


def test_a_jaw_outside_is_no_harm():
    landmarks = TEMPLATE * 5
    align(landmarks, (125, 140), 28)
    assert landmarks[8, 1] > 125


def test_landmarks_that_are_no_upright_face_are_refused():
    with pytest.raises(InputError, match=r'the eyes are 5.5 pixels apart, expected at least 8'):
        align(TEMPLATE / 2, (20, 20), 28)
    upside_down = 28 - TEMPLATE
    with pytest.raises(InputError, match='no upright face'):
        align(upside_down * 5, (150, 150), 28)
    swapped = np.array(TEMPLATE)
    swapped[36:42], swapped[42:48] = TEMPLATE[42:48], TEMPLATE[36:42]
    with pytest.raises(InputError, match='no upright face'):
        align(swapped * 5, (150, 150), 28)
    mirrored_downwards = TEMPLATE * (1, -1) + (0, 28)
    with pytest.raises(InputError, match='no upright face'):
        align(mirrored_downwards * 5, (150, 150), 28)


@settings(derandomize=True, max_examples=80)
@given(
    spots=st.lists(st.tuples(st.floats(-300, 500), st.floats(-300, 500)), min_size=4, max_size=4),
    spread=st.floats(0, 60),
)
def test_wild_landmarks_give_an_alignment_or_a_named_error(spots, spread):
    landmarks = np.random.default_rng(0).normal(0, spread, (68, 2))
    for part, spot in zip((ibug.RIGHT_EYE, ibug.LEFT_EYE, ibug.MOUTH, ibug.NOSE), spots, strict=True):
        landmarks[list(part)] += spot
    eyes = ibug.eye_centres(landmarks)
    try:
        alignment = align(landmarks, (240, 320), 56)
    except InputError:
        small = np.linalg.norm(eyes[1] - eyes[0]) < 8
        beyond = (landmarks[17:] < 0).any() or (landmarks[17:] > (319, 239)).any()
        turned = eyes[1, 0] <= eyes[0, 0] or landmarks[48:].mean(0)[1] < eyes[:, 1].max()
        assert small or beyond or turned
    else:
        assert alignment.warp(np.zeros((240, 320), np.uint8)).shape == (56, 56)
