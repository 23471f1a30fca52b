"""Connection timeouts: a stalled client is disconnected."""

from __future__ import annotations

import asyncio
from typing import NamedTuple


class Patience(NamedTuple):
    """Seconds."""

    #: For the head of a request, from the connection or its first byte on, to its end.
    head: float = 30.0
    #: Without a byte of a body that is not all here, while somebody wants to read it.
    body: float = 60.0
    #: Without a byte taken of an answer that waits to be sent.
    answer: float = 60.0


DEFAULT = Patience()


class Wait:
    """One thing that a connection waits for; ends the connection when it is the client that lets it last too long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """Wait from now on, unless that has begun already."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._look, transport)

    def end(self) -> None:
        """It is here."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, transport: asyncio.Transport) -> None:
        self._timer = None
        if self._is_stuck(transport):
            # Not `close`, which waits until what there is to send has been taken.
            transport.abort()
        else:
            self.begin(transport)

    def _is_stuck(self, _: asyncio.Transport) -> bool:
        return True


class BodyWait(Wait):
    """Waits for more of a body. Who does not read it cannot blame the client."""

    def _is_stuck(self, transport: asyncio.Transport) -> bool:
        return transport.is_reading()


class AnswerWait(Wait):
    """Waits until a client has taken what there is; a slow one takes some of it meanwhile."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self._left = 0

    def begin(self, transport: asyncio.Transport) -> None:
        """Wait from now on, and remember how much there is to take."""
        if self._timer is None:
            self._left = transport.get_write_buffer_size()
        super().begin(transport)

    def _is_stuck(self, transport: asyncio.Transport) -> bool:
        return transport.get_write_buffer_size() >= self._left
