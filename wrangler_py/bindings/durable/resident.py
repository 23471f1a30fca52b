"""One live object: the only instance of its class with its id, from its constructor until it is idle or reset."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Any, NamedTuple

from wrangler_py.bindings.durable.context import ObjectContext
from wrangler_py.bindings.durable.gate import Gated, Section
from wrangler_py.bindings.durable.ids import ObjectId
from wrangler_py.bindings.durable.keys import explained
from wrangler_py.bindings.durable.storage import ObjectStorage
from wrangler_py.bindings.failures import ObjectError
from wrangler_py.clock import Clock
from wrangler_py.errors import StoreBusyError
from wrangler_py.sdk.context import WaitUntil, current_context
from wrangler_py.storage import waiting
from wrangler_py.storage.durable import ObjectFile
from wrangler_py.storage.waiting import PAUSE_S, waited

_log = logging.getLogger(__name__)
_UNWRITTEN = "Internal error in Durable Object storage write caused object to be reset."
#: Seconds for `finally` blocks of calls that were reset with their process.
_LAST_WORDS_S = 1
_GONE = "This Durable Object has left memory; what it left running cannot use its storage any more."


class Kind(NamedTuple):
    """What is the same for all objects of a class; ``clears_alarm``: ``deleteAll`` removes the alarm."""

    made: type
    env: Any
    clock: Clock
    clears_alarm: bool


class Resident:
    """Delivers events to its instance in the order they came.

    An event runs in a task of its own and is not interrupted: others go on only where it waits for something else
    than its storage, ``def`` methods never wait at all, and both run on the event loop, not in a thread. Nobody gets
    an answer before what was written is on disk.
    """

    def __init__(
        self, id: ObjectId, kind: Kind, on_idle: Callable[[], None], on_reset: Callable[[], None]
    ) -> None:
        self.id = id
        self.section = Section()
        self.file: ObjectFile
        self._kind, self._on_idle, self._on_reset = kind, on_idle, on_reset
        self._instance: Any = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._blocks: set[asyncio.Task[Any]] = set()
        self._broken_by: Exception | None = None
        #: Done when what is written in this turn of the event loop is on disk; None if nothing is.
        self._turn: asyncio.Future[None] | None = None
        self._work = WaitUntil()
        self._farewell: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    def begin(self, file: ObjectFile) -> None:
        """Take the file and start the constructor; what is delivered from now on waits for it."""
        self.file = file
        kind = self._kind
        storage = ObjectStorage(
            file,
            kind.clock,
            self.section,
            has_alarm=hasattr(kind.made, "alarm"),
            clears_alarm=kind.clears_alarm,
        )
        self._context = ObjectContext(self.id, storage, self, self._work)
        self._start(self._construct())

    @property
    def is_idle(self) -> bool:
        """Return True if nothing of it runs."""
        return not self._tasks and not len(self._work)

    # events -------------------------------------------------------------------------------------------------------

    async def deliver(self, event: Callable[[Any], Any]) -> Any:
        """Run ``event(instance)`` when its turn has come, and return what it does; exceptions pass.

        Raises:
            ObjectError: the object was reset before it was done.
        """
        task = self._start(self._run(event))
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._broken_by is None or (current is not None and current.cancelling()):
                raise
            raise self._broken_by from None

    async def _run(self, event: Callable[[Any], Any]) -> Any:
        current_context.set(self._context)
        await self.section.entered()
        if not self.file.is_ready:
            async with self.section.critical():
                await self._unlocked()
        try:
            result = await Gated(event, self._instance)
        except Exception:
            await self._on_disk()
            raise
        await self._on_disk()
        return result

    async def _construct(self) -> None:
        current_context.set(self._context)
        try:
            async with self.section.critical():
                await self._unlocked()
                self._instance = self._kind.made(self._context, self._kind.env)
                await self._settled()
                await waited(self.flush)
        except Exception as error:  # noqa: BLE001 - every call gets it
            self.reset(error)

    async def _unlocked(self) -> None:
        """Wait until no other process has locked the file; what is wrong with it otherwise, its first use says."""
        with suppress(Exception):
            await waited(self.file.find_unlocked)

    async def _settled(self) -> None:
        """Wait for what the constructor does under ``blockConcurrencyWhile``."""
        while self._blocks:
            await asyncio.wait(self._blocks)

    # work ---------------------------------------------------------------------------------------------------------

    def _start(self, coroutine: Any) -> asyncio.Task[Any]:
        """Start a task in a context that knows nothing of the caller's, as if it were another machine's."""
        task = self._loop.create_task(coroutine, context=Context())
        self._track(task)
        return task

    def _track(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def hold(self, task: asyncio.Task[Any]) -> None:
        """Count ``task`` as work of the object, which its constructor waits for."""
        self._blocks.add(task)
        self._track(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._blocks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it has got it
        if not self._tasks:
            self._on_idle()

    async def finished(self, grace: float) -> None:
        """Wait until nothing of it runs, at most ``grace`` seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)

    # the end ------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Put on disk what was written; if that fails, reset the object and raise ObjectError.

        StoreBusyError passes: that was too early, and what was written is still to be put on disk.
        """
        try:
            with explained():
                self.file.commit()
        except ObjectError as error:
            if isinstance(error.__cause__, StoreBusyError):
                raise error.__cause__ from None
            raise self._unwritten(error) from error
        except Exception as error:
            # A fault of ours. What is in memory is ahead of the disk all the same, and nobody may be told of it.
            self.reset(error)
            raise

    def _unwritten(self, error: ObjectError) -> ObjectError:
        failure = ObjectError(f"{_UNWRITTEN} {error.message}")
        self.reset(failure)
        return failure

    def turn_begins(self) -> None:
        """Have the transaction that has begun committed before the event loop turns."""
        if self._turn is None:
            self._turn = self._loop.create_future()
            self._loop.call_soon(self._end_turn, self._turn, self._loop.time() + waiting.BUSY_S)

    async def _on_disk(self) -> None:
        """Wait for the commit of what was written, by this call or another of the same turn: they share it."""
        if self._turn is not None:
            await asyncio.shield(self._turn)

    def _end_turn(self, turn: asyncio.Future[None], until: float) -> None:
        """Put on disk what was written. While the index of alarms is locked, turns share one transaction."""
        self._turn = None
        try:
            self._flush_before(until)
        except StoreBusyError:
            self._turn = turn
            self._loop.call_later(PAUSE_S, self._end_turn, turn, until)
            return
        except ObjectError as error:
            _log.error("Durable Object %s: %s", self.id, error)
        except BaseException:
            turn.set_result(None)
            raise
        turn.set_result(None)

    def _flush_before(self, until: float) -> None:
        try:
            self.flush()
        except StoreBusyError as error:
            if self._loop.time() < until:
                raise
            raise self._unwritten(ObjectError(str(error))) from error

    def reset(self, error: Exception) -> None:
        """End this life: calls get ``error``, what was not committed is gone, the next call makes a new instance."""
        if self._broken_by is not None:
            return
        self._broken_by = error
        self.leave(error)
        for task in self._tasks:
            task.cancel()
        self._farewell = self._loop.create_task(self._work.drain(0))
        self._on_reset()

    async def end(self, error: Exception) -> None:
        """Reset it and wait until the last of its tasks is gone."""
        self.reset(error)
        await self.finished(_LAST_WORDS_S)
        if self._farewell is not None:
            await self._farewell

    def leave(self, reason: Exception | None = None) -> None:
        """Close the file: nothing of this life can write any more."""
        self.file.close(reason or ObjectError(_GONE))
