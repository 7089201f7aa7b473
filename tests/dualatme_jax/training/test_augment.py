"""What augmentation does to pictures: closed forms, and what must not change."""

import colorsys
import functools

import cv2
import jax
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from data_prep.face import parts
from data_prep.face.landmarks import template
from data_prep.views import optical_flow
from dualatme_jax.errors import InputError
from dualatme_jax.training import augment, encoding, prepare

FLOW = ('u', 'v', 'strain')
CONFIG = {'scale': 'signed', 'channels': FLOW}
BATCH = 6


def inputs(batch=BATCH, size=(12, 10)):
    """Flows and a face as bytes, and frames of one more axis."""
    random = np.random.default_rng(0)
    return {
        key: random.integers(0, 256, (channels, *space, batch), np.uint8)
        for key, channels, space in (
            ('flow', 3, size),
            ('apex_face_grey', 1, size),
            ('face_frames', 3, (4, *size)),
        )
    }


@functools.cache
def compiled(active, scale, channels):
    return jax.jit(augment.augmentation(frozenset(active), scale=scale, channels=channels))


def augmented(given, key=0, *, scale='signed', channels=FLOW, batch=BATCH):
    """Inputs before and after, by strengths."""
    before = prepare.preparation(scale=scale, channels=channels)(inputs(batch))
    strengths = {augment.column(name): np.float32(value) for name, value in given.items()}
    after = compiled(tuple(sorted(given)), scale, channels)(before, strengths, jax.random.key(key))
    return before, jax.tree.map(np.asarray, after)


@pytest.mark.parametrize('scale', ['signed', 'unit', 'imagenet', 'byte'])
@pytest.mark.parametrize('channels', [FLOW, ('strain', 'v', 'u')])
def test_a_mirrored_clip_is_read_as_the_mirrored_bytes_would_be(scale, channels):
    """Scaled to its range by clip, u of the other sign is 255 - u: so `data_prep` stores a mirrored face."""
    stored = {key: x[..., ::-1, :] for key, x in inputs().items()}
    stored['flow'] = np.concatenate([255 - stored['flow'][:1], stored['flow'][1:]])
    expected = prepare.preparation(scale=scale, channels=channels)(stored)
    before, after = augmented({'mirror': 1.0}, scale=scale, channels=channels)
    for key in before:
        np.testing.assert_allclose(after[key], expected[key], atol=1e-4)
    np.testing.assert_array_equal(
        augmented({'mirror': 0.0}, scale=scale, channels=channels)[1]['flow'], before['flow']
    )


def test_all_clips_are_mirrored_for_predictions_as_some_are_in_training():
    for scale, channels in (('signed', FLOW), ('imagenet', ('strain', 'v', 'u')), ('byte', ())):
        before, after = augmented({'mirror': 1.0}, scale=scale, channels=channels)
        found = augment.mirroring(scale=scale, channels=channels)(before)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6), found, after)
    motion = {'flow': np.float32([[[[1], [-2]]], [[[3], [4]]], [[[5], [6]]]])}  # as it is stored: pixels
    found = augment.mirroring(scale='stored', channels=())(motion)['flow'][..., 0]
    np.testing.assert_array_equal(found, [[[2, -1]], [[4, 3]], [[6, 5]]])
    flow = inputs()['flow']
    other = np.concatenate([255 - flow[:1], flow[1:]])[..., ::-1, :]
    one, two = ({'flow': encoding.robust(x, FLOW)} for x in (flow, other))
    found = augment.mirroring(scale='signed', channels=FLOW, encoding='robust')(one)
    np.testing.assert_allclose(found['flow'], two['flow'], atol=1e-6)


def test_of_a_mirrored_face_the_shear_changes_sign_and_left_and_right_change_places():
    random = np.random.default_rng(0)
    motion = cv2.GaussianBlur(random.normal(size=(40, 30, 2)), (0, 0), 4)
    points = template.stretched((40, 40)) + random.normal(size=(68, 2))

    def stored(motion, points):
        return {
            'face_strain': optical_flow.minmax(optical_flow.strain_tensor(motion)),
            'face_parts': parts.drawn(points, 40),
        }

    # Mirrored, landmarks of the right eye are those of the left one, and so on.
    swapped = points.copy()
    for right, left in ((range(17, 22), range(26, 21, -1)), (range(36, 42), (45, 44, 43, 42, 47, 46))):
        swapped[[*right, *left]] = points[[*left, *right]]
    swapped[:17] = points[16::-1]
    nose, lips = ((31, 35), (32, 34)), ((48, 54), (49, 53), (50, 52), (55, 59), (56, 58))
    for right, left in (*nose, *lips, (60, 64), (61, 63), (65, 67)):
        swapped[[right, left]] = points[[left, right]]
    mirrored = stored(motion[:, ::-1] * (-1, 1), (39, 0) + swapped * (-1, 1))
    mirror = augment.augmentation(frozenset({'mirror'}), scale='byte', channels=())
    for key, before in stored(motion, points).items():
        before = np.moveaxis(before, -1, 0)[..., None].astype(np.float32)
        after = mirror({key: before}, {'augment_mirror': np.float32(1)}, jax.random.key(0))[key][..., 0]
        difference = np.abs(np.moveaxis(np.asarray(after), 0, -1) - mirrored[key])
        assert np.median(difference) <= 1
        assert (difference > 2).mean() < 0.01  # on the edges of polygons


def test_about_as_many_clips_are_mirrored_as_asked_for_and_all_their_inputs_are():
    before, after = augmented({'mirror': 0.25}, batch=400)
    changed = {key: (after[key] != before[key]).any(tuple(range(before[key].ndim - 1))) for key in before}
    assert pytest.approx(changed['flow'].mean(), abs=5 * (0.25 * 0.75 / 400) ** 0.5) == 0.25
    np.testing.assert_array_equal(changed['flow'], changed['face_frames'])


@pytest.mark.parametrize('name', augment.NAMES)
def test_a_strength_of_nothing_changes_nothing(name):
    before, after = augmented({name: 0.0})
    for key in before:
        np.testing.assert_allclose(after[key], before[key], atol=1e-5)


@pytest.mark.parametrize('name', augment.NAMES)
def test_examples_are_changed_each_by_its_own_draw_and_padding_changes_none(name):
    value = {'rotation': 20.0, 'mirror': 0.5}.get(name, 0.3)
    before, after = augmented({name: value})
    more = augmented({name: value}, batch=BATCH)[1]
    shown = 'face_frames' if name == 'colour' else 'flow'
    np.testing.assert_array_equal(after[shown], more[shown])
    other = augmented({name: value}, key=1)[1]
    assert (after[shown] != other[shown]).any()
    strengths = {augment.column(name): np.float32(value)}
    padded = {key: np.concatenate([x, x[..., :2]], -1) for key, x in before.items()}
    longer = compiled((name,), 'signed', FLOW)(padded, strengths, jax.random.key(0))
    for key in before:
        np.testing.assert_allclose(longer[key][..., :BATCH], after[key], atol=1e-5)


@pytest.mark.parametrize(('name', 'value'), [('rotation', 25.0), ('scale', 0.4), ('shift', 0.3)])
def test_moved_pictures_are_scipy_s(name, value):
    before, after = augmented({name: value})
    picture = before['apex_face_grey'][0]
    height, width, _ = picture.shape
    keys = {name: jax.random.fold_in(jax.random.key(0), augment.NAMES.index(name))}
    rows, columns = augment._transform(keys, {name: np.float32(value)}, BATCH, (height, width))
    for k in range(BATCH):
        expected = ndimage.map_coordinates(
            picture[..., k], [rows[..., k], columns[..., k]], order=1, mode='nearest'
        )
        np.testing.assert_allclose(after['apex_face_grey'][0, ..., k], expected, atol=1e-4)
        frame = before['face_frames'][1, 2, ..., k]
        expected = ndimage.map_coordinates(frame, [rows[..., k], columns[..., k]], order=1, mode='nearest')
        np.testing.assert_allclose(after['face_frames'][1, 2, ..., k], expected, atol=1e-4)


def test_rotation_and_scale_keep_the_middle_and_shifts_stay_below_their_strength():
    middle = 5.5, 4.5
    for name, value in (('rotation', 30.0), ('scale', 0.5)):
        keys = {name: jax.random.key(3)}
        rows, columns = augment._transform(keys, {name: np.float32(value)}, BATCH, (12, 10))
        assert np.allclose(rows.mean((0, 1)), middle[0], atol=1e-4)
        assert np.allclose(columns.mean((0, 1)), middle[1], atol=1e-4)
    rows, columns = augment._transform(
        {'shift': jax.random.key(3)}, {'shift': np.float32(0.25)}, 500, (12, 10)
    )
    down, right = rows[0, 0], columns[0, 0]
    assert 0.9 * 3 < np.abs(down).max() <= 3
    assert 0.9 * 2.5 < np.abs(right).max() <= 2.5


def test_a_crop_is_cut_from_the_picture_with_zeros_around_it():
    before, after = augmented({'crop': 0.25}, batch=300)  # 3 of 12 rows and, of 10 columns, 2 by rounding
    wide = {key: np.pad(x, [(0, 0)] * (x.ndim - 3) + [(3, 3), (2, 2), (0, 0)]) for key, x in before.items()}
    drawn = set()
    for k in range(300):
        places = [
            (row, column)
            for row in range(7)
            for column in range(5)
            if all(
                np.array_equal(after[key][..., k], x[..., row : row + 12, column : column + 10, k])
                for key, x in wide.items()
            )
        ]
        assert len(places) == 1
        drawn |= {*places}
    assert len(drawn) == 7 * 5


def test_what_is_erased_is_a_rectangle_of_the_mean():
    before, after = augmented({'erase': 0.5}, batch=50)
    x, y = before['flow'], after['flow']
    changed = x != y
    assert changed.any((0, 1, 2)).all()
    mean = np.broadcast_to(x.mean((1, 2), keepdims=True), x.shape)
    np.testing.assert_allclose(y[changed], mean[changed], atol=1e-5)
    assert changed.mean() <= 0.5**2 + 0.03
    np.testing.assert_array_equal(changed.any(0).any(0).sum(0) <= 5, True)


def test_noise_has_its_deviation_of_the_range_and_is_another_for_each_input():
    for scale, span in (('signed', 2), ('stored', 1)):
        before, after = augmented({'noise': 0.05}, scale=scale, batch=100)
        added = {key: after[key] - before[key] for key in before}
        assert added['flow'].std() == pytest.approx(0.05 * span, rel=0.05)
        assert abs(np.corrcoef(added['flow'][:1].ravel(), added['apex_face_grey'].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize('changes', [(0.2, -0.2, 0.2, 0.0), (0.0, 0.0, 0.0, 0.2), (-0.2, 0.2, -0.2, -0.15)])
def test_colours_are_those_of_pillow_and_of_the_standard_library(changes):
    picture = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    expected = Image.fromarray(picture)
    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for kind, change in zip(kinds, changes[:3], strict=True):
        expected = kind(expected).enhance(1 + change)

    def turned(pixel):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        return colorsys.hsv_to_rgb((hue + changes[3]) % 1, saturation, value)

    expected = np.apply_along_axis(turned, 2, np.asarray(expected) / 255)
    x = np.moveaxis(picture, 2, 0)[..., None].astype(np.float32) / 255
    found = np.asarray(augment.recoloured(x, np.float32(changes)[:, None]))[..., 0]
    # Pillow rounds to bytes three times.
    np.testing.assert_allclose(np.moveaxis(found, 0, 2), expected, atol=6 / 255)


def test_colours_of_what_has_none_or_no_range_of_values_are_refused():
    with pytest.raises(
        InputError, match=r'colour is above 0, and flow .* has no colours: its channels are u, v'
    ):
        augment.check({'colour'}, {'flow': STORED['flow']})
    with pytest.raises(InputError, match="scale='stored' has no known range"):
        augment.augmentation({'colour'}, scale='stored', channels=())


def test_strength_is_of_motion_around_the_mean_and_strain_from_below():
    before, after = augmented({'strength': 0.5})
    x, y = before['flow'], after['flow']
    around = np.concatenate([x[:2].mean((1, 2), keepdims=True), np.full((1, 1, 1, BATCH), -1)])
    factor = ((y - around) / (x - around)).reshape(-1, BATCH)
    factor = factor[np.abs(x - around).min(-1).ravel() > 1e-2]
    np.testing.assert_allclose(factor, np.broadcast_to(factor[0], factor.shape), rtol=2e-2)
    assert ((factor[0] > 0.5) & (factor[0] < 1.5)).all()
    assert len(set(factor[0].round(4))) == BATCH
    np.testing.assert_array_equal(after['apex_face_grey'], before['apex_face_grey'])


def test_a_random_window_is_a_part_of_the_picture_at_one_place_for_all_inputs_of_a_clip():
    before = inputs(batch=200)
    found = jax.jit(augment.window, static_argnums=1)(before, 9, jax.random.key(0))
    assert {key: x.shape for key, x in found.items()} == {
        'flow': (3, 9, 9, 200),
        'apex_face_grey': (1, 9, 9, 200),
        'face_frames': (3, 4, 9, 9, 200),
    }
    tops, lefts = set(), set()
    for clip in range(200):
        (place,) = (
            (top, left)
            for top in range(4)
            for left in range(2)
            if (before['flow'][:, top : top + 9, left : left + 9, clip] == found['flow'][..., clip]).all()
        )
        own = (..., slice(place[0], place[0] + 9), slice(place[1], place[1] + 9), clip)
        np.testing.assert_array_equal(before['face_frames'][own], found['face_frames'][..., clip])
        tops.add(place[0])
        lefts.add(place[1])
    assert (tops, lefts) == ({0, 1, 2, 3}, {0, 1})
    assert found['flow'].dtype == np.uint8


STORED = {
    'flow': np.zeros((2, 4, 4, 3), np.uint8),
    'apex_face': np.zeros((2, 4, 4, 3), np.uint8),
    'map': np.zeros((2, 4, 4, 7), np.float32),
    'histogram': np.zeros((2, 200), np.float32),
}


@pytest.mark.parametrize(
    ('name', 'key', 'message'),
    [
        ('strength', 'apex_face', 'it shows no motion: its channels are red, green, blue'),
        ('strength', 'map', 'it shows no motion'),
        ('mirror', 'map', 'what its channels mean, and whether one changes its sign, is not known'),
        ('mirror', 'histogram', r'it is no picture but \(200,\)'),
        ('shift', 'histogram', 'it is no picture'),
    ],
)
def test_an_augmentation_that_an_input_cannot_have_is_refused_by_name(name, key, message):
    with pytest.raises(InputError, match=rf'config\.augment\.{name} is above 0, and {key} .*{message}'):
        augment.check({name}, {'flow': STORED['flow'], key: STORED[key]})


@pytest.mark.parametrize('key', ['map', 'histogram'])
def test_what_cannot_be_mirrored_is_refused_at_test_too(key):
    message = (
        rf'config\.input\.mirror_at_test is True, and {key} .*expected --config\.input\.mirror_at_test=False'
    )
    with pytest.raises(InputError, match=message):
        augment.check((), {'flow': STORED['flow'], key: STORED[key]}, mirrored_by='input.mirror_at_test')
    augment.check(
        (), {'flow': STORED['flow'], 'apex_face': STORED['apex_face']}, mirrored_by='input.mirror_at_test'
    )


def test_augmentations_that_inputs_can_have_are_taken():
    augment.check({'shift', 'noise', 'erase'}, {key: STORED[key] for key in ('flow', 'apex_face', 'map')})
    augment.check({'noise'}, STORED)
    augment.check({*augment.NAMES} - {'colour'}, {'flow': STORED['flow']})
    augment.check({*augment.NAMES} - {'strength'}, {'apex_face': STORED['apex_face']})
