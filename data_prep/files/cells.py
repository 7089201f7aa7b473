"""What the cells of a label sheet say, however a spreadsheet program has typed them."""

import numbers
import re
import unicodedata
from typing import Any

import pandas as pd

from dualatme_jax import schema

_DASHES = ('-', '--', '\N{EN DASH}', '\N{EM DASH}')
_NOT_GIVEN = frozenset(
    ('', '/', '?', '??', '???', *_DASHES, 'nan', 'none', 'null', 'na', 'n/a', 'n.a.', '#n/a')
)
_FRAME = re.compile(r'(\d+)(\.0*)?', re.ASCII)
LARGEST_FRAME = 2**31 - 1  # that a dataset can hold

# The letters, digits and signs as wide as Chinese characters, and the space among them. Other characters that
# Unicode calls compatible mean something else in a sheet: a superscript two is a footnote.
_WIDE = re.compile('[\uff01-\uff5e\u3000]')


def narrow(text: str) -> str:
    """Returns a text with its full-width letters, digits and signs as the common ones (NFKC)."""
    return _WIDE.sub(lambda match: unicodedata.normalize('NFKC', match[0]), text)


def given(cell: Any) -> bool:
    """Whether a cell says anything: not empty, NaN, None, `/`, `?`, `N/A` or a dash."""
    if isinstance(cell, str):
        return narrow(cell).strip().lower() not in _NOT_GIVEN
    return not pd.isna(cell)


def text(cell: Any) -> str:
    """Returns a cell in words, empty if it is not given; whole numbers without decimals, spaces single."""
    if not given(cell):
        return ''
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return ' '.join(narrow(str(cell)).split())


def frame(cell: Any) -> int:
    """Returns the frame number in a cell: 46, 46.0 or ' 46 '; `schema.UNKNOWN_FRAME` if it is not given.

    Raises:
      ValueError: anything else.
    """
    if not given(cell):
        return schema.UNKNOWN_FRAME
    number = -1
    if isinstance(cell, str):
        if match := _FRAME.fullmatch(narrow(cell).strip()):
            number = int(match[1].lstrip('0')[:20] or 0)  # Python refuses thousands of digits
    elif isinstance(cell, numbers.Integral | float) and not isinstance(cell, bool) and cell % 1 == 0:
        number = int(cell)
    if not 0 <= number <= LARGEST_FRAME:
        raise ValueError(f'{text(cell)!r} is no frame number')
    return number
