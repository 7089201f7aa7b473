import re

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.files import images
from data_prep.releases import long_videos
from dualatme_jax import schema
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError

SIZE = 64
HEADER = 'subject,video,onset,apex,offset,emotion,kind'


@pytest.fixture
def source(tmp_path):
    """Two videos of 12 pictures, from number 1 on, of a texture that moves a pixel a frame."""
    texture = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE), np.uint8)
    for name in 'ab':
        (tmp_path / 'videos' / name).mkdir(parents=True)
        for number in range(1, 13):
            picture = images.encode_png(np.roll(texture, number, 1))
            (tmp_path / 'videos' / name / f'{number:03}.png').write_bytes(picture)
    (tmp_path / 'videos.csv').write_text('subject,video,frames,frame_rate\ns1,a,12,10\ns2,b,12,10\n')
    rows = ['s1,a,2,3,6,happiness,micro', 's2,b,1,,9,anger,macro', 's2,b,4,,8,surprise,micro']
    (tmp_path / 'truth.csv').write_text('\n'.join([HEADER, *rows]))
    return tmp_path


def build(source, name, *more):
    given = ['--release', 'long_videos', '--source', str(source), '--landmarks', 'template']
    given += ['--flow', 'dis', '--workers', '1', '--out', str(source / name)]
    return main(['build', *given, *more])


def test_true_expressions_are_clips_of_the_classes_of_their_emotions(source):
    assert build(source, 'true') == 0
    found = dataset.load(source / 'true')
    assert found.clip.tolist() == ['a#2-6', 'b#1-9', 'b#4-8']
    assert [found.labels[label] for label in found.label] == ['positive', 'negative', 'surprise']
    assert set(found.database) == {'long_videos'}
    assert build(source, 'micro', '--kind', 'micro') == 0
    assert dataset.load(source / 'micro').clip.tolist() == ['a#2-6', 'b#4-8']


def test_spotted_intervals_have_no_label_and_are_not_trained_on(source, capsys):
    """A spotter's intervals may reach over the ends of a video, and keep their names."""
    table = source / 'predicted.csv'
    table.write_text('subject,video,onset,offset\ns1,a,-3,5\ns2,b,8,30\n')
    assert build(source, 'spotted', '--sheet', str(table)) == 0
    assert 'predicted.csv: names no emotion: its 2 clips have no label' in capsys.readouterr().out
    found = dataset.load(source / 'spotted', labelled=False)
    assert found.clip.tolist() == ['a#-3-5', 'b#8-30']
    assert found.label.tolist() == [schema.UNLABELLED] * 2
    assert found.labels == schema.LABELS
    with pytest.raises(InputError, match=r'2 of 2 clips of the dataset .* have no label'):
        dataset.load(source / 'spotted')


def test_what_is_spotted_as_both_kinds_is_one_clip(source):
    table = source / 'predicted.csv'
    rows = ['s1,a,2,5,micro', 's1,a,2,6,macro', 's1,a,2,5,macro']
    table.write_text('\n'.join(['subject,video,onset,offset,kind', *rows]))
    clips = long_videos.survey(source, sheet=table).clips
    assert [clip.clip for clip in clips] == ['a#2-5', 'a#2-6']


@pytest.mark.parametrize(
    ('rows', 'options', 'message'),
    [
        ('s1,a,20,,30,joy,micro', (), 'a: .* has the frames 1 to 12, and not a#20-30'),
        ('s1,a,2,,6,joyous,micro', (), "'joyous' is no known emotion"),
        ('s1,a,2,,6,anger,micro', ('--kind', 'macro'), 'truth.csv has no interval of kind macro'),
        ('s3,c,2,,6,anger,micro', (), 'the video s3/c is not in videos.csv'),
        ('s1,a,2,,6,anger,micro\ns1,a,2,,6,joy,micro', (), 's1/a#2-6 twice, with another emotion or apex'),
    ],
)
def test_what_is_no_clip_is_named(source, capsys, rows, options, message):
    (source / 'truth.csv').write_text(f'{HEADER}\n{rows}\n')
    assert build(source, 'out', *options) == 2
    assert re.search(message, capsys.readouterr().err)


def test_an_empty_folder_of_frames_costs_the_others_nothing(source, capsys):
    for picture in (source / 'videos' / 'b').iterdir():
        picture.unlink()
    assert build(source, 'stopped') == 2
    assert 'holds no image with a number in its name' in capsys.readouterr().err
    assert build(source, 'rest', '--on-error', 'skip') == 0
    assert dataset.load(source / 'rest').clip.tolist() == ['a#2-6']
