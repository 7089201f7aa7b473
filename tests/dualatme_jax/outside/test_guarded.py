import os
import sys
import time

import numpy as np
import pytest

from dualatme_jax.errors import InputError
from dualatme_jax.outside import guarded

MIB = 2**20
LIMITS = {'memory': 64 * MIB, 'seconds': 1, 'what': 'the file x'}


def take(mib: int) -> int:
    return len(bytearray(mib * MIB))


def take_in_c(mib: int) -> int:
    return int(np.ones(mib * MIB, np.uint8).sum())


def spin() -> None:
    while True:
        pass


def die() -> None:
    os.abort()


def refuse(text: str) -> None:
    print('a library says something')
    raise InputError(text)


def test_it_returns_what_the_function_returns():
    assert guarded.call(take, 8, **LIMITS) == 8 * MIB


def is_loaded(module: str) -> bool:
    return module in sys.modules


def test_libraries_are_there_before_the_limits_are():
    assert not guarded.call(is_loaded, 'colorsys', **LIMITS)
    assert guarded.call(is_loaded, 'colorsys', libraries=('no_such_library', 'colorsys'), **LIMITS)


def test_it_raises_what_the_function_raises():
    with pytest.raises(InputError, match='no such thing'):
        guarded.call(refuse, 'no such thing', **LIMITS)


@pytest.mark.parametrize(('function', 'args'), [(take, (100,)), (take_in_c, (100,)), (spin, ()), (die, ())])
def test_what_takes_too_much_is_refused_by_name(function, args):
    with pytest.raises(
        InputError, match=r'reading the file x took more than 64 MiB or 1 s of computing, or ended'
    ):
        guarded.call(function, *args, **LIMITS)


def test_what_does_not_end_on_a_busy_machine_is_not_called_damaged(monkeypatch):
    monkeypatch.setattr(guarded, '_START', 0.1)
    monkeypatch.setattr(guarded, '_LOADED', 1.0)
    with pytest.raises(
        InputError, match=r'the file x did not end within 1 s, .* for 1 s: .* too busy'
    ) as found:
        guarded.call(time.sleep, 60, **LIMITS)
    assert 'damaged' not in str(found.value)
