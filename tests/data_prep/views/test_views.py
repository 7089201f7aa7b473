import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.views import frames as clip_view
from data_prep.views.flow import FlowView
from data_prep.views.frames import ClipView
from dualatme_jax.errors import InputError


class FakePrepared:
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
    prepared = FakePrepared(values)
    selected = ClipView(frames=number, size=4)._select(prepared)
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
    assert clip_view.most_different(np.array([0, 5, 5, 9, 5]), 3).tolist() == [1, 2, 3]


def test_small_differences_add_up_exactly():
    faces = [np.full((224, 224, 3), 0, np.uint8) for _ in range(3)]
    faces[1][:] = 255
    faces[2][:] = 255
    faces[2][0, 0] = 254
    assert clip_view.differences(faces).tolist() == [0, 255 * 224**2, 255 * 224**2 - 1]


def test_a_long_clip_is_not_kept_in_memory():
    prepared = FakePrepared(np.arange(1000) % 251)
    ClipView(frames=5, size=4)._select(prepared)
    assert prepared.most_alive <= 5 + 2


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
    assert clip_view.action_units(annotation) == units


def test_wrong_options_are_refused():
    with pytest.raises(InputError, match="unknown --clip-crop 'best': expected one of regions, action_units"):
        ClipView(crop='best')
    with pytest.raises(InputError, match="unknown --encoding 'jpeg': expected one of minmax_uint8, raw"):
        FlowView(encoding='jpeg')
    with pytest.raises(InputError, match='--size 20 with --face-size 224: expected at least 28'):
        FlowView(size=20)
