"""What libraries write to the terminal past Python."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def caught() -> Iterator[BinaryIO]:
    """Yields a file that takes, for the length of the block, what is written to the file descriptor 2.

    The descriptor belongs to the whole process: what other threads write meanwhile is caught too.
    """
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), 2)
            try:
                yield file
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)
