"""Decodes image files, and refuses those that are not whole."""

import io
import os
import pathlib
import re
import warnings
import zlib

import cv2
import numpy as np
from PIL import Image

from data_prep.files import stderr
from dualatme_jax.errors import InputError
from dualatme_jax.files import read_bytes

LARGEST = 2**25  # pixels of a picture: 7680x4320 are fewer, and no release has larger frames
MOST_BYTES = 2**28  # of its file
KINDS = (
    'PNG',
    'JPEG',
    'BMP',
    'DIB',
    'TIFF',
    'WEBP',
    'JPEG2000',
    'GIF',
    'AVIF',
    'PPM',
    'SUN',
)  # Pillow's names

PNG = b'\x89PNG\r\n\x1a\n'
_JPEG = b'\xff\xd8'
_JPEG_SCAN, _JPEG_END = b'\xff\xda', b'\xff\xd9'
_TRAILER = 1024  # bytes that some cameras and editors write after the end of a JPEG

# How libjpeg begins a report of damage; it then goes on with whatever it makes of the rest.
_COMPLAINTS = (b'Corrupt JPEG data', b'Premature end of JPEG', b'Inconsistent progression')
_PADDING = re.compile(rb'Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9')
# The usual Huffman table of luminance (ISO/IEC 10918-1, table K.5), by the number of codes of each length.
_USUAL_TABLE = bytes.fromhex('0002010303020403050504040000017d')
_ZEROS = bytes(64)
_TILE_WIDTH, _TILE_HEIGHT = 322, 323  # tags of TIFF 6.0


def read(path: pathlib.Path) -> bytes:
    """Reads an image file, which must be a regular one of at most `MOST_BYTES`.

    Raises:
      InputError: it cannot be read, or is larger.
    """
    return read_bytes(path, limit=MOST_BYTES, what='image')


def decode(data: bytes) -> np.ndarray:
    """Decodes an image file of one of the `KINDS`.

    A JPEG is refused if its code contradicts itself. It has no checksum, so that damage which leaves a valid
    code cannot be detected: most changes of a single byte, and about one in fifty of longer holes. PNG has
    checksums.

    Returns:
      [H, W, 3] uint8, blue first, whatever the file's own colours; the orientation tag is ignored.

    Raises:
      InputError: empty, truncated, damaged, no image, of more than `LARGEST` pixels, or of more than 8 bits a
        channel.
    """
    if not data:
        raise InputError('an empty file')
    if data.startswith(PNG):
        png_header(data)
    image = _decode_jpeg(data) if data.startswith(_JPEG) else _imdecode(data)
    if image.dtype != np.uint8:  # which of its bits are used is unknown: dividing by 256 may leave it black
        raise InputError(
            f'an image of {8 * image.itemsize} bits a channel, expected 8: convert the frames, '
            'all by the same factor'
        )
    return image


def _check_size(data: bytes) -> None:
    """Raises InputError for a picture too large to decode, by its header alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of pictures that are refused here, and of odd metadata
            with Image.open(io.BytesIO(data), formats=KINDS) as picture:
                width, height = picture.size
                tags = getattr(picture, 'tag_v2', {})  # a TIFF's tile may be larger than its picture
                width = max(width, int(tags.get(_TILE_WIDTH, 0)))
                height = max(height, int(tags.get(_TILE_HEIGHT, 0)))
    except Image.DecompressionBombError as error:
        raise InputError(f'a picture of absurd size ({error})') from error
    except Exception as error:  # Pillow has many for a damaged header
        raise InputError(
            f'not an image that can be decoded ({len(data)} bytes): expected one of {", ".join(KINDS)}'
        ) from error
    if not 0 < width * height <= LARGEST:
        raise InputError(
            f'a picture of {width}x{height} pixels: expected {LARGEST} pixels in all, at the most; '
            'shrink the frames of the clip, all by the same factor'
        )


def _imdecode(data: bytes) -> np.ndarray:
    _check_size(data)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # so OpenCV calls an image of absurd size
        raise InputError(f'not an image that OpenCV can decode ({error.err})') from error
    if image is None:
        raise InputError(f'not an image that OpenCV can decode ({len(data)} bytes)')
    return image


def _decode_jpeg(data: bytes) -> np.ndarray:
    # Decoders fill up what is missing of a truncated file, without an error.
    if _JPEG_END not in data[-_TRAILER:]:
        raise InputError(f'a truncated JPEG ({len(data)} bytes)')
    if _has_hole(data):
        raise InputError(f'a damaged JPEG: {len(_ZEROS)} bytes or more of its picture are zero')
    with stderr.caught() as file:
        image = _imdecode(data)
        file.seek(0)
        written = file.read()
    complaint = next((line for line in written.splitlines() if line.startswith(_COMPLAINTS)), None)
    if written and not complaint:  # of other libraries or threads
        os.write(2, written)
    if complaint and not _is_padding(complaint, data):
        raise InputError(f'a damaged JPEG ({complaint.decode(errors="replace")})')
    return image


def _is_padding(complaint: bytes, data: bytes) -> bool:
    """Tells whether libjpeg found no more than the few bytes with which some cameras fill up a picture."""
    found = _PADDING.match(complaint)
    count = int(found[1]) if found else 0
    return 0 < count <= 2 or (0 < count <= 16 and bytes(count) + _JPEG_END in data)


def _has_hole(data: bytes) -> bool:
    """Tells whether zeros stand in a JPEG's picture where its coding makes none.

    So a lost block of a disc looks. Other Huffman tables may make zeros of an even area, and so may a second
    scan; a file with a thumbnail counts as one, too.
    """
    if data.count(_JPEG_SCAN) != 1 or _USUAL_TABLE not in data:
        return False
    scan = data.index(_JPEG_SCAN)
    return _ZEROS in data[scan : data.find(_JPEG_END, scan)]


def encode_png(image: np.ndarray) -> bytes:
    """Encodes [H, W] or [H, W, 1] grey, or [H, W, 3] with red first, uint8, as a PNG."""
    if image.shape[2:] == (3,):
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.png', image)[1].tobytes()


def rgb(image: np.ndarray) -> np.ndarray:
    """Returns [H, W, 3] with red first of one with blue first."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def grey(image: np.ndarray) -> np.ndarray:
    """Returns [H, W] grey of [H, W, 3] with blue first."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def png_header(data: bytes) -> bytes:
    """Returns the header chunk of a PNG (13 bytes: width, height, bits, colour type, ...).

    Raises:
      InputError: not a PNG, or one of which a chunk is truncated or damaged.
    """
    if not data.startswith(PNG):
        raise InputError('not a PNG')
    header, position = b'', len(PNG)
    while True:
        length = int.from_bytes(data[position : position + 4], 'big')
        chunk = data[position + 4 : position + 8 + length]
        checksum = data[position + 8 + length : position + 12 + length]
        if len(checksum) < 4 or zlib.crc32(chunk) != int.from_bytes(checksum, 'big'):
            raise InputError(f'a truncated or damaged PNG ({len(data)} bytes)')
        kind, content = chunk[:4], chunk[4:]
        if kind == b'IHDR':
            header = content
        if kind == b'IEND':
            break
        position += 12 + length
    if len(header) != 13:
        raise InputError('a damaged PNG: it has no header')
    return header
