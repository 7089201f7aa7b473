"""What lies in the dataset, as the network reads it: scaled, resized, its channels in order, in the step.

Works on NumPy's arrays and on JAX's. Axes: C channels, *S space and time, B examples of a batch.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dualatme_jax import schema
from dualatme_jax.errors import InputError, check_choice
from dualatme_jax.schema import BY_CLIPS
from dualatme_jax.training import encoding as encodings

# From a batch as it is stored, by key, each [C, *S, B], to what the network reads: float32, its pictures
# resized where that is asked for.
Prepare = Callable[[Mapping[str, Any]], dict[str, Any]]


def _divided(divisor: float) -> Callable[[Any], Any]:
    """From whole numbers or halves below 256 to their quotients, rounded as a division rounds.

    XLA divides by a constant as it multiplies by its inverse, which rounds twice. Here the product with the
    inverse's first 12 bits has no rounding, so that the sum with the rest has the only one.
    """
    mantissa, exponent = math.frexp(1 / divisor)
    first = math.ldexp(math.floor(mantissa * 2**12) / 2**12, exponent)
    high, low = np.float32(first), np.float32(1 / divisor - first)
    return lambda x: x * high + x * low


_by_127_5, _by_255 = _divided(127.5), _divided(255)
_BYTES = ('signed', 'unit', 'imagenet', 'byte', *BY_CLIPS)

# Mean and deviation of ImageNet's red, green and blue, of values 0..1: torchvision's.
_IMAGENET = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def _by_imagenet(x: Any) -> Any:
    """`x` [C, ...] of bytes; other inputs than three channels, such as maps, all have the numbers of red."""
    mean, deviation = (
        (values if len(x) == 3 else values[:1]).reshape(-1, *[1] * (x.ndim - 1)) for values in _IMAGENET
    )
    return (_by_255(x) - mean) * (1 / deviation)


# `signed`: bytes to -1..1, as Dual-ATME's paper has it. `unit`: to 0..1, PyTorch's ToTensor. `imagenet`: then
# normalised as ImageNet's pictures are. `byte`: 0..255. `stored`: whatever numbers there are. Of those that
# depend on clips, see `scaling`, bytes are left here as they are.
SCALES: dict[str, Callable[[Any], Any]] = {
    'signed': lambda x: _by_127_5(x - np.float32(127.5)),
    'unit': _by_255,
    'imagenet': _by_imagenet,
    'byte': lambda x: x,
    'stored': lambda x: x,
    **dict.fromkeys(BY_CLIPS, lambda x: x),
}

_RANGES = {'signed': (-1.0, 1.0), 'unit': (0.0, 1.0), 'byte': (0.0, 255.0), 'stored': (0.0, 0.0)}
_RANGES |= dict.fromkeys(BY_CLIPS, _RANGES['byte'])


def ends(scale: str, x: Any) -> tuple[Any, Any]:
    """The least and the largest value of inputs `x` [C, ...]: numbers, or of each channel, [C, 1, ...].

    `stored` has none: 0 and 0.
    """
    if scale in _RANGES:
        return _RANGES[scale]
    bytes_ = np.full((2, len(x), *[1] * (x.ndim - 1)), 255, np.float32)
    bytes_[0] = 0
    low, high = map(SCALES[scale], bytes_)
    return low, high


def check(
    *,
    scale: str,
    channels: Sequence[str],
    reads: Sequence[str],
    size: int = 0,
    random_crop: bool = False,
    **_,
) -> None:
    """Raises InputError for an unknown scale, or for channels that no input has.

    Args:
      scale: a key of `SCALES`.
      channels: an order of channels; see `preparation`.
      reads: keys of the inputs.
      size: see `preparation`.
      random_crop: whether training takes a window of this size, see `augment.window`.
    """
    if random_crop and not size:
        raise InputError(
            'config.input.random_crop is True and config.input.size is 0; expected the edge of the window, '
            'such as --config.input.size=224'
        )
    check_choice('scale', scale, 'config.input.scale', SCALES)
    unknown = set(channels) - {name for own in schema.CHANNELS.values() for name in own}
    for key in reads:
        own = schema.CHANNELS.get(key, ())
        given = [name for name in channels if name in own]
        if unknown or (given and sorted(given) != sorted(own)):
            raise InputError(
                f'config.input.channels is {tuple(channels)}; expected {", ".join(map(repr, own))}, in any '
                f'order, for {key}, or () for all inputs as they are stored'
            )


def check_stored(
    scale: str,
    inputs: Mapping[str, np.ndarray],
    made: Sequence[str] = (),
    *,
    size: int = 0,
    random_crop: bool = False,
    encoding: str = encodings.MINMAX,
) -> None:
    """Raises InputError for inputs [N, *S, C] that the scale, or a window, cannot be taken of.

    Args:
      scale: a key of `SCALES`.
      inputs: by key.
      made: keys of those that a frozen stage makes, see `preparation`.
      size, random_crop: see `check`.
      encoding: of motion, which the scale is not taken of then.
    """
    for key, array in inputs.items():
        if random_crop and (array.ndim < 4 or min(array.shape[-3:-1]) <= size):
            raise InputError(
                f'config.input.random_crop takes windows of {size}x{size} pixels, and {key} of the dataset '
                f'is {"x".join(map(str, array.shape[1:]))}; expected larger pictures (data_prep build '
                '--view apex --face-size 240), or --config.input.random_crop=False'
            )
        own = encodings.applies(encoding, schema.CHANNELS.get(key, ()))
        if scale in _BYTES and array.dtype != np.uint8 and key not in made and not own:
            raise InputError(
                f'{key} of the dataset is {array.dtype} {array.shape[1:]}; expected uint8, which '
                f'config.input.scale={scale!r} takes. Read it by '
                '--config.input.encoding=raw or robust, as it is by --config.input.scale=stored, or build it '
                'with --view flow --encoding minmax_uint8'
            )


def preparation(
    *,
    scale: str,
    channels: Sequence[str],
    size: int = 0,
    made: Sequence[str] = (),
    encoding: str = encodings.MINMAX,
    **_,
) -> Prepare:
    """What scales and resizes inputs, and orders their channels.

    Args:
      scale: a key of `SCALES`, of all inputs.
      channels: the order in which the network reads them, of each input that has these; the others, such as
        those of a face where the order is that of a flow, are read as they are stored. See `check`.
      size: height and width of all pictures and frames as they are read; 0: as they are stored.
      made: keys of inputs that a frozen stage makes: they keep their size, and those that are no bytes have
        no scale.
      encoding: one of `encoding.ENCODINGS`; by another than `minmax` motion is read as `encoding.encoded`
        has left it.

    The other fields of config.input are read elsewhere: a window is taken before, see `augment.window`, and
    predictions mirror what this makes, see `augment.mirroring`.
    """

    def scaled(key: str, x: Any) -> Any:
        encoded = encodings.applies(encoding, schema.CHANNELS.get(key, ()))
        if encoded and x.dtype == np.uint8:  # of a caller that has left `encoding.encoded` out
            raise ValueError(f'{key} has bytes; expected what {encoding!r} has encoded')
        own = 'stored' if encoded or (key in made and x.dtype != np.uint8) else scale
        x = SCALES[own](_ordered(x, key, channels).astype(np.float32))
        return _resized(x, size) if size and key not in made else x

    def prepare(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {key: scaled(key, x) for key, x in inputs.items()}

    return prepare


def _resized(x: Any, size: int) -> Any:
    """Pictures [C, ..., H, W, B] with this height and width; other inputs as they are.

    As OpenCV and Caffe do, and PyTorch's `interpolate(mode='bilinear')`: between the four nearest pixels,
    also where the picture becomes smaller.
    """
    if x.ndim < 4 or x.shape[-3:-1] == (size, size):
        return x
    import jax  # which the PyTorch side of benchmarks does without

    return jax.image.resize(x, (*x.shape[:-3], size, size, x.shape[-1]), 'bilinear', antialias=False)


def ordered_names(key: str, channels: Sequence[str]) -> tuple[str, ...]:
    """The channels of an input in the order in which the network reads them; none where none is known."""
    own = schema.CHANNELS.get(key, ())
    return tuple(name for name in channels if name in own) or own


def _ordered(x: Any, key: str, channels: Sequence[str]) -> Any:
    """`x` [C, ...] with its channels in another order."""
    own, names = schema.CHANNELS.get(key, ()), ordered_names(key, channels)
    return x if names == own else x[np.array([own.index(name) for name in names])]


# Dual-ATME's.
PAPER = preparation(scale='signed', channels=schema.FLOW_CHANNELS)
