import numpy as np
import pytest

from data_prep.face import overlay, regions
from data_prep.face.landmarks import template

SIZE = 112


@pytest.fixture
def face():
    return np.full((SIZE, SIZE, 3), 90, np.uint8)


def test_boxes_and_landmarks_are_drawn_where_they_are(face):
    boxes = regions.template_boxes((SIZE, SIZE))
    points = template.stretched((SIZE, SIZE))
    drawn = overlay.draw(face, points, boxes)
    assert drawn.shape == (SIZE, 2 * SIZE, 3)
    marked = drawn[:, :SIZE]
    top, bottom, left, right = boxes['M']
    for row, column in ((top, 50), (bottom - 1, 50), (80, left), (80, right - 1)):
        assert (marked[row, column] != 90).any()
    for x, y in np.rint(points[[8, 30, 36, 57]]).astype(int):
        np.testing.assert_array_equal(marked[y, x], (255, 255, 255))
    assert (marked[104:, :20] == 90).all()
    assert (face == 90).all()  # the face itself is left as it is


def test_the_puzzled_face_stands_beside_without_marks(face):
    boxes = regions.template_boxes((SIZE, SIZE))
    face[: SIZE // 2] = 200
    drawn = overlay.draw(face, template.stretched((SIZE, SIZE)), boxes, 'ME')
    np.testing.assert_array_equal(drawn[:, SIZE:], regions.puzzle(face, 'ME', boxes))


class FakePrepared:
    landmarks = template.stretched((200, 100))

    def pair(self, size):
        return np.full((size, size, 3), 50, np.uint8), None

    def alignment(self, size):
        from data_prep.face import alignment

        return alignment.whole_frame((200, 100), size)

    def boxes(self, size):
        return regions.boxes(self.alignment(size).points(self.landmarks), (size, size))


def test_a_clip_s_onset_is_drawn():
    drawn = overlay.of(FakePrepared())
    assert drawn.shape == (overlay.SIZE, 2 * overlay.SIZE, 3)
    nose = np.rint(template.stretched((overlay.SIZE, overlay.SIZE))[30]).astype(int)
    np.testing.assert_array_equal(drawn[nose[1], nose[0]], (255, 255, 255))
    assert (drawn[:, overlay.SIZE :] == 50).all()
