"""One file a release: each reads what its folder holds into a `Survey`."""

import importlib
import inspect
import os
import pathlib
from typing import Any

from data_prep.releases.clip import Survey
from dualatme_jax.errors import InputError

# database -> its module; each has `survey(source, **options)`.
READERS = {
    'casme2': 'casme2',
    'smic': 'smic',
    'samm': 'samm',
    'casme_sq': 'casme_sq',
    'casme3': 'casme3',
    'mmew': 'mmew',
    '4dme': 'fourdme',
    'meview': 'meview',
    'deception': 'deception',
}


def options_of(name: str) -> tuple[str, ...]:
    """Returns the names of the options that the reader of a release takes.

    Raises:
      InputError: unknown release.
    """
    return tuple(inspect.signature(_reader(name)).parameters)[1:]


def survey(name: str, source: str | os.PathLike, **options: Any) -> Survey:
    """Reads a release; options that are None or False count as not given.

    Raises:
      InputError: unknown release, an option that it does not take, or nothing that could be read at all. All
        lesser faults are the survey's problems.
    """
    taken = options_of(name)
    options = {option: value for option, value in options.items() if value not in (None, False)}
    if refused := [_flag(option) for option in options if option not in taken]:
        raise InputError(
            f'{", ".join(refused)} does not apply to {name}: it takes {", ".join(map(_flag, taken))}'
        )
    return _reader(name)(pathlib.Path(source), **options)


def _reader(name: str):
    if name not in READERS:
        raise InputError(f'unknown release {name!r}: expected one of {", ".join(READERS)}')
    return importlib.import_module(f'{__name__}.{READERS[name]}').survey


def _flag(option: str) -> str:
    return '--' + option.replace('_', '-')
