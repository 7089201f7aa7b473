"""What is in memory of a frame is a few numbers, however many frames a recording has."""

import json
import tracemalloc

import numpy as np
import pytest

from data_prep.face.landmarks import template
from data_prep.video import events, kept
from data_prep.video.recording import Frame, Recording

RATE, AT_ONCE = 50.0, 50
FACE = template.stretched((60, 60)).astype(np.float32)
PICTURE = np.zeros((64, 64, 3), np.uint8)


class Nobody:
    """Is asked for nothing: all is known."""

    name, every, coarse = 'nobody', 1.0, False


class Long(Recording):
    def frames(self, first=0, last=None):
        for number in range(first, self.promised):
            yield Frame(number, number / RATE, PICTURE)


def peak(folder, count):
    """Bytes that are in memory at most, of a recording of so many frames, of which all is kept already."""
    folder.mkdir()
    (folder / 'video.mp4').touch()
    given, keep = Long(folder / 'video.mp4', RATE, 1, count, 1.0), folder / 'keep'
    keep.mkdir()
    (keep / 'key.json').write_text(json.dumps(kept.made_of(given, Nobody.name)))
    flow = np.random.default_rng(0).normal(0, 0.02, (AT_ONCE, 16, 16, 2)).astype(np.float16)
    same = {'flow': flow, 'landmarks': np.stack([FACE] * AT_ONCE)}
    same |= {name: np.zeros((AT_ONCE, 2)) for name in ('head', 'turn')}
    same |= {name: np.ones(AT_ONCE) for name in ('faces', 'grey', 'sharpness', 'found')}
    for part in range(count // AT_ONCE):
        numbers = np.arange(AT_ONCE) + part * AT_ONCE
        last = (part + 1) * AT_ONCE == count
        np.savez(keep / f'{part:05}.npz', number=numbers, time=numbers / RATE, whole=last, **same)
    tracemalloc.start()
    try:
        found = events.find(given, Nobody(), keep=keep)
        events.write(found, Nobody(), folder / 'out')
        assert len(found.frames) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_grows_by_a_few_numbers_a_frame(tmp_path, monkeypatch):
    monkeypatch.setattr(events, '_AT_ONCE', AT_ONCE)
    peak(tmp_path / 'first', AT_ONCE)  # what is loaded once
    short, long = (peak(tmp_path / str(count), count * AT_ONCE) for count in (4, 24))
    assert (long - short) / (20 * AT_ONCE) < 400  # bytes; landmarks alone have 544, the flow 1024
