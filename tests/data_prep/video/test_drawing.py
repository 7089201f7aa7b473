"""Drawn into a hand-made recording: every frame, the same length, what happens in its colour."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from data_prep.face.landmarks import template
from data_prep.files import film
from data_prep.video import drawing, events
from dualatme_jax.errors import InputError

COUNT, SIDE = 12, 120


@pytest.fixture
def folder(tmp_path):
    """Twelve frames of texture, whose lower half moves from frame 4 to 8: an expression; then a blink."""
    random = np.random.default_rng(0)
    still = cv2.GaussianBlur(random.integers(0, 256, (SIDE, SIDE), np.uint8), (0, 0), 2)
    (tmp_path / 'frames').mkdir()
    for number in range(COUNT):
        grey = still.copy()
        if 4 < number <= 8:
            grey[70:] = np.roll(still, 2, axis=1)[70:]
        cv2.imwrite(str(tmp_path / 'frames' / f'{number:03}.png'), grey)
    points = (template.points() / template.GRID * 0.8 + 0.1).astype(np.float32) * SIDE
    out = tmp_path / 'out'
    out.mkdir()
    np.savez(out / events.TRACK, numbers=np.arange(COUNT), landmarks=np.stack([points] * COUNT))
    times = np.arange(COUNT) / 10
    pd.DataFrame({'seconds': times, 'strength_px': np.linspace(0, 1, COUNT)}).to_csv(
        out / events.SIGNALS, index=False
    )
    pd.DataFrame(
        {
            'onset': [4, 10],
            'offset': [8, 10],
            'onset_s': [0.4, 1.0],
            'offset_s': [0.8, 1.0],
            'kind': ['micro', 'blink'],
            'expression': [True, False],
            'prob_negative': [0.2, np.nan],
            'prob_positive': [0.8, np.nan],
            'class': ['positive', ''],
            'answer': ['positive', ''],
        }
    ).to_csv(out / events.EVENTS, index=False)
    about = {'path': str(tmp_path / 'frames'), 'frame_rate': 10.0, 'threshold_px': 0.5}
    (out / events.VIDEO).write_text(json.dumps(about))
    return out


def test_the_video_has_every_frame_at_its_speed_with_what_happens_in_the_colour_of_its_class(folder):
    path = drawing.video(folder)
    found = film.find(path)
    assert found.rate == pytest.approx(10)
    pictures = list(found)
    assert len(pictures) == COUNT
    assert pictures[0].shape == (SIDE + drawing._STRIP, SIDE, 3)

    def coloured(picture):
        orange = np.array(drawing._COLOURS[1], int)  # of the second class
        return (np.abs(picture[:SIDE].astype(int) - orange).max(-1) < 60).sum()

    counts = [coloured(picture) for picture in pictures]
    assert min(counts[4:9]) > 50 > max(*counts[:4], *counts[9:])
    assert counts[6] > counts[4], 'arrows, which the onset has none of'


def test_regions_are_drawn_where_networks_read_such(folder):
    points = (template.points() / template.GRID * 0.8 + 0.1).astype(np.float32) * SIDE

    def drawn(pair, points):
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        drawing._regions(picture, points, pair)
        return np.argwhere(picture.any(-1))[:, ::-1]

    eyes = points[36:48]
    low, high = drawn('EM', points).min(0), drawn('EM', points).max(0)
    assert (low < eyes.min(0)).all()
    assert high[1] > points[48:].max(0)[1] > drawn('EF', points).max(0)[1]
    assert not len(drawn('full', points))
    assert not len(drawn('EM', points + SIDE / 2))
    assert drawing._pair(folder / events.RECIPE) == 'EM'
    for recipe, pair in ('{"regions": {"pair": "NM"}}', 'NM'), ('{"frames": {}}', 'full'):
        (folder / events.RECIPE).write_text(recipe)
        assert drawing._pair(folder / events.RECIPE) == pair


def test_a_folder_of_something_else_is_named(tmp_path):
    with pytest.raises(InputError, match=r'video\.json'):
        drawing.video(tmp_path)
    (tmp_path / events.VIDEO).write_text('{}')
    for name in (events.EVENTS, events.SIGNALS):
        (tmp_path / name).write_text('a\n1\n')
    np.savez(tmp_path / events.TRACK, numbers=[0])
    with pytest.raises(InputError, match='is not what `python -m data_prep video` leaves'):
        drawing.video(tmp_path)
