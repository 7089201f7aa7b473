import numpy as np
import pytest
import tiny_release

from data_prep.face.aligned_clip import AlignedClip
from data_prep.face.landmarks import template
from data_prep.files import images
from data_prep.files.cache import Cache
from data_prep.files.frames import Images, Video
from data_prep.releases.clip import Clip
from dualatme_jax.errors import InputError


def clip_of(frames, database='samm', place=None):
    clip = Clip(database=database, subject='006', clip='006_1', onset=0, apex=1, frames=frames)
    return AlignedClip(clip, template.Template(place), Cache(None))


@pytest.fixture
def pictures(tmp_path):
    paths = {}
    for number in range(2):
        paths[number] = tmp_path / f'{number}.png'
        paths[number].write_bytes(images.encode_png(np.full((60, 80, 3), 9 * number, np.uint8)))
    return Images(paths)


def test_the_eyes_are_as_far_apart_as_the_template_has_them(pictures):
    assert clip_of(pictures).eye_distance(224) == pytest.approx(11 / 28 * 224)
    narrow = clip_of(pictures, place='samm').eye_distance(112)
    assert narrow == pytest.approx(template.PLACES['samm'].across * 11 / 28 * 112)


@pytest.mark.parametrize(('database', 'rate'), [('casme2', 200), ('smic', 100), ('mmew', 90)])
def test_pictures_have_the_frame_rate_of_their_release(pictures, database, rate):
    assert clip_of(pictures, database).frame_rate == rate


def test_a_video_says_its_own_frame_rate(tmp_path):
    tiny_release.video(tmp_path / 'clip.mp4', 3)
    assert clip_of(Video(tmp_path / 'clip.mp4', 3)).frame_rate == 30  # as tiny_release writes it


def test_an_unknown_frame_rate_is_named(pictures):
    with pytest.raises(InputError, match='the frame rate of MEVIEW is not known'):
        _ = clip_of(pictures, 'meview').frame_rate
