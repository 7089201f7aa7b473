"""Calls of parsers of files from outside: in a process of their own, with limits of memory and time."""

import contextlib
import importlib
import os
import pathlib
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable, Collection
from typing import Any

from dualatme_jax.errors import InputError

_MIB = 2**20
# Seconds of computing are counted by the process itself; by the clock a busy machine takes much longer.
_START, _LOADED = 30.0, 20.0  # seconds, to start the process; times as long, to read
_SERVE = 'from dualatme_jax.outside.guarded import _serve; _serve()'


def call(
    function: Callable[..., Any],
    *args: Any,
    memory: int,
    seconds: float,
    what: str,
    libraries: Collection[str] = (),
) -> Any:
    """Returns `function(*args)`, called in a process that ends when it takes too much.

    Args:
      function: one that a module holds under its name.
      *args: what it takes; they, and what it returns or raises, must be picklable.
      memory: bytes that it may take beyond what its modules do.
      seconds: of computing that it may take, however busy the machine is.
      what: what it reads, such as `the sheet a.xlsx`, for the error.
      libraries: modules that it imports itself, and that the limits leave out too, where they are installed.

    Raises:
      InputError: it took more than that, the process died, or it came to no end.
    """
    name = (function.__module__, function.__qualname__, tuple(libraries))
    request = pickle.dumps((name, args, memory, seconds))
    environment = os.environ | {'PYTHONPATH': os.pathsep.join(sys.path), 'OPENBLAS_NUM_THREADS': '1'}
    try:
        done = subprocess.run(
            [sys.executable, '-P', '-c', _SERVE],
            input=request,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=_LOADED * seconds + _START,
            check=False,
        )
        kind, value = pickle.loads(done.stdout)
    except subprocess.TimeoutExpired as late:
        raise InputError(
            f'reading {what} did not end within {late.timeout:.0f} s, in which it may compute for '
            f'{seconds:.0f} s: this machine is too busy, or a disk does not answer; try again'
        ) from late
    except (EOFError, pickle.UnpicklingError):
        kind, value = 'died', None
    if kind == 'raised':
        raise value
    if kind == 'died':
        raise InputError(
            f'reading {what} took more than {memory / _MIB:.0f} MiB or {seconds:.0f} s of computing, or '
            'ended the process that read it: it is damaged, or far larger than such a file is'
        )
    return value


def _serve() -> None:
    """The other process: reads a request from its standard input, and answers on its standard output."""
    with os.fdopen(os.dup(1), 'wb') as answer:
        os.dup2(2, 1)  # what a library prints is no answer
        (module, name, libraries), args, memory, seconds = pickle.load(sys.stdin.buffer)
        for library in libraries:
            with contextlib.suppress(ImportError):
                importlib.import_module(library)
        function = getattr(importlib.import_module(module), name)
        _limit(memory, seconds)
        try:
            answered = 'returned', function(*args)
        except MemoryError:
            answered = 'died', None
        except Exception as error:
            answered = 'raised', error
        answer.write(pickle.dumps(answered))


def _limit(memory: int, seconds: float) -> None:
    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[5])  # of data and stacks
    data = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    time = int(used + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (time, time))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
