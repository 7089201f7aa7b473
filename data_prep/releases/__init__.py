"""One file per release: its record, `RELEASE`, and the reader that makes a `Survey` of its folder."""

import importlib
import inspect
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dualatme_jax import schema
from dualatme_jax.errors import InputError

if TYPE_CHECKING:
    from data_prep.releases.clip import Survey
    from data_prep.releases.record import Release

# database -> its file, which is read when its record is first asked for.
FILES = {
    'casme2': 'casme2',
    'smic': 'smic',
    'samm': 'samm',
    'casme_sq': 'casme_sq',
    'casme3': 'casme3',
    'mmew': 'mmew',
    '4dme': 'fourdme',
    'dfme': 'dfme',
    'meview': 'meview',
    'deception': 'deception',
    'long_videos': 'long_videos',
}


def of(database: str) -> 'Release':
    """Returns the record of a release; raises InputError if there is none."""
    if database not in FILES:
        raise InputError(f'unknown release {database!r}: expected one of {", ".join(FILES)}')
    return importlib.import_module(f'{__name__}.{FILES[database]}').RELEASE


def options_of(database: str) -> tuple[str, ...]:
    """Returns the names of the options that the reader of a release takes.

    Raises:
      InputError: unknown release.
    """
    return tuple(inspect.signature(of(database).survey).parameters)[1:]


def survey(database: str, source: str | os.PathLike, **options: Any) -> 'Survey':
    """Reads a release; options that are None or False count as not given.

    Raises:
      InputError: unknown release, an option that it does not take, or nothing that could be read at all. All
        lesser faults are the survey's problems.
    """
    taken = options_of(database)
    options = {option: value for option, value in options.items() if value not in (None, False)}
    if refused := [_flag(option) for option in options if option not in taken]:
        raise InputError(
            f'{", ".join(refused)} does not apply to {database}: it takes {", ".join(map(_flag, taken))}'
        )
    return of(database).survey(pathlib.Path(source), **options)


def citation(databases: Sequence[str]) -> str:
    """Returns what to cite for a dataset made of these databases."""
    return '\n'.join(of(database).citation for database in databases)


def licence(databases: Sequence[str]) -> str:
    """Names the licences of a dataset that is made of these databases."""
    titles = ', '.join(map(schema.title, databases))
    return (
        f'Derived from {titles}: the licence agreement of each applies, also to what is derived. Do not '
        'pass it on to anyone who has not signed them.'
    )


def _flag(option: str) -> str:
    return '--' + option.replace('_', '-')
