import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from data_prep.__main__ import main
from data_prep.face.landmarks import template
from data_prep.files import images, long_videos
from data_prep.video import detectors, events, kept, spot_all, spotter
from data_prep.video.spotter import Event
from dualatme_jax import score
from dualatme_jax.errors import InputError

SIZE = 96
POINTS = template.stretched((SIZE, SIZE))


class Known:
    """Finds the known face, or none in dark pictures."""

    name, every, coarse = 'dlib', 1.0, False

    def faces(self, frame):
        return POINTS[None].astype(np.float32) if frame.picture.any() else np.zeros((0, 68, 2), np.float32)


class Looked:
    """In the place of the spotter: says which videos were looked at, and finds one expression in each."""

    def __init__(self):
        self.paths, self.stop_at = [], None

    def __call__(self, recording, detector, *, keep):
        if self.stop_at == recording.path.name:
            raise KeyboardInterrupt
        self.paths.append(recording.path.name)
        found = FIND(recording, detector, keep=keep)
        seconds = (0.2, 0.3, 0.4)
        made = [
            Event(2, 3, 4, seconds, 1.0, 9.0),
            Event(6, 7, 8, seconds, 1.0, 9.0, (spotter.BLINK,)),
        ]
        return dataclasses.replace(found, events=made)


FIND = events.find


@pytest.fixture
def looked(monkeypatch):
    found = Looked()
    monkeypatch.setattr(events, 'find', found)
    return found


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Three videos of 12 frames at 10 a second: one still, one dark, one that breaks off after 6 frames."""
    monkeypatch.setattr(detectors, 'detector', lambda choice, *more: Known())
    texture = np.random.default_rng(0).integers(1, 255, (SIZE, SIZE), np.uint8)
    for name, shown, number in (('a', 1, 12), ('b', 0, 12), ('c', 1, 6)):
        (tmp_path / 'videos' / name).mkdir(parents=True)
        for place in range(number):
            (tmp_path / 'videos' / name / f'{place:03}.png').write_bytes(images.encode_png(texture * shown))
    (tmp_path / 'videos.csv').write_text(
        'subject,video,frames,frame_rate\ns1,a,12,10\ns2,b,12,10\ns2,c,12,10\n'
    )
    (tmp_path / 'truth.csv').write_text(
        'subject,video,onset,offset,emotion,kind\ns1,a,2,4,joy,micro\ns2,b,3,5,joy,micro\n'
    )
    return tmp_path


def spot(source, *more):
    return main(['spot', '--source', str(source), '--out', str(source / 'out'), '--workers', '1', *more])


def test_what_is_found_in_many_videos_is_a_table_that_can_be_scored(source, looked, capsys):
    assert spot(source) == 1
    said = capsys.readouterr().out
    assert 's2/b: ' in said
    assert 'no face was found in 12 frames' in said
    assert 's2/c: it breaks off after 0.5 of 1.1 seconds' in said
    assert '2 expressions in 2 videos; 1 videos could not be looked at' in said
    predicted = pd.read_csv(source / 'out' / 'predicted.csv')
    assert predicted.to_numpy().tolist() == [['s1', 'a', 2, 4, 'micro'], ['s2', 'c', 2, 4, 'micro']]
    assert (source / 'out' / 's1' / 'a' / 'signals.csv').exists()
    assert not list((source / 'out').rglob(kept.FOLDER)), 'what is done needs nothing to go on with'
    command = said.strip().splitlines()[-1].removeprefix('python -m dualatme_jax.score ').split()
    json_file = str(source / 'scores.json')
    assert score.main([*command, '--kind', 'micro', '--resamples', '5', '--json', json_file]) == 0
    scores = json.loads((source / 'scores.json').read_text())
    assert (scores['tp'], scores['fp'], scores['fn']) == (1, 1, 1)  # what was not looked at is missed
    assert scores['metrics']['false_alarms_an_hour']['value'] == pytest.approx(1 / (3 * 1.2 / 3600))


def test_what_is_done_is_kept_until_something_else_decides_it(source, looked, monkeypatch, capsys):
    looked.stop_at = 'c'
    assert spot(source) == 130
    assert 'the same command goes on from there' in capsys.readouterr().err
    assert not (source / 'out' / 'predicted.csv').exists()
    looked.stop_at = None
    spot(source)
    assert looked.paths == ['a', 'b', 'b', 'c']  # a fault is tried again
    spot(source)
    assert looked.paths == ['a', 'b', 'b', 'c', 'b']
    table = (source / 'videos.csv').read_text()
    (source / 'videos.csv').write_text(table.replace('s1,a,12,10', 's1,a,12,11'))
    (source / 'out' / 's2' / 'c' / spot_all.KEPT).write_text('{')
    spot(source)
    assert looked.paths[-3:] == ['a', 'b', 'c']
    (source / 'out' / 's1' / 'a' / events.EVENTS).unlink()
    (source / 'out' / 's2' / 'c' / events.EVENTS).write_text('onset,offset\n2,4\n')
    assert spot(source) == 1
    assert looked.paths[-3:] == ['a', 'b', 'c'], 'a table is missing, or damaged'
    assert len(pd.read_csv(source / 'out' / 'predicted.csv')) == 2
    assert len(looked.paths) == 11


def test_nothing_to_look_at_is_named(source, looked, capsys):
    (source / 'videos.csv').write_text('subject,video,frames,frame_rate\ns2,b,12,10\n')
    (source / 'truth.csv').write_text('subject,video,onset,offset\n')
    for name in 'ac':
        (source / 'videos' / name).rename(source / name)
    assert spot(source) == 2
    assert 'none of the videos could be looked at' in capsys.readouterr().err
    assert spot(source, '--sheet', 'x.csv') == 2
    assert '--sheet: not an option of --release long_videos' in capsys.readouterr().err
    assert spot(source, '--release', 'smic') == 2
    assert '--release smic: expected one of long_videos, casme_sq, samm_long' in capsys.readouterr().err
    (source / 'truth.csv').write_text('subject,video,onset,offset\ns9,nowhere,1,2\n')
    assert spot(source) == 2
    assert 'the video s9/nowhere is not in videos.csv' in capsys.readouterr().err


def test_a_subject_cannot_lead_out_of_the_folder(source, tmp_path):
    tables = [source / name for name in ('videos.csv', 'truth.csv')]
    for table in tables:
        table.write_text(table.read_text().replace('s1', '../s1'))
    with pytest.raises(InputError, match='cannot be the name of a folder'):
        spot_all.spot(long_videos.read(source), tmp_path / 'out', landmarks='dlib', workers=1)
