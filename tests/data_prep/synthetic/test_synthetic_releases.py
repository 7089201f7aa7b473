import collections
import csv
import dataclasses
import hashlib
import io
import itertools
import pathlib
import zipfile

import cv2
import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.face.landmarks import template
from data_prep.synthetic import action_units, assign_subjects, head, release, sheets, truth
from data_prep.synthetic.film import Camera, Expression, Film
from data_prep.synthetic.release import LAYOUTS, synthesize
from data_prep.synthetic.render_clip import render, rise_and_fall, stream
from data_prep.synthetic.truth import TrueMotion
from dualatme_jax import schema
from dualatme_jax.errors import InputError

LIST = pathlib.Path(__file__).parents[4] / 'shared/data/megc2019_flow28/combined_3class_gt.csv'

EMOTIONS = {
    'casme2': 'others 99 disgust 63 happiness 32 repression 27 surprise 25 sadness 7 fear 2',
    'smic': 'negative 70 positive 51 surprise 43',
    'samm': 'Anger 57 Happiness 26 Other 26 Surprise 15 Contempt 12 Disgust 9 Fear 8 Sadness 6',
    'casme3': 'disgust 250 surprise 187 others 161 fear 86 anger 64 sad 57 happy 55',
    'dfme': 'Disgust 735 Surprise 447 Fear 365 Sadness 359 Happiness 311 Anger 241 Contempt 171',
    'deception': 'deceptive 61 truthful 60',
}
SUBJECTS = {'casme2': 26, 'smic': 16, 'samm': 29, 'casme3': 94, 'dfme': 259, 'deception': 56}


def parts(name, listed=None, subjects=None, frames=9):
    return release._parts(name, pathlib.Path('x'), listed or {}, 0, subjects, frames)


def read_csv(path):
    with path.open(newline='') as file:
        return list(csv.reader(file))


def read_sheet(path):
    return [list(row) for row in openpyxl.load_workbook(path).active.iter_rows(values_only=True)]


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


# What a release holds, without rendering it.


@pytest.mark.parametrize('name', LAYOUTS)
def test_the_complete_release_has_the_databases_counts(name):
    (part,) = parts(name)
    words = EMOTIONS[name].split()
    expected = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    assert collections.Counter(row.emotion for row in part.rows) == expected
    assert len({row.subject for row in part.rows}) == SUBJECTS[name]
    assert len({part.key(row) for row in part.rows}) == len(part.rows)
    clips = [{part.layout.frame(row, number) for number in row.numbers} for row in part.rows]
    assert len(set.union(*clips)) == sum(map(len, clips))  # no frame belongs to two clips
    assert all(row.onset < row.apex < row.offset for row in part.rows)


def test_the_composite_has_the_challenges_counts():
    labelled = [
        (part.layout.database, row.subject, part.label(row))
        for part in parts('megc2019_cd')
        for row in part.rows
    ]
    used = [entry for entry in labelled if entry[2]]
    assert collections.Counter(database for database, _, _ in used) == {
        'smic': 164,
        'casme2': 145,
        'samm': 133,
    }
    assert len({entry[:2] for entry in used}) == 68
    assert collections.Counter(label for _, _, label in used) == {
        'negative': 250,
        'positive': 109,
        'surprise': 83,
    }


@pytest.mark.skipif(not LIST.is_file(), reason="the challenge's list is not here")
def test_from_the_challenges_list_the_composite_is_its_442_rows():
    listed = release._read_list(LIST, 'megc2019_cd')
    found = parts('megc2019_cd', listed)
    rows = {
        (*part.key(row), str(schema.LABELS.index(part.label(row))))
        for part in found
        for row in part.rows
        if part.label(row)
    }
    assert rows == set(map(tuple, read_csv(LIST)))
    assert len(rows) == 442
    assert [len(part.rows) for part in found] == [255, 164, 159]
    assert [len({row.subject for row in part.rows}) for part in found] == [26, 16, 29]


def test_paths_are_those_of_the_releases():
    rows = {name: parts(name)[0].rows for name in LAYOUTS}
    shown = {name: LAYOUTS[name].frame(rows[name][0], rows[name][0].apex) for name in LAYOUTS}
    assert shown == {
        'casme2': 'Cropped/sub01/EP01_01f/reg_img23.jpg',
        'smic': 'HS/s01/micro/negative/s01_ne_01/image100003.jpg',
        'samm': '006/006_1_1/006_00503.jpg',
        'casme3': 'spNO.1/a/color/24.jpg',
        'dfme': 'train_data/sub0001_01/00003.png',
        'deception': 'Clips/Deceptive/trial_lie_001.mp4',
    }
    odd = {
        row.clip for row in rows['samm'] if LAYOUTS['samm'].frame(row, 1).split('/')[2][:3] != row.clip[:3]
    }
    assert odd == {'013_1_12', '013_1_8', '017_3_2', '026_1_1', '026_1_2', '035_7_2'}
    folders = collections.Counter((row.subject, row.folder) for row in rows['casme3'])
    assert max(folders.values()) > 1  # several clips in one folder


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 60))
@settings(derandomize=True, max_examples=30)
def test_dealing_loses_nothing_and_forgets_nobody(counts, people):
    counts = {str(place): count for place, count in enumerate(counts)}
    subjects = [f's{person}' for person in range(people)]
    dealt = assign_subjects.dealt(counts, subjects)
    assert collections.Counter(name for _, name in dealt) == counts
    assert len({subject for subject, _ in dealt}) == min(people, sum(counts.values()))


# What a clip shows.

ALIGNED = Camera(width=280, height=340, colour=True, unit=None, noise=1.5)
SCENE = Camera(width=640, height=480, colour=False, unit=(11.1, 12.0), noise=1.0)


def film(camera, units, peak=2.5, texture=None, seed=0):
    random = stream(seed, 'test')
    person = head.draw(random)
    if texture is None:
        texture = head.texture(random, person, colour=camera.colour)
    bumps = action_units.scaled(action_units.bumps(random, dict.fromkeys(units, 1.0), 1.0), peak / 8)
    return Film(random, camera, person, texture, [Expression(bumps, np.array([0, 0.5, 1, 0.5]))], apex=2)


@pytest.mark.parametrize('camera', [ALIGNED, SCENE])
@pytest.mark.parametrize('units', [('6', '12'), ('25', '26')])
def test_the_truth_leads_each_point_of_the_skin_to_where_it_went(camera, units):
    """The head is painted with its own coordinates: what a frame shows at a point tells which skin it is."""
    left, top, right, bottom = head.EXTENT
    y, x = np.mgrid[top : bottom : 1 / head.UNIT, left : right : 1 / head.UNIT] + 0.5 / head.UNIT
    made = film(camera, units, texture=np.dstack([x, y, np.ones_like(x)]).astype(np.float32))
    found = made.truth()
    field = action_units.displacement(made._expressions[0].bumps, x[:1], y[:, :1]) * head.UNIT
    apex = made._composed(made._placed(2), field.astype(np.float32))
    rows, columns = np.mgrid[: found.flow.shape[0], : found.flow.shape[1]]
    onset = found.origin + found.step * np.dstack([columns, rows])
    reached = (onset + found.flow).astype(np.float32)
    seen = cv2.remap(apex, reached, None, cv2.INTER_LINEAR)
    skin = made._composed(made._placed(0), np.zeros((1, 1, 2), np.float32))
    expected = skin[onset[..., 1], onset[..., 0]]
    inside = (reached > 2).all(-1) & (reached < (camera.width - 3, camera.height - 3)).all(-1)
    assert inside.mean() > 0.9
    # In template units; remap rounds places to 1/32 of a pixel, some 0.003 units each time.
    assert np.abs(seen - expected)[inside].max() < 0.02
    assert np.linalg.norm(found.expression, axis=-1).max() > 2.0  # of 2.5 on a face of 224, in larger pixels


@pytest.mark.parametrize('camera', [ALIGNED, SCENE])
def test_the_truth_warps_the_apex_back_onto_the_onset(camera):
    made = film(dataclasses.replace(camera, noise=0.0), ('1', '2', '12'))
    frames = [frame.reshape(camera.height, camera.width, -1).mean(-1) for frame in made.frames()]
    matrix = (
        np.array([[0.8, 0, 0], [0, 0.66, 0]])
        if camera is ALIGNED
        else np.array([[0.7, 0, -112], [0, 0.7, -70]])
    )
    onset, apex = (cv2.warpAffine(frames[place], matrix, (224, 224)).astype(float) for place in (0, 2))
    flow, known = made.truth().aligned(matrix, 224)
    y, x = np.mgrid[:224, :224].astype(np.float32)
    back = cv2.remap(apex, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC)
    assert known.mean() > 0.5
    assert np.abs(back - onset)[known].mean() < 0.4 * np.abs(apex - onset)[known].mean()
    assert 1.5 < np.linalg.norm(flow, axis=-1)[known].max() < 3.5


def test_an_expression_is_the_motion_without_the_heads():
    found = film(SCENE, ('12',)).truth()
    forehead = found.expression[:20]
    assert np.abs(forehead).max() < 0.01  # a smile does not reach it
    assert np.abs(found.flow[:20]).max() > 0.05  # but the head moves
    drift = found.flow - found.expression
    rows, columns = np.mgrid[: drift.shape[0], : drift.shape[1]]
    plane = np.column_stack([rows.ravel(), columns.ravel(), np.ones(rows.size)])
    off = plane @ np.linalg.lstsq(plane, drift.reshape(-1, 2), rcond=None)[0] - drift.reshape(-1, 2)
    assert np.abs(off).max() < 0.02  # as a whole


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('camera', [ALIGNED, SCENE])
def test_landmarks_lie_on_what_is_drawn(camera, seed):
    made = film(dataclasses.replace(camera, noise=0.0), ('12',), seed=seed)
    frame = next(made.frames()).reshape(camera.height, camera.width, -1).mean(-1)
    points = made.landmarks()
    eyes = np.stack([points[36:42].mean(0), points[42:48].mean(0)])
    unit = np.linalg.norm(eyes[1] - eyes[0]) / 11
    smooth = cv2.GaussianBlur(frame, (0, 0), 0.3 * unit)

    def grey(where, dx=0.0, dy=0.0):
        places = np.atleast_2d(where).astype(np.float32) + np.float32([dx * unit, dy * unit])
        return cv2.remap(smooth, places[None], None, cv2.INTER_LINEAR).mean()

    assert grey(points[60:68]) < grey(points[60:68], dy=-1) - 5  # between the lips
    assert grey(points[60:68]) < grey(points[60:68], dy=3) - 5
    for eye in eyes:
        assert grey(eye) < min(grey(eye, dx=-1.7), grey(eye, dx=1.7)) - 5  # the iris
    assert grey(points[17:27], dy=0.6) < grey(points[17:27], dy=-1.5) - 5  # brows, by their upper edge
    nostrils = points[[31, 32, 34, 35]].reshape(2, 2, 2).mean(1)
    assert grey(nostrils) < grey(points[33], dy=1.2) - 5
    assert grey(points[28:31]) > grey(points[28:31], dx=3)  # the bridge of the nose is bright
    found = made.truth()
    for number, inwards in ((4, 1), (5, 1), (11, -1), (12, -1)):  # cheeks, below the hair and above the neck
        x, y = (points[number] - found.origin) / found.step
        away = 2 * inwards * unit / found.step
        assert found.head[round(y), round(x + away)]
        assert not found.head[round(y), round(x - away)]


def test_faces_are_those_that_the_template_expects():
    people = [head.landmarks(head.draw(stream(person))) for person in range(40)]
    away = np.linalg.norm(np.mean(people, 0) - template.points(), axis=-1)
    assert away.max() < 1.0
    assert away.mean() < 0.5
    assert np.std(people, axis=0).max() > 0.2  # but no two are the same


def test_onset_and_offset_are_neutral_and_the_apex_is_strongest():
    part = parts('casme2', subjects=1)[0]
    for row in part.rows[:3]:
        strength = rise_and_fall(len(row.numbers), row.apex - row.onset)
        assert strength[0] == strength[-1] == 0
        assert strength.argmax() == row.apex - row.onset
        assert strength.max() == 1


def test_the_truth_of_a_frame_is_told_in_the_pixels_of_the_aligned_face():
    y, x = np.mgrid[:40, :50].astype(float)
    flow = np.dstack([0.01 * x + 1, 0.02 * y]).astype(np.float32)
    known = TrueMotion(flow=flow, expression=flow, head=x > 3, origin=np.array([10, 20]), step=2)
    turned = np.array([[0, 0.5, -5.0], [0.5, 0, 5.0]])  # x and y swapped, at half the size
    aligned, where = known.aligned(turned, 30)
    # Pixel (10, 15) of the face is (20, 30) of the frame, which is point (5, 5) of the grid.
    np.testing.assert_allclose(aligned[15, 10], [0.5 * 0.1, 0.5 * 1.05], atol=1e-4)
    assert where[15, 10]
    assert not where[6, 10]  # (2, 30) lies left of the grid
    assert not where[12, 10]  # (14, 30) is on the wall


# Releases on disk.


@pytest.fixture(scope='module')
def casme2(tmp_path_factory):
    """The first subject of CASME II, four frames a clip, rendered by two processes."""
    folder = tmp_path_factory.mktemp('synthetic') / 'casme2'
    synthesize('casme2', folder, subjects=1, frames_per_clip=4, workers=2)
    return folder


@pytest.mark.slow
def test_a_release_is_laid_out_as_the_real_one(casme2):
    header, *rows = read_sheet(casme2 / 'CASME2-coding-20140508.xlsx')
    assert header == [
        *('Subject', 'Filename', None, 'OnsetFrame', 'ApexFrame', 'OffsetFrame', None),
        *('Action Units', 'Estimated Emotion'),
    ]
    assert len(rows) == len(parts('casme2', subjects=1)[0].rows)
    for subject, clip, _, onset, apex, offset, _, units, emotion in rows:
        assert subject == 1
        frames = {path.name for path in (casme2 / 'Cropped' / 'sub01' / clip).iterdir()}
        assert frames == {f'reg_img{number}.jpg' for number in range(onset, offset + 1)}
        assert onset < apex < offset
        assert set(units.split('+')) <= set(action_units.ACTION_UNITS)
        assert emotion in EMOTIONS['casme2'].split()
        frame = cv2.imread(str(casme2 / 'Cropped' / 'sub01' / clip / f'reg_img{apex}.jpg'))
        assert frame.shape == (340, 280, 3)


def test_the_truth_is_kept_beside(casme2):
    header, *rows = read_csv(casme2 / 'truth' / 'landmarks.csv')
    assert header[:5] == ['database', 'subject', 'clip', 'x0', 'y0']
    assert header[-1] == 'y67'
    apexes = read_csv(casme2 / 'truth' / 'apex.csv')
    assert apexes[0] == ['subject', 'clip', 'onset', 'apex', 'offset']
    assert len(rows) == len(apexes) - 1
    for database, subject, clip, *numbers in rows:
        assert (database, subject) == ('casme2', 'sub01')
        points = np.array(numbers, float).reshape(68, 2)
        assert (points[36:48] > 0).all()
        assert (points[36:48] < (280, 340)).all()
        found = truth.load(casme2 / 'truth' / 'flow' / subject / f'{clip}.npz')
        assert found.flow.shape == found.expression.shape == (*found.head.shape, 2)
        peak = np.linalg.norm(found.expression * (0.8, 224 / 340), axis=-1).max()
        assert 0.5 < peak < 2.8  # pixels of an aligned face of 224


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(casme2, tmp_path):
    synthesize('casme2', tmp_path / 'again', subjects=1, frames_per_clip=4, workers=1)
    assert digests(tmp_path / 'again') == digests(casme2)


def test_another_seed_gives_other_faces_of_the_same_names(casme2, tmp_path):
    job = parts('casme2', subjects=1, frames=4)[0].job
    row = parts('casme2', subjects=1, frames=4)[0].rows[0]
    made = dataclasses.replace(
        job(row, seed=1),
        files=tuple(tmp_path / f'{number}.jpg' for number in range(4)),
        truth=tmp_path / 't.npz',
    )
    render(made)
    same = casme2 / 'Cropped' / row.subject / row.clip / f'reg_img{row.onset}.jpg'
    assert (tmp_path / '0.jpg').read_bytes() != same.read_bytes()


@pytest.mark.slow
def test_videos_talk_and_are_told_by_tables(tmp_path):
    (tmp_path / 'trial').mkdir()  # an empty folder may be there already
    synthesize('deception', tmp_path / 'trial', subjects=1, workers=1)
    gestures = read_csv(tmp_path / 'trial' / 'Annotation' / 'All_Gestures_Deceptive and Truthful.csv')
    assert (len(gestures[0]), gestures[0][0], gestures[0][-1]) == (41, 'id', 'class')
    speakers = read_csv(tmp_path / 'trial' / 'speakers.csv')
    assert speakers[0] == ['clip', 'speaker']
    assert {speaker for _, speaker in speakers[1:]} == {'speaker01'}
    for name, *_, kind in gestures[1:]:
        capture = cv2.VideoCapture(str(tmp_path / 'trial' / 'Clips' / kind.capitalize() / name))
        frames = [capture.read()[1] for _ in range(30)]
        assert not capture.read()[0]
        assert all(frame.shape == (240, 320, 3) for frame in frames)
        assert np.abs(frames[3].astype(int) - frames[0]).max() > 20  # the mouth is open
    synthesize('deception', tmp_path / 'again', subjects=1, workers=1)
    assert digests(tmp_path / 'again') == digests(tmp_path / 'trial')


@pytest.mark.slow
def test_the_composite_takes_its_rows_from_a_list(tmp_path):
    rows = ['casme2,sub01,EP02_01f,1', 'casme2,sub02,EP01_11f,0', 'smic,s01,s01_sur_03,2', 'samm,6,006_5_9,2']
    path = tmp_path / 'list.csv'
    path.write_text('\n'.join(rows))
    synthesize('megc2019_cd', tmp_path / 'cd', subjects=1, frames_per_clip=3, rows=path, workers=1)
    assert (tmp_path / 'cd' / 'list.csv').read_text().split() == [rows[0], *rows[2:]]
    landmarks = read_csv(tmp_path / 'cd' / 'landmarks.csv')
    apart = [read_csv(tmp_path / 'cd' / name / 'truth' / 'landmarks.csv')[1:] for name in schema.COMPOSITE]
    assert landmarks[1:] == list(itertools.chain(*apart))
    assert {tuple(row[:3]) for row in landmarks} >= {tuple(row.split(',')[:3]) for row in rows[2:]}
    sheet = read_sheet(tmp_path / 'cd' / 'samm' / 'SAMM_Micro_FACS_Codes_v2.xlsx')
    assert sheet[13][:4] == ['Subject', 'Filename', 'Inducement Code', 'Onset Frame']
    assert all(row[0] == '006' for row in sheet[14:])
    (frame, *_) = sorted((tmp_path / 'cd' / 'samm' / '006' / '006_5_9').iterdir())
    assert cv2.imread(str(frame), cv2.IMREAD_UNCHANGED).shape == (480, 640)  # grey
    assert len(list((tmp_path / 'cd' / 'smic' / 'HS/s01/micro/surprise/s01_sur_03').iterdir())) == 3


@pytest.fixture(scope='module')
def dirty(tmp_path_factory):
    folder = tmp_path_factory.mktemp('synthetic') / 'dirty'
    synthesize('casme2', folder, subjects=2, frames_per_clip=4, dirty=True, workers=1)
    header, *record = read_csv(folder / 'truth' / 'dirty.csv')
    return folder, [dict(zip(header, row, strict=True)) for row in record]


@pytest.mark.slow
def test_every_fault_is_there_and_recorded(dirty):
    folder, record = dirty
    faults = {entry['what']: entry for entry in record if entry['kind'] == 'fault'}
    clips = {what: folder / 'Cropped' / entry['subject'] / entry['clip'] for what, entry in faults.items()}
    assert len(set(clips.values())) == len(faults) == 9  # a clip each
    frames = {
        (row[0], row[1]): list(map(int, row[2:])) for row in read_csv(folder / 'truth' / 'apex.csv')[1:]
    }
    times = {what: frames[entry['subject'], entry['clip']] for what, entry in faults.items()}

    def frame(what, number):
        return clips[what] / f'reg_img{number}.jpg'

    assert not clips['missing folder'].exists()
    assert list(clips['empty folder'].iterdir()) == []
    onset, apex, offset = times['missing apex frame']
    assert not frame('missing apex frame', apex).exists()
    onset, apex, offset = times['missing frame']
    assert frame('missing frame', apex).exists()
    assert len(list(clips['missing frame'].iterdir())) == offset - onset
    truncated = frame('truncated image', times['truncated image'][0]).read_bytes()
    assert not truncated.endswith(b'\xff\xd9')
    resized = clips['frame of another size']
    assert len({cv2.imread(str(path)).shape for path in resized.iterdir()}) == 2
    lines = read_sheet(folder / 'CASME2-coding-20140508.xlsx')
    (first, second) = (
        index
        for index, line in enumerate(lines)
        if line[:2] == lines[int(faults['duplicate row']['line']) - 1][:2]
    )
    assert second == first + 1
    assert lines[int(faults['empty apex']['line']) - 1][4] is None
    outside = lines[int(faults['apex outside onset..offset']['line']) - 1]
    assert int(outside[4]) > int(outside[5])


def test_every_bad_habit_is_there_and_recorded(dirty):
    folder, record = dirty
    lines = read_sheet(folder / 'CASME2-coding-20140508.xlsx')
    habits = collections.defaultdict(list)
    for entry in record:
        if entry['kind'] == 'harmless':
            habits[entry['what']].append(lines[int(entry['line']) - 1])
    assert habits.keys() == {
        'title row above the header', 'note below the table', 'empty row', 'numbers as text',
        'trailing spaces', 'emotion in capitals', 'subject with other digits',
    }  # fmt: skip
    assert all(line == [None] * 9 for line in habits['empty row'])
    assert all(isinstance(line[3], str) for line in habits['numbers as text'])
    assert all(line[1].endswith(' ') for line in habits['trailing spaces'])
    assert all(line[8].isupper() for line in habits['emotion in capitals'])
    assert all(line[0] in ('01', '02') for line in habits['subject with other digits'])
    # Rows that are not recorded are as they were.
    recorded = {int(entry['line']) for entry in record if entry['line']}
    for number, line in enumerate(lines, 1):
        if number not in recorded and number != 2:
            assert [type(cell) for cell in line[3:6]] == [int] * 3
            assert line[8] in EMOTIONS['casme2'].split()


@pytest.mark.slow
def test_a_fault_hits_one_clip_alone(tmp_path):
    """Clips of CAS(ME)3 share folders."""
    synthesize('casme3', tmp_path / 'casme3', subjects=2, frames_per_clip=3, dirty=True, workers=1)
    _, *record = read_csv(tmp_path / 'casme3' / 'truth' / 'dirty.csv')
    spoilt = {tuple(row[2:4]) for row in record if row[0] == 'fault'}
    assert len(spoilt) >= 2
    (part,) = parts('casme3', subjects=2, frames=3)
    for row in part.rows:
        if (row.subject, row.clip) not in spoilt:
            files = [tmp_path / 'casme3' / part.layout.frame(row, number) for number in row.numbers]
            assert {cv2.imread(str(path)).shape for path in files} == {(480, 640, 3)}


@pytest.mark.slow
def test_without_a_sheet_only_folders_get_faults(tmp_path):
    synthesize('smic', tmp_path / 'smic', subjects=1, frames_per_clip=4, dirty=True, workers=1)
    _, *record = read_csv(tmp_path / 'smic' / 'truth' / 'dirty.csv')
    assert {row[1] for row in record} == {
        'truncated image',
        'frame of another size',
        'empty folder',
        'missing frame',
    }


def test_a_workbook_does_not_tell_when_it_was_written():
    with zipfile.ZipFile(io.BytesIO(sheets._workbook([['a', 1]]))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        properties = archive.read('docProps/core.xml').decode()
    assert properties.count('2000-01-01T00:00:00Z') == 2


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('casme9', {}, 'expected one of casme2'),
        ('smic', {'seed': -1}, 'negative'),
        ('smic', {'subjects': 0}, '1 or more'),
        ('smic', {'frames_per_clip': 2}, '3 or more'),
        ('smic', {'rows': 'absent.csv'}, 'absent.csv'),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(name, options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        synthesize(name, tmp_path / 'out', **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ('smic,s07,s07_ne_01,0', "no subject 's07'"),
        ('samm,006,006_1_2,0', "no subject '006'"),
        ('smic,s01,../../x,0', 'cannot be the name of a folder'),
        ('smic,s01,s01_ne_01,3', 'unknown label'),
    ],
)
def test_a_list_that_does_not_fit_is_refused(row, message, tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text(f'smic,s01,s01_po_01,1\n{row}\n')
    with pytest.raises(InputError, match=message):
        synthesize('smic', tmp_path / 'out', rows=path)


def test_what_is_there_is_not_touched(tmp_path):
    (tmp_path / 'mine').write_text('mine')
    with pytest.raises(InputError, match='new or empty'):
        synthesize('smic', tmp_path)
    assert (tmp_path / 'mine').read_text() == 'mine'


def test_a_release_is_whole_or_not_there(tmp_path):
    def interrupted(clips, total):
        assert total == len(parts('smic', subjects=1)[0].rows)
        yield next(iter(clips))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize('smic', tmp_path / 'out', subjects=1, frames_per_clip=3, workers=1, progress=interrupted)
    assert list(tmp_path.iterdir()) == []
