import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import images
from dualatme_jax.errors import InputError

PICTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8), (0, 0), 2)


def encoded(suffix, picture=PICTURE):
    return cv2.imencode(suffix, picture)[1].tobytes()


@pytest.mark.parametrize(('suffix', 'error'), [('.png', 0), ('.bmp', 0), ('.tif', 0), ('.jpg', 4)])
def test_a_picture_is_decoded(suffix, error):
    found = images.decode(encoded(suffix))
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - PICTURE).mean() <= error


def test_a_grey_picture_gets_three_channels():
    found = images.decode(encoded('.png', PICTURE[..., 0]))
    np.testing.assert_array_equal(found, np.repeat(PICTURE[..., :1], 3, axis=2))


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('share', [0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(suffix, share):
    data = encoded(suffix)
    with pytest.raises(InputError, match='truncated'):
        images.decode(data[: int(share * len(data))])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=60), st.sampled_from([b'', images.PNG, b'\xff\xd8', encoded('.jpg')[:100], b'BM']))
def test_any_other_bytes_are_refused(data, start):
    with pytest.raises(InputError):
        images.decode(start + data)


@pytest.mark.parametrize('picture', [PICTURE, PICTURE[..., 0]])
def test_what_is_encoded_is_decoded(picture):
    found = images.decode(images.encode_png(picture))
    np.testing.assert_array_equal(
        images.rgb(found), picture if picture.ndim == 3 else np.dstack([picture] * 3)
    )
