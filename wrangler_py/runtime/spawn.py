"""Starting a worker process. Imports next to nothing, so that a session can do it first of all."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Self

#: Started by name, not by import: the worker is a layer above this one. ``-P``: the current folder is no import path.
COMMAND = (sys.executable, "-P", "-m", "wrangler_py.server")
#: What a terminal sends to every process in it. Only the supervisor answers; a worker leaves when it is told to.
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)


class Child:
    """A worker process and our end of the line to it. As a context manager, it is killed in the end."""

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair()
        with theirs, _terminal_signals_held():
            self.process = subprocess.Popen(  # noqa: S603 - our own module
                [*COMMAND, str(theirs.fileno())], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.close()

    def close(self) -> None:
        """Wait for its end, which must be near, and let go of what is left of it."""
        self.process.wait()
        self.line.close()


@contextlib.contextmanager
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
