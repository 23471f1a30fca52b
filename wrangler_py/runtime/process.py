"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import signal
import socket
import uuid
from collections.abc import Sequence

from wrangler_py.runtime.channel import SupervisorWire, ToWorker
from wrangler_py.runtime.spawn import Child


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
    def is_alive(self) -> bool:
        """Say whether it still runs."""
        return self.exit_code is None

    def send(self, message: ToWorker, sockets: Sequence[socket.socket] = ()) -> bool:
        """Tell it something; False if it is gone."""
        return self.wire.send(message, sockets)

    def kill(self) -> None:
        """End it now, whatever it does."""
        self._child.process.kill()

    def close(self) -> None:
        """Wait for its end, which must be near, and let go of what is left of it."""
        self._child.close()
