import os
import pathlib

import numpy as np
import pytest
import tiny_release
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.files import frames
from data_prep.files.frames import Video
from dualatme_jax.errors import InputError


@pytest.fixture
def video(tmp_path):
    tiny_release.video(tmp_path / 'a.mp4', 7)
    return tmp_path / 'a.mp4'


def test_the_frames_of_a_video_are_counted_by_decoding(video):
    assert frames.count(video) == 7
    shown = list(Video(video, 7).read([0, 3, 6]))
    assert [frame.shape for frame in shown] == [(16, 16, 3)] * 3
    assert all(frame.dtype == np.uint8 for frame in shown)


@pytest.mark.parametrize('promised', [3, 5000])
def test_a_header_that_lies_changes_nothing(tmp_path, promised):
    """Motion JPEG in AVI: the headers' own numbers of frames are changed, the frames are not."""
    path = tmp_path / 'a.avi'
    writer = frames.cv2.VideoWriter(str(path), frames.cv2.VideoWriter.fourcc(*'MJPG'), 30, (16, 16))
    for shade in range(7):
        writer.write(np.full((16, 16, 3), 30 * shade, np.uint8))
    writer.release()
    content = bytearray(path.read_bytes())
    content[48:52] = promised.to_bytes(4, 'little')  # avih: total frames
    length = content.index(b'strh') + 8 + 32
    content[length : length + 4] = promised.to_bytes(4, 'little')  # strh: length
    path.write_bytes(content)
    assert frames.count(path) == 7


def test_a_frame_behind_the_last_is_refused(video):
    with pytest.raises(InputError, match='frame 8 of 9 cannot be decoded'):
        list(Video(video, 9).read([8]))


def test_a_name_that_is_not_text_is_refused(video):
    strange = video.rename(video.with_name(os.fsdecode(b'\xff.mp4')))
    for use in (frames.count, lambda path: list(Video(path, 7).read([0]))):
        with pytest.raises(InputError, match=r'udcff\.mp4: the name is not text in UTF-8: rename it'):
            use(strange)


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / 'a.mp4').write_bytes(b'no video')
    with pytest.raises(InputError, match='not a video that OpenCV can decode'):
        frames.count(tmp_path / 'a.mp4')


def test_neither_a_pipe_nor_a_device_is_a_video(tmp_path):
    os.mkfifo(tmp_path / 'a.mp4')
    for path in (tmp_path / 'a.mp4', pathlib.Path('/dev/zero'), tmp_path):
        with pytest.raises(InputError, match='cannot read the video'):
            frames.count(path)
        with pytest.raises(InputError, match='cannot read the video'):
            list(Video(path, 7).read([0]))
        with pytest.raises(InputError, match='cannot read the video'):
            Video(path, 7).digest(0)


@pytest.mark.parametrize('side', [30000, 65500])
def test_a_video_of_absurd_size_is_refused(tmp_path, side):
    """Motion JPEG in AVI whose headers all speak of a picture of that many rows and columns."""
    path = tmp_path / 'a.avi'
    writer = frames.cv2.VideoWriter(str(path), frames.cv2.VideoWriter.fourcc(*'MJPG'), 30, (16, 16))
    for shade in range(7):
        writer.write(np.full((16, 16, 3), 30 * shade, np.uint8))
    writer.release()
    content = bytearray(path.read_bytes())
    sides = side.to_bytes(4, 'little') * 2
    content[64:72] = sides  # avih
    start = content.index(b'strf') + 8 + 4
    content[start : start + 8] = sides
    place = 0
    while (place := content.find(b'\xff\xc0\x00\x11\x08', place) + 5) > 4:
        content[place : place + 4] = side.to_bytes(2, 'big') * 2
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'a\.avi'):
        frames.count(path)


def test_a_video_of_too_many_frames_is_refused(video, monkeypatch):
    monkeypatch.setattr(frames, 'MOST_FRAMES', 6)
    with pytest.raises(InputError, match='more than 6 frames'):
        frames._count(video)


def test_an_image_that_is_a_pipe_is_named(tmp_path):
    os.mkfifo(tmp_path / '1.png')
    clip = frames.Images({1: tmp_path / '1.png'})
    for use in (lambda: list(clip.read([1])), lambda: clip.digest(1)):
        with pytest.raises(InputError, match=r'1\.png: it is a pipe'):
            use()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_any_damage_of_a_video_is_counted_or_refused_by_name(tmp_path_factory, data):
    path = tmp_path_factory.mktemp('videos') / 'a.mp4'
    tiny_release.video(path, 7)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 8))
        content[start : start + 4] = data.draw(st.binary(min_size=4, max_size=4))
    path.write_bytes(content)
    try:
        told = str(frames._count(path))
    except InputError as error:
        told = str(error)
    assert 'a.mp4' in told or 0 < int(told) < 1000
