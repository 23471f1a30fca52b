"""What a handler is given as ``ctx``, and the work that goes on after its response."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)
_Work = asyncio.Future[Any] | concurrent.futures.Future[Any]


class WaitUntil:
    """Work that was handed over with ``waitUntil``: held here until it is done.

    ``on_error`` is called with the exception of each piece that fails; without it the exception is logged.
    Belongs to the event loop it was made on; `add` may be called from other threads.
    """

    def __init__(self, on_error: Callable[[BaseException], None] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._on_error = on_error or _log_error
        self._pending: set[_Work] = set()

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, awaitable: Awaitable[Any]) -> None:
        """Run ``awaitable`` to its end.

        Raises:
            TypeError: it is not awaitable.
        """
        if not inspect.isawaitable(awaitable):
            raise TypeError(
                f"waitUntil() takes an awaitable, not {type(awaitable).__name__}; call the async function"
            )
        work = self._schedule(awaitable)
        self._pending.add(work)
        work.add_done_callback(self._done)

    async def drain(self, timeout: float | None = None) -> None:
        """Wait until nothing is left, also of what is added meanwhile; after ``timeout`` s cancel it."""
        try:
            async with asyncio.timeout(timeout):
                while self._pending:
                    await asyncio.wait([_as_future(work) for work in self._pending])
        except TimeoutError:
            await self._cancel()

    async def _cancel(self) -> None:
        rest = list(self._pending)
        for work in rest:
            work.cancel()
        await asyncio.gather(*map(_as_future, rest), return_exceptions=True)

    def _schedule(self, awaitable: Awaitable[Any]) -> _Work:
        if _running_loop() is self.loop:
            return asyncio.ensure_future(awaitable)
        return asyncio.run_coroutine_threadsafe(_await(awaitable), self.loop)

    def _done(self, work: _Work) -> None:
        self._pending.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None:
            self._on_error(error)


class Context:
    """``ctx``: the life of one call of a handler (Cloudflare's ExecutionContext)."""

    def __init__(self, work: WaitUntil, *, props: Any = None, exports: Any = None) -> None:
        self._work = work
        self.loop = work.loop
        self.props = props
        self.exports = exports

    def waitUntil(self, awaitable: Awaitable[Any]) -> None:
        """Keep ``awaitable`` running after the response was sent."""
        self._work.add(awaitable)

    def wait_until(self, awaitable: Awaitable[Any]) -> None:
        """Keep ``awaitable`` running after the response was sent."""
        self._work.add(awaitable)

    def passThroughOnException(self) -> None:
        """Do nothing: there is no origin server behind a local Worker to pass a request to."""


#: The context of the call that is being handled; the runtime sets it around each.
current_context: ContextVar[Context | None] = ContextVar("current_context", default=None)


def wait_until(awaitable: Awaitable[Any]) -> None:
    """Keep ``awaitable`` running after the response of the call that is being handled.

    Raises:
        RuntimeError: nothing is being handled.
    """
    context = current_context.get()
    if context is None:
        if inspect.iscoroutine(awaitable):
            awaitable.close()
        raise RuntimeError("wait_until() works while a request is handled; there is none here")
    context.waitUntil(awaitable)


def _log_error(error: BaseException) -> None:
    _log.error("work handed to waitUntil() failed", exc_info=error)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _as_future(work: _Work) -> asyncio.Future[Any]:
    return work if isinstance(work, asyncio.Future) else asyncio.wrap_future(work)


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
