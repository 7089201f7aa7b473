import cv2
import numpy as np
import pytest
from PIL import Image

from data_prep import __main__ as command
from data_prep.files import film, images
from dualatme_jax.errors import InputError


def pictures(number=5, shape=(32, 46)):
    """Smooth frames whose bright square moves, [H, W, 3] with blue first."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    grey = [200 * np.exp(-((x - 10 - 3 * step) ** 2 + (y - 12) ** 2) / 60) for step in range(number)]
    return [np.dstack([each, 0.5 * each, 0 * each]).astype(np.uint8) for each in grey]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / 'clip'
    path.mkdir()
    for number, frame in enumerate(
        pictures(), start=98
    ):  # 98, 99, 100: in the order of numbers, not of names
        (path / f'img{number}.png').write_bytes(images.encode_png(images.rgb(frame)))
    return path


def test_images_become_a_folder_of_the_same_frames(folder, tmp_path, capsys):
    assert command.main(['film', str(folder), '--out', str(tmp_path / 'copy')]) == 0
    assert 'a folder of PNG images of 5 frames' in capsys.readouterr().out
    copied = list(film.find(tmp_path / 'copy'))
    np.testing.assert_array_equal(copied, pictures())


def test_some_of_the_frames(folder, tmp_path):
    arguments = ['film', str(folder), '--onset', '99', '--offset', '101', '--out', str(tmp_path / 'part')]
    assert command.main(arguments) == 0
    np.testing.assert_array_equal(list(film.find(tmp_path / 'part')), pictures()[1:4])


@pytest.mark.parametrize('shape', [(32, 46), (31, 45)])
def test_a_video_shows_the_frames_at_their_rate(shape, tmp_path):
    out = tmp_path / 'clip.mp4'
    film.write(pictures(shape=shape), out, rate=30)
    found = film.find(out)
    assert (found.rate, found.numbers) == (30, [0, 1, 2, 3, 4])
    for frame, wanted in zip(found, pictures(shape=shape), strict=True):
        assert frame.shape == (32, 46, 3)
        kept = frame[: shape[0], : shape[1]].astype(int)
        assert abs(kept - wanted).mean() < 4  # it is compressed


def test_a_gif_shows_the_frames_and_repeats(folder, tmp_path):
    out = tmp_path / 'clip.gif'
    assert command.main(['film', str(folder), '--fps', '20', '--out', str(out)]) == 0
    with Image.open(out) as gif:
        assert (gif.n_frames, gif.info['loop'], gif.info['duration']) == (5, 0, 50)
        for number, wanted in enumerate(pictures()):
            gif.seek(number)
            found = np.array(gif.convert('RGB'))[..., ::-1].astype(int)
            assert abs(found - wanted).mean() < 4  # it has 256 colours


def test_a_gif_of_a_fast_camera_keeps_the_least_time_that_viewers_keep(tmp_path):
    film.write(pictures(), tmp_path / 'clip.gif', rate=200)
    with Image.open(tmp_path / 'clip.gif') as gif:
        assert gif.info['duration'] == 20


def test_a_video_keeps_its_rate_on_the_way_to_another_form(tmp_path):
    film.write(pictures(), tmp_path / 'clip.mp4', rate=20)
    assert command.main(['film', str(tmp_path / 'clip.mp4'), '--out', str(tmp_path / 'clip.gif')]) == 0
    with Image.open(tmp_path / 'clip.gif') as gif:
        assert gif.info['duration'] == 50


def test_what_cannot_be_filmed_is_refused_with_what_to_do(folder, tmp_path, capsys):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'doubles').mkdir()
    for name in ('a1.png', 'b1.png'):
        (tmp_path / 'doubles' / name).write_bytes(images.encode_png(np.zeros((4, 4), np.uint8)))
    (tmp_path / 'text.mp4').write_text('no video')
    out = str(tmp_path / 'out')
    for arguments, said in (
        ([str(tmp_path / 'none'), '--out', out], 'no such file or folder'),
        ([str(tmp_path / 'empty'), '--out', out], 'holds no frames: expected images'),
        ([str(tmp_path), '--out', out], f'a video is given by its own name: {tmp_path / "text.mp4"}'),
        ([str(tmp_path / 'doubles'), '--out', out], 'a1.png and b1.png are both frame 1: keep one'),
        ([str(tmp_path / 'text.mp4'), '--out', out], 'not a video that OpenCV can decode'),
        ([str(folder), '--out', f'{out}.avi'], r'ends in .gif or .mp4'),
        ([str(folder), '--out', ''], 'expected a folder'),
        ([str(folder), '--out', str(folder)], 'holds something already'),
        ([str(folder), '--out', f'{out}.mp4', '--fps', '0'], '--fps 0: expected 0.1 to 1000'),
        ([str(folder), '--out', f'{out}.mp4', '--fps', 'nan'], '--fps nan: expected 0.1 to 1000'),
        (
            [str(folder), '--out', out, '--onset', '200'],
            'no frame from 200 to 102; it has 5, from 98 to 102',
        ),
    ):
        assert command.main(['film', *arguments]) == 2
        assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ['clip', 'doubles', 'empty', 'text.mp4']


def test_frames_of_several_sizes_leave_nothing_behind(tmp_path):
    several = [*pictures(2), *pictures(1, shape=(32, 50))]
    for name in ('clip', 'clip.gif', 'clip.mp4'):
        with pytest.raises(InputError, match='frame 3 of the film has 50x32 pixels, and the first 46x32'):
            film.write(several, tmp_path / name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match='no frame'):
        film.write([], tmp_path / 'clip')


def test_a_gif_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(film, 'MOST_IN_GIF', 3 * 32 * 46)
    with pytest.raises(
        InputError, match=r'more than 3 frames of this size are too many for a GIF: write \.mp4'
    ):
        film.write(pictures(), tmp_path / 'clip.gif')


def test_a_video_of_a_codec_that_opencv_lacks_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'VideoWriter_fourcc', lambda *letters: 0x20202020)
    with pytest.raises(InputError, match='OpenCV cannot write'):
        film.write(pictures(), tmp_path / 'clip.mp4')


def test_a_video_that_the_disk_has_no_room_for_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    class Full:
        """Loses frames without a word, as OpenCV's does; a subclass of that would break the memory."""

        def __init__(self, *arguments):
            self._writer = writer(*arguments)

        def __getattr__(self, name):
            return getattr(self._writer, name)

        def write(self, frame):
            if frame[0, 0, 0] < 3:
                self._writer.write(frame)

    writer = cv2.VideoWriter
    monkeypatch.setattr(cv2, 'VideoWriter', Full)
    frames = [np.full((32, 32, 3), number, np.uint8) for number in range(6)]
    with pytest.raises(InputError, match='not all frames could be written; make room on its disk'):
        film.write(frames, tmp_path / 'v.mp4')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('rate', [29.97003, 66.97745687655149, 180.3456, 999.87654])
def test_a_video_has_any_rate(tmp_path, rate):
    """As the mean of frames that come unevenly may be."""
    film.write(pictures(), tmp_path / 'v.mp4', rate=rate)
    assert film.find(tmp_path / 'v.mp4').rate == pytest.approx(rate, rel=2e-4)
