import json

import numpy as np
import pandas as pd
import pytest

from data_prep.__main__ import main as data_prep
from data_prep.files import images
from dualatme_jax import predict, score

SIZE = 64


@pytest.fixture
def source(tmp_path):
    """A video of 12 pictures of a texture that moves a pixel a frame, with one expression."""
    texture = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE), np.uint8)
    (tmp_path / 'videos' / 'a').mkdir(parents=True)
    for number in range(12):
        picture = images.encode_png(np.roll(texture, number, 1))
        (tmp_path / 'videos' / 'a' / f'{number:03}.png').write_bytes(picture)
    (tmp_path / 'videos.csv').write_text('subject,video,frames,frame_rate\ns1,a,12,10\n')
    return tmp_path


@pytest.mark.slow
def test_what_was_spotted_is_recognised_and_scored(source):
    """The commands of docs/spotting.md; the emotion of the truth is what the networks say, then another."""
    predicted, truth = source / 'predicted.csv', source / 'truth.csv'
    predicted.write_text('subject,video,onset,offset\ns1,a,-2,5\ns1,a,6,11\n')
    given = ['--release', 'long_videos', '--source', str(source), '--sheet', str(predicted)]
    given += ['--landmarks', 'template', '--flow', 'dis', '--workers', '1', '--out', str(source / 'spotted')]
    assert data_prep(['build', *given]) == 0
    assert predict.main([str(source / 'spotted'), '--out', str(source / 'answers')]) == 0
    events = source / 'answers' / 'spotted' / 'events.csv'
    said = pd.read_csv(events).set_index('clip')['class']
    assert list(said.index) == ['a#-2-5', 'a#6-11']
    out = source / 'scores.json'
    tables = ['--spotting', str(truth), str(predicted), '--emotions', str(events), '--json', str(out)]
    others = {'negative', 'positive', 'surprise'} - {said['a#-2-5']}
    for emotion, strs in ((said['a#-2-5'], 2 / 3), (min(others), 0)):
        truth.write_text(f'subject,video,onset,offset,emotion\ns1,a,0,5,{emotion}\n')
        assert score.main([*tables, '--resamples', '5']) == 0
        assert json.loads(out.read_text())['metrics']['strs']['value'] == pytest.approx(strs)
    # A truth in finer words, of which the dataset that is built of it says the class.
    word = {'negative': 'anger', 'positive': 'happiness', 'surprise': 'surprised'}[said['a#-2-5']]
    truth.write_text(f'subject,video,onset,offset,emotion\ns1,a,0,5,{word}\n')
    given = ['--release', 'long_videos', '--source', str(source), '--landmarks', 'template', '--flow', 'dis']
    assert data_prep(['build', *given, '--workers', '1', '--out', str(source / 'true')]) == 0
    assert score.main([*tables, '--resamples', '5', '--dataset', str(source / 'true')]) == 0
    assert json.loads(out.read_text())['metrics']['strs']['value'] == pytest.approx(2 / 3)
