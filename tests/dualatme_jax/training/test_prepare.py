"""What a network reads of what is stored."""

import cv2
import jax
import numpy as np
import pytest

from dualatme_jax import schema
from dualatme_jax.data.dataset import Dataset
from dualatme_jax.errors import InputError
from dualatme_jax.training import prepare
from dualatme_jax.training.state import Clips

CONFIG = {'scale': 'signed', 'channels': ('u', 'v', 'strain')}
# One pixel of one clip; 255 / 5 is 51.
FLOW = np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, [-1, -0.6, 1]),
        ({'scale': 'unit'}, [0, 0.2, 1]),
        ({'scale': 'byte'}, [0, 51, 255]),
        ({'scale': 'stored'}, [0, 51, 255]),
        ({'channels': ()}, [-1, -0.6, 1]),
        ({'scale': 'byte', 'channels': ('strain', 'v', 'u')}, [255, 51, 0]),
        ({'scale': 'unit', 'channels': ('v', 'strain', 'u')}, [0.2, 1, 0]),
        ({'scale': 'byte', 'channels': ('blue', 'strain', 'green', 'v', 'red', 'u')}, [255, 51, 0]),
    ],
)
def test_bytes_are_scaled_and_channels_ordered(options, expected):
    found = prepare.preparation(**CONFIG | options)({'flow': FLOW})['flow']
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6)


def test_each_input_has_the_order_of_its_own_channels():
    options = {'scale': 'byte', 'channels': ('strain', 'v', 'u')}
    found = prepare.preparation(**options)({'flow': FLOW, 'apex_face': FLOW, 'apex_face_grey': FLOW[:1]})
    assert {key: x.ravel().tolist() for key, x in found.items()} == {
        'flow': [255, 51, 0],
        'apex_face': [0, 51, 255],
        'apex_face_grey': [0],
    }


def test_imagenet_s_scale_is_torchvision_s():
    """Its ToTensor and Normalize, whose numbers these are; maps without colours all have those of red."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    stored = np.arange(256, dtype=np.uint8)
    function = jax.jit(prepare.preparation(scale='imagenet', channels=()))
    face = function({'apex_face': np.stack([stored] * 3)[..., None]})['apex_face'][..., 0]
    np.testing.assert_allclose(
        face, (stored / 255 - mean[:, None]) / deviation[:, None], rtol=1e-5, atol=1e-6
    )
    maps = function({'maps': np.stack([stored] * 10)[..., None]})['maps'][..., 0]
    np.testing.assert_array_equal(maps, np.stack([face[0]] * 10))


@pytest.mark.parametrize(
    ('scale', 'value'), [('signed', lambda b: (b / 255 - 0.5) / 0.5), ('unit', lambda b: b / 255)]
)
def test_within_a_compiled_step_bytes_are_rounded_once(scale, value):
    """XLA divides by a constant in two roundings; what is trained on must not depend on that."""
    stored = np.arange(256, dtype=np.uint8).reshape(1, 2, 8, 16)
    function = prepare.preparation(scale=scale, channels=())
    expected = value(stored.astype(float)).astype(np.float32)
    for found in (function({'x': stored}), jax.jit(jax.vmap(function))({'x': stored})):
        np.testing.assert_array_equal(found['x'], expected)


def test_pictures_are_resized_as_opencv_and_caffe_do():
    face = np.random.default_rng(0).integers(0, 256, (1, 15, 12, 2), np.uint8)
    given = {'apex_face_grey': face, 'frames': np.stack([face, face], 1), 'histogram': face[0, 0]}
    found = prepare.preparation(scale='byte', channels=(), size=9)(given)
    for clip in range(2):
        expected = cv2.resize(face[0, ..., clip].astype(np.float32), (9, 9), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(found['apex_face_grey'][0, ..., clip], expected, atol=1e-3)
        np.testing.assert_allclose(found['frames'][0, 1, ..., clip], expected, atol=1e-3)
    np.testing.assert_array_equal(found['histogram'], face[0, 0])
    of_stage = prepare.preparation(scale='byte', channels=(), size=9, made=('apex_face_grey',))(given)
    assert of_stage['apex_face_grey'].shape == face.shape


def test_a_random_window_needs_larger_pictures_and_a_size():
    faces = {'apex_face_grey': np.zeros((2, 240, 240, 1), np.uint8)}
    prepare.check_stored('byte', faces, size=224, random_crop=True)
    with pytest.raises(InputError, match=r'windows of 240x240 pixels, and apex_face_grey .* 240x240x1;'):
        prepare.check_stored('byte', faces, size=240, random_crop=True)
    with pytest.raises(InputError, match=r'random_crop is True and config\.input\.size is 0'):
        prepare.check(scale='byte', channels=(), reads=(), random_crop=True)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'scale': 'grey'},
            "unknown scale 'grey': config.input.scale takes 'signed', 'unit', 'imagenet', 'byte', 'stored'",
        ),
        ({'channels': ('u', 'v')}, r"config.input.channels is \('u', 'v'\); expected 'u', 'v', 'strain'"),
        ({'channels': ('u', 'v', 'v')}, 'in any order'),
        ({'channels': ('u', 'v', 'strain', 'u')}, 'in any order'),
        ({'channels': ('u', 'v', 'magnitude')}, 'in any order'),
        ({'channels': ('speed',)}, 'in any order'),
    ],
)
def test_another_scale_or_other_channels_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        prepare.check(**CONFIG | options, reads=('apex_face', 'flow'))


def test_channels_of_other_inputs_are_no_fault():
    prepare.check(**CONFIG, reads=('apex_face_grey', 'face_frames', 'histogram'))


def test_numbers_have_no_scale():
    flow = {'flow': np.zeros((4, 28, 28, 3), np.float32)}
    prepare.check_stored('stored', flow)
    with pytest.raises(InputError, match=r'flow of the dataset is float32 \(28, 28, 3\).*minmax_uint8'):
        prepare.check_stored('unit', flow)


def test_two_clips_of_frames_lie_on_the_device_as_bytes():
    """442 clips x 2 x 30x128x128x3 take 1.3 GB, and not 5.2: here a hundredth of the pixels."""
    shape = (30, 12, 12, 3)
    frames = {key: np.zeros((6, *shape), np.uint8) for key in (schema.FACE_FRAMES, schema.CROP_FRAMES)}
    names = np.array(list('abcdef'))
    labels = np.zeros(6, np.int32)
    clips = jax.device_put(Clips.of(Dataset(frames, labels, names, names, names, schema.LABELS, {})))
    assert sum(x.nbytes for x in clips.inputs.values()) == 6 * 2 * np.prod(shape)
    assert {x.shape for x in clips.inputs.values()} == {(3, 30, 12, 12, 6)}
    inputs, labels = clips.batch(np.array([1, 4]))
    assert {(x.shape, str(x.dtype)) for x in inputs.values()} == {((3, 30, 12, 12, 2), 'uint8')}
    assert labels.shape == (2,)
