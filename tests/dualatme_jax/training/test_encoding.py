"""Motion by each clip's own median and percentile: closed forms, NumPy's numbers, and mirrored clips."""

import jax
import numpy as np
import pytest

from data_prep.views import optical_flow
from dualatme_jax import schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.training import augment, encoding, prepare

FLOW = schema.FLOW_CHANNELS
ROBUST = {'scale': 'signed', 'channels': FLOW, 'encoding': 'robust'}


def known(offset=100):
    """[3, 41, 1, 1]: of u and v the median is `offset`, and of all the 95th percentile is known.

    41 pixels are -20..20 around the median, so that of the absolute values the 38th from 0 is 19; 0..40 of
    strain have 38 there.
    """
    order = np.random.default_rng(0).permutation(41)
    u = offset + np.arange(-20, 21)
    return np.stack([u[order], u[order[::-1]], np.arange(41)[order]])[..., None, None], order


@pytest.mark.parametrize('dtype', [np.uint8, np.float32, np.int16])
def test_the_median_is_zero_and_the_95th_percentile_one(dtype):
    x, order = known()
    found = encoding.robust(x.astype(dtype), FLOW)
    assert found.dtype == np.float32
    around = np.arange(-20, 21)
    np.testing.assert_allclose(found[0, :, 0, 0], around[order] / 19, rtol=1e-6)
    np.testing.assert_allclose(found[1, :, 0, 0], around[order[::-1]] / 19, rtol=1e-6)
    np.testing.assert_allclose(found[2, :, 0, 0], np.arange(41)[order] / 38, rtol=1e-6)


def test_unit_and_zero_of_what_is_stored_do_not_matter():
    x, _ = known()
    expected = encoding.robust(x.astype(np.float32), FLOW)
    other = x.astype(np.float32) * 0.003
    other[:2] -= 7
    np.testing.assert_allclose(encoding.robust(other, FLOW), expected, atol=1e-3)


def test_values_far_away_are_clipped_on_both_sides():
    x, order = known()
    x = x.astype(np.float32)
    ends = np.argsort(order)[[0, 40]]
    x[0, ends, 0, 0] = -1000, 1000
    found = encoding.robust(x, FLOW)[0, :, 0, 0]
    assert (found[ends] == [-4, 4]).all()
    assert np.abs(np.delete(found, ends)).max() == 1


@pytest.mark.parametrize(('percentile', 'clip'), [(95, 4), (90, 2)])
def test_numbers_are_numpy_s_in_and_out_of_a_compiled_step(percentile, clip):
    shape = (3, 5, 9, 8, 2)
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = encoding.robust(x, ('v', 'strain', 'u'), percentile, clip)
    for channel, name in enumerate(('v', 'strain', 'u')):
        for place in range(shape[-1]):
            own = x[channel, ..., place].astype(float)
            own -= np.median(own) if name != 'strain' else 0
            own = (own / np.percentile(np.abs(own), percentile)).clip(-clip, clip)
            np.testing.assert_allclose(found[channel, ..., place], own, rtol=1e-5, atol=1e-6)
    compiled = jax.jit(jax.vmap(lambda x: encoding.robust(x, ('v', 'strain', 'u'), percentile, clip)))
    np.testing.assert_allclose(compiled(np.stack([x, x]))[1], found, rtol=1e-5, atol=1e-6)


def test_a_channel_without_scale_is_zero_and_the_others_are_as_they_were():
    x, _ = known()
    x[1] = 77
    x[2] = 0
    found = encoding.robust(x.astype(np.uint8), FLOW)
    assert found[0].any()
    assert not found[1:].any()
    few = np.full((1, 100, 1, 1), 5.0)
    few[0, :4] = 9  # of 100 pixels
    assert not encoding.robust(few, ('u',)).any()


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_mirroring_and_encoding_can_change_places(dtype):
    stored = np.random.default_rng(0).integers(0, 256, (3, 12, 10, 6)).astype(dtype)
    negative = 255 - stored if dtype == np.uint8 else -stored
    mirrored = np.concatenate([negative[:1], stored[1:]])[:, :, ::-1]
    for channels in (FLOW, ('strain', 'v', 'u')):
        options = ROBUST | {'channels': channels}
        before, expected = (
            prepare.preparation(**options)({'flow': encoding.robust(x, FLOW)}) for x in (stored, mirrored)
        )
        mirror = jax.jit(augment.augmentation({'mirror'}, **options))
        after = mirror(before, {'augment_mirror': np.float32(1)}, jax.random.key(0))
        np.testing.assert_allclose(after['flow'], expected['flow'], atol=1e-6)


def test_motion_is_stronger_around_zero_and_noise_is_a_part_of_what_95_of_100_pixels_have():
    stored = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 200), np.uint8)
    flow = {'flow': encoding.robust(stored, FLOW)}
    change = jax.jit(augment.augmentation({'strength', 'noise'}, **ROBUST))

    def changed(strength, noise):
        given = {'augment_strength': np.float32(strength), 'augment_noise': np.float32(noise)}
        return np.asarray(change(flow, given, jax.random.key(0))['flow'])

    x, y = flow['flow'].reshape(-1, 200), changed(0.1, 0).reshape(-1, 200)
    factor = (x * y).sum(0) / (x * x).sum(0)  # one for each clip, and none for what is no motion
    np.testing.assert_allclose(y, factor * x, atol=1e-5)
    assert 0.09 < np.abs(factor - 1).max() < 0.1
    added = changed(0, 0.1) - flow['flow']
    assert added[:2].std() == pytest.approx(0.2, rel=0.02)  # of -1..1
    assert added[2].std() == pytest.approx(0.1, rel=0.02)  # of 0..1


def test_other_inputs_are_scaled_as_ever():
    given = {'face_strain': np.full((3, 4, 4, 2), 0.5, np.float32), 'apex_face': np.full((3, 4, 4, 2), 255)}
    found = prepare.preparation(**ROBUST)(given)
    assert (found['face_strain'] == 0.5).all()
    assert (found['apex_face'] == 1).all()
    with pytest.raises(ValueError, match="flow has bytes; expected what 'robust' has encoded"):
        prepare.preparation(**ROBUST)({'flow': np.zeros((3, 4, 4, 2), np.uint8)})


def dataset(metadata=None, measures=None, **inputs):
    names = np.array(['a', 'b', 'c'])
    smic, label = np.array(['smic'] * 3), np.zeros(3, np.int32)
    return Dataset(inputs, label, smic, names, names, ('x',), metadata or {}, measures or {})


def test_clips_are_encoded_each_for_itself_and_faces_stay_bytes():
    random = np.random.default_rng(0)
    flow, face = (random.integers(0, 256, (3, 6, 6, 3), np.uint8) for _ in range(2))
    maps = random.integers(0, 256, (3, 6, 6, 3), np.uint8)
    flow[1, ..., 0] = 9
    before = dataset(flow=flow, apex_face=face, face_strain=maps)
    after, lines = encoding.encoded(before, 'robust')
    assert after.inputs['apex_face'] is face
    for key, stored in (('flow', flow), ('face_strain', maps)):
        turned = np.moveaxis(stored, (-1, 0), (0, -1))
        expected = np.moveaxis(encoding.robust(turned, schema.CHANNELS[key]), (0, -1), (-1, 0))
        np.testing.assert_array_equal(after.inputs[key], expected)
    assert lines == [
        'u of flow has no scale in 1 clip, which nearly all pixels have alike, and is 0 there: smic/b/b'
    ]
    assert not after.inputs['flow'][1, ..., 0].any()


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_a_clip_with_numbers_that_are_not_finite_is_named(value):
    flow = np.random.default_rng(0).normal(size=(3, 6, 6, 3)).astype(np.float32)
    flow[2, 1, 1, 1] = value
    with pytest.raises(InputError, match=r'flow of smic/c/c has numbers that are not finite'):
        encoding.encoded(dataset(flow=flow), 'robust')


def motion():
    """Three flows [3, 9, 9, 3] in pixels, their strain above 0, and how `data_prep` stores them as bytes."""
    random = np.random.default_rng(0)
    flow = random.normal(size=(3, 9, 9, 3)).astype(np.float32) * (1, 2, 0.02)
    flow[..., 2] = 0.01 + np.abs(flow[..., 2])
    flow = flow.astype(np.float32)
    stored = np.stack([optical_flow.minmax(clip) for clip in flow])
    return flow, stored, {'flow_range': np.stack([optical_flow.span(clip) for clip in flow])}


FACE = {'flow': {'computed_at': [224, 224]}}


def test_raw_motion_is_in_thousandths_of_the_face_as_floats_or_as_bytes_whose_range_is_known():
    flow, stored, ranges = motion()
    found, lines = encoding.encoded(dataset(FACE, flow=flow), 'raw')
    np.testing.assert_allclose(found.inputs['flow'], flow * (1000 / 224, 1000 / 224, 100), rtol=1e-6)
    assert not lines
    again = encoding.encoded(dataset(FACE, ranges, flow=stored), 'raw')[0].inputs['flow']
    step = np.ptp(flow, axis=(1, 2), keepdims=True) / 255 * (1000 / 224, 1000 / 224, 100)
    assert (np.abs(again - found.inputs['flow']) <= 0.501 * step).all()


def test_raw_strain_tensors_are_hundredths_and_magnitudes_of_the_face():
    flow, _, _ = motion()
    both = dataset(FACE, face_flow=flow, face_strain=flow)
    found = encoding.encoded(both, 'raw')[0].inputs
    np.testing.assert_allclose(found['face_flow'], flow * np.float32(1000 / 224), rtol=1e-6)
    np.testing.assert_allclose(found['face_strain'], flow * 100, rtol=1e-6)


def test_raw_motion_in_eye_distances_per_second_is_in_hundredths_of_them():
    flow, _, _ = motion()
    metadata = {'flow': FACE['flow'] | {'unit': 'eye_distances_per_second'}}
    found = encoding.encoded(dataset(metadata, flow=flow), 'raw')[0].inputs['flow']
    np.testing.assert_array_equal(found, flow * np.float32([100, 100, 10]))


def test_strain_has_its_own_zero_where_the_range_is_known():
    flow, stored, ranges = motion()
    expected, known, guessed = (
        encoding.encoded(each, 'robust')[0].inputs['flow']
        for each in (dataset(flow=flow), dataset(measures=ranges, flow=stored), dataset(flow=stored))
    )
    np.testing.assert_allclose(known, expected, atol=0.03)
    np.testing.assert_allclose(guessed[..., :2], expected[..., :2], atol=0.03)
    assert guessed[..., 2].min() == 0 < 0.1 < expected[..., 2].min()


def test_motion_without_a_unit_is_refused_with_what_builds_it():
    flow, stored, ranges = motion()
    for clips, lacks in (
        (dataset(FACE, flow=stored), 'does not say what 0 and 255 of a clip stand for'),
        (dataset({}, ranges, flow=stored), 'does not say in which unit it is'),
        (dataset({'flow': {'computed_at': ['224', 0]}}, flow=flow), 'does not say in which unit'),
        (dataset({'flow': FACE['flow'] | {'unit': 'miles'}}, flow=flow), 'does not say in which unit'),
    ):
        with pytest.raises(InputError, match=rf'{lacks}.*data_prep build .*--view flow .*--encoding raw'):
            encoding.encoded(clips, 'raw')
