import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.face.landmarks import template
from data_prep.files import images, long_videos
from data_prep.synthetic import long_videos as synthetic
from data_prep.video import detectors, windows, windows_dataset
from data_prep.video.recording import Frame
from data_prep.video.track import Tracked
from data_prep.video.windows import FORMS, MARGIN, SIZE, Window
from dualatme_jax import schema
from dualatme_jax.data import dataset, storage
from dualatme_jax.errors import InputError
from dualatme_jax.report.spotting import intervals

POINTS = template.stretched((SIZE, SIZE))
Y, X = np.mgrid[:SIZE, :SIZE].astype(np.float32)
HALF = schema.WINDOWS_SHAPE[0] // 2


def edges(numbers):
    """First and last pixel of a region, (x, y) each, by the landmarks at its edges."""
    left, top, right, bottom = (POINTS[n][axis] for n, axis in zip(numbers, (0, 1, 0, 1), strict=True))
    return np.rint([left - MARGIN, top - MARGIN]), np.rint([right + MARGIN, bottom + MARGIN])


def centres(low, high, number):
    """Where the centres of so many equal parts of the pixels from low to high lie."""
    return low - 0.5 + (np.arange(number) + 0.5) * (high - low + 1) / number


def test_both_brows_stand_above_the_mouth():
    """Areas of a plane have the values at their centres, to a quarter of a pixel (OpenCV rounds areas)."""
    found = windows.assembled(np.dstack([X, Y, X + Y]), POINTS)
    assert found.shape == schema.WINDOWS_SHAPE
    np.testing.assert_allclose(found[..., 2], found[..., 0] + found[..., 1], atol=1e-3)
    for place, numbers, width in (
        ((slice(HALF), slice(HALF)), (17, 19, 21, 41), HALF),
        ((slice(HALF), slice(HALF, None)), (22, 24, 26, 46), HALF),
        ((slice(HALF, None), slice(None)), (60, 50, 64, 57), 2 * HALF),
    ):
        low, high = np.maximum(edges(numbers), 0)
        x, y = np.meshgrid(centres(low[0], high[0], width), centres(low[1], high[1], HALF))
        np.testing.assert_allclose(found[place][..., 0], x, atol=0.25)
        np.testing.assert_allclose(found[place][..., 1], y, atol=0.25)


@pytest.mark.parametrize('ahead', [True, False])
def test_strain_of_an_affine_flow_is_its_gradient_s(ahead):
    flow = np.dstack([0.03 * X + 0.01 * Y, -0.02 * X + 0.05 * Y])
    found = windows.strain(flow, ahead=ahead)
    inner = found[:-1, :-1] if ahead else found[1:, 1:]
    np.testing.assert_allclose(inner, np.sqrt(0.03**2 + 0.05**2 + (0.01 - 0.02) ** 2 / 2), rtol=1e-3)
    # By one neighbour alone: a step between two columns is strain in the one before or behind it.
    step = np.dstack([X >= 60, 0 * X]).astype(np.float32)
    assert np.unique(windows.strain(step, ahead=ahead).nonzero()[1]).tolist() == [59 if ahead else 60]


def test_softnet_sees_no_motion_of_the_head_no_sign_and_no_eyes():
    bump = 3 * np.exp(-((X - POINTS[19, 0]) ** 2 + (Y - POINTS[19, 1] + 4) ** 2) / 50)
    still = np.dstack([0 * X, -bump])
    expected = windows.picture(still, POINTS, FORMS['softnet'])
    moved = windows.picture(still + np.float32([2, 1]), POINTS, FORMS['softnet'])
    assert np.abs(expected.astype(int) - moved).max() <= 1
    back = windows.picture(-still, POINTS, FORMS['softnet'])
    np.testing.assert_array_equal(back, expected)
    assert expected[:HALF, :, 1].max() == 255
    assert not expected[HALF:, :, 1].any()
    blink = np.dstack([0 * X, np.hypot(X - POINTS[39, 0], Y - POINTS[39, 1]) < 8]).astype(np.float32)
    assert not windows.picture(blink, POINTS, FORMS['softnet']).any()
    assert windows.picture(blink, POINTS, FORMS['mean'])[..., 1].any()
    # MEAN sees the head, in the place of all: its scale is that of the face.
    head = windows.picture(np.dstack([X, Y]), POINTS, FORMS['mean'])
    low, high = edges((60, 50, 64, 57))
    expected = np.mean(centres(low[0], high[0], 42)) / (SIZE - 1) * 255
    assert head[HALF:, :, 0].mean() == pytest.approx(expected, abs=1)


class Solver:
    """A flow that does not look at the frames."""

    def calc(self, before, after, _):
        return np.dstack([X, Y])


def tracked(times, without=()):
    grey = np.zeros((SIZE, SIZE), np.uint8)
    for number, time in enumerate(times):
        points = None if number in without else POINTS.astype(np.float32)
        yield Tracked(Frame(number, time, np.zeros(0)), grey, points, 1)


@pytest.mark.parametrize(('rate', 'step', 'stride'), [(30, 6, 3), (200, 40, 20)])
def test_windows_have_their_length_in_seconds_whatever_the_rate(rate, step, stride):
    times = np.arange(rate) / rate
    found = list(windows.of(tracked(times), FORMS['softnet'], seconds=0.2, every=0.1, flow=Solver()))
    firsts = range(0, rate - step, stride)
    assert [(each.first, each.last) for each in found] == [(first, first + step) for first in firsts]
    assert found[0].middle == step // 2


def test_windows_that_begin_or_end_without_a_face_are_left_out():
    given = tracked(np.arange(20) / 10, without=(5, 6))
    found = list(windows.of(given, FORMS['mean'], seconds=0.3, every=0.1, flow=Solver()))
    assert [each.first for each in found] == [n for n in range(17) if not {n, n + 3} & {5, 6}]


def test_a_window_is_of_an_expression_if_it_meets_it():
    for first, expected in (
        (3, 'neutral'),
        (4, 'neutral'),
        (5, 'expression'),
        (20, 'expression'),
        (21, 'neutral'),
    ):
        assert windows_dataset.label(Window(first, first + 6, None), [(10, 20), (90, 99)]) == expected


class Nobody:
    """Finds the known face, or none in dark pictures."""

    name, every, coarse = 'dlib', 1.0, False

    def faces(self, frame):
        return POINTS[None].astype(np.float32) if frame.picture.any() else np.zeros((0, 68, 2), np.float32)


@pytest.fixture
def release(tmp_path, monkeypatch):
    """Two videos of 12 frames at 10 a second, of which the second is dark."""
    monkeypatch.setitem(detectors.DETECTORS, 'dlib', Nobody)
    texture = np.random.default_rng(0).integers(1, 255, (SIZE, SIZE), np.uint8)
    for name, shown in (('a', 1), ('b', 0)):
        (tmp_path / 'videos' / name).mkdir(parents=True)
        for number in range(12):
            picture = images.encode_png(np.roll(texture, number, 1) * shown)
            (tmp_path / 'videos' / name / f'{number:03}.png').write_bytes(picture)
    (tmp_path / 'videos.csv').write_text('subject,video,frames,frame_rate\ns1,a,12,10\ns2,b,12,10\n')
    (tmp_path / 'truth.csv').write_text('subject,video,onset,offset,kind\ns1,a,6,8,micro\n')
    return tmp_path


def test_kinds_that_nobody_has_named_are_no_class(release, capsys):
    (release / 'truth.csv').write_text('subject,video,onset,offset\ns1,a,6,8\n')
    assert build(release, '--kind', 'micro') == 2
    assert 'does not say of which kind each expression of a is' in capsys.readouterr().err


def build(release, *more):
    given = ['--source', str(release), '--out', str(release / 'out'), '--flow', 'dis', '--workers', '1']
    return main(['windows', *given, '--step', '0.2', *more])


def test_windows_of_a_folder_of_videos_become_a_dataset(release, capsys):
    assert build(release) == 1
    assert '  s2/b: dlib found no face through any window' in capsys.readouterr().out
    found = dataset.load(release / 'out', reads=['windows'])
    [skipped] = found.metadata['skipped']
    assert skipped.startswith('s2/b: dlib found no face')
    assert found.labels == ('neutral', 'expression')
    assert found.clip.tolist() == [f'a#{middle:06}' for middle in range(1, 11)]
    assert found.label.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0]  # frames 6 to 8
    assert found.inputs['windows'].shape[1:] == schema.WINDOWS_SHAPE
    assert found.inputs['windows'].max() == 255
    (release / 'videos.csv').write_text('subject,video,frames,frame_rate\ns1,a,12,10\n')
    (release / 'videos' / 'b').rename(release / 'elsewhere')
    assert build(release, '--overwrite') == 0
    again = dataset.load(release / 'out', reads=['windows'])
    np.testing.assert_array_equal(again.inputs['windows'], found.inputs['windows'])
    assert again.metadata['skipped'] == []
    (release / 'truth.csv').write_text('subject,video,onset,offset,kind\ns1,a,6,8,micro\ns1,a,2,2,macro\n')
    assert build(release, '--overwrite', '--kind', 'macro') == 0
    macro = dataset.load(release / 'out', reads=['windows'])
    assert macro.label.tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert macro.metadata['windows']['kind'] == 'macro'
    fault = storage.lacking(release, ['windows'], ['flow'])
    assert 'python -m data_prep windows --source DIR' in str(fault)


@pytest.mark.parametrize(
    ('file', 'text', 'message'),
    [
        (
            'truth.csv',
            'subject,video,onset,offset\ns1,c,1,2\n',
            'line 2: the video s1/c is not in videos.csv',
        ),
        ('truth.csv', 'subject,video,onset\ns1,a,1\n', 'the columns offset are missing'),
        ('truth.csv', 'subject,video,onset,offset\ns1,a,5,2\n', 'from frame 5 to 2'),
        ('truth.csv', 'subject,video,onset,offset\ns1,a,1,2.5\n', "offset is '2.5'; expected a whole number"),
        ('videos.csv', 'subject,video,frames,frame_rate\ns1,a,12,10\n', 'b is not in .*videos.csv'),
        ('videos.csv', 'subject,video,frames,frame_rate\n', 'names no video'),
        (
            'videos.csv',
            'subject,video,frames,frame_rate\ns1,a,12,10\ns2,b,12,10\ns2,c,9,9\n',
            'names c, and .*videos has no such video',
        ),
        ('videos.csv', 'subject,video,frames,frame_rate\ns1,a,12,0\n', 'line 2: 12 frames, 0 a second'),
    ],
)
def test_faulty_tables_are_named(release, file, text, message):
    (release / file).write_text(text)
    with pytest.raises(InputError, match=message):
        long_videos.read(release)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--step', '2'), 's1/a: it lasts 1.20 seconds, and a window takes 2'),
        (('--every', '0'), '--every 0: expected seconds, above 0'),
        (('--step', 'nan'), '--step nan: expected seconds'),
        (('--database', 'Long'), "database 'Long' is not in lower case"),
        (('--workers', '0'), '--workers 0: expected 1 or more'),
    ],
)
def test_options_that_cannot_be_are_named(release, options, message, capsys):
    assert build(release, *options) == 2
    assert message in capsys.readouterr().err
    assert not (release / 'out').exists()


def test_the_truth_of_drawn_videos_says_that_they_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, 'render', lambda seed, release, script, file: None)
    synthetic.write('long_videos', tmp_path / 'drawn', subjects=2, workers=1)
    assert intervals.read_notice(tmp_path / 'drawn' / 'truth.csv') == schema.ALL_SYNTHETIC
