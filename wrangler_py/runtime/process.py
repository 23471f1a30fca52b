"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from wrangler_py.runtime.channel import SupervisorWire, ToWorker

#: Started by name, not by import: the worker is a layer above this one. ``-P``: the current folder is no import path.
COMMAND = (sys.executable, "-P", "-m", "wrangler_py.server.worker")
#: What a terminal sends to every process in it. Only the supervisor answers; a worker leaves when it is told to.
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)


class WorkerProcess:
    """A child process that has imported everything of ours, and waits to be told what to load.

    It is started before it is needed: its imports take longer than the user's own.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs, _terminal_signals_held():
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [*COMMAND, str(theirs.fileno())], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        self.wire = SupervisorWire(ours)
        self.started = time.monotonic()
        #: The name that its leases bear in the store.
        self.owner = f"{self.pid}-{uuid.uuid4().hex[:12]}"
        self.is_broken = False

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return how it ended (negative: by a signal), None while it lives."""
        return self._process.poll()

    @property
    def is_alive(self) -> bool:
        """Say whether it still runs."""
        return self.exit_code is None

    @property
    def age(self) -> float:
        """Return the seconds since it was started."""
        return time.monotonic() - self.started

    def send(self, message: ToWorker, sockets: Sequence[socket.socket] = ()) -> bool:
        """Tell it something; False if it is gone."""
        return self.wire.send(message, sockets)

    def kill(self) -> None:
        """End it now, whatever it does."""
        self._process.kill()

    def close(self) -> None:
        """Wait for its end, which must be near, and let go of what is left of it."""
        self._process.wait()
        self.wire.close()


@contextmanager
def _terminal_signals_held() -> Iterator[None]:
    """Hold the terminal's signals; a child started meanwhile inherits that, until it is able to ignore them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_terminal_signals() -> None:
    """Leave them to the supervisor. Not ``SIG_IGN``: programs that user code starts would inherit that."""
    for number in TERMINAL_SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINAL_SIGNALS)
