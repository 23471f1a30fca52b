"""Tells when an instance has moved: the subscription of the API, read by a thread, as a bell.

What has moved is asked for by the one who waits, so that a thousand events of a moment are one look.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from wrangler_py.errors import SessionError

if TYPE_CHECKING:
    from types import TracebackType

    from wrangler_py.cli.transport import Events, Transport

#: Seconds until the next look when nothing rings: a pause that is waited for leaves no entry in the history.
PATIENCE = 2.0
#: Seconds between two looks at a server without subscriptions, and before a broken subscription is opened again.
INTERVAL = 0.2
_OK = 200


class Bell:
    """Rings for every event of an instance; a context manager."""

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport, self._path = transport, path
        self._rung = threading.Event()
        self._closed = threading.Event()
        self._last: str | None = None
        self._patience = PATIENCE
        self._events: Events | None = None
        self._thread = threading.Thread(target=self._listen, name="subscription", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        if (events := self._events) is not None:
            events.stop()
        self._thread.join()

    def wait(self) -> None:
        """Return when something has happened since the last time, or may have."""
        self._rung.wait(self._patience)
        self._rung.clear()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                status = self._read()
            except SessionError:
                status = _OK  # A worker that was replaced, or a session that ends: who waits will find out.
            if status != _OK:
                self._patience = INTERVAL
                self._rung.set()
                return
            self._rung.set()
            self._closed.wait(INTERVAL)

    def _read(self) -> int:
        with self._transport.events(self._path, self._last) as events:
            self._events = events
            if self._closed.is_set():
                return _OK
            for event_id in events:
                self._last = event_id
                self._rung.set()
            return events.status
