"""Execution of one attempt: the callback called, in a thread or on the event loop, within its timeout."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from wrangler_py.engine.durations import parse_duration
from wrangler_py.engine.executing import RECORD
from wrangler_py.engine.instance.callback import Callback
from wrangler_py.engine.limits import DELAY_FUNCTION_S, MAX_VALUE_BYTES
from wrangler_py.engine.retry import DelayFunction
from wrangler_py.errors import (
    NonRetryableDelayError,
    PywranglerError,
    StepOutputTooLargeError,
    WorkflowTimeoutError,
)
from wrangler_py.sdk.failures import summary_of
from wrangler_py.serde import encode


class AttemptExecutor:
    """What all attempts of an engine share: threads for ``def`` steps, and the deadlines now running."""

    #: However many instances there are, no more threads than this run their ``def`` steps.
    THREADS = 12

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._deadlines: set[asyncio.Timeout] = set()

    async def call(
        self, callback: Callback, context: dict[str, Any], timeout_ms: int, entry: bytes = b""
    ) -> Any:
        """Call ``callback`` and return its result. ``entry`` is its entry in the record of what executes, if kept.

        Raises:
            WorkflowTimeoutError: it took longer than ``timeout_ms``; a coroutine is cancelled, a thread is left behind.
        """
        if not callback.is_async:
            return await self.bounded(self._threaded(callback, context, entry), timeout_ms)
        coroutine = callback.invoke(context)
        # Begun by hand: most callbacks never wait, and planning a timeout costs as much as all the rest of a step.
        before = RECORD.begin(entry) if entry else b""
        try:
            awaited = coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        finally:
            if entry:
                RECORD.resume(before)
        return await self.bounded(_go_on(coroutine, awaited, entry), timeout_ms)

    async def bounded(self, work: Awaitable[Any], timeout_ms: int, passed_ms: float = 0) -> Any:
        """Await ``work`` for what is left of ``timeout_ms``; raise as `call`."""
        deadline = asyncio.timeout((timeout_ms - passed_ms) / 1000)
        try:
            async with deadline:
                self._deadlines.add(deadline)
                return await work
        except TimeoutError:
            if deadline.expired():
                raise WorkflowTimeoutError(timeout_ms) from None
            raise
        finally:
            self._deadlines.discard(deadline)

    async def _threaded(self, callback: Callback, context: dict[str, Any], entry: bytes) -> Any:
        result = await self._in_thread(callback, context, entry)
        if entry and inspect.iscoroutine(result):
            return await recorded(result, entry)
        return await result if inspect.isawaitable(result) else result

    def _in_thread(self, callback: Callback, context: dict[str, Any], entry: bytes) -> Awaitable[Any]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.THREADS, thread_name_prefix="step")
        loop = asyncio.get_running_loop()
        run = contextvars.copy_context().run
        if entry:
            return loop.run_in_executor(self._threads, RECORD.in_thread, entry, run, callback.invoke, context)
        return loop.run_in_executor(self._threads, run, callback.invoke, context)

    def extend_deadlines(self, seconds: float) -> None:
        """Move all running deadlines: a debugger that sits in a step must not time it out."""
        for deadline in self._deadlines:
            when = deadline.when()
            if when is not None:
                deadline.reschedule(when + seconds)

    def close(self) -> None:
        """Release the threads; one that never returns lives until the process ends."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


async def recorded(coroutine: Coroutine[Any, Any, Any], entry: bytes) -> Any:
    """Await a coroutine, with ``entry`` in the record of what executes whenever it does."""
    before = RECORD.begin(entry)
    try:
        awaited = coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        RECORD.resume(before)
    return await _go_on(coroutine, awaited, entry)


@types.coroutine
def _go_on(coroutine: Coroutine[Any, Any, Any], awaited: Any, entry: bytes) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that was begun by hand and waits for ``awaited``."""
    send = partial(_record, coroutine.send, entry) if entry else coroutine.send
    throw = partial(_record, coroutine.throw, entry) if entry else coroutine.throw
    try:
        while True:
            try:
                sent = yield awaited
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - passed on to the coroutine, a cancellation above all
                awaited = throw(error)
            else:
                awaited = send(sent)
    except StopIteration as stop:
        return stop.value


def _record(resume: Callable[[Any], Any], entry: bytes, value: Any) -> Any:
    before = RECORD.begin(entry)
    try:
        return resume(value)
    finally:
        RECORD.resume(before)


def encode_result(value: object, display: str) -> bytes:
    """Return a step's result as bytes; raise StepOutputTooLargeError over 1 MiB, TypeError if it cannot be stored."""
    data = encode(value)
    if len(data) > MAX_VALUE_BYTES:
        raise StepOutputTooLargeError(f"Step {display} output is too large. Maximum allowed size is 1MiB.")
    return data


async def ask_delay(function: DelayFunction, context: dict[str, Any], error: Exception, display: str) -> int:
    """Return the delay in milliseconds that a user's delay function gives for a failed attempt.

    Raises:
        NonRetryableDelayError: it raised, took longer than five seconds, or returned no duration.
    """
    start = f'The delay function for step "{display}"'
    try:
        async with asyncio.timeout(DELAY_FUNCTION_S):
            answer = function({"ctx": context, "error": error})
            if inspect.isawaitable(answer):
                answer = await answer
    except TimeoutError:
        raise NonRetryableDelayError(f"{start} took longer than {DELAY_FUNCTION_S:g} seconds") from None
    except Exception as failure:
        raise NonRetryableDelayError(f"{start} raised {summary_of(failure)}") from failure
    try:
        return parse_duration(answer)
    except PywranglerError as failure:
        raise NonRetryableDelayError(f"{start} returned nonsense: {failure}") from None
