"""Several processes that run as one: how they start, what the first does for all, and how they end.

All run the same program on their own devices, and see the same workdir. The first (number 0) alone writes and
talks. Alone, a process is the first, agrees with itself, and nothing here does anything.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import jax
from jax._src import distributed as jax_processes  # whose key-value store has no public name

from dualatme_jax.errors import InputError
from dualatme_jax.machines import heartbeat

# How long the processes of a run wait for each other at its start.
START_SECONDS = 300
# Of JAX, which ends a process by abort when one has been silent for so long: later than `watch` does.
JAX_SECONDS = 2 * heartbeat.SILENT_SECONDS
# How long a file that one process wrote may take to be seen by the others.
SHARED_SECONDS = 30

_FOREVER = 2**31 - 1  # milliseconds; the watch reports a process that is gone

_watch: heartbeat.Watch | None = None
_turn = 0  # of `exchanged`, the same in all processes


def start(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    distributed: bool = False,
) -> None:
    """Joins the other processes of a run, if it has any; to be called before JAX is used.

    Args:
      coordinator: HOST:PORT of the first process, free there.
      processes: how many there are.
      process: number of this one, from 0.
      distributed: JAX finds these three itself, as it can on TPU pods, under Slurm and under Open MPI.

    Raises:
      InputError: not all of the three are given, or they cannot be, or JAX does not find them.
    """
    given = [value is not None for value in (coordinator, processes, process)]
    if not distributed and not any(given):
        return
    _check(coordinator, processes, process, distributed)
    at = f' ({processes} processes, the first at {coordinator})' if coordinator else ''
    with _deadline(
        f'error: the processes of this run did not find each other within {START_SECONDS} s{at}; start all '
        'of them within that time, each with its own --process, and let the first be reached at that address'
    ):
        try:
            jax.distributed.initialize(
                coordinator,
                processes,
                process,
                # One process per machine or as given: not Slurm's or MPI's idea of it.
                cluster_detection_method=None if distributed else 'deactivate',
                initialization_timeout=2 * START_SECONDS,
                heartbeat_timeout_seconds=JAX_SECONDS,
                shutdown_timeout_seconds=JAX_SECONDS,
            )
        except (RuntimeError, ValueError, TypeError) as error:
            raise InputError(
                f'the processes of this run cannot join ({error}); expected --coordinator=HOST:PORT, with a '
                'port that is free on the host of process 0, --processes=N and --process=I, or --distributed '
                'on a TPU pod, under Slurm or under Open MPI'
            ) from error
        if _state().num_processes > 1:
            _watch_others()


def is_first() -> bool:
    """Whether this process is the one that writes and talks."""
    return _state().process_id == 0


def exchanged(value: Any) -> list[Any]:
    """What each process gave, by number, when all have given something that JSON can hold."""
    global _turn
    count, own = _state().num_processes, _state().process_id
    if count == 1:
        return [value]
    _turn += 1
    store = _state().client
    store.key_value_set(f'dualatme_jax/{_turn}/{own}', json.dumps(value))
    given = [
        json.loads(store.blocking_key_value_get(f'dualatme_jax/{_turn}/{number}', _FOREVER))
        for number in range(count)
    ]
    if _turn > 1:  # everybody is in this turn, so has read the last one
        store.key_value_delete(f'dualatme_jax/{_turn - 1}/{own}')
    return given


def agreed(value: Any) -> Any:
    """The first process's value, in all of them."""
    return exchanged(value if is_first() else None)[0]


@contextlib.contextmanager
def first_before_others() -> Iterator[None]:
    """Lets the first process through the block before the others."""
    if not is_first():
        exchanged(None)
    yield
    if is_first():
        exchanged(None)


@contextlib.contextmanager
def failing_together() -> Iterator[None]:
    """Lets an error of JAX in one process's block be one in all, which would wait for it otherwise."""
    if _state().num_processes == 1:
        yield
        return
    failure = None
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        failure = error
    for number, text in enumerate(exchanged(str(failure) if failure else None)):
        if text is not None:
            raise jax.errors.JaxRuntimeError(f'{text.splitlines()[0]} (process {number})') from failure


def check_same(what: str, value: Any) -> None:
    """Raises InputError in each process that has another `value`, which JSON can hold, than the first."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    if digest != agreed(digest):
        raise InputError(
            f'process {_state().process_id} ({socket.gethostname()}) has another {what} than process 0; '
            'expected the same program, command, dataset and workdir for all processes of a run'
        )


def check_shared(folder: pathlib.Path) -> None:
    """Raises InputError in each process that does not see what the first writes to `folder`."""
    if _state().num_processes == 1:
        return
    token = folder / agreed(f'.seen-by-all-{secrets.token_hex(8)}')
    if is_first():
        token.touch()
    exchanged(None)
    until = time.monotonic() + SHARED_SECONDS
    while not token.exists():
        if time.monotonic() > until:
            raise InputError(
                f'process {_state().process_id} ({socket.gethostname()}) does not see in {folder.absolute()} '
                'what process 0 writes there; expected a --workdir on a file system that all machines share'
            )
        time.sleep(0.2)
    exchanged(None)
    if is_first():
        token.unlink()


def finish() -> None:
    """Parts from the others at the end of a run."""
    global _watch
    if _watch:
        _watch.stop()
        _watch = None
        exchanged(None)
        jax.distributed.shutdown()


def leave(reason: str, status: int) -> NoReturn:
    """Says why this process ends, to the others too, which end with it, and ends it."""
    if _watch:
        _watch.leave(reason, status)
    print(reason, file=sys.stderr, flush=True)
    if _state().num_processes > 1:
        os._exit(status)  # the others never came, and are not waited for
    sys.exit(status)


def await_verdict() -> None:
    """Gives the watch time to find out whether an error here is due to another process's end."""
    if _watch:
        time.sleep(heartbeat.SILENT_SECONDS + heartbeat.FAREWELL_SECONDS)


def _state() -> Any:
    return jax_processes.global_state


def _check(coordinator: str | None, processes: int | None, process: int | None, found: bool) -> None:
    expected = (
        'expected --coordinator=HOST:PORT, --processes=N and --process=I together, or --distributed alone'
    )
    given = [value is not None for value in (coordinator, processes, process)]
    if found and any(given):
        raise InputError(f'--distributed finds by itself what the other flags say; {expected}')
    if found:
        return
    if not all(given):
        flags = zip(('--coordinator', '--processes', '--process'), given, strict=True)
        missing = ', '.join(flag for flag, there in flags if not there)
        raise InputError(f'of several processes, {missing} is not given; {expected}')
    if not re.fullmatch(r'.+:\d{1,5}', coordinator) or not 0 < int(coordinator.rpartition(':')[2]) < 2**16:
        raise InputError(f'--coordinator={coordinator} is no HOST:PORT; {expected}')
    if processes < 1 or not 0 <= process < processes:
        raise InputError(
            f'--process={process} of --processes={processes}; expected a number from 0 to one below the '
            'number of processes'
        )


def _watch_others() -> None:
    """Opens the lines between the processes."""
    global _watch
    count, own = _state().num_processes, _state().process_id
    server, port, word = heartbeat.listening() if is_first() else (None, None, None)
    others = exchanged({'host': socket.gethostname(), 'port': port, 'word': word})
    names = [f'process {number} ({other["host"]})' for number, other in enumerate(others)]
    if is_first():
        lines = heartbeat.accept(server, word, count - 1, START_SECONDS)
    else:
        host = _state().coordinator_address.rpartition(':')[0].strip('[]')
        lines = heartbeat.connect(host, others[0]['port'], others[0]['word'], own, START_SECONDS)
    _watch = heartbeat.Watch(names, lines)


@contextlib.contextmanager
def _deadline(message: str) -> Iterator[None]:
    """Ends the process by `message` if the block takes START_SECONDS; JAX would by abort."""

    def end() -> None:
        print(message, file=sys.stderr, flush=True)
        os._exit(2)

    timer = threading.Timer(START_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
