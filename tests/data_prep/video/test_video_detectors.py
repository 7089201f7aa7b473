import importlib.util

import numpy as np
import pytest

from data_prep.face.landmarks import dlib, ibug, mediapipe, points, template
from data_prep.files import images
from data_prep.video import detectors, recording, track
from data_prep.video.recording import Frame
from dualatme_jax.errors import InputError

needs_skimage = pytest.mark.skipif(
    importlib.util.find_spec('skimage') is None, reason='scikit-image, whose face is looked at, is missing'
)
needs_dlib = pytest.mark.skipif(importlib.util.find_spec('dlib') is None, reason='dlib is missing')
FACE = template.stretched((100, 100))
# Of the picture `astronaut`, as they look: right eye, left eye, mouth.
SEEN = np.array([(203, 102), (247, 103), (226, 145)])


def frame(picture, number=0):
    return Frame(number, number / 30, picture)


def parts(landmarks):
    return np.vstack([ibug.eye_centres(landmarks), landmarks[list(ibug.MOUTH)].mean(0)])


@needs_skimage
@pytest.mark.parametrize(('name', 'within'), [('haar', 10), pytest.param('dlib', 5, marks=needs_dlib)])
def test_a_real_face_is_found(name, within):
    from skimage import data

    found = detectors.detector(name).faces(frame(data.astronaut()[:256, 100:356, ::-1].copy()))
    assert found.shape == (1, 68, 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(parts(found[0]) + np.array([100, 0]), SEEN, atol=within)


def test_the_cascade_finds_nothing_where_there_is_nothing():
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    assert detectors.detector('haar').faces(frame(noise)).shape == (0, 68, 2)


def missing(*args):
    raise InputError('not installed')


@pytest.mark.parametrize(
    ('installed', 'chosen'), [(('mediapipe', 'dlib'), 'mediapipe'), (('dlib',), 'dlib'), ((), 'haar')]
)
def test_auto_is_the_best_that_is_installed(installed, chosen, monkeypatch):
    for name in ('mediapipe', 'dlib'):
        monkeypatch.setitem(detectors.DETECTORS, name, detectors.Haar if name in installed else missing)
    monkeypatch.setattr(mediapipe, 'MediaPipe', object if 'mediapipe' in installed else missing)
    monkeypatch.setattr(dlib, 'Dlib', object if 'dlib' in installed else missing)
    for name, kind in (('mediapipe', detectors.MediaPipe), ('dlib', detectors.Dlib)):
        monkeypatch.setitem(detectors.DETECTORS, name, kind)
    found = detectors.detector('auto')
    assert found.name == chosen
    assert found.coarse is (chosen == 'haar')


def test_the_last_resort_says_how_to_install_a_better_one():
    assert "pip install -e '.[dlib]'" in detectors.Haar.note


def test_all_faces_of_mediapipe_are_given_the_largest_first(monkeypatch):
    meshes = [np.random.default_rng(0).uniform(0, size, (468, 2)) for size in (40, 90)]
    monkeypatch.setattr(mediapipe, 'meshes', lambda picture, most: meshes)
    monkeypatch.setattr(mediapipe, 'MediaPipe', object)
    found = detectors.detector('mediapipe').faces(frame(np.zeros((9, 9, 3), np.uint8)))
    np.testing.assert_allclose(found, [mesh[list(mediapipe.VERTICES)] for mesh in meshes[::-1]], rtol=1e-6)


def openface(rows):
    lines = [', '.join(['frame', 'face_id', 'success', *points.OPENFACE])]
    for number, success, landmarks in rows:
        lines.append(', '.join(map(str, [number, 0, success, *landmarks.T.ravel()])))
    return '\n'.join(lines) + '\n'


def folder(path, count=3, shape=(60, 80)):
    path.mkdir()
    for number in range(count):
        picture = np.random.default_rng(number).integers(0, 255, shape, np.uint8)
        (path / f'{number + 7:03}.png').write_bytes(images.encode_png(picture))
    return recording.find(path)


def test_a_file_of_openface_has_the_faces_of_every_frame(tmp_path):
    table = tmp_path / 'video.csv'
    table.write_text(openface([(1, 1, FACE), (1, 1, 2 * FACE), (2, 0, FACE), (3, 1, FACE + 1)]))
    given = folder(tmp_path / 'images')
    found = detectors.detector(str(table), given)
    # The first image is frame 7; the larger face comes first; no face where OpenFace had no success.
    tracked = list(track.follow(given.frames(), found))
    assert [each.faces for each in tracked] == [2, 0, 1]
    np.testing.assert_allclose(tracked[0].landmarks, 2 * FACE, rtol=1e-5)
    assert tracked[1].landmarks is None
    np.testing.assert_allclose(tracked[2].landmarks, FACE + 1, rtol=1e-5)


def test_a_file_s_landmarks_shrink_with_the_frames(tmp_path):
    names = [f'{axis}{number}' for number in range(68) for axis in 'xy']
    table = tmp_path / 'own.csv'
    table.write_text(','.join(['frame', *names]) + '\n' + ','.join(['8', *map(str, FACE.ravel())]) + '\n')
    given = folder(tmp_path / 'images', shape=(4, 4 * recording.LARGEST))
    assert given.shrinking == 4
    found = detectors.detector(str(table), given).faces(frame(np.zeros((1, 1, 3)), 8))
    # The centre of a pixel of the frame of before stays where it is in the picture.
    np.testing.assert_allclose(found[0], (FACE + 0.5) / 4 - 0.5, rtol=1e-5)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('frame,x0\n1,2\n', 'expected a CSV file with a header, `frame` and the 68 points'),
        (openface([(1, 1, FACE)]) + '2, 0, 1\n', 'line 3: 3 cells, expected 139'),
        (openface([(1, 1, FACE), ('one', 1, FACE)]), "line 3: invalid literal .*'one'"),
        (openface([(1, 1, FACE * np.nan)]), 'line 2: the landmarks 0, 1,.* are not finite'),
    ],
)
def test_faulty_files_are_named_with_their_line(tmp_path, text, message):
    table = tmp_path / 'video.csv'
    table.write_text(text)
    with pytest.raises(InputError, match=message):
        detectors.detector(str(table), folder(tmp_path / 'images'))


def test_a_file_that_is_too_large_or_no_text_is_named(tmp_path, monkeypatch):
    table = tmp_path / 'video.csv'
    table.write_bytes(openface([(1, 1, FACE)]).encode() + b'\xff' * 20_000)
    with pytest.raises(InputError, match=r'video\.csv is not text in UTF-8'):
        detectors.detector(str(table), folder(tmp_path / 'images'))
    monkeypatch.setattr('data_prep.face.landmarks.points._MOST_BYTES_OF_FRAMES', 1000)
    with pytest.raises(InputError, match=r'expected .* at most: cut the video'):
        detectors.detector(str(table), recording.find(tmp_path / 'images'))


def test_an_unknown_detector_is_named():
    with pytest.raises(
        InputError, match='--landmarks nobody: expected auto, mediapipe, dlib, haar, fan, or a file'
    ):
        detectors.detector('nobody', None)


class Two:
    """Finds two faces that stand still, the larger one left."""

    name, every, coarse = 'two', 1.0, False

    def faces(self, frame):
        return np.stack([FACE, FACE * 0.5 + 100]).astype(np.float32)


def test_the_face_that_is_asked_for_is_followed():
    texture = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    frames = [frame(texture, number) for number in range(3)]
    for face, expected in ((0, FACE), (1, FACE * 0.5 + 100)):
        for each in track.follow(frames, Two(), face=face):
            np.testing.assert_allclose(each.landmarks, expected, atol=0.1)
    assert {each.landmarks is None for each in track.follow(frames, Two(), face=2)} == {True}


def test_a_face_that_is_never_detected_again_is_given_up():
    texture = np.random.default_rng(0).integers(0, 255, (120, 120, 3), np.uint8)

    class Once(Two):
        asked = 0

        def faces(self, frame):
            self.asked += 1
            return super().faces(frame)[: self.asked == 1]

    frames = [Frame(number, number / 4, texture) for number in range(32)]
    seen = [each.landmarks is not None for each in track.follow(frames, Once())]
    assert seen == [number / 4 < track.TRUSTED for number in range(32)]
