"""Lines held open between the processes of a run: when one ends, the others learn which one.

Each process but the first holds one line to the first. A line carries a beat now and then, and at the end
the reason why a process ends; a line that closes without a reason, or falls silent, means that a process
died. JAX would notice too, but it names no process, and it aborts.
"""

import contextlib
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NoReturn

BEAT = b'\0'
BEAT_SECONDS = 5
# Longer than any stretch of Python code that keeps the beat from being sent.
SILENT_SECONDS = 30
# Time for the others to read the reason before JAX finds the first process gone, and aborts them.
FAREWELL_SECONDS = 1

# Exit status of a process that ends because another did.
OTHER_ENDED = 3


class Watch:
    """Ends this process, with the other's name, when another one of the run ends.

    Args:
      names: of all processes, by number.
      lines: to other processes, by number.
    """

    def __init__(self, names: Sequence[str], lines: Mapping[int, socket.socket]):
        self._names = names
        self._lines = dict(lines)
        self._ending = threading.Lock()  # taken once, by who ends the process or the watch
        threading.Thread(target=self._beat, daemon=True).start()
        for number in self._lines:
            threading.Thread(target=self._listen, args=(number,), daemon=True).start()

    def stop(self) -> None:
        """The run ends well from here on: a process that leaves has a reason."""
        self._ending.acquire()

    def leave(self, reason: str, status: int, *, gone: int | None = None) -> NoReturn:
        """Sends the reason to the others, except the one that is `gone`, and ends this process."""
        if not self._ending.acquire(blocking=False):
            threading.Event().wait()  # another thread is doing so
        print(reason, file=sys.stderr, flush=True)
        others = [line for number, line in self._lines.items() if number != gone]
        for line in others:
            with contextlib.suppress(OSError):  # it went too
                line.sendall(reason.encode())
                line.shutdown(socket.SHUT_WR)
        if others and 0 not in self._lines:
            time.sleep(FAREWELL_SECONDS)
        sys.stdout.flush()
        os._exit(status)  # not sys.exit: other threads are within collectives, which nobody will join

    def _beat(self) -> None:
        while not self._ending.locked():
            for line in self._lines.values():
                with contextlib.suppress(OSError):  # the listener reports it
                    line.sendall(BEAT)
            time.sleep(BEAT_SECONDS)

    def _listen(self, number: int) -> None:
        line, said = self._lines[number], b''
        line.settimeout(SILENT_SECONDS)
        try:
            while data := line.recv(1 << 16):
                said += data.replace(BEAT, b'')
            how = 'died'
        except TimeoutError:
            how = f'has not been heard of for {SILENT_SECONDS} s'
        except OSError:
            how = 'died'
        if self._ending.locked():
            return
        how = f'ended, and so do the others: {said.decode()}' if said else f'{how}, and so the others end'
        self.leave(
            f'error: {self._names[number]} {how}\n'
            'what was kept stays; the same command continues from the last checkpoint',
            OTHER_ENDED,
            gone=number,
        )


def listening() -> tuple[socket.socket, int, str]:
    """Where the first process waits for the others' lines: socket, port, and a word they must know."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    server = socket.create_server(('', 0), family=family, dualstack_ipv6=both)
    return server, server.getsockname()[1], secrets.token_hex(16)


def accept(server: socket.socket, word: str, others: int, seconds: float) -> dict[int, socket.socket]:
    """The lines of the others, by number; raises TimeoutError if one does not come."""
    lines, until = {}, time.monotonic() + seconds
    with server:
        while len(lines) < others:
            server.settimeout(max(0.001, until - time.monotonic()))
            line, _ = server.accept()
            line.settimeout(seconds)
            sent, _, number = _read_line(line).partition(' ')
            if secrets.compare_digest(sent, word):
                lines[int(number)] = line
            else:
                line.close()
    return lines


def connect(host: str, port: int, word: str, own: int, seconds: float) -> dict[int, socket.socket]:
    """The line to the first process, as {0: line}; raises OSError if there is none."""
    line = socket.create_connection((host, port), timeout=seconds)
    line.sendall(f'{word} {own}\n'.encode())
    return {0: line}


def _read_line(line: socket.socket) -> str:
    said = b''
    while len(said) < 100 and not said.endswith(b'\n') and (byte := line.recv(1)):
        said += byte
    return said.decode('ascii', 'replace').strip()
