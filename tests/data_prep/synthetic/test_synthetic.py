import dataclasses
import itertools

import cv2
import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.svm import SVC

from data_prep import __main__ as command
from data_prep.face import regions
from data_prep.synthetic import action_units, embedded
from data_prep.views.bi_woof import BiWoofView
from data_prep.views.flow import FlowView
from data_prep.views.frames import FramesView
from data_prep.views.lbp_top import LbpTopView
from data_prep.views.parts import PartsView
from dualatme_jax import schema
from dualatme_jax.data import dataset
from dualatme_jax.errors import InputError


@pytest.fixture(scope='module')
def data(synthetic_dataset_dir):
    return dataset.load(synthetic_dataset_dir)


@pytest.mark.slow
def test_it_has_the_shape_of_the_composite(data):
    share = np.bincount(data.label) / data.size
    np.testing.assert_allclose(share, (0.57, 0.25, 0.19), atol=0.03)
    assert len(set(data.subjects)) == 12
    for database in schema.COMPOSITE:
        of = data.database == database
        assert len(set(data.subjects[of])) == 4
        for label in range(len(schema.LABELS)):
            # So that no fold, even within one database, trains without a class.
            assert len(set(data.subjects[of & (data.label == label)])) >= 2


def test_a_classifier_learns_it_but_not_by_heart(data):
    """A plain SVM between a constant guess and perfection, under LOSO."""
    pixels = data.inputs['flow'].reshape(data.size, -1) / 127.5 - 1
    model = SVC(C=10, class_weight='balanced')
    predicted = cross_val_predict(model, pixels, data.label, groups=data.subjects, cv=LeaveOneGroupOut())
    assert 0.7 < f1_score(data.label, predicted, average='macro') < 0.97
    assert f1_score(data.label, np.zeros(data.size), average='macro') < 0.3


def test_it_is_what_it_was(data):
    """The README quotes scores on it. Subjects' mean grey levels: a pixel may round otherwise elsewhere."""
    subjects = np.unique(data.subjects)
    found = [
        np.stack([data.inputs['flow'], data.inputs['flow_puzzled']])[:, data.subjects == each].mean()
        for each in subjects
    ]
    expected = [101.448, 96.197, 101.244, 102.226, 109.292, 99.94, 108.77, 109.481]
    expected += [100.642, 112.466, 99.638, 100.567]
    np.testing.assert_allclose(sorted(found), sorted(expected), atol=0.02)


def first(count, seed=0, **options):
    return list(itertools.islice(embedded.render(seed, **options).examples, count))


def first_flows(count, seed=0, **options):
    """The flow and the puzzled flow of the first clips, [count, 2, 28, 28, 3]."""
    views = [example.views['flow'] for example in first(count, seed, **options)]
    return np.array([(view[schema.FLOW], view[schema.FLOW_PUZZLED]) for view in views])


def test_the_seed_decides_every_pixel():
    once, again, other = first_flows(2), first_flows(2), first_flows(2, seed=1)
    np.testing.assert_array_equal(once, again)
    assert (once[1] != other[1]).any()
    assert (once[0] != once[1]).any()


def test_every_stream_of_random_numbers_is_its_own():
    keys = [(seed, subject, place) for seed in range(3) for subject in range(3) for place in range(3)]
    assert len({embedded._stream(0, *key).integers(2**60) for key in keys}) == len(keys)


def test_what_is_known_of_a_clip_is_told():
    for example in first(9, algorithm='dis'):
        assert set(example.action_units.split('+')) <= set(action_units.ACTION_UNITS)
        assert (example.onset, example.apex, example.offset) == (0, 1, schema.UNKNOWN_FRAME)
        assert example.emotion == schema.UNKNOWN_TEXT


def test_the_puzzled_flow_follows_the_pair():
    full = first_flows(1, pair='full', algorithm='dis')
    np.testing.assert_array_equal(full[:, 0], full[:, 1])
    assert embedded.render(0, pair='FN').views['flow'].recipe['regions']['pair'] == 'FN'


def test_its_views_heed_their_options():
    still, moved = (
        first(1, show=[FramesView(frames=3, size=32, crop=crop, magnify=factor)], flow=False)[0].views[
            'frames'
        ]
        for crop, factor in (('whole', 1.0), ('action_units', 4.0))
    )
    assert still[schema.FACE_FRAMES] == still[schema.CROP_FRAMES]
    assert moved[schema.FACE_FRAMES][0] == still[schema.FACE_FRAMES][0]  # the onset
    assert moved[schema.FACE_FRAMES][2] != still[schema.FACE_FRAMES][2]
    assert moved[schema.CROP_FRAMES] != moved[schema.FACE_FRAMES]


def test_a_smile_lifts_the_lip_corners_and_nothing_else():
    motion = embedded._expression(np.random.default_rng(0), {'12': 1.0})
    strength = np.linalg.norm(motion, axis=-1)
    top, bottom, left, right = (4 * bound for bound in regions.template_boxes()['M'])
    assert strength[top:bottom, left:right].sum() > 0.8 * strength.sum()
    left_half, right_half = motion[:, :56], motion[:, 56:]
    assert left_half[..., 0].mean() < 0 < right_half[..., 0].mean()  # apart
    assert motion[..., 1].mean() < 0  # and up: y runs downwards


def test_every_combination_is_made_of_known_units():
    assert set(action_units.COMBINATIONS) == set(schema.LABELS)
    for combinations in action_units.EMOTIONS.values():
        assert set(itertools.chain(*combinations)) <= set(action_units.ACTION_UNITS)


@pytest.mark.parametrize('options', [{'seed': -1}, {'pair': 'XY'}, {'algorithm': 'lk'}])
def test_bad_options_are_refused_before_anything_is_rendered(options):
    with pytest.raises(InputError):
        embedded.render(**options)


def test_a_source_makes_no_sense_here(tmp_path, capsys):
    arguments = ['build', '--release', 'synthetic', '--source', 'x', '--out', str(tmp_path / 'out')]
    assert command.main(arguments) == 2
    assert '--source' in capsys.readouterr().err


BUILD = ['build', '--release', 'synthetic']


@pytest.mark.slow
def test_views_of_pictures_show_the_same_clips_and_leave_the_flow_as_it_was(data, tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, 'CLIPS', embedded.CLIPS[:1])  # the first subject of each database
    first = data.subject == 'sub01'
    arguments = [
        'build',
        '--release',
        'synthetic',
        '--view',
        'flow',
        'apex',
        'frames',
        '--out',
        str(tmp_path),
    ]
    assert command.main([*arguments, '--face-size', '56', '--frame-count', '4', '--frame-size', '28']) == 0
    reads = (
        'flow',
        'flow_puzzled',
        'onset_face_grey',
        'apex_face',
        'face_frames',
        'crop_frames',
        'frame_numbers',
    )
    found = dataset.load(tmp_path, reads=reads)
    assert found.synthetic
    for key in data.inputs:
        np.testing.assert_array_equal(found.inputs[key], data.inputs[key][first])
    onset, apex = (found.inputs[key].astype(int) for key in ('onset_face_grey', 'apex_face'))
    assert onset.shape == (18, 56, 56, 1)
    assert apex.shape == (18, 56, 56, 3)
    assert (apex[..., :1] != onset).mean((1, 2, 3)).min() > 0.1
    frames = found.inputs['face_frames'].astype(int)
    assert frames.shape == (18, 4, 28, 28, 3)
    moved = np.abs(frames - frames[:, :1]).mean((0, 2, 3, 4))
    assert moved[0] == 0 < moved[1] < moved[2] < moved[3]  # from the onset to the apex
    assert (found.inputs['frame_numbers'] == np.arange(4)).all()


def test_the_release_shows_its_motion_and_the_parts_of_its_faces():
    shown = (PartsView(flow=FlowView(face_size=56, algorithm='dis')),)
    for clip in first(2, show=shown, flow=False):
        found = clip.views['parts']
        assert found['face_parts'].shape == (56, 56, 10)
        moving = [
            cv2.imdecode(np.frombuffer(found[key], np.uint8), cv2.IMREAD_COLOR)
            for key in ('face_flow', 'face_strain')
        ]
        assert [(each.shape, each.min(), each.max()) for each in moving] == [((56, 56, 3), 0, 255)] * 2


def test_maps_of_parts_are_of_files_and_rendered_clips_have_none(tmp_path, capsys):
    arguments = ['--view', 'parts', '--part-maps', str(tmp_path), '--out', str(tmp_path / 'out')]
    assert command.main([*BUILD, *arguments]) == 2
    assert '--part-maps: not an option of --release synthetic' in capsys.readouterr().err


def test_histograms_of_the_release_are_those_of_its_films():
    lbp = LbpTopView(face_size=56, radii=(1, 1, 2))
    woof = BiWoofView(flow=FlowView(face_size=56, algorithm='dis'), histogram='full-circle')
    for shown in ((lbp, woof), (lbp, woof, FramesView(frames=4, size=28))):
        clips = first(2, show=shown, flow=False)
        patterns, directions = (
            np.array([clip.views[name][name] for clip in clips]) for name in ('lbp_top', 'bi_woof')
        )
        assert patterns.shape == (2, 1200)
        np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-5)
        # From onset to apex the faces move, so that in time not all neighbours are alike.
        assert (patterns.reshape(2, 25, 3, 16)[:, :, 1:].max(-1) < 1).any(1).all()
        assert clips[0].apex == (3 if len(shown) == 3 else 9)
    with pytest.raises(InputError, match=r'4 frames from onset to offset, .* need 5'):
        first(1, show=(dataclasses.replace(lbp, frames=0), FramesView(frames=4, size=28)), flow=False)
    assert first(1, show=(dataclasses.replace(lbp, frames=0),), flow=False)[0].apex == 4


def test_options_of_views_that_are_not_built_are_refused(capsys):
    arguments = [
        'build',
        '--release',
        'synthetic',
        '--view',
        'apex',
        '--frame-count',
        '4',
        '--out',
        'nowhere',
    ]
    assert command.main(arguments) == 2
    assert '--frame-count: not an option of --release synthetic' in capsys.readouterr().err
