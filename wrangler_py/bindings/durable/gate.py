"""Which of an object's code may run: all of it, or one critical section only.

The life of an object is a `Section`. Inside, one critical section may be open at a time (``blockConcurrencyWhile``,
``storage.transaction``), and inside that again one, and so on: code runs only if nothing is open inside of where it
stands. A section is a property of the running code, so it lives in a context variable: what a critical section awaits
or starts belongs to it too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

_here: ContextVar[Section | None] = ContextVar("section", default=None)


class Section:
    """A stretch of an object's life. While a critical section inside is open, the rest of it ``is_closed``.

    Whoever must wait does so in one queue, first come, first served; but code that runs may close the section at once,
    whoever waits to be let in.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._queue: deque[_Ticket] = deque()
        self._is_letting_in = False

    async def entered(self) -> None:
        """Return when the code that calls may run in this section, which from then on it belongs to."""
        if self.is_closed or self._queue or self._is_letting_in:
            await self._wait(_Ticket())
        while self.is_closed:  # closed by other code just after this was let in
            await self._wait(_Ticket(), first=True)
        _here.set(self)

    @asynccontextmanager
    async def critical(self) -> AsyncIterator[None]:
        """Keep everything else of this section waiting."""
        if self.is_closed:
            await self._wait(_Ticket(closes=True))
        self.is_closed = True
        outer = _here.set(Section())
        try:
            yield
        finally:
            _here.reset(outer)
            # One turn later, so that whoever awaits the end of it goes on before those who wait to be let in.
            asyncio.get_running_loop().call_soon(self._open)

    async def _wait(self, ticket: _Ticket, *, first: bool = False) -> None:
        (self._queue.appendleft if first else self._queue.append)(ticket)
        try:
            await ticket.called
        except asyncio.CancelledError:
            if ticket.closes and not ticket.called.cancelled():
                self._open()  # it had been called already
            raise

    def _open(self) -> None:
        self.is_closed = False
        self._let_in()

    def _let_in(self) -> None:
        """Let the next one in; those behind it follow when it has had its turn and has not closed the section."""
        while self._queue and self._queue[0].called.cancelled():
            self._queue.popleft()
        self._is_letting_in = bool(self._queue) and not self.is_closed
        if self._is_letting_in:
            ticket = self._queue.popleft()
            self.is_closed = ticket.closes
            ticket.called.set_result(None)
            asyncio.get_running_loop().call_soon(self._let_in)


class _Ticket:
    """A place in the queue; ``closes``: the section is closed again for whoever has it."""

    def __init__(self, *, closes: bool = False) -> None:
        self.called = asyncio.get_running_loop().create_future()
        self.closes = closes


def here(otherwise: Section) -> Section:
    """Return the section of the code that calls."""
    return _here.get() or otherwise


class Gated:
    """Awaits a coroutine as ``await`` does, but lets it go on after a wait only when its section is not closed."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._coroutine = _run(function, args, kwargs)

    def __await__(self) -> Generator[Any, Any, Any]:
        resume: Callable[[Any], Any] = self._coroutine.send
        value: Any = None
        while True:
            try:
                awaited = resume(value)
            except StopIteration as done:
                return done.value
            try:
                value = yield awaited
                section = _here.get()
                if section is not None and section.is_closed:
                    yield from section.entered().__await__()
                resume = self._coroutine.send
            except BaseException as error:  # noqa: BLE001 - it is thrown where the coroutine waits
                resume, value = self._coroutine.throw, error


async def _run(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    result = function(*args, **kwargs)
    return await result if isinstance(result, Awaitable) else result
