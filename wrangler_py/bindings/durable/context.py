"""``ctx`` of an object (Cloudflare's DurableObjectState)."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol

from wrangler_py.bindings.durable.gate import Gated, Section, here
from wrangler_py.bindings.durable.ids import ObjectId
from wrangler_py.bindings.durable.storage import ObjectStorage
from wrangler_py.bindings.failures import ObjectError
from wrangler_py.sdk.context import Context, WaitUntil, current_context
from wrangler_py.serde import Record

#: Seconds that ``blockConcurrencyWhile`` may take (docs of it, and workerd).
BLOCK_LIMIT = 30
_TOO_LONG = (
    "A call to blockConcurrencyWhile() in a Durable Object waited for too long. "
    "The call was canceled and the Durable Object was reset."
)
_ABORTED = "Application called abort() to reset Durable Object."


class Life(Protocol):
    """The part of a resident that its context works on."""

    section: Section

    def hold(self, task: asyncio.Task[Any]) -> None:
        """Count ``task`` as work of the object: it ends with it, and the object stays in memory until it has ended."""
        ...

    def flush(self) -> None:
        """Put on disk what was written; if that fails, reset the object and raise ObjectError."""
        ...

    def reset(self, error: Exception) -> None:
        """End this life: all calls get ``error``, what was not committed is gone, the next call makes a new one."""
        ...


class ObjectContext(Context):
    """What the class is given as ``ctx``: ``id``, ``storage``, ``props`` and the methods below."""

    def __init__(self, id: ObjectId, storage: ObjectStorage, life: Life, work: WaitUntil) -> None:
        super().__init__(work, props=Record())
        self.id, self.storage = id, storage
        self._life = life

    def wait_until(self, awaitable: Awaitable[Any]) -> None:
        """Keep ``awaitable`` running after the call has been answered; the object stays in memory until then."""
        is_awaitable = inspect.isawaitable(awaitable)
        super().wait_until(self._outlasting(awaitable) if is_awaitable else awaitable)

    async def _outlasting(self, awaitable: Awaitable[Any]) -> None:
        await self._life.section.entered()
        await Gated(lambda: awaitable)

    def block_concurrency_while(self, closure: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
        """Run ``closure()`` while nothing else of the object runs; it begins also where it is not awaited.

        If it raises, or takes longer than 30 s, the object is reset.
        """
        task = asyncio.get_running_loop().create_task(self._block(here(self._life.section), closure))
        self._life.hold(task)
        return task

    async def _block(self, section: Section, closure: Callable[[], Awaitable[Any]]) -> Any:
        async with section.critical():
            try:
                async with asyncio.timeout(BLOCK_LIMIT) as limit:
                    return await Gated(closure)
            except Exception as error:  # noqa: BLE001 - it is raised again, to the calls of the object as well
                reason = ObjectError(_TOO_LONG) if limit.expired() else error
                self._life.reset(reason)
                raise reason from None

    def flush(self) -> None:
        """Put on disk what was written."""
        self._life.flush()

    def abort(self, reason: str | None = None) -> NoReturn:
        """Reset the object: its calls fail with ``reason``, and what was not yet on disk is undone."""
        error = ObjectError(_ABORTED if reason is None else str(reason))
        self._life.reset(error)
        raise error

    def accept_web_socket(self, *_: Any, **__: Any) -> NoReturn:
        """Raise ObjectError: WebSockets are not emulated."""
        raise ObjectError("pywrangler does not emulate WebSockets: a Durable Object cannot accept one here")

    def get_web_sockets(self, *_: Any) -> list[Any]:
        """Return an empty list: none can have been accepted."""
        return []

    waitUntil = wait_until
    blockConcurrencyWhile = block_concurrency_while
    acceptWebSocket = accept_web_socket
    getWebSockets = get_web_sockets


def flush() -> None:
    """If an object calls: put on disk what it wrote, before a message of it leaves (Cloudflare's output gate)."""
    context = current_context.get()
    if isinstance(context, ObjectContext):
        context.flush()


def inside_an_object() -> bool:
    """Return True if an object calls."""
    return isinstance(current_context.get(), ObjectContext)
