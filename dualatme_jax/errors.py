"""The error that a user can mend, and text from outside as a terminal may show it."""

import unicodedata


class InputError(ValueError):
    """Bad input: a file, a dataset, a config field or a folder that cannot be used.

    The message says what was found, what was expected and what to do. The commands print it alone,
    without a traceback, and exit with status 2; anything else that is raised is a bug of ours.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


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
