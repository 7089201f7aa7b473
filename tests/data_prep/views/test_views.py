import argparse
import weakref

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import views
from data_prep.face import alignment
from data_prep.face.aligned_clip import AlignedClip
from data_prep.face.landmarks.template import Template
from data_prep.files import images
from data_prep.files.cache import Cache
from data_prep.files.frames import Images
from data_prep.releases.clip import Clip
from data_prep.views import frames as frames_view
from data_prep.views import magnification
from data_prep.views.flow import FlowView
from data_prep.views.frames import FramesView
from dualatme_jax import schema
from dualatme_jax.errors import InputError

FOUR = alignment.whole_frame((4, 4), 4)


class FakeClip:
    """Faces whose pixels all are their value; counts how many of them are alive at once."""

    def __init__(self, values, first=7):
        self._values = dict(enumerate(values, first))
        self.span_numbers = list(self._values)
        self.alive = self.most_alive = 0

    def seen(self, numbers, face):
        for number in numbers:
            picture = np.full((face.size, face.size, 3), self._values[number], np.uint8)
            self.alive += 1
            self.most_alive = max(self.most_alive, self.alive)
            weakref.finalize(picture, self._died)
            yield picture
            del picture

    def _died(self):
        self.alive -= 1


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(0, 200), st.lists(st.integers(0, 200), min_size=1, max_size=50), st.integers(1, 30))
def test_the_most_different_frames_are_chosen_in_order_of_time(onset, others, number):
    values = np.array([onset, *others])
    aligned = FakeClip(values)
    selected = FramesView(frames=number, size=4)._select(aligned, FOUR)
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


@pytest.mark.parametrize('choice', frames_view.CHOICES)
def test_a_long_clip_is_not_kept_in_memory(choice):
    aligned = FakeClip(np.arange(1000) % 251)
    FramesView(frames=5, size=4, choice=choice)._select(aligned, FOUR)
    assert aligned.most_alive <= 5 + 2


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(st.integers(0, 200), min_size=2, max_size=50), st.data())
def test_frames_are_chosen_by_what_changes_next_to_them(values, data):
    number = data.draw(st.integers(1, len(values) - 1))
    changes = np.abs(np.diff(values))
    for choice, later in (('next', 0), ('previous', 1)):
        view = FramesView(frames=number, size=4, choice=choice)
        chosen = view._select(FakeClip(values, first=0), FOUR)['numbers']
        assert (np.diff(chosen) > 0).all()
        # A change belongs to the earlier of its frames, as published, or to the later one.
        assert sorted(changes[chosen - later]) == sorted(changes)[-number:]


def test_the_published_choice_is_that_of_the_program():
    """By hand, as the script of the Dual-branch 3DCNN does: of neighbours, in colours, the earlier one."""
    frames = np.random.default_rng(0).integers(0, 255, (9, 6, 6, 3), np.uint8)
    change = [
        cv2.cvtColor(cv2.absdiff(frames[place], frames[place + 1]), cv2.COLOR_BGR2GRAY).sum()
        for place in range(8)
    ]
    chosen = frames_view.chosen_frames('next', 4, 9, lambda: iter(frames))
    assert chosen.tolist() == sorted(np.argsort(change)[-4:].tolist())


def test_evenly_spaced_frames_begin_with_the_onset_and_end_with_the_offset():
    for length, number, expected in ((9, 5, [0, 2, 4, 6, 8]), (10, 4, [0, 3, 6, 9]), (7, 1, [0])):
        assert frames_view.chosen_frames('even', number, length, None).tolist() == expected
    for choice in frames_view.FROM_ONSET:
        assert FramesView(choice=choice).recipe()['frames']['first_is_onset']
        assert frames_view.chosen_frames(choice, 11, 40, None)[0] == 0
    assert frames_view.chosen_frames('first', 3, 40, None).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ('annotation', 'points'),
    [
        ('4', (19, 24, 15, 1)),
        ('4+R12', (19, 24, 15, 1)),
        ('AU12(k)+L14', (3, 5, 11, 13)),
        ('L1A+25', (17, 19, 24, 26)),
        ('1+6', (17, 19, 24, 26)),
        ('12/6', (3, 5, 11, 13)),
        ('6', (1, 29, 15, 3, 13)),
        ('25 or 26', tuple(range(68))),
    ],
)
def test_action_units_have_the_landmarks_of_the_first_rule_that_fits(annotation, points):
    assert frames_view.points_of(frames_view.action_units(annotation)) == points


@pytest.mark.parametrize('annotation', ['unknown', '', '?'])
def test_a_clip_without_annotated_action_units_is_named(annotation):
    with pytest.raises(
        InputError, match=r'no action units .* --on-error skip, or take --frame-crop landmarks'
    ):
        frames_view.action_units(annotation)


def clip_of(tmp_path, number=6, units='4'):
    """A clip of colourful frames, 60x80, whose face lies in the right part of the frame."""
    random, paths = np.random.default_rng(1), {}
    base = cv2.GaussianBlur(random.integers(0, 255, (60, 80, 3), np.uint8), (0, 0), 1.5)
    for place in range(number):
        paths[place] = tmp_path / f'{place}.png'
        paths[place].write_bytes(images.encode_png(np.roll(base, place, axis=1)))
    clip = Clip(
        database='samm', subject='006', clip='006_1', apex=3, frames=Images(paths), action_units=units
    )
    return AlignedClip(clip, Template(), Cache(None))


def shown(view, aligned):
    made = view.make(aligned, Cache(None))
    faces, crops = (
        np.stack([images.rgb(images.decode(each)) for each in made[key]])
        for key in (schema.FACE_FRAMES, schema.CROP_FRAMES)
    )
    return faces, crops, made[schema.FRAME_NUMBERS]


def test_a_whole_frame_is_shrunk_by_area(tmp_path):
    aligned = clip_of(tmp_path)
    faces, crops, numbers = shown(FramesView(frames=2, size=28, face='frame', crop='whole'), aligned)
    for face, number in zip(faces, numbers, strict=True):
        frame = images.rgb(next(aligned.clip.frames.read([number])))
        wanted = cv2.resize(frame, (28, 28), interpolation=cv2.INTER_AREA)
        assert abs(face.astype(int) - wanted).mean() < 1
    np.testing.assert_array_equal(faces, crops)


@pytest.mark.parametrize('face', frames_view.FACES)
def test_a_crop_is_the_box_around_the_landmarks_of_a_rule(face, tmp_path):
    aligned = clip_of(tmp_path, units='R4')
    _, crops, numbers = shown(FramesView(frames=2, size=32, face=face, crop='action_units'), aligned)
    frame = images.rgb(next(aligned.clip.frames.read(numbers[:1])))
    points = aligned.landmarks[[19, 24, 15, 1]]
    (left, top), (right, bottom) = np.rint(points.min(0)).astype(int), np.rint(points.max(0)).astype(int)
    wanted = cv2.resize(frame[top : bottom + 1, left : right + 1], (32, 32), interpolation=cv2.INTER_LINEAR)
    assert abs(crops[0].astype(int) - wanted).mean() < 5  # the box is not rounded to whole pixels


def test_a_crop_around_all_landmarks_needs_no_annotation(tmp_path):
    aligned = clip_of(tmp_path, units=schema.UNKNOWN_TEXT)
    whole, parts = (
        shown(FramesView(frames=2, size=32, crop='landmarks', pair=pair), aligned)[1]
        for pair in ('full', 'EM')
    )
    assert (whole != parts).any()
    other = clip_of(tmp_path, units='25')  # of no rule: all landmarks
    np.testing.assert_array_equal(whole, shown(FramesView(frames=2, size=32, crop='action_units'), other)[1])
    with pytest.raises(InputError, match='no action units'):
        shown(FramesView(frames=2, size=32, crop='action_units'), aligned)


def test_regions_are_cut_from_the_aligned_face_whatever_the_first_picture(tmp_path):
    aligned = clip_of(tmp_path)
    of_face, of_frame = (
        shown(FramesView(frames=2, size=32, face=face, choice='first'), aligned) for face in frames_view.FACES
    )
    np.testing.assert_array_equal(of_face[1], of_frame[1])


def test_no_face_for_a_crop_is_named():
    face = alignment.whole_frame((60, 80), 32)
    with pytest.raises(InputError, match=r'no face for a crop: .* landmarks 1, 15, 19, 24 is 0\.0 pixels'):
        face.around(np.full((68, 2), 20.0), (19, 24, 15, 1))
    outside = np.random.default_rng(0).uniform(-90, -10, (68, 2))
    with pytest.raises(InputError, match=r'no face for a crop: 100% of the box .* --frame-crop'):
        face.around(outside, range(68))


def test_a_clip_that_is_too_short_repeats_frames_or_is_refused(tmp_path):
    aligned = clip_of(tmp_path, number=4)
    for choice in frames_view.CHOICES:
        numbers = shown(FramesView(frames=8, size=28, choice=choice), aligned)[2]
        assert numbers.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
        all_four = FramesView(frames=4, size=28, choice=choice, short='refuse')
        assert shown(all_four, aligned)[2].tolist() == [0, 1, 2, 3]
    with pytest.raises(InputError, match=r'4 frames from onset to offset, .* 8 .* --short-clips repeat'):
        FramesView(frames=8, size=28, short='refuse').make(aligned, Cache(None))


def test_frames_are_magnified_from_the_onset_though_it_is_not_among_them(tmp_path):
    aligned = clip_of(tmp_path)
    view = FramesView(frames=2, size=32, crop='whole', magnify=2.0)
    faces, _, numbers = shown(view, aligned)
    assert 0 not in numbers
    plain = list(aligned.seen([0, *numbers.tolist()], aligned.alignment(32)))
    wanted = [images.rgb(each) for each in magnification.magnified(plain, 2.0)]
    np.testing.assert_array_equal(faces, wanted[1:])
    assert view.recipe()['frames']['magnified']['factor'] == 2
    still = FramesView(frames=2, size=32, crop='whole')
    assert (shown(still, aligned)[0] != faces).any()


def test_only_the_crop_by_annotated_action_units_leaks():
    for crop in frames_view.CROPS:
        leaks = FramesView(crop=crop).recipe()[schema.LEAKS]
        assert list(leaks) == ([schema.CROP_FRAMES] if crop == 'action_units' else [])


def test_wrong_options_are_refused():
    with pytest.raises(
        InputError, match="--frame-crop 'best': expected one of regions, landmarks, action_units, whole"
    ):
        FramesView(crop='best')
    with pytest.raises(InputError, match="unknown --encoding 'jpeg': expected one of minmax_uint8, raw"):
        FlowView(encoding='jpeg')
    with pytest.raises(InputError, match='--size 20 with --face-size 224: expected at least 28'):
        FlowView(size=20)


FLOW_MEASURES = {
    'flow_range': ((3, 2), np.float32),
    'flow_puzzled_range': ((3, 2), np.float32),
    'eye_distance': ((), np.float32),
}


def test_of_bytes_and_of_floats_the_range_is_the_same_and_bytes_are_half_a_step_off(tmp_path):
    aligned = clip_of(tmp_path)
    made = {
        encoding: FlowView(algorithm='dis', face_size=56, smoothing=1, encoding=encoding).make(
            aligned, Cache(None)
        )
        for encoding in ('minmax_uint8', 'raw')
    }
    for key in (schema.FLOW, schema.FLOW_PUZZLED):
        floats, ranges = made['raw'][key], made['raw'][schema.range_of(key)]
        low, high = ranges.T
        np.testing.assert_array_equal(made['minmax_uint8'][schema.range_of(key)], ranges)
        np.testing.assert_array_equal(ranges, np.stack([floats.min((0, 1)), floats.max((0, 1))], -1))
        restored = low + images.rgb(images.decode(made['minmax_uint8'][key])) / 255 * (high - low)
        assert (np.abs(restored - floats) <= 0.501 / 255 * (high - low)).all()
    assert made['raw'][schema.EYE_DISTANCE] == pytest.approx(22)  # of the template: 11 of 28, at 56


def options(view, *given):
    """The options of a view, as the command has them by default or as they are given."""
    parser = argparse.ArgumentParser()
    for name in dict.fromkeys((view, 'flow')):  # whose options some others share
        views.of(name).add_options(parser)
    parser.set_defaults(regions='EM', face_size=224, size=None, magnify=1.0)
    return parser.parse_args(given)


@pytest.mark.parametrize(
    ('view', 'given', 'expected'),
    [
        (
            'flow',
            (),
            dict.fromkeys((schema.FLOW, schema.FLOW_PUZZLED), ((28, 28, 3), np.uint8)) | FLOW_MEASURES,
        ),
        (
            'flow',
            ('--encoding', 'raw'),
            dict.fromkeys((schema.FLOW, schema.FLOW_PUZZLED), ((28, 28, 3), np.float32)) | FLOW_MEASURES,
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
            'parts',
            (),
            {
                schema.FACE_FLOW: ((224, 224, 3), np.uint8),
                schema.FACE_STRAIN: ((224, 224, 3), np.uint8),
                schema.FACE_PARTS: ((224, 224, 10), np.uint8),
                'face_flow_range': ((3, 2), np.float32),
                'face_strain_range': ((3, 2), np.float32),
                'eye_distance': ((), np.float32),
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
        known = ('RGB', 'grey', 'u rightwards, v downwards', 'strain tensor', 'brow', 'frame numbers')
        known += ('least and largest', 'centres of the eyes')
        assert any(told in words for told in known)
    assert made.name == view


@pytest.mark.parametrize(
    ('view', 'heeded'),
    [
        (
            'flow',
            'contrast encoding face_size flow flow_setting flow_units head_motion puzzled size strain '
            'strain_smoothing',
        ),
        ('apex', 'face_size magnify'),
        ('frames', 'frame_choice frame_count frame_crop frame_face frame_size magnify short_clips'),
        ('parts', 'contrast face_size flow flow_setting head_motion part_maps strain_smoothing'),
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
