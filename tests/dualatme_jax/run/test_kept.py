"""What waves leave is had again by the numbers of trials."""

import types

import numpy as np
import pandas as pd
import pytest

from dualatme_jax.errors import InputError
from dualatme_jax.run import disk
from dualatme_jax.run.kept import Kept

# Trials of two waves that lie between each other, and one of another network.
TABLE = pd.DataFrame({'trial': [0, 1, 2, 3, 4], 'wave': [0, 1, 0, 1, 2]})


def wave(*numbers, width=2):
    kernel = np.array([np.full(width, number) for number in numbers])
    variables = {'params': {'kernel': kernel}}
    return types.SimpleNamespace(predictions=None, losses=None, variables=variables)


@pytest.fixture
def kept():
    found = Kept(None)
    found.keep(0, wave(0, 2), weights=True)
    found.keep(1, wave(1, 3), weights=True)
    found.keep(2, wave(4, width=3), weights=True)
    return found


@pytest.mark.parametrize('trials', [[0, 1, 2, 3], [3, 0], [2], [1, 1]])
def test_networks_stand_in_the_order_that_was_asked_for(kept, trials):
    kernel = kept.variables(TABLE, trials)['params']['kernel']
    np.testing.assert_array_equal(kernel, np.repeat(trials, 2).reshape(-1, 2))


def test_what_cannot_be_had_is_named(kept):
    with pytest.raises(InputError, match='networks of several kinds'):
        kept.variables(TABLE, [0, 4])
    with pytest.raises(InputError, match='the run has no trial 7; it has 5'):
        kept.variables(TABLE, [0, 7])
    with pytest.raises(InputError, match=r'keep_weights=True'):
        Kept(None).variables(TABLE, [0])


def test_networks_that_do_not_fit_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr(disk.host_memory, 'free', lambda: 2**20)
    disk.check_memory(2**20)
    with pytest.raises(InputError, match=r'take 2 MiB of memory, and 1 MiB are free; give a workdir'):
        disk.check_memory(2**21)
