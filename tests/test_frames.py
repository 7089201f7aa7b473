import os

import numpy as np
import pytest
import tiny_release

from data_prep import frames
from data_prep.frames import Video
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
