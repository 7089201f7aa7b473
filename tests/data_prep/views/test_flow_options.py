"""Options of the flow, and the flow of several steps, on clips whose motion is known."""

import cv2
import numpy as np
import pytest

from data_prep.face.aligned_clip import AlignedClip
from data_prep.face.landmarks.template import Template
from data_prep.files import images
from data_prep.files.cache import Cache
from data_prep.files.frames import Images
from data_prep.releases.clip import Clip
from data_prep.synthetic import embedded
from data_prep.views.apex import ApexView
from data_prep.views.flow import FlowView
from data_prep.views.flow_steps import FlowStepsView
from dualatme_jax import schema
from dualatme_jax.errors import InputError

SIZE = 56
TEXTURE = cv2.GaussianBlur(np.random.default_rng(1).normal(size=(SIZE, SIZE + 20)), (0, 0), 2)
TEXTURE = cv2.normalize(TEXTURE, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
PLACES = (0, 1, 2, 4, 3, 2)  # pixels to the right, frame by frame; the apex is the frame 3
QUICK = {'face_size': SIZE, 'algorithm': 'farneback', 'encoding': 'raw'}


def clip_of(folder, mirror=False, **words):
    """Faces of which half moves to the right, and half stays."""
    paths = {}
    for number, place in enumerate(PLACES):
        frame = np.concatenate(
            [TEXTURE[: SIZE // 2, 10:-10], TEXTURE[SIZE // 2 :, 10 - place : 10 - place + SIZE]]
        )
        paths[number] = folder / f'{mirror}{number}.png'
        paths[number].write_bytes(images.encode_png(frame[:, ::-1].copy() if mirror else frame))
    known = {'database': 'samm', 'onset': 0, 'apex': 3, 'offset': 5} | words
    return Clip(subject='006', clip='006_1', frames=Images(paths), **known)


def made(view, clip):
    return view.make(AlignedClip(clip, Template(), Cache(None)), Cache(None))


def steps_of(clip, flow=QUICK, **options):
    return made(FlowStepsView(flow=FlowView(**flow), **options), clip)[schema.FLOW_STEPS]


@pytest.mark.parametrize(
    ('steps', 'moves'), [('two', (4, -2)), ('three', (1, 3, -2)), ('from-onset', (1, 4, 2))]
)
def test_each_step_moves_as_far_as_its_frames_do(steps, moves, tmp_path):
    found = steps_of(clip_of(tmp_path), steps=steps)
    assert found.shape == (len(moves), 28, 28, 3)
    moving = np.median(found[:, 18:24, 6:-6, 0], axis=(1, 2))
    np.testing.assert_allclose(moving, moves, atol=0.4)
    still = np.median(found[:, 4:10, 6:-6, 0], axis=(1, 2))
    np.testing.assert_allclose(still, 0, atol=0.2)


def test_the_step_from_onset_to_apex_is_the_flow(tmp_path):
    clip = clip_of(tmp_path)
    for options in ({}, {'contrast': 'local', 'head_motion': 'median'}):
        flow = made(FlowView(**QUICK, **options), clip)[schema.FLOW]
        np.testing.assert_array_equal(steps_of(clip, QUICK | options)[0], flow)


def test_bytes_keep_the_proportions_of_the_steps(tmp_path):
    clip = clip_of(tmp_path)
    stored = [
        images.rgb(images.decode(step)) for step in steps_of(clip, QUICK | {'encoding': 'minmax_uint8'})
    ]
    raw = steps_of(clip)
    low, high = raw.min((0, 1, 2)), raw.max((0, 1, 2))
    np.testing.assert_allclose(np.stack(stored), (raw - low) / (high - low) * 255, atol=0.5 + 1e-3)


def test_the_steps_of_a_mirrored_clip_are_mirrored(tmp_path):
    plain, mirrored = (steps_of(clip_of(tmp_path, mirror)) for mirror in (False, True))
    assert schema.CHANNELS[schema.FLOW_STEPS] == ('u', 'v', 'strain')
    signs = [-1 if name in schema.MIRRORED else 1 for name in schema.CHANNELS[schema.FLOW_STEPS]]
    np.testing.assert_allclose(mirrored[:, :, ::-1] * signs, plain, atol=0.05)


def test_eye_distances_per_second_are_pixels_by_their_distance_and_the_time(tmp_path):
    clip = clip_of(tmp_path)
    pixels, speeds = (
        steps_of(clip, QUICK | {'units': units}) for units in ('pixels', 'eye_distances_per_second')
    )
    eyes = 11 / 28 * SIZE
    for step, frames in enumerate((3, 2)):  # at 200 frames a second
        np.testing.assert_allclose(
            speeds[step, ..., :2], pixels[step, ..., :2] / eyes * 200 / frames, rtol=1e-5
        )
        np.testing.assert_allclose(speeds[step, ..., 2], pixels[step, ..., 2] * 200 / frames, rtol=1e-5)
    faster = FlowView(**QUICK, units='eye_distances_per_second')
    np.testing.assert_allclose(made(faster, clip)[schema.FLOW], speeds[0], rtol=1e-6)


def test_units_that_cannot_be_are_refused(tmp_path):
    view = FlowView(**QUICK, units='eye_distances_per_second')
    with pytest.raises(InputError, match=r'the frame rate of MEVIEW is not known, .* --flow-units pixels'):
        made(view, clip_of(tmp_path, database='meview'))
    with pytest.raises(InputError, match=r'--encoding minmax_uint8, .* expected --encoding raw'):
        FlowView(units='eye_distances_per_second')


def test_a_step_from_a_frame_to_itself_is_refused_or_has_no_motion(tmp_path):
    late = clip_of(tmp_path, apex=5)
    with pytest.raises(InputError, match=r'no step from apex to offset: both are the frame 5 .* zero'):
        FlowStepsView().check(late)
    found = steps_of(late, still='zero')
    assert found[0].any()
    assert not found[1].any()
    early = clip_of(tmp_path, apex=1)
    with pytest.raises(InputError, match='no step from onset to middle: both are the frame 0'):
        FlowStepsView(steps='three').check(early)
    FlowStepsView().check(early)


def test_a_clip_without_an_offset_ends_with_its_last_frame(tmp_path):
    view = FlowStepsView(steps='three')
    assert view.ends(clip_of(tmp_path, offset=schema.UNKNOWN_FRAME)) == [(0, 1), (1, 3), (3, 5)]
    assert view.ends(clip_of(tmp_path, offset=4)) == [(0, 1), (1, 3), (3, 4)]


def test_the_embedded_release_goes_on_to_the_offset_for_the_steps():
    view = FlowStepsView(flow=FlowView(**QUICK), steps='from-onset')
    contents = embedded.render(show=[view], flow=False)
    clip = next(iter(contents.examples))
    to_middle, to_apex, to_offset = clip.views['flow_steps'][schema.FLOW_STEPS][..., :2]
    lengths = [np.linalg.norm(step, axis=-1).mean() for step in (to_middle, to_apex, to_offset)]
    assert lengths[2] < lengths[0] < lengths[1]
    plain = next(iter(embedded.render(show=[ApexView()], flow=False).examples))
    both = next(iter(embedded.render(show=[ApexView(), view], flow=False).examples))
    assert plain.views['apex'] == both.views['apex']  # onset and apex are the same whatever else is drawn


def test_the_head_is_taken_out_of_the_puzzled_flow_too(tmp_path):
    """A shift of the entire face, with none of an expression, leaves nothing."""
    paths = {}
    for number in range(2):
        paths[number] = tmp_path / f'{number}.png'
        paths[number].write_bytes(images.encode_png(TEXTURE[:, 10 - number : 10 - number + SIZE].copy()))
    clip = Clip(database='samm', subject='006', clip='1', onset=0, apex=1, offset=1, frames=Images(paths))
    there, gone = (made(FlowView(**QUICK, head_motion=kind), clip) for kind in ('none', 'affine'))
    for key in (schema.FLOW, schema.FLOW_PUZZLED):
        inner = slice(6, -6), slice(6, -6), slice(0, 2)
        assert np.abs(there[key][inner]).mean() > 0.4
        assert np.abs(gone[key][inner]).mean() < 0.15
