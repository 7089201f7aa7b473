"""Maps of the parts of a face: polygons of landmarks, and files."""

import cv2
import numpy as np
import pytest

from data_prep.face import alignment, parts
from data_prep.face.landmarks import template
from data_prep.releases.clip import Clip
from dualatme_jax import schema
from dualatme_jax.errors import InputError

SIZE = 224
POINTS = template.stretched((SIZE, SIZE))
CLIP = Clip(database='samm', subject='6', clip='006_1_2', onset=1, apex=3, offset=5, emotion='Anger')


@pytest.fixture(scope='module')
def maps():
    return dict(zip(schema.PARTS, np.moveaxis(parts.drawn(POINTS, SIZE), -1, 0), strict=True))


def shoelace(outline):
    x, y = outline.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@pytest.mark.parametrize(
    ('part', 'outline'),
    [
        ('left_eye', [*range(42, 48)]),
        ('right_eye', [*range(36, 42)]),
        ('mouth', [*range(60, 68)]),
        ('upper_lip', [48, 49, 50, 51, 52, 53, 54, 64, 63, 62, 61, 60]),
        ('lower_lip', [54, 55, 56, 57, 58, 59, 48, 60, 67, 66, 65, 64]),
    ],
)
def test_a_part_has_the_area_and_the_middle_of_its_landmarks_polygon(maps, part, outline):
    outline = POINTS[outline]
    found = maps[part] / 255
    edge = np.linalg.norm(outline - np.roll(outline, 1, 0), axis=1).sum()
    assert found.sum() == pytest.approx(shoelace(outline), abs=0.2 * edge)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    moments = cv2.moments(outline.astype(np.float32)[:, None])
    assert (found * columns).sum() / found.sum() == pytest.approx(moments['m10'] / moments['m00'], abs=0.5)
    assert (found * rows).sum() / found.sum() == pytest.approx(moments['m01'] / moments['m00'], abs=0.5)


def test_parts_lie_as_they_do_in_a_face(maps):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    row, column = (
        {part: (value * place).sum() / value.sum() for part, value in maps.items() if value.any()}
        for place in (rows, columns)
    )
    for side in ('left', 'right'):
        assert row[f'{side}_brow'] < row[f'{side}_eye'] < row['nose'] < row['upper_lip']
    assert row['upper_lip'] < row['mouth'] < row['lower_lip']
    # The person's left is at the right of the picture.
    assert column['left_eye'] > SIZE / 2 > column['right_eye']
    assert column['left_brow'] > SIZE / 2 > column['right_brow']
    assert not maps['glasses'].any()


def test_the_skin_has_holes_where_other_parts_are(maps):
    others = np.max([value for part, value in maps.items() if part != 'skin'], axis=0)
    assert (maps['skin'].astype(int) + others <= 255).all()
    assert (others == 255).any()
    assert maps['skin'][round(POINTS[30, 1]), 40] == 255  # a cheek


def picture(folder, part, value, size=(60, 40)):
    """A map that has `value` everywhere, as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f'{part}.png'), np.full(size, value, np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Maps of one clip, each of another value."""
    for number, part in enumerate(schema.PARTS):
        picture(tmp_path / 'samm' / '6' / '006_1_2', part, 20 * number)
    return tmp_path


def test_maps_are_read_and_aligned_as_the_frames_are(folder):
    found = parts.PartFolder(folder).read(CLIP, alignment.whole_frame((60, 40), 32))
    assert found.shape == (32, 32, 10)
    np.testing.assert_array_equal(found, np.broadcast_to(20 * np.arange(10), found.shape))
    ramp = np.tile(np.arange(40, dtype=np.uint8) * 6, (60, 1))
    cv2.imwrite(str(folder / 'samm/6/006_1_2/nose.png'), ramp)
    moved = alignment.Alignment(np.array([[1.0, 0, -4], [0, 1, -9]]), 32, (60, 40))
    found = parts.PartFolder(folder).read(CLIP, moved)[..., schema.PARTS.index('nose')]
    np.testing.assert_array_equal(found, ramp[9:41, 4:36])


def test_a_map_that_is_missing_or_of_another_size_is_named(folder):
    own = folder / 'samm/6/006_1_2'
    (own / 'nose.png').unlink()
    (own / 'mouth.png').unlink()
    whole = alignment.whole_frame((60, 40), 32)
    with pytest.raises(InputError, match=r'006_1_2 has no map of nose, mouth, .*such as .*/nose\.png'):
        parts.PartFolder(folder).read(CLIP, whole)
    picture(own, 'mouth', 3)
    picture(own, 'nose', 3, size=(28, 28))
    with pytest.raises(InputError, match=r'nose\.png has 28x28 pixels, and the frames of its clip 40x60'):
        parts.PartFolder(folder).read(CLIP, whole)
    (own / 'nose.png').write_bytes(b'none')
    with pytest.raises(InputError, match=r'nose\.png: '):
        parts.PartFolder(folder).read(CLIP, whole)
    with pytest.raises(InputError, match=r'--part-maps: .*/none is not a folder'):
        parts.PartFolder(folder / 'none')
