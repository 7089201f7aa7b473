"""Work over processes: results in order, few of them in memory, and no process left behind."""

import collections
import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import cv2

from dualatme_jax.errors import InputError


def available() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(
    function: Callable[..., Any],
    items: Iterable[tuple],
    workers: int,
    *,
    initializer: Callable[..., None] | None = None,
    initargs: tuple = (),
) -> Iterator[Any]:
    """Yields what `function` returns for the arguments of each item, in their order.

    Args:
      function: as everything given and returned, it must be picklable.
      items: the arguments.
      workers: how many processes; with 1 the work is done in this one.
      initializer: called once in each process before its first item.
      initargs: its arguments.

    Raises:
      InputError: a worker died.
    """
    if workers == 1:
        _prepare(initializer, initargs)
        yield from (function(*item) for item in items)
        return
    context = multiprocessing.get_context('spawn')  # libraries of the parent may hold locks in their threads
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start, initargs=(initializer, initargs)
    )
    waiting: collections.deque[concurrent.futures.Future] = collections.deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, *item))
            if len(waiting) >= 4 * workers:  # enough to keep all busy while one item takes long
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            'a worker process died, as it does when memory runs out. What is done stays usable: '
            'give the same command again, with fewer --workers'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(initializer: Callable[..., None] | None, initargs: tuple) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all: the parent ends the others in order
    threading.Thread(target=_die_with_the_parent, daemon=True).start()
    _prepare(initializer, initargs)


def _prepare(initializer: Callable[..., None] | None, initargs: tuple) -> None:
    cv2.setNumThreads(1)  # the items run side by side; and sums must not depend on threads
    if initializer:
        initializer(*initargs)


def _die_with_the_parent() -> None:
    # A parent that is killed cannot end its workers, and they would wait for ever.
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
