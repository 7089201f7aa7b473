"""What a command found or did, as JSON in a file or on stdout."""

import json
import sys
from typing import Any

from dualatme_jax.errors import InputError
from dualatme_jax.files import expanded, replacing

STDOUT = '-'


def write(found: Any, path: str) -> None:
    """Writes to a file, or to stdout if the path is `-`.

    Raises:
      InputError: it cannot be written.
    """
    # A terminal gets no character of a name or a cell but ASCII.
    text = json.dumps(found, indent=2, ensure_ascii=path == STDOUT) + '\n'
    if path == STDOUT:
        sys.stdout.write(text)
        return
    file = expanded(path, '--json')
    if file.exists() and not (file.is_file() or file.is_dir()):  # such as /dev/null, which would be gone then
        raise InputError(f'cannot write --json {path}: it is a pipe, a device or the like; expected a file')
    try:
        with replacing(file) as temporary:
            # Names of files that are no text stay what they are on the disc.
            temporary.write_text(text, encoding='utf-8', errors='surrogateescape')
    except OSError as error:
        raise InputError(f'cannot write --json {path}: {error.strerror or error}') from error
