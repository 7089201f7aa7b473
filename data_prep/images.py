"""Decodes image files, and refuses those that are not whole."""

import zlib

import cv2
import numpy as np

from dualatme_jax.errors import InputError

PNG = b'\x89PNG\r\n\x1a\n'
_JPEG = b'\xff\xd8'
_JPEG_END = b'\xff\xd9'
_TRAILER = 1024  # bytes that some cameras and editors write after the end of a JPEG


def decode(data: bytes) -> np.ndarray:
    """Decodes an image file of any kind that OpenCV reads.

    Returns:
      [H, W, 3] uint8, blue first, whatever the file's own colours; the orientation tag is ignored.

    Raises:
      InputError: empty, truncated, damaged, or no image.
    """
    if not data:
        raise InputError('an empty file')
    # Decoders fill up what is missing of a truncated file, without an error.
    if data.startswith(_JPEG) and _JPEG_END not in data[-_TRAILER:]:
        raise InputError(f'a truncated JPEG ({len(data)} bytes)')
    if data.startswith(PNG):
        png_header(data)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # so OpenCV calls an image of absurd size
        raise InputError(f'not an image that OpenCV can decode ({error.err})') from error
    if image is None:
        raise InputError(f'not an image that OpenCV can decode ({len(data)} bytes)')
    return image


def encode_png(image: np.ndarray) -> bytes:
    """Encodes [H, W] grey, or [H, W, 3] with red first, uint8, as a PNG."""
    if image.ndim == 3:
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
