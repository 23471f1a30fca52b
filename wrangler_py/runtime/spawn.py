"""Starting a worker process. Imports next to nothing, so that a session can do it first of all."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

#: Started by name, not by import: the worker is a layer above this one. ``-P``: the current folder is no import path.
COMMAND = (sys.executable, "-P", "-m", "wrangler_py.server")
#: What a terminal sends to every process in it. Only the supervisor answers; a worker leaves when it is told to.
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)


#: Bytes of the memory in which a worker records what it executes (`engine.executing`): four slots for the process, and
#: sixty for threads.
RECORD_SIZE = 64 * 1024


class Child:
    """A worker process and our end of the line to it. As a context manager, it is killed in the end."""

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair()
        record = _shared_file()
        self._record = mmap.mmap(record, RECORD_SIZE)
        descriptors = [theirs.fileno(), record]
        try:
            with theirs, _terminal_signals_held():
                self.process = subprocess.Popen(  # noqa: S603 - our own module
                    [*COMMAND, *map(str, descriptors)], stdin=subprocess.DEVNULL, pass_fds=descriptors
                )
        finally:
            os.close(record)

    @property
    def record(self) -> bytes:
        """Return what the process has recorded of what it executes: of use when it has died."""
        return self._record[:]

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
        self._record.close()


def _shared_file() -> int:
    """Return the descriptor of a file without a name."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pywrangler-record")
    else:
        descriptor, path = tempfile.mkstemp()
        os.unlink(path)
    os.ftruncate(descriptor, RECORD_SIZE)
    return descriptor


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
