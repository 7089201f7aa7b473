import pathlib

import pytest

from dualatme_jax import files
from dualatme_jax.errors import InputError


def test_a_home_folder_is_put_in(monkeypatch):
    monkeypatch.setenv('HOME', '/some/home')
    assert files.expanded('~/data', '--out') == pathlib.Path('/some/home/data')
    assert files.expanded('data/~x', '--out') == pathlib.Path('data/~x')


def test_the_home_of_nobody_is_refused():
    with pytest.raises(InputError, match=r"--out ~nosuchuser/data: the home folder of '~nosuchuser'"):
        files.expanded('~nosuchuser/data', '--out')
