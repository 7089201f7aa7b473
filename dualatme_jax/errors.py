"""The error that a user can mend."""


class InputError(ValueError):
    """Bad input: a file, a dataset, a config field or a folder that cannot be used.

    The message says what was found, what was expected and what to do. The commands print it alone,
    without a traceback, and exit with status 2; anything else that is raised is a bug of ours.
    """
