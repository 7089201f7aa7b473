import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.views import clip as clip_view
from data_prep.views.clip import ClipView
from data_prep.views.flow import FlowView
from dualatme_jax.errors import InputError


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(st.integers(0, 200), min_size=2, max_size=50), st.integers(1, 30))
def test_the_most_different_frames_are_chosen_in_order_of_time(changes, number):
    grey = np.array([0, *changes], float)[:, None, None] * np.ones((1, 4, 4))
    chosen = clip_view.most_different(grey, number)
    assert len(chosen) == number
    assert (np.diff(chosen) >= 0).all()
    values = grey[:, 0, 0]
    if len(grey) > number:
        assert len(set(chosen)) == number
        assert sorted(values[chosen]) == sorted(values)[-number:]
    else:
        counts = np.bincount(chosen, minlength=len(grey))
        assert counts.min() >= 1
        assert counts.max() - counts.min() <= 1


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
