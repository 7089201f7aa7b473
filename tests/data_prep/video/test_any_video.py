"""Whatever is given as a video ends in an answer or in a named reason."""

import contextlib
import dataclasses
import errno
import importlib.util
import itertools
import json
import os
import struct
import wave

import cv2
import numpy as np
import pytest

from data_prep import __main__ as commands
from data_prep.face import alignment
from data_prep.face.landmarks import template
from data_prep.files import frames, images
from data_prep.video import detectors, events, kept, known, limits, motion, recording
from dualatme_jax.errors import InputError

SIDE = 128
FACE = template.stretched((100, 100)).astype(np.float32) + 14
needs_skimage = pytest.mark.skipif(
    importlib.util.find_spec('skimage') is None, reason='scikit-image, whose face is looked at, is missing'
)


class Known:
    """Finds the face wherever it is not dark; counts how often it is asked."""

    name, every, coarse = 'known', 1.0, False

    def __init__(self, landmarks=FACE):
        self.landmarks, self.asked = landmarks, 0

    def faces(self, frame):
        self.asked += 1
        return self.landmarks[None] if frame.picture.any() else np.zeros((0, 68, 2), np.float32)


def texture(shift=0.0):
    """Smooth patterns in the shape of no face, moved to the right."""
    noise = np.random.default_rng(0).uniform(0, 255, (SIDE, SIDE)).astype(np.float32)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), None, 0, 255, cv2.NORM_MINMAX)
    moved = cv2.warpAffine(smooth, np.float32([[1, 0, shift], [0, 1, 0]]), (SIDE, SIDE), borderMode=2)
    return np.rint(moved).astype(np.uint8)


def written(path, pictures, rate=30.0, codec='MJPG'):
    height, width = pictures[0].shape[:2]
    colour = pictures[0].ndim == 3
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, (width, height), colour)
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def moving(count):
    return [texture(0.3 * np.sin(number / 3)) for number in range(count)]


def colour(pictures):
    return [cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) for picture in pictures]


def flags(path, detector=None, **options):
    return events.find(recording.find(path, **options), detector or Known()).flags


def in_box(content, name, offset, form, *values):
    """An mp4 with other numbers in one of its boxes."""
    at = content.find(name) + len(name) + offset
    return content[:at] + struct.pack(form, *values) + content[at + struct.calcsize(form) :]


def test_a_phone_s_video_is_turned_as_its_metadata_say(tmp_path):
    corner = np.zeros((48, 64, 3), np.uint8)
    corner[:16, :16] = 255
    path = written(tmp_path / 'upright.mp4', [corner] * 3, codec='mp4v')
    turned = (0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)  # by 90 degrees, clockwise
    (tmp_path / 'turned.mp4').write_bytes(in_box(path.read_bytes(), b'tkhd', 40, '>9i', *turned))
    picture = next(recording.find(tmp_path / 'turned.mp4').frames()).picture
    assert picture.shape == (64, 48, 3)
    assert picture[:12, 36:].mean() > 200
    assert picture[:, :30].mean() < 20


def test_times_are_those_of_a_video_whose_rate_varies(tmp_path):
    """The first half at 30 frames a second, the second at 15, as phones do in the dark."""
    path = written(tmp_path / 'even.mp4', colour(moving(24)), codec='mp4v')
    content = bytearray(path.read_bytes())
    at = content.find(b'stts')
    count, step = struct.unpack('>II', content[at + 12 : at + 20])
    content[at + 8 : at + 20] = struct.pack('>IIIII', 2, count // 2, step, count // 2, 2 * step)
    for name in (b'moov', b'trak', b'mdia', b'minf', b'stbl', b'stts'):
        place = content.find(name) - 4
        content[place : place + 4] = struct.pack('>I', struct.unpack('>I', content[place : place + 4])[0] + 8)
    path.write_bytes(in_box(bytes(content), b'elst', 8, '>I', 10**6))
    times = np.array([frame.time for frame in recording.find(path).frames()])
    np.testing.assert_allclose(np.diff(times), [1 / 30] * 12 + [1 / 15] * 11, atol=2e-3)
    assert events.UNSTEADY in flags(path)
    # A rate that is given is in the place of all that.
    times = [frame.time for frame in recording.find(path, rate=25).frames()]
    np.testing.assert_allclose(times, np.arange(24) / 25, atol=1e-9)


def test_what_a_browser_records_has_the_rate_of_its_times(tmp_path):
    """Its header says neither how long it is nor how fast, and its frames come a little early or late."""
    content = bytearray(written(tmp_path / 'a.webm', colour(moving(40)), codec='VP80').read_bytes())
    for name, size in (b'\x23\xe3\x83', 8), (b'\x44\x89', 11):  # the length of a frame; that of all
        at = content.find(name)
        content[at : at + size] = b'\xec' + bytes([0x80 | size - 2]) + bytes(size - 2)  # nothing
    late = np.random.default_rng(0).integers(0, 12, 40)
    milliseconds = [round(number * 1000 / 30) for number in range(40)]
    at = 0
    for number, time in enumerate(milliseconds):
        of_group = time - milliseconds[number // 12 * 12]  # it counts from a key frame, every twelfth
        at = content.index(b'\x81' + struct.pack('>h', of_group), at) + 3
        content[at - 2 : at] = struct.pack('>h', of_group + late[number])
    (tmp_path / 'browser.webm').write_bytes(content)
    found = recording.find(tmp_path / 'browser.webm')
    assert found.rate == pytest.approx(30, rel=0.1)
    assert len(list(found.frames())) == 40


def test_a_rate_that_nobody_says_is_flagged(tmp_path):
    for number, picture in enumerate(moving(30)):
        (tmp_path / f'{number}.png').write_bytes(images.encode_png(picture))
    assert events.ASSUMED in flags(tmp_path)
    assert not {events.ASSUMED, events.SLOW} & {*flags(tmp_path, rate=30)}


def test_large_and_grey_frames_are_made_what_is_looked_at(tmp_path):
    found = recording.find(written(tmp_path / 'large.avi', [np.zeros((2160, 3840, 3), np.uint8)] * 2))
    assert (found.shrinking, next(found.frames()).picture.shape) == (4, (540, 960, 3))
    found = recording.find(written(tmp_path / 'grey.avi', [texture()] * 2))
    assert next(found.frames()).picture.shape == (SIDE, SIDE, 3)


def test_what_breaks_off_is_answered_as_far_as_it_goes(tmp_path):
    content = written(tmp_path / 'whole.avi', colour(moving(60))).read_bytes()
    (tmp_path / 'broken.avi').write_bytes(content[: len(content) * 2 // 5])
    left = len(list(recording.find(tmp_path / 'broken.avi').frames()))
    assert 20 < left < 30
    assert f'{events.BROKEN}: {60 - left} frames are missing' in flags(tmp_path / 'broken.avi')
    assert not any(flag.startswith((events.BROKEN, events.LOST)) for flag in flags(tmp_path / 'whole.avi'))


def test_after_frames_that_cannot_be_decoded_it_goes_on(tmp_path, capfd):
    content = bytearray(written(tmp_path / 'whole.mp4', colour(moving(60)), codec='mp4v').read_bytes())
    sizes = content.find(b'stsz') + 16
    lengths = struct.unpack(f'>{60}I', content[sizes : sizes + 240])
    start = content.find(b'mdat') + 4 + sum(lengths[:30])
    content[start : start + sum(lengths[30:33])] = bytes(sum(lengths[30:33]))
    (tmp_path / 'damaged.mp4').write_bytes(content)
    capfd.readouterr()
    found = list(recording.find(tmp_path / 'damaged.mp4').frames())
    assert not capfd.readouterr().err, 'of FFmpeg'
    assert [each.number for each in found] == [*range(30), *range(33, 60)]
    np.testing.assert_allclose([each.time * 30 for each in found], [*range(30), *range(33, 60)], atol=0.01)
    assert f'{events.LOST}: 3' in flags(tmp_path / 'damaged.mp4')
    assert frames.count(tmp_path / 'damaged.mp4') == 60
    with pytest.raises(InputError, match='frame 31 of 60 cannot be decoded'):
        list(frames.Video(tmp_path / 'damaged.mp4', 60).read([29, 31]))


def test_a_frame_that_is_there_without_a_picture_is_left_out(tmp_path, monkeypatch):
    path = written(tmp_path / 'video.avi', colour(moving(9)))
    given = recording.find(path)

    class Capture:
        def __init__(self):
            self.own, self.number = cv2.VideoCapture(str(path)), -1
            self.get = self.own.get

        def grab(self):
            self.number += 1
            return self.own.grab()

        def retrieve(self):
            return (False, None) if self.number == 4 else self.own.retrieve()

    monkeypatch.setattr(frames, 'opened', lambda path: contextlib.nullcontext(Capture()))
    assert [each.number for each in given.frames()] == [0, 1, 2, 3, 5, 6, 7, 8]


def sound(path):
    with wave.open(str(path), 'wb') as file:
        file.setparams((1, 2, 8000, 8000, 'NONE', ''))
        file.writeframes(bytes(16000))


def picture(path):
    path.write_bytes(images.encode_png(texture()))


def broken(path):
    content = written(path, colour(moving(9)), codec='mp4v').read_bytes()
    path.write_bytes(content[: len(content) // 2])  # what says where the frames are stands at the end


@pytest.mark.parametrize(
    ('name', 'make', 'message'),
    [
        ('sound.wav', sound, 'not a video that OpenCV can decode'),
        ('text.mp4', lambda path: path.write_text('no video' * 99), 'not a video that OpenCV can decode'),
        ('broken.mp4', broken, 'or broke off before its end'),
        ('empty.mp4', lambda path: path.write_bytes(b''), 'not a video that OpenCV can decode'),
        ('photo.png', picture, 'one frame has no motion'),
        ('one.avi', lambda path: written(path, colour(moving(1))), 'one frame has no motion'),
        ('pictures', lambda path: path.mkdir(), 'holds no frames'),
        ('missing.mp4', lambda path: None, 'no such file or folder'),
    ],
)
def test_what_is_no_video_is_named(tmp_path, capfd, name, make, message):
    make(tmp_path / name)
    assert commands.main(['video', str(tmp_path / name), '--out', str(tmp_path / 'out')]) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith('error: ')
    assert message in last
    assert not (tmp_path / 'out').exists()


def test_where_nothing_moves_there_is_no_event(tmp_path):
    found = events.find(recording.find(written(tmp_path / 'still.avi', colour([texture()] * 30))), Known())
    assert not found.events
    assert events.STILL in found.flags
    assert events.STILL not in flags(written(tmp_path / 'moving.avi', colour(moving(30))))


@pytest.mark.parametrize(
    ('rate', 'count', 'expected'),
    [(25, 25, {events.SLOW}), (200, 150, set()), (30, 12, {events.SHORT})],
)
def test_rates_and_lengths_are_flagged(tmp_path, rate, count, expected):
    path = written(tmp_path / 'video.avi', colour(moving(count)), rate)
    found = {*flags(path)} & {events.SLOW, events.SHORT, events.UNSTEADY}
    assert found == expected
    assert len(list(recording.find(path).frames())) == -(-count // (4 if rate == 200 else 1))


def test_a_face_that_leaves_and_comes_back_is_found_again(tmp_path):
    pictures = [each * (not 10 <= number < 26) for number, each in enumerate(moving(40))]
    found = events.find(recording.find(written(tmp_path / 'video.avi', colour(pictures))), Known())
    # It is looked for every fifth of a second.
    assert found.frames.there.tolist() == [not 10 <= number < 28 for number in range(40)]
    assert not np.isfinite(found.signals.strength[12:28]).any()
    assert events.NO_FACE not in found.flags


def test_half_a_face_and_no_face_are_named(tmp_path):
    path = written(tmp_path / 'video.avi', colour(moving(24)))
    found = events.find(recording.find(path), Known(FACE + np.float32([60, 0])))
    assert events.CUT in found.flags
    assert not found.events
    with pytest.raises(InputError, match='no face was found in 24 frames by haar; expected one that looks'):
        flags(path, detectors.Haar())
    with pytest.raises(InputError, match='face 2 was asked for, and known found 1 at most in 24 frames'):
        events.find(recording.find(path), Known(), face=1)


@pytest.mark.parametrize(
    ('values', 'flag'),
    [
        ({'grey': limits.DARK - 1}, events.DARK),
        ({'sharpness': limits.BLURRED - 1}, events.BLURRED),
        ({'landmarks': FACE / 2}, events.SMALL),
        ({'landmarks': FACE + np.float32([15, 0]) * (np.arange(68) == 30)[:, None]}, events.TURNED),
        ({'landmarks': FACE * np.float32(np.nan)}, events.NO_FACE),
        ({}, None),
    ],
)
def test_moments_are_flagged_by_what_they_show(values, flag):
    given = {'landmarks': FACE, 'faces': 1, 'grey': 120.0, 'sharpness': 200.0, **values}
    part = {name: np.stack([value] * 9) for name, value in given.items()}
    frames = known.frames([part | {'number': np.arange(9), 'time': np.arange(9) / 30}], (SIDE, SIDE))
    asked = recording.Recording(None, 30.0, 1, 0, 1.05)
    # The eyes are 39 pixels apart, 41 of the video.
    assert events._quality(asked, frames) == ((flag,) if flag else ())


@pytest.mark.parametrize('every', [1, 5])
def test_images_that_are_missing_take_their_time_and_are_counted(tmp_path, every):
    there = [number for number in range(7, 40) if not 20 <= number < 25]
    for number in there:
        path = tmp_path / f'{every * number:03}.png'
        path.write_bytes(images.encode_png(texture(0.3 * np.sin(number / 3))))
    given = recording.find(tmp_path, rate=20)
    times = [frame.time for frame in given.frames()]
    np.testing.assert_allclose(times, (np.array(there) - 7) / 20)
    assert [frame.time for frame in given.frames(first=every * 30)] == times[-10:]
    assert f'{events.GAPS}: 5' in flags(tmp_path, rate=20)
    thinned = recording.find(tmp_path, rate=120)
    assert [frame.number for frame in thinned.frames()] == [every * number for number in there[::2]]
    (found,) = (flag for flag in flags(tmp_path, rate=120) if flag.startswith(events.GAPS))
    assert found == f'{events.GAPS}: 5'


def test_images_of_several_sizes_are_named(tmp_path):
    for number, side in enumerate((SIDE, SIDE, SIDE // 2)):
        (tmp_path / f'{number}.png').write_bytes(images.encode_png(texture()[:side]))
    with pytest.raises(InputError, match=r'2\.png has 128x64 pixels, and the first image 128x128; expected'):
        flags(tmp_path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'images').mkdir()
    for number, each in enumerate(moving(50)):
        (tmp_path / 'images' / f'{number:03}.png').write_bytes(images.encode_png(each))
    return tmp_path


def same(found, expected):
    for one, other in itertools.zip_longest(found, expected):
        for field in dataclasses.fields(motion.Moved):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), field.name)


def test_after_a_stop_it_goes_on_and_finds_the_same(folder, monkeypatch):
    monkeypatch.setattr(kept, 'EVERY', 0.5)
    given, keep = recording.find(folder / 'images'), folder / 'keep'
    expected = list(kept.Kept().signal(given, Known()))
    for stop in (10, 40):  # before the first file is written, and behind it
        stopped = kept.Kept(keep).signal(given, Known())
        list(itertools.islice(stopped, stop))
        stopped.close()
        assert len(list(keep.glob('*.npz'))) == (stop == 40)
    again = Known()
    (keep / '.00001.x.npz').write_bytes(b'half of')  # by a process that was killed
    same(kept.Kept(keep).signal(given, again), expected)
    same(kept.Kept(keep).signal(given, again), expected)
    assert sum(len(part['number']) for part in kept.Kept(keep).parts('number')) == 50
    assert again.asked == 0  # the first file ends with the second detection
    # Of a damaged file on it is done anew, and all of it with another face.
    (keep / '00000.npz').write_bytes((keep / '00000.npz').read_bytes()[:99])
    next(kept.Kept(keep).signal(given, again))
    assert again.asked > 0
    next(kept.Kept(keep).signal(given, Known(), face=1), None)
    assert not list(keep.glob('*.npz'))


def test_what_is_known_is_kept_where_there_is_no_face_too(folder, monkeypatch):
    """Then another one comes, which is none if only that is looked for which was lost."""

    class Another(Known):
        def faces(self, frame):
            return super().faces(frame) + np.float32(110) * (frame.number >= 45)

    monkeypatch.setattr(kept, 'EVERY', 0.2)
    for number in range(5, 45):
        path = folder / 'images' / f'{number:03}.png'
        path.write_bytes(images.encode_png(texture() * 0))
    given = recording.find(folder / 'images')
    expected = list(kept.Kept().signal(given, Another(), face=None))
    assert not np.isfinite([each.landmarks for each in expected[6:]]).any()
    keep = kept.Kept(folder / 'keep')
    same(keep.signal(given, Another(), face=None), expected)
    parts = list(keep.parts('number', 'landmarks'))
    assert len(parts) >= 5
    np.testing.assert_array_equal(np.concatenate([part['number'] for part in parts]), range(50))
    places = np.array([49, 3, 20])
    np.testing.assert_array_equal(keep.landmarks(places), [expected[place].landmarks for place in places])
    for count in range(1, len(parts)):
        (keep.folder / f'{count:05}.npz').rename(folder / 'part.npz')
        again = Another()
        same(kept.Kept(keep.folder).signal(given, again, face=None), expected)
        assert again.asked < 10 - count


def test_an_image_that_is_written_anew_is_another_one_whatever_its_size_and_time(folder):
    given, path = recording.find(folder / 'images'), folder / 'images' / '007.png'
    before, state = kept.made_of(given, 'known'), path.stat()
    assert kept.made_of(recording.find(folder / 'images'), 'known') == before
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert kept.made_of(given, 'known') != before
    assert kept.made_of(given, 'known', face=1) != kept.made_of(given, 'known')


def test_a_full_disc_is_named_and_what_is_done_is_kept(folder, monkeypatch, capsys):
    detector = Known()
    monkeypatch.setitem(detectors.DETECTORS, 'dlib', lambda: detector)
    write = events.write

    def full(found, detector, out):
        raise OSError(errno.ENOSPC, 'No space left on device', str(out / events.EVENTS))

    monkeypatch.setattr(events, 'write', full)
    given = ['video', str(folder / 'images'), '--out', str(folder / 'out'), '--landmarks', 'dlib']
    assert commands.main(given) == 2
    assert 'No space left on device' in capsys.readouterr().err
    asked = detector.asked
    monkeypatch.setattr(events, 'write', write)
    assert commands.main([*given, '--progress-lines']) == 0
    assert detector.asked == asked
    said = capsys.readouterr()
    assert 'the face by known' in said.out
    assert said.err.startswith('progress: {"stage": "frames", "done": 50, "total": 50, "seconds": ')
    assert {path.name for path in (folder / 'out').iterdir()} == {
        events.EVENTS,
        events.SIGNALS,
        events.TRACK,
        events.VIDEO,
    }


def test_every_face_is_left_in_a_folder_of_its_own(folder, monkeypatch, capsys):
    class Two(Known):
        def faces(self, frame):
            return np.stack([FACE * 0.5, FACE * 0.45 + 66]).astype(np.float32)

    monkeypatch.setitem(detectors.DETECTORS, 'dlib', Two)
    out = folder / 'out'
    (out / 'face_3').mkdir(parents=True)  # of a video with another face
    given = ['video', str(folder / 'images'), '--out', str(out), '--landmarks', 'dlib', '--face']
    assert commands.main([*given, 'all']) == 0
    assert {path.name for path in out.iterdir()} == {'face_1', 'face_2'}
    first, second = (json.loads((out / f'face_{number}' / events.VIDEO).read_text()) for number in (1, 2))
    assert first['middle'] == np.rint(FACE.mean(0) * 0.5).tolist()
    assert second['middle'] == np.rint(FACE.mean(0) * 0.45 + 66).tolist()
    assert capsys.readouterr().out.count('the tables are in') == 2
    assert commands.main([*given, 'none']) == 2
    assert '--face none: expected 1 or more, or all' in capsys.readouterr().err


def test_a_shrunk_face_is_the_warped_one():
    large = cv2.resize(texture(), None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    aligned = alignment.align(FACE * 5 + 2, large.shape, motion.SIZE)
    found, expected = motion.shrunk(aligned, large), aligned.warp(large)
    assert np.abs(found.astype(float) - expected).mean() < 1.0
    # It lies where the other does: on a slope, a tenth of a pixel is a tenth of a grey level.
    slope = np.rint(np.linspace(0, 250, len(large)))[None].repeat(len(large), 0).astype(np.uint8)
    for picture in (slope, slope.T.copy()):
        difference = motion.shrunk(aligned, picture).astype(float) - aligned.warp(picture)
        assert abs(difference[8:-8, 8:-8].mean()) < 0.1


def face_with_a_twitch():
    """A real face, which drifts by parts of a pixel; from 1.0 to 1.3 s a corner of its mouth goes up."""
    from skimage import data

    still = cv2.resize(data.astronaut()[:240, 110:350, ::-1].copy(), (320, 320))
    y, x = np.mgrid[:320, :320].astype(np.float32)
    corner = np.hypot(x - 172, y - 192)
    bump = np.exp(-((corner / 14) ** 2))
    noise = np.random.default_rng(0)
    for number in range(66):
        time = number / 30
        height = np.interp(time, [1.0, 1.1, 1.3], [0, 1, 0])
        drift = 0.4 * np.sin(time), 0.3 * np.cos(time)
        # 1.5 pixels of an aligned face of 224, in which the eyes are 88 apart.
        way = 1.5 * height * 58 / 88 * bump
        maps = [np.float32(x - drift[0]), np.float32(y - drift[1] + way)]
        picture = cv2.remap(still, *maps, cv2.INTER_CUBIC)
        yield np.clip(picture + noise.normal(0, 1, picture.shape), 0, 255).astype(np.uint8)


@needs_skimage
@pytest.mark.slow
def test_a_twitch_of_a_real_face_is_one_event_at_its_time(tmp_path):
    frames = [recording.Frame(number, number / 30, each) for number, each in enumerate(face_with_a_twitch())]

    @dataclasses.dataclass(frozen=True)
    class Repeated(recording.Recording):
        def frames(self, first=0, last=None):
            return iter(frames[first : None if last is None else last + 1])

    found = events.find(Repeated(recording.pathlib.Path(), 30.0, 1, 0, 1.0), detectors.Haar())
    expressions = [each for each in found.events if each.expression]
    assert len(expressions) == 1
    np.testing.assert_allclose(expressions[0].seconds, (1.0, 1.1, 1.3), atol=0.1)
    assert expressions[0].kind == 'micro'
    assert events.COARSE in found.flags
    events.write(found, detectors.Haar(), tmp_path)
    assert "pip install -e '.[dlib]'" in json.loads((tmp_path / events.VIDEO).read_text())['note']
