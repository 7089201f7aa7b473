import os
import pathlib
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.files import images
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


def photo(*options, height=240, width=320):
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    noisy = np.clip(smooth + random.normal(0, 2, smooth.shape), 0, 255).astype(np.uint8)
    return cv2.imencode('.jpg', noisy, options)[1].tobytes()


def hole(fill):
    """Damage: up to 2000 bytes of the picture are replaced."""

    def damage(data, start, length):
        return data[:start] + fill(length) + data[start + length :]

    return damage


DAMAGES = {
    'zeros': hole(bytes),
    'random': hole(np.random.default_rng(2).bytes),
    'half and an end': lambda data, start, length: data[:start] + b'\xff\xd9',
    'a cut': hole(lambda length: b''),
}
CODINGS = {
    'usual': (),
    'quality 75': (cv2.IMWRITE_JPEG_QUALITY, 75),
    'progressive': (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    'own tables': (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    'restarts': (cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
}


@pytest.mark.parametrize('damage', DAMAGES)
@pytest.mark.parametrize('coding', CODINGS)
def test_a_jpeg_with_damage_in_its_middle_is_refused(coding, damage, capfd):
    data, random = photo(*CODINGS[coding]), np.random.default_rng(3)
    passed = 0
    for _ in range(40):
        start, length = random.integers(700, len(data) - 2100), random.integers(100, 2000)
        try:
            images.decode(DAMAGES[damage](data, start, length))
            passed += 1
        except InputError:
            pass
    assert passed <= 3  # a JPEG has no checksum: some damage makes another valid file
    assert capfd.readouterr().err == ''  # libjpeg's words are in the error, not on the terminal


@pytest.mark.parametrize('coding', CODINGS)
@pytest.mark.parametrize('value', [0, 128, 255])
def test_an_even_jpeg_is_no_damaged_one(coding, value):
    even = np.full((480, 640, 3), value, np.uint8)
    assert images.decode(cv2.imencode('.jpg', even, CODINGS[coding])[1].tobytes()).mean() == value


@pytest.mark.parametrize(
    'change',
    [
        lambda data: data + b'appended by the camera',
        lambda data: data[:-2] + bytes(15) + data[-2:],  # padding
        lambda data: data[:-2] + b'x' + data[-2:],
    ],
)
def test_what_cameras_add_to_a_jpeg_is_no_damage(change):
    data = photo()
    np.testing.assert_array_equal(images.decode(change(data)), images.decode(data))


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 3])
def test_more_than_8_bits_are_refused(suffix, channels):
    picture = np.full((20, 20, channels), 1023, np.uint16)  # 10 bits used: by /256 all but black
    with pytest.raises(InputError, match='16 bits a channel, expected 8'):
        images.decode(encoded(suffix, picture))


def test_what_others_write_to_the_terminal_meanwhile_is_not_lost(capfd, monkeypatch):
    whole = images._imdecode

    def chatty(data):
        os.write(2, b'a warning of another thread\n')
        return whole(data)

    monkeypatch.setattr(images, '_imdecode', chatty)
    images.decode(photo())
    assert capfd.readouterr().err == 'a warning of another thread\n'


@pytest.mark.parametrize('picture', [PICTURE, PICTURE[..., 0]])
def test_what_is_encoded_is_decoded(picture):
    found = images.decode(images.encode_png(picture))
    np.testing.assert_array_equal(
        images.rgb(found), picture if picture.ndim == 3 else np.dstack([picture] * 3)
    )


@pytest.mark.parametrize(
    'suffix', ['.png', '.jpg', '.bmp', '.dib', '.tif', '.webp', '.jp2', '.gif', '.avif', '.ppm', '.sr']
)
def test_every_kind_that_opencv_writes_is_decoded(suffix):
    found = images.decode(encoded(suffix))
    assert found.shape == PICTURE.shape
    assert suffix == '.gif' or np.corrcoef(found.ravel(), PICTURE.ravel())[0, 1] > 0.9  # GIF has few colours


def test_a_small_tiff_made_by_hand_is_decoded():
    assert images.decode(tiff({})).shape == (8, 8, 3)


def huge(suffix, width=30000, height=30000):
    """A small file whose header alone speaks of a picture of 30000x30000 pixels."""
    data = bytearray(encoded(suffix))
    if suffix == '.png':
        data[16:24] = struct.pack('>II', width, height)
        data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    elif suffix == '.jpg':
        start = data.index(b'\xff\xc0') + 5
        data[start : start + 4] = struct.pack('>HH', height, width)
    elif suffix == '.bmp':
        data[18:26] = struct.pack('<ii', width, height)
    elif suffix == '.gif':
        data[6:10] = struct.pack('<HH', width, height)
    elif suffix == '.ppm':
        data[: data.index(b'255')] = f'P6 {width} {height} '.encode()
    elif suffix == '.sr':
        data[4:12] = struct.pack('>II', width, height)
    elif suffix == '.jp2':
        for name, skipped in ((b'ihdr', 4), (b'\xff\x51', 6)):
            start = data.index(name) + skipped
            data[start : start + 8] = struct.pack(
                '>II', *((height, width) if skipped == 4 else (width, height))
            )
    return bytes(data)


def tiff(changed):
    """A TIFF of 8x8 grey pixels in one strip or tile, some of whose tags are others: number -> value."""
    size = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1}
    place = {322: 8, 323: 8, 324: 8, 325: 64} if 322 in changed else {273: 8, 278: 8, 279: 64}
    tags = sorted((size | place | changed).items())
    entries = b''.join(struct.pack('<HHII', tag, 4, 1, value) for tag, value in tags)
    pixels = bytes(256)
    return (
        struct.pack('<2sHI', b'II', 42, 8 + len(pixels))
        + pixels
        + struct.pack('<H', len(tags))
        + entries
        + bytes(4)
    )


def webp():
    """The canvas of 16384x16384 pixels of an extended WebP; a plain one has 14 bits for each side."""
    canvas = b'VP8X' + struct.pack('<I', 10) + bytes(4) + (16383).to_bytes(3, 'little') * 2
    plain = encoded('.webp')[12:]
    return b'RIFF' + struct.pack('<I', 4 + len(canvas) + len(plain)) + b'WEBP' + canvas + plain


HUGE = {suffix: huge(suffix) for suffix in ('.png', '.jpg', '.bmp', '.gif', '.ppm', '.sr', '.jp2')}
HUGE |= {
    '.tif': tiff({256: 30000, 257: 30000}),
    'a tile of a .tif': tiff({322: 30000, 323: 30000}),
    '.webp': webp(),
    'a .bmp upside down': huge('.bmp', 30000, -30000),
    'a long .png': huge('.png', 2**31 - 1, 1),
}


@pytest.mark.parametrize('data', HUGE.values(), ids=HUGE)
def test_a_picture_of_absurd_size_is_refused_by_its_header(data, monkeypatch):
    monkeypatch.setattr(images.cv2, 'imdecode', None)  # which is not called
    with pytest.raises(InputError, match=r'absurd size|x30000 pixels|x1 pixels'):
        images.decode(data)


def test_a_picture_of_a_kind_without_known_size_is_refused(monkeypatch):
    monkeypatch.setattr(images.cv2, 'imdecode', None)
    with pytest.raises(InputError, match='expected one of PNG, JPEG'):
        images.decode(b'P7\nWIDTH 30000\nHEIGHT 30000\nDEPTH 3\nMAXVAL 255\nENDHDR\n')


def test_an_image_is_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / 'a.png')
    with pytest.raises(InputError, match=r'the image .*a\.png: it is a pipe'):
        images.read(tmp_path / 'a.png')
    with pytest.raises(InputError, match='a device or the like'):
        images.read(pathlib.Path('/dev/zero'))
    with (tmp_path / 'b.png').open('wb') as file:
        file.truncate(images.MOST_BYTES + 1)
    with pytest.raises(InputError, match=r'256\.0 MiB at most'):
        images.read(tmp_path / 'b.png')
