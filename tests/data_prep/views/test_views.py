import argparse
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import views
from data_prep.views import frames as frames_view
from data_prep.views.flow import FlowView
from data_prep.views.frames import FramesView
from dualatme_jax import schema
from dualatme_jax.errors import InputError


class FakeClip:
    """Faces whose pixels all are their value; counts how many of them are alive at once."""

    def __init__(self, values, first=7):
        self._values = dict(enumerate(values, first))
        self.span_numbers = list(self._values)
        self.alive = self.most_alive = 0

    def span(self, size):
        return self.aligned_faces(self.span_numbers, size)

    def aligned_faces(self, numbers, size):
        for number in numbers:
            face = np.full((size, size, 3), self._values[number], np.uint8)
            self.alive += 1
            self.most_alive = max(self.most_alive, self.alive)
            weakref.finalize(face, self._died)
            yield face
            del face

    def _died(self):
        self.alive -= 1


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(0, 200), st.lists(st.integers(0, 200), min_size=1, max_size=50), st.integers(1, 30))
def test_the_most_different_frames_are_chosen_in_order_of_time(onset, others, number):
    values = np.array([onset, *others])
    aligned = FakeClip(values)
    selected = FramesView(frames=number, size=4)._select(aligned)
    chosen = selected['numbers'] - 7
    np.testing.assert_array_equal(selected['faces'], values[chosen][:, None, None, None] * np.ones((4, 4, 3)))
    assert selected['numbers'].dtype == np.int32
    assert len(chosen) == number
    assert (np.diff(chosen) >= 0).all()
    if len(values) > number:
        assert len(set(chosen)) == number
        changes = abs(values - onset)
        assert sorted(changes[chosen]) == sorted(changes)[-number:]
    else:
        counts = np.bincount(chosen, minlength=len(values))
        assert counts.min() >= 1
        assert counts.max() - counts.min() <= 1


def test_of_equal_frames_the_earlier_are_chosen():
    assert frames_view.most_different(np.array([0, 5, 5, 9, 5]), 3).tolist() == [1, 2, 3]


def test_small_differences_add_up_exactly():
    faces = [np.full((224, 224, 3), 0, np.uint8) for _ in range(3)]
    faces[1][:] = 255
    faces[2][:] = 255
    faces[2][0, 0] = 254
    assert frames_view.differences(faces).tolist() == [0, 255 * 224**2, 255 * 224**2 - 1]


def test_a_long_clip_is_not_kept_in_memory():
    aligned = FakeClip(np.arange(1000) % 251)
    FramesView(frames=5, size=4)._select(aligned)
    assert aligned.most_alive <= 5 + 2


@pytest.mark.parametrize(
    ('annotation', 'units'),
    [
        ('4', [4]),
        ('4+R12', [4, 12]),
        ('L14B', [14]),
        ('25 or 26', [25, 26]),
        ('12/6', [12, 6]),
        ('unknown', []),
        ('', []),
        ('99', []),
    ],
)
def test_action_units_are_read_from_an_annotation(annotation, units):
    assert frames_view.action_units(annotation) == units


def test_wrong_options_are_refused():
    with pytest.raises(InputError, match="--frame-crop 'best': expected one of regions, action_units"):
        FramesView(crop='best')
    with pytest.raises(InputError, match="unknown --encoding 'jpeg': expected one of minmax_uint8, raw"):
        FlowView(encoding='jpeg')
    with pytest.raises(InputError, match='--size 20 with --face-size 224: expected at least 28'):
        FlowView(size=20)


def options(view, *given):
    """The options of a view, as the command has them by default or as they are given."""
    parser = argparse.ArgumentParser()
    views.of(view).add_options(parser)
    parser.set_defaults(regions='EM', face_size=224, size=None)
    return parser.parse_args(given)


@pytest.mark.parametrize(
    ('view', 'given', 'expected'),
    [
        ('flow', (), dict.fromkeys((schema.FLOW, schema.FLOW_PUZZLED), ((28, 28, 3), np.uint8))),
        (
            'flow',
            ('--encoding', 'raw'),
            dict.fromkeys((schema.FLOW, schema.FLOW_PUZZLED), ((28, 28, 3), np.float32)),
        ),
        (
            'apex',
            (),
            {
                schema.ONSET_FACE: ((224, 224, 3), np.uint8),
                schema.APEX_FACE: ((224, 224, 3), np.uint8),
                schema.ONSET_FACE_GREY: ((224, 224, 1), np.uint8),
                schema.APEX_FACE_GREY: ((224, 224, 1), np.uint8),
            },
        ),
        (
            'frames',
            ('--frame-count', '16'),
            {
                schema.FACE_FRAMES: ((16, 128, 128, 3), np.uint8),
                schema.CROP_FRAMES: ((16, 128, 128, 3), np.uint8),
                schema.FRAME_NUMBERS: ((16,), np.int32),
            },
        ),
    ],
)
def test_the_features_of_a_view_have_a_shape_and_a_dtype(view, given, expected):
    made = views.of(view).of(options(view, *given))
    features = made.features()
    assert {key: (each.shape, each.np_dtype) for key, each in features.items()} == expected
    for feature in features.values():
        words = getattr(feature, 'feature', feature).doc.desc
        assert any(told in words for told in ('RGB', 'grey', 'u rightwards, v downwards', 'frame numbers'))
    assert made.name == view


@pytest.mark.parametrize(
    ('view', 'heeded'),
    [
        (
            'flow',
            'encoding face_size flow flow_setting puzzled size strain strain_smoothing',
        ),
        ('apex', 'face_size'),
        ('frames', 'frame_count frame_crop frame_size'),
    ],
)
def test_which_options_a_view_heeds(view, heeded):
    assert ' '.join(sorted(views.heeded(view))) == heeded


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        (('--frame-count', '0'), '--frame-count 0: expected 1 to 1000'),
        (('--frame-size', '27'), '--frame-size 27: expected 28 to 1024'),
        (('--frame-count', '1000', '--frame-size', '1024'), '3000 MiB for each clip .expected 256 at most'),
    ],
)
def test_frames_that_cannot_be_are_refused(given, said):
    with pytest.raises(InputError, match=said):
        FramesView.of(options('frames', *given))
