"""Expressions of a hand-made recording as clips: what cannot be made ready says why."""

import json

import cv2
import numpy as np

from data_prep.face.landmarks import template
from data_prep.video import clips, recording
from data_prep.video.events import Found
from data_prep.video.kept import Kept
from data_prep.video.known import Frames
from data_prep.video.spotter import Event, Signals
from data_prep.views.flow import FlowView
from data_prep.views.frames import FramesView

SIDE = 96
FACE = (template.stretched((0.8 * SIDE, 0.8 * SIDE)) + 0.1 * SIDE).astype(np.float32)


def test_what_cannot_be_made_ready_says_why(tmp_path):
    random = np.random.default_rng(0)
    still = cv2.GaussianBlur(random.integers(0, 256, (SIDE, SIDE), np.uint8), (0, 0), 2)
    (tmp_path / 'frames').mkdir()
    for number, moved in enumerate([0, 2, 0, 0, 0]):
        cv2.imwrite(str(tmp_path / 'frames' / f'{number}.png'), np.roll(still, moved, axis=1))
    faces = [FACE, FACE, FACE, FACE, FACE + 0.6 * SIDE]
    rows = Kept()
    np.savez(rows.folder / '00000.npz', landmarks=faces)
    frames = Frames(np.arange(5), np.arange(5) / 10, *[np.ones(5)] * 7)
    events = [
        Event(0, 1, 2, (0.0, 0.1, 0.2), 1.0, 9.0),
        Event(2, 3, 3, (0.2, 0.3, 0.3), 1.0, 9.0),
        Event(1, 1, 1, (0.1, 0.1, 0.1), 1.0, 9.0, ('blink',)),
        Event(4, 4, 4, (0.4, 0.4, 0.4), 1.0, 9.0),
    ]
    found = Found(recording.find(tmp_path / 'frames'), rows, frames, Signals(*[np.zeros(5)] * 7), events, ())
    view = FlowView(algorithm='dis', face_size=64)
    several = FramesView(frames=3, size=32, crop='whole')
    left_out = clips.write(found, [view, several], tmp_path / 'out', detector='known')
    assert {*left_out} == {1, 3}
    assert 'onset and apex, show the same picture' in left_out[1]
    assert 'lies partly outside of the frame' in left_out[3]
    recipe = json.loads((tmp_path / 'out' / clips.RECIPE).read_text())
    assert recipe[clips.LEFT_OUT] == {str(number): reason for number, reason in left_out.items()}
    with np.load(tmp_path / 'out' / clips.INPUTS) as stored:
        assert stored['event'].tolist() == [0]
        assert stored['flow'].shape == (1, 28, 28, 3)
        assert (stored['face_frames'].shape, stored['face_frames'].dtype) == ((1, 3, 32, 32, 3), np.uint8)
    assert not list((tmp_path / 'out').glob('.clips-*'))
    mine = tmp_path / 'out' / clips.drawing.FRAMES / '7.png'
    mine.touch()
    clips.remove(tmp_path / 'out')
    assert [path for path in (tmp_path / 'out').rglob('*') if path.is_file()] == [mine]
