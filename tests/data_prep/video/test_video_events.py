import dataclasses
import functools
import itertools
import pathlib

import numpy as np
import pandas as pd
import pytest

from data_prep.synthetic import long_videos
from data_prep.synthetic.film import Camera
from data_prep.synthetic.long_videos import BLINK, MICRO, RATE, TALK, TURN, Happening, Script
from data_prep.video import events, limits, spotter
from data_prep.video.recording import Frame
from dualatme_jax.errors import InputError

CAMERA = Camera(width=320, height=240, colour=True, unit=(5.0, 5.2), noise=1.5)
HAPPENINGS = (
    Happening(MICRO, 25, 30, 36, 'positive'),
    Happening(BLINK, 60, 63, 67),
    Happening(TURN, 90, 108, 126),
    Happening(MICRO, 145, 149, 155, 'surprise'),
    Happening(TALK, 175, 200, 225),
)


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A recording that is rendered and not encoded."""

    script: Script
    path: pathlib.Path = pathlib.Path('rendered')
    rate: float = RATE
    step: int = 1
    shrinking: float = 1.0
    promised: int = 0
    timed: bool = True
    assumed: bool = False

    def frames(self, first=0, last=None):
        pictures = _pictures(self.script)
        for number in range(first, len(pictures) if last is None else last + 1):
            yield Frame(number, number / RATE, pictures[number])


@functools.lru_cache(maxsize=1)
def _pictures(script):
    return list(long_videos.filmed(0, 'video', script, CAMERA).frames())


class Known:
    """The true landmarks of the first frame."""

    name, every, coarse = 'known', 1.0, False

    def __init__(self, script, faces=1):
        self.landmarks = long_videos.filmed(0, 'video', script, CAMERA).landmarks().astype(np.float32)
        self.number = faces

    def faces(self, frame):
        return np.stack([self.landmarks] * self.number) if self.number else np.zeros((0, 68, 2), np.float32)


@pytest.fixture(scope='module')
def found():
    script = Script('s01', 'v', 240, HAPPENINGS)
    return events.find(Rendered(script), Known(script))


@pytest.mark.slow
def test_expressions_are_found_within_a_tenth_of_a_second_and_all_else_is_explained(found):
    expressions = [each for each in found.events if each.expression]
    true = [each for each in HAPPENINGS if each.kind == MICRO]
    assert len(expressions) == len(true)
    for event, truth in zip(expressions, true, strict=True):
        assert event.kind == 'micro'
        for name in ('onset', 'apex', 'offset'):
            assert abs(getattr(event, name) - getattr(truth, name)) <= 3, name
    rest = {
        happening.kind: {
            flag
            for event in found.events
            if not event.expression and happening.onset - 5 <= event.apex <= happening.offset + 5
            for flag in event.flags
        }
        for happening in HAPPENINGS
    }
    assert rest[BLINK] == {spotter.BLINK}
    assert spotter.HEAD in rest[TURN]
    assert spotter.TALKING in rest[TALK]


@pytest.mark.slow
def test_what_is_written(found, tmp_path):
    events.write(found, Known(found.recording.script), tmp_path)
    table = pd.read_csv(tmp_path / events.EVENTS)
    assert table['expression'].sum() == 2
    assert (table['onset'] <= table['apex']).all()
    signals = pd.read_csv(tmp_path / events.SIGNALS)
    assert len(signals) == 240
    assert signals['face'].all()
    assert found.flags == ()


def test_a_recording_without_a_face_is_named():
    script = Script('s01', 'v', 5, ())
    with pytest.raises(InputError, match='no face was found in 5 frames by known'):
        events.find(Rendered(script), Known(script, faces=0))


def test_several_faces_and_a_dark_one_are_flagged():
    script = Script('s01', 'v', 12, ())
    dark = Rendered(script)
    pictures = [picture // 8 for picture in _pictures(script)]

    class Dark(Rendered):
        def frames(self, first=0, last=None):
            return (Frame(number, number / RATE, each) for number, each in enumerate(pictures))

    found = events.find(Dark(script), Known(script, faces=2))
    assert {events.DARK, events.SEVERAL} <= {*found.flags}
    assert dark.rate >= limits.RATE


def test_a_script_keeps_things_apart_and_uses_every_class():
    contents = long_videos.RELEASES['video']
    for seed in range(20):
        made = long_videos.script(np.random.default_rng(seed), subject='s', video='v', contents=contents)
        ends = [(each.onset, each.offset) for each in made.happenings]
        assert all(later[0] - earlier[1] >= 0.8 * RATE - 1 for earlier, later in itertools.pairwise(ends))
        assert ends[-1][1] < made.frames
        assert {each.emotion for each in made.happenings if each.kind == MICRO} == {
            'negative',
            'positive',
            'surprise',
        }
        lengths = [each.offset - each.onset for each in made.happenings if each.kind == MICRO]
        assert max(lengths) <= 0.5 * RATE
