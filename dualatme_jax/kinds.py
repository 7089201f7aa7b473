"""Kinds of values: what a field of a config, or an option of a system, may hold. Without JAX and NumPy."""

import dataclasses
import math
import struct
from collections.abc import Callable
from typing import Any

FLOAT32_MAX, FLOAT32_LEAST = (2 - 2.0**-23) * 2.0**127, 2.0**-126
INT32 = 2**31 - 1

_SHOWN = 80  # characters of a value in a message


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a field may hold.

    Attributes:
      expected: in words.
      fits: whether a value, of whatever type, is one.
    """

    expected: str
    fits: Callable[[Any], bool]


def whole(low: int, high: int = INT32) -> Kind:
    """Whole numbers; True and False are none."""
    return Kind(
        f'a whole number from {low} to {high}', lambda value: type(value) is int and low <= value <= high
    )


def number(low: float = -math.inf, high: float = math.inf, *, below: bool = False) -> Kind:
    """Numbers that float32, in which all is computed, can hold; with `below` not `high` itself.

    1e39 is infinite in float32, 1e-50 is 0, and 0.999999999 is 1.
    """

    def fits(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not low <= value <= high or not (value == 0 or FLOAT32_LEAST <= abs(value) <= FLOAT32_MAX):
            return False  # so is NaN
        return not below or struct.unpack('f', struct.pack('f', value))[0] < high

    if below:
        return Kind(f'a fraction in [{low}, {high}), also when rounded to float32', fits)
    if low == -math.inf:
        return Kind('a number that float32 can hold', fits)
    return Kind(f'{low} {f"to {high}" if high < math.inf else "or more"}, as float32 can hold it', fits)


def several(kind: Kind) -> Kind:
    """Tuples of values of one kind."""
    return Kind(
        f'a tuple of values, each {kind.expected}',
        lambda value: type(value) is tuple and all(map(kind.fits, value)),
    )


def is_text(value: Any) -> bool:
    """Whether a value is text that a line can hold."""
    return isinstance(value, str) and (value.isprintable() or not value)


SWITCH = Kind('True or False', lambda value: isinstance(value, bool))
TEXT = Kind('text of printable characters', is_text)
NUMBER = number()
FRACTION = number(0, 1, below=True)


def shown(value: Any) -> str:
    """A value as a message can hold it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'
