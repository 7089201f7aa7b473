"""How far a command is."""

import json
import sys
import time
from collections.abc import Iterable, Iterator

LEAST = 10  # seconds before the first line where there is no terminal
_EVERY = 1.0  # seconds between two lines for a program
FOR_A_PROGRAM = 'progress: '  # what these begin with


def tracked(items: Iterable, description: str, total: int | None, *, for_a_program: bool = False) -> Iterator:
    """Yields the items, and shows how many there have been of `total`, if it is known.

    On a terminal it is a bar with the time left; elsewhere a line after 10 s, 20 s, 40 s and so on.

    Args:
      items: what is yielded.
      description: what they are.
      total: how many there will be, as far as is known.
      for_a_program: whether there is a line once a second and at the end, `FOR_A_PROGRAM` and JSON with
        `stage` (the description), `done`, `total` and `seconds`.
    """
    if for_a_program:
        yield from _for_a_program(items, description, total)
        return
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


def _for_a_program(items: Iterable, description: str, total: int | None) -> Iterator:
    began, due, done = time.monotonic(), _EVERY, 0

    def say(seconds: float) -> None:
        line = {'stage': description, 'done': done, 'total': total, 'seconds': round(seconds, 2)}
        print(FOR_A_PROGRAM + json.dumps(line), file=sys.stderr, flush=True)

    for item in items:
        done += 1
        if (passed := time.monotonic() - began) >= due:
            due = passed + _EVERY
            say(passed)
        yield item
    say(time.monotonic() - began)
