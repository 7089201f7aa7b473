"""The motions that are drawn from action units, and the release of them."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.face.landmarks.template import Place
from data_prep.face.landmarks.template import points as landmarks
from data_prep.synthetic import action_units, motion, motion_units, motions
from data_prep.synthetic.action_units import Bump
from data_prep.synthetic.motion import FINE, GRID, SIDE, Person, Statistics
from data_prep.views import optical_flow
from dualatme_jax import schema
from dualatme_jax.data import dataset as dataset_lib

AS_IT_IS = Person(Place())
# No chance but that of which side: every unit as the table has it.
PLAIN = Statistics(
    alignment=0.0,
    spread=(1.0, 1.0),
    sharpness=(1.0, 1.0),
    intensity=(1.0, 1.0),
    share=(1.0, 1.0),
    part=0.0,
    asymmetry=0.0,
    site=0.0,
    direction=0.0,
    gaze=0.0,
    turn=0.0,
    approach=0.0,
    drift=0.0,
    noise=(0.0, 0.0),
    fine=0.0,
    spots=0.0,
    border=0.0,
)


def shown(*units, statistics=PLAIN, seed=0):
    """The displacement by some action units, [SIDE, SIDE, 2]."""
    random = np.random.default_rng(seed)
    return motion.field(motion.expression(random, dict.fromkeys(units, 1.0), AS_IT_IS, statistics))


def at(field, *places):
    """The mean motion at landmarks, by their iBUG numbers."""
    found = [np.rint(landmarks()[place] * FINE - 0.5).astype(int) for place in places]
    return np.mean([field[y, x] for x, y in found], axis=0)


def mirror(field):
    return field[:, ::-1] * (-1, 1)


@pytest.mark.parametrize(
    ('unit', 'left', 'way'),
    [
        # FACS: what each unit does to the person's right half, which is left in the picture.
        ('1', (20, 21), (0, -1)),  # inner brows up
        ('2', (17, 18), (0, -1)),  # outer brows up
        ('4', (20, 21), (1, 1)),  # brows down and together
        ('5', (37, 38), (0, -1)),  # upper lids up
        ('12', (48,), (-1, -1)),  # lip corners up and outwards
        ('14', (48,), (-1, 0)),  # outwards
        ('15', (48,), (0, 1)),  # down
        ('20', (48,), (-1, 0)),
        ('45', (37,), (0, 1)),  # lids down
    ],
)
def test_units_move_the_landmarks_as_facs_describes(unit, left, way):
    right = [
        int(
            np.argmin(
                np.linalg.norm(landmarks() - (GRID - landmarks()[place][0], landmarks()[place][1]), axis=1)
            )
        )
        for place in left
    ]
    moved = at(shown(unit), *left)
    for axis in (0, 1):
        if way[axis]:
            assert np.sign(moved[axis]) == way[axis]
            assert abs(moved[axis]) > 0.1
    if not way[0]:
        assert abs(moved[0]) < 0.3 * abs(moved[1])
    np.testing.assert_allclose(at(shown(unit), *right), moved * (-1, 1), atol=0.02)


@pytest.mark.parametrize(('unit', 'way'), [('17', -1), ('26', 1)])
def test_the_chin_goes_up_and_the_jaw_drops(unit, way):
    x, y = 14 * FINE, 25 * FINE
    assert way * shown(unit)[y, x, 1] > 0.3


@pytest.mark.parametrize('unit', motion_units.UNITS)
def test_without_asymmetry_both_halves_mirror_each_other(unit):
    field = shown(unit)
    assert np.abs(field).max() > 0.3
    np.testing.assert_allclose(field, mirror(field), atol=1e-12)


def test_mirrored_bumps_draw_the_mirrored_field():
    random = np.random.default_rng(0)
    bumps = motion.expression(random, {'12u': 1.0, '4': 0.5}, AS_IT_IS, Statistics())
    field = motion.field(bumps, 1.7)
    np.testing.assert_allclose(motion.field([motion.mirrored(each) for each in bumps], 1.7), mirror(field))
    assert np.abs(field - mirror(field)).max() > 0.1, 'a unilateral unit is not symmetric'


def test_a_field_of_gaussians_is_that_of_the_rendered_faces():
    bumps = [Bump(9.0, 20.0, 2.0, 1.5, -0.5, 0.3), Bump(12.0, 6.0, 1.0, 2.0, 0.1, -1.0)]
    centres = (np.arange(SIDE) + 0.5) / FINE
    expected = action_units.displacement(bumps, centres[None], centres[:, None])
    np.testing.assert_allclose(motion.field(bumps), expected, atol=1e-12)


def test_a_face_stands_where_its_person_has_it():
    who = Person(Place(down=1.1, shift=-1.0, across=0.8), mouth=0.5)
    found = who.at(Bump(9.0, 20.0, 2.0, 1.0, 0.3, 0.4))
    assert dataclasses.astuple(found) == pytest.approx((14 - 0.8 * 5, 14 + 1.1 * 6.5 - 1, 1.6, 1.1, 0.3, 0.4))


def test_a_head_that_drifts_shows_at_edges_across_its_way():
    still = dataclasses.replace(PLAIN, drift=2.0, seen=(0.1, 0.1))
    fields = np.array(
        [motion.flow(np.random.default_rng(seed), {'13': 1e-9}, AS_IT_IS, still) for seed in range(12)]
    )
    shown = np.abs(fields).mean(0)
    mouth, cheek, bridge = (slice(41, 44), slice(25, 31)), (slice(27, 30), slice(12, 15)), (24, 22)
    assert shown[mouth][..., 1].mean() > 3 * shown[cheek][..., 1].mean(), 'level edges show that it goes down'
    assert shown[bridge][0] > 2 * shown[cheek][..., 0].mean(), 'upright ones that it goes aside'
    turned = motion.flow(
        np.random.default_rng(0),
        {'13': 1e-9},
        AS_IT_IS,
        dataclasses.replace(PLAIN, turn=3.0, seen=(1.0, 1.0)),
    )
    uy, vx = np.gradient(turned[..., 0], axis=0), np.gradient(turned[..., 1], axis=1)
    np.testing.assert_allclose(uy, -vx, atol=1e-4)


@pytest.mark.parametrize('radius', [1.0, 2.0, 5.0])
def test_smooth_noise_has_deviation_one_and_is_smooth(radius):
    random = np.random.default_rng(0)
    fields = np.array([motion.smooth_noise(random, radius) for _ in range(60)])
    assert fields.std() == pytest.approx(1, abs=0.1)
    assert fields.mean() == pytest.approx(0, abs=0.1)
    near = np.mean(fields[:, :, 1:] * fields[:, :, :-1])
    far = np.mean(fields[:, :, int(4 * radius * FINE) :] * fields[:, :, : -int(4 * radius * FINE)])
    assert near > 0.5 > 0.3 > abs(far)


def test_classes_show_their_combinations_as_often_as_they_weigh():
    random = np.random.default_rng(0)
    for label, combinations in motion_units.COMBINATIONS.items():
        drawn = [motion_units.draw(random, label) for _ in range(2000)]
        name, weight = combinations[0]
        assert drawn.count(name) / 2000 == pytest.approx(weight / sum(w for _, w in combinations), abs=0.04)
        for combination, _ in combinations:
            assert {unit.rstrip('u') for unit in combination.split('+')} <= motion_units.UNITS.keys()
    assert [*motion_units.COMBINATIONS] == [*schema.LABELS]


def first(count, **given):
    return [*itertools.islice(motions.draw(**given).examples, count)]


def test_a_clip_depends_on_its_seed_and_place_alone():
    few, many, other = first(8, clips=8), first(8, clips=900), first(8, clips=8, seed=1)
    for one, same, another in zip(few, many, other, strict=True):
        flow = one.views['flow']['flow']
        np.testing.assert_array_equal(flow, same.views['flow']['flow'])
        assert (flow != another.views['flow']['flow']).any()
        assert (one.label, one.subject, one.action_units) == (same.label, same.subject, same.action_units)
        assert flow.dtype == np.uint8
        assert (flow.min((0, 1)) == 0).all()
        assert (flow.max((0, 1)) == 255).all()


def test_a_picture_is_the_flow_encoded_as_the_public_ones_are():
    (clip,) = first(1, clips=3)
    statistics, key = Statistics(), (0, 0)
    who = motion.person(np.random.Generator(np.random.PCG64((*key, 0))), statistics)
    random = np.random.Generator(np.random.PCG64((*key, 1)))
    field = motion.flow(random, motion.choose(random, 'negative', statistics), who, statistics)
    channels = optical_flow.resized(optical_flow.channels(field), schema.FLOW_SIZE)
    low, high = channels.min((0, 1)), channels.max((0, 1))
    expected = (channels - low) / (high - low) * 255
    np.testing.assert_allclose(clip.views['flow']['flow'], expected, atol=0.51)


def test_the_command_builds_a_dataset_that_is_marked_synthetic(tmp_path, capsys):
    command = ['build', '--release', 'synthetic_motion', '--clips', '45', '--seed', '3']
    assert main([*command, '--out', str(tmp_path / 'motions')]) == 0
    assert 'wrote 45 clips' in capsys.readouterr().out
    found = dataset_lib.load(tmp_path / 'motions')
    assert found.synthetic
    assert found.size == 45
    assert np.bincount(found.label).tolist() == [15, 15, 15]
    assert len(set(found.subjects)) == 3
    assert json.dumps(found.metadata['statistics'])
    assert main([*command, '--out', str(tmp_path / 'motions')]) == 2  # it is there


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (['--clips', '2'], '--clips 2: expected 3 to'),
        (['--seed', '-1'], '--seed -1 is negative'),
        (['--view', 'apex'], '--view: not an option of --release synthetic_motion'),
        (['--release', 'synthetic', '--clips', '9'], '--clips: not an option of --release synthetic'),
    ],
)
def test_what_it_cannot_take_is_refused(tmp_path, capsys, given, message):
    assert main(['build', '--release', 'synthetic_motion', *given, '--out', str(tmp_path / 'x')]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()
