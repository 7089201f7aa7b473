"""Every face of a recording is followed, and none twice."""

import numpy as np
import pytest

from data_prep.face.landmarks import template
from data_prep.video import events, faces
from data_prep.video.recording import Frame, Recording
from dualatme_jax.errors import InputError

RATE, COUNT, SIDE = 5.0, 40, 200
FACE = template.stretched((60, 60)).astype(np.float32)
TEXTURE = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)


class Still(Recording):
    """The same picture again and again, whose `number` is all that a detector needs."""

    def frames(self, first=0, last=None):
        for number in range(first, COUNT if last is None else last + 1):
            yield Frame(number, number / RATE, TEXTURE)


class Scene:
    """Finds faces where they are said to be: (place, first frame, last frame), the largest first."""

    name, every, coarse = 'scene', 0.5, False

    def __init__(self, *people):
        self.people = people

    def faces(self, frame):
        there = [
            FACE * np.float32(size) + np.float32(place)
            for place, size, first, last in self.people
            if first <= frame.number <= last
        ]
        return np.array(sorted(there, key=lambda face: -np.ptp(face)), np.float32).reshape(-1, 68, 2)


def found(scene, tmp_path):
    (tmp_path / 'v.mp4').touch()
    recording = Still(tmp_path / 'v.mp4', RATE, 1, COUNT, 1.0)
    return list(faces.find(recording, scene, keep=tmp_path / 'keep', progress=lambda frames, *_: frames))


def spans(results):
    """Where each face is, and from when to when."""
    rows = []
    for each in results:
        there = np.flatnonzero(each.frames.there)
        place = each.kept.landmarks(there).min(1).mean(0)
        ends = each.frames.numbers[there[[0, -1]]]
        rows.append((*np.rint(place - FACE.min(0)).astype(int).tolist(), *ends.tolist()))
    return rows


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr('data_prep.video.track.TRUSTED', 0.5)


def test_two_people_of_whom_the_larger_comes_later_and_one_glance_are_two_faces(tmp_path):
    scene = Scene(((10, 10), 1.0, 0, 39), ((110, 100), 1.2, 15, 30), ((120, 0), 0.8, 35, 36))
    results = found(scene, tmp_path)
    assert len(results) == 2
    (x, y, *ends), (_, _, first, last) = spans(results)
    assert (x, y, ends) == (10, 10, [0, 39])
    assert 15 <= first <= 18
    assert 30 <= last <= 33
    assert all(events.SEVERAL not in each.flags for each in results)
    assert events.NO_FACE not in results[0].flags
    assert events._middle(results[1]) == pytest.approx(np.array([110, 100]) + 1.2 * FACE.mean(0), abs=1)
    assert events.NO_FACE in results[1].flags, 'it is there for less than half of the time'


def test_who_comes_when_another_has_left_is_another_face_and_who_comes_back_is_the_same(tmp_path):
    scene = Scene(((10, 10), 1.0, 0, 10), ((10, 20), 1.0, 15, 22), ((120, 100), 1.0, 12, 39))
    one, other = spans(found(scene, tmp_path))
    assert one[2] == 0
    assert 22 <= one[3] <= 25
    assert other[:2] == (120, 100)
    assert (other[2] <= 15, other[3]) == (True, 39)


def test_a_video_without_a_face_that_stays_is_named(tmp_path):
    with pytest.raises(events.NoFaceError, match='faces found: 1, each for less than 2 s'):
        found(Scene(((10, 10), 1.0, 15, 16)), tmp_path)
    with pytest.raises(events.NoFaceError, match='no face was found in 40 frames by scene'):
        found(Scene(), tmp_path)


def test_a_detector_that_sees_faces_where_there_are_none_is_refused(tmp_path):
    scene = Scene(((10, 10), 1.0, 0, 39))
    scene.coarse = True
    with pytest.raises(InputError, match=r'--face all by scene, which sees faces .* or give --face 1'):
        found(scene, tmp_path)
