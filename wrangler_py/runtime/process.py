"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import signal
import socket
import uuid
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from wrangler_py.runtime.channel import Death, SupervisorWire, ToWorker
from wrangler_py.runtime.deaths import death_of, fields_of, told
from wrangler_py.runtime.spawn import Child

if TYPE_CHECKING:
    from wrangler_py.engine.executing import LastWords


class WorkerProcess:
    """A child process that has imported everything of ours, and waits to be told what to load.

    It is started before it is needed: its imports take longer than the user's own.
    """

    def __init__(self, session: str, child: Child | None = None) -> None:
        self._child = child or Child()
        self.wire = SupervisorWire(self._child.line)
        #: The name that its leases bear in the store; those of one session begin alike.
        self.owner = f"{session}{self.pid}-{uuid.uuid4().hex[:12]}"
        #: True if it serves although the user's code could not be loaded.
        self.is_broken = False
        self._is_stopped = False

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._child.process.pid

    @property
    def exit_code(self) -> int | None:
        """Return how it ended (negative: by a signal), None while it lives."""
        return self._child.process.poll()

    @property
    def cause(self) -> str:
        """Say how it ended, for people."""
        code = self.exit_code or 0
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    @property
    def death(self) -> Death:
        """Return what the next worker must know of its end."""
        if self._is_stopped or not self.exit_code:
            return Death(self.owner, is_stopped=True)
        return death_of(self.owner, self._last_words)

    @property
    def told(self) -> str:
        """Return what it was executing when it died, in words that follow "The worker died"."""
        return told(self._last_words)

    @property
    def culprit(self) -> dict[str, str | int]:
        """Return the instance, step and attempt that it was executing, for a log; empty where that is not certain."""
        return fields_of(self._last_words)

    @cached_property
    def _last_words(self) -> LastWords:
        from wrangler_py.engine.executing import read_last_words

        return read_last_words(self._child.record)

    @property
    def is_alive(self) -> bool:
        """Return True if it still runs."""
        return self.exit_code is None

    def send(self, message: ToWorker, sockets: Sequence[socket.socket] = ()) -> bool:
        """Tell it something; False if it is gone."""
        return self.wire.send(message, sockets)

    def kill(self) -> None:
        """End it now, whatever it does. That is no fault of what it executes."""
        self._is_stopped = self.is_alive
        self._child.process.kill()

    def close(self) -> None:
        """Wait for its end, which must be near, and let go of what is left of it."""
        self._child.close()
