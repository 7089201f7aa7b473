"""The error that a user can mend, and text from outside as a terminal may show it."""

import difflib
import errno
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any


class InputError(ValueError):
    """Bad input: a file, a dataset, a config field or a folder that cannot be used.

    The message says what was found, what was expected and what to do. The commands print it alone,
    without a traceback, and exit with status 2; anything else that is raised is a bug of ours.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


def check_choice(what: str, name: str, field: str, choices: Iterable[str], *, others: str = '') -> None:
    """Raises InputError unless a name is one of the choices; it says which of them is like it.

    Args:
      what: is chosen, such as `loss`.
      name: that was given.
      field: that takes it, such as `config.loss.name`.
      choices: the names there are.
      others: what else the field takes, in words.
    """
    known = list(choices)
    if name in known:
        return
    written = re.sub(r'[- ]', '_', str(name).lower())
    close = ' or '.join(map(repr, difflib.get_close_matches(written, known, n=2, cutoff=0.75)))
    raise InputError(
        f'unknown {what} {name!r}: {field} takes {", ".join(map(repr, known))}{others}'
        + (f'; did you mean {close}?' if close else '')
    )


def exit_status(run: Callable[[], Any]) -> int:
    """Runs a command; returns its exit status: 0, or 2 for bad input; then only its message is printed."""
    try:
        run()
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


def one_line(error: InputError) -> str:
    """All that an error says, as a cell of a table can hold it."""
    return ' '.join(line.strip() for line in str(error).splitlines())


def printable(text: str) -> str:
    """Returns text from outside (a cell, a file name) with escapes for what a terminal would obey.

    Those are control characters but line breaks and tabs, characters that turn the writing direction, and
    halves of surrogate pairs, which cannot be encoded.
    """
    return ''.join(
        character
        if character in '\n\t' or unicodedata.category(character) not in ('Cc', 'Cf', 'Cs')
        else character.encode('unicode_escape').decode()
        for character in text
    )


def of_system(error: BaseException) -> str | None:
    """Says what the operating system refused, such as to write on a full disk; None of other errors.

    Orbax writes through TensorStore, which raises a ValueError that quotes the system's number.
    """
    quoted = re.search(r'"([^"]*)".*\[os_error_code=\'(\d+)\'\]', str(error), re.DOTALL)
    if isinstance(error, OSError):
        # The second name is what a file was to be called.
        name, code, reason = error.filename2 or error.filename, error.errno, error.strerror or str(error)
    elif quoted:
        name, code = quoted[1], int(quoted[2])
        reason = os.strerror(code)
    else:
        return None
    room = '; make room on its disk' if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ''
    return printable(f'{f"{name}: " if name is not None else ""}{reason}{room}')
