"""What a head does is told from what its face does, however far the head goes."""

import dataclasses
import pathlib

import cv2
import numpy as np
import pytest

from data_prep.face.landmarks import ibug, template
from data_prep.video import events, head, limits, motion, recording, spotter
from data_prep.video.spotter import BLINK, HEAD, NO_NEUTRAL, TALKING

FACE = template.points() / template.GRID
CELLS = motion.cells(FACE)
RATE = 30
places = (np.arange(motion.GRID) + 0.5) / motion.GRID
X, Y = np.meshgrid(places, places)


def inside():
    return head.covered(FACE, motion.GRID) > 0.9


def turned(degrees, axis):
    """The flow of an ellipsoid with the half-axes of a head, seen from afar, that turns about an axis."""
    unit = ibug.eye_distance(FACE)
    x, y = ((part - part.mean()) / unit for part in (X, Y))
    half = 70 / 63, 115 / 63, 95 / 63  # width, height and depth in distances of the eyes
    depth = half[2] * np.sqrt(np.maximum(1 - (x / half[0]) ** 2 - (y / half[1]) ** 2, 0))
    angle = np.radians(degrees)
    gone = np.stack([x, y])[axis] * (np.cos(angle) - 1) + depth * np.sin(angle)
    flow = np.zeros((motion.GRID, motion.GRID, 2))
    flow[..., axis] = gone * unit * motion.SIZE
    return flow


@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize('degrees', [-4, 4])
def test_a_turning_head_leaves_little_and_its_turn_is_measured(axis, degrees):
    flow = turned(degrees, axis)
    found = head.of(flow, FACE)
    basis = np.stack([np.ones_like(X), X, Y], axis=-1)[inside()]
    affine = basis @ np.linalg.lstsq(basis, flow[inside()], rcond=None)[0]
    left, without_depth = flow - found.field, flow[inside()] - affine
    assert np.sqrt((left[inside()] ** 2).mean()) < 0.5 * np.sqrt((without_depth**2).mean())
    # The middle goes beyond the rim, in the direction of the turn, by the depth times the sine.
    deep = 95 / 63 * ibug.eye_distance(FACE) * motion.SIZE * np.sin(np.radians(degrees))
    assert found.turn[axis] == pytest.approx(deep, rel=0.5)
    assert abs(found.turn[1 - axis]) < 0.1 * abs(deep)


def test_an_expression_has_no_part_in_what_the_head_does():
    basis = np.stack([np.ones_like(X), X, Y], axis=-1)
    rigid = basis @ np.array([[3.0, -1.0], [0.5, 2.0], [-2.0, 0.4]])
    smile = 2.0 * np.exp(-((X - 0.3) ** 2 + (Y - 0.75) ** 2) / 0.005)[..., None] * [1.0, -1.0]
    found = head.of(rigid + smile, FACE)
    np.testing.assert_allclose(found.field[inside()], rigid[inside()], atol=0.02)
    np.testing.assert_allclose(found.mean, rigid[inside()].mean(0), atol=0.02)
    assert np.abs(found.turn).max() < 0.02


def test_alignment_by_own_landmarks_adds_no_motion_however_far_the_head_goes():
    random = np.random.default_rng(0)
    noise = cv2.GaussianBlur(random.uniform(0, 255, (300, 300)).astype(np.float32), (0, 0), 4)
    still = np.rint(cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)).astype(np.uint8)
    landmarks = FACE * 140 + 60
    matrix = cv2.getRotationMatrix2D((150, 150), 6, 1.05) + np.array([[0, 0, 14], [0, 0, -9]])
    moved = cv2.warpAffine(still, matrix, (300, 300), flags=cv2.INTER_CUBIC)
    # Landmarks are never exact: those of the second frame are a pixel off.
    after = motion.aligned(moved, landmarks @ matrix[:, :2].T + matrix[:, 2] + [1.0, 0.5])
    before = motion.aligned(still, landmarks)
    flow, mean, turn = motion.between(motion.solver(), before, after)
    assert np.linalg.norm(flow[CELLS['face']].astype(float), axis=-1).mean() < 0.15
    assert np.hypot(*turn) < 0.3
    middle = FACE.mean(0) * 140 + 60
    way = (matrix[:, :2] @ middle + matrix[:, 2] - middle) * np.sqrt(np.linalg.det(after.matrix[:, :2]))
    assert np.hypot(*mean) == pytest.approx(np.hypot(*way) * motion.UNIT, rel=0.15)


def made(states, turns=None, part='face', drift=0.0, noise=0.02):
    """A recording whose face is away from rest by `states` pixels, and whose head is turned by `turns`."""
    count, step = len(states), round(limits.WINDOW * RATE)
    since = np.full((2, count), np.nan)
    for each, way in zip((states, np.zeros(count) if turns is None else turns), since, strict=True):
        way[step:] = each[step:] - each[:-step]
    flow = np.random.default_rng(0).normal(0, noise, (count, motion.GRID, motion.GRID, 2))
    flow[:step] = np.nan
    moving = np.argwhere(CELLS[part] & (CELLS['face'] | (part == 'eyes')))[:12]
    flow[:, *moving.T, 1] += since[0][:, None]
    return {
        'number': np.arange(count),
        'time': np.arange(count) / RATE,
        'flow': flow.astype(np.float16),
        'head': np.full((count, 2), drift),
        'turn': np.stack([since[1], 0 * since[1]], axis=-1),
        'landmarks': np.stack([FACE * 200] * count),
        'faces': np.ones(count, int),
        'grey': np.full(count, 120.0),
        'sharpness': np.full(count, 99.0),
    }


def signals(*arguments, **more):
    part = made(*arguments, **more)
    return spotter.signals(part['number'], part['time'], [part], CELLS)


def bump(at, rise=0.15, count=150, height=1.0):
    return height * np.maximum(1 - np.abs(np.arange(count) / RATE - at) / rise, 0)


def peaks(*arguments, **more):
    found = signals(*arguments, **more)
    return [(round(found.times[place], 1), flags) for place, flags in spotter.peaks(found)]


def test_a_head_explains_what_its_turning_makes_and_nothing_else():
    face = bump(1.5) + bump(3.5)
    assert peaks(face) == [(1.5, ()), (3.5, ())]
    assert peaks(face, drift=12.0) == [(1.5, ()), (3.5, ())]  # it moves far, and does not turn
    assert peaks(face, bump(3.5, height=1.6)) == [(1.5, ()), (3.5, (HEAD,))]
    assert peaks(face, bump(3.5, height=0.5)) == [(1.5, ()), (3.5, ())]  # it turns by less
    assert peaks(face, np.arange(150) * 0.2) == [(1.5, ()), (3.5, ())]  # it turns on, and not back


def test_lids_and_speech_explain_too():
    lids, face = made(bump(1.5, height=2.0), part='eyes'), made(bump(1.5, height=0.5))
    lids['flow'][:, CELLS['face']] = face['flow'][:, CELLS['face']]
    found = spotter.signals(lids['number'], lids['time'], [lids], CELLS)
    assert [flags for _, flags in spotter.peaks(found)] == [(BLINK,)]
    syllables = sum(bump(at, rise=0.1) for at in (1.5, 2.0, 2.5))
    assert [flags for _, flags in peaks(syllables, part='mouth')] == [(TALKING,)] * 3
    assert [flags for _, flags in peaks(bump(1.5, rise=0.1), part='mouth')] == [()]


def test_what_is_an_event_does_not_depend_on_the_unit_of_motion():
    face = bump(1.5, height=0.3) + bump(3.5, height=1.0)
    small, large = signals(face, noise=0.05), signals(8 * face, noise=0.4)
    assert large.threshold == pytest.approx(8 * small.threshold, rel=0.02)
    assert len(spotter.peaks(small)) == len(spotter.peaks(large)) > 0
    assert dataclasses.replace(small, strength=small.strength * 0).threshold == limits.LEAST_MOTION


@pytest.mark.parametrize(
    ('onset', 'up', 'down', 'offset'),
    [(1.8, 2.0, 2.0, 2.2), (1.3, 2.0, 2.1, 3.1), (1.5, 1.9, 2.1, 2.3)],  # the second is a macro-expression
)
def test_an_expression_lasts_from_rest_to_rest(onset, up, down, offset):
    times = np.arange(0, 4 + 1e-9, 1 / RATE)
    away = np.interp(times, [onset, up, down, offset], [0, 1, 1, 0])
    apex = int(np.abs(times - 2.0).argmin())
    way = np.array([[0.6, -0.8, 0.3]])
    moved = (away[apex] - away)[:, None] * way + np.random.default_rng(0).normal(0, 0.02, (len(times), 3))
    begins, ends, rested = spotter.ends(times, moved, apex)
    assert rested
    # `limits.SHARE` of the way has been gone a little before the rest.
    missing = 1 - limits.SHARE
    assert begins == pytest.approx(onset + missing * (up - onset), abs=0.1)
    assert ends == pytest.approx(offset - missing * (offset - down), abs=0.1)


def test_a_face_that_goes_further_and_further_is_never_at_rest():
    times = np.arange(0, 4 + 1e-9, 1 / RATE)
    *_, rested = spotter.ends(times, (times[:, None] - 2.0) ** 2, 60)
    assert not rested


def test_a_shadow_of_a_stronger_motion_is_no_event():
    weak = spotter.Event(1, 5, 9, (0.0, 0.2, 0.4), 0.2, 8.0)
    strong = dataclasses.replace(weak, seconds=(0.3, 0.5, 0.6), strength=0.8, flags=(BLINK,))
    late = dataclasses.replace(strong, seconds=(0.6, 0.8, 0.9))
    similar = dataclasses.replace(strong, strength=0.3)
    around = dataclasses.replace(similar, seconds=(0.1, 0.5, 0.6))
    assert spotter.shadows([weak, strong]) == [strong]
    assert spotter.shadows([weak, late]) == [weak, late]
    assert spotter.shadows([weak, similar]) == [weak, similar]
    assert spotter.shadows([weak, around]) == [around]  # it lies inside
    explained = dataclasses.replace(weak, flags=(BLINK,))
    assert spotter.shadows([explained, strong]) == [explained, strong]


def test_what_is_explained_lasts_while_the_signal_is_high_and_a_lost_face_is_no_expression(monkeypatch):
    part = made(bump(1.5) + bump(3.5), bump(3.5, height=1.6))

    class Kept:
        def __init__(self, folder):
            pass

        def signal(self, asked, detector, face):
            return iter(part['number'])

        def parts(self, *fields):
            yield {name: part[name] for name in fields}

        def landmarks(self, places):
            return part['landmarks'][places]

    @dataclasses.dataclass(frozen=True)
    class Cut(recording.Recording):
        def frames(self, first=0, last=None):
            yield recording.Frame(first, first / RATE, np.zeros((240, 240, 3), np.uint8))

    class Known:
        name, coarse = 'known', False

    monkeypatch.setattr(events, 'Kept', Kept)
    asked = Cut(pathlib.Path('v'), RATE, 1, 0, 1.0)
    lost, explained = events.find(asked, Known()).events
    # The second look has one frame: nobody knows when it begins.
    assert spotter.UNSEEN in lost.flags
    assert not lost.expression
    assert NO_NEUTRAL not in lost.flags
    assert explained.flags[0] == HEAD
    for event in (lost, explained):
        assert event.onset < event.apex < event.offset
        assert event.offset - event.onset < 0.5 * RATE
