"""How far a command is."""

import sys
import time
from collections.abc import Iterable, Iterator

LEAST = 10  # seconds before the first line where there is no terminal


def tracked(items: Iterable, description: str, total: int | None) -> Iterator:
    """Yields the items, and shows how many there have been of `total`, if it is known.

    On a terminal it is a bar with the time left; elsewhere a line after 10 s, 20 s, 40 s and so on.
    """
    from rich.console import Console  # late: `--help` answers at once
    from rich.progress import track

    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(items, description, total=total, console=console, transient=True)
        return
    began, due = time.monotonic(), LEAST
    for done, item in enumerate(items, start=1):
        passed = time.monotonic() - began
        if passed > due:
            due = 2 * passed
            print(
                f'{description}: {done}{f" of {total}" if total else ""}, {passed:.0f} s',
                file=sys.stderr,
                flush=True,
            )
        yield item
