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
        self._queue: deque[asyncio.Future[None]] = deque()
        self._is_letting_in = False

    async def entered(self) -> None:
        """Return when the code that calls may run in this section, which from then on it belongs to."""
        if self.is_closed or self._queue or self._is_letting_in:
            await self._called()
        _here.set(self)

    @asynccontextmanager
    async def critical(self) -> AsyncIterator[None]:
        """Keep everything else of this section waiting."""
        if self.is_closed:
            await self._called()
        self.is_closed = True
        outer = _here.set(Section())
        try:
            yield
        finally:
            _here.reset(outer)
            # One turn later, so that whoever awaits the end of it goes on before those who wait to be let in.
            asyncio.get_running_loop().call_soon(self._open)

    async def _called(self) -> None:
        """Wait in the queue; at its head again if other code has closed the section just after the call."""
        join = self._queue.append
        while True:
            place = asyncio.get_running_loop().create_future()
            join(place)
            await place
            if not self.is_closed:
                return
            join = self._queue.appendleft

    def _open(self) -> None:
        self.is_closed = False
        self._let_in()

    def _let_in(self) -> None:
        """Call the next one; those behind it follow when it has had its turn and has not closed the section."""
        while self._queue and self._queue[0].done():
            self._queue.popleft()  # cancelled
        self._is_letting_in = bool(self._queue) and not self.is_closed
        if self._is_letting_in:
            self._queue.popleft().set_result(None)
            asyncio.get_running_loop().call_soon(self._let_in)


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
