"""Execution of one attempt: the callback called, in a thread or on the event loop, within its timeout."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import inspect
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any

from wrangler_py.clock import Clock
from wrangler_py.engine.durations import parse_duration
from wrangler_py.engine.executing import RECORD
from wrangler_py.engine.instance.callback import Callback
from wrangler_py.engine.instance.threads import Outcome, StepThreads
from wrangler_py.engine.limits import DELAY_FUNCTION_S, MAX_VALUE_BYTES
from wrangler_py.engine.retry import DelayFunction
from wrangler_py.errors import (
    NonRetryableDelayError,
    PywranglerError,
    StepOutputTooLargeError,
    WorkflowTimeoutError,
    control_flow_in,
)
from wrangler_py.sdk.failures import summary_of
from wrangler_py.serde import encode

#: Time for a callback to clean up after its timeout, in seconds.
GRACE_S = 1.0
#: When an attempt is over at the latest, in monotonic seconds, and the timeout in milliseconds that says so.
Due = tuple[float, int]


class AttemptExecutor:
    """The executor that all attempts of an engine share: threads for ``def`` steps, and the deadlines now running."""

    #: However many instances there are, no more threads than this run their ``def`` steps.
    THREADS = 12

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._threads = StepThreads(self.THREADS)
        self._deadlines: set[asyncio.Timeout] = set()
        #: Seconds spent in a debugger, by which all attempts may take longer.
        self._excused = 0.0

    async def call(self, callback: Callback, context: dict[str, Any], due: Due, entry: bytes = b"") -> Any:
        """Call ``callback`` and return its result. ``entry`` is its entry in the record of what executes, if kept.

        Raises:
            WorkflowTimeoutError: it was not through when ``due``, whatever it did then. A coroutine is cancelled, and
                closed if it goes on for `GRACE_S`; a thread is left behind; a late result is dropped.
        """
        if not callback.is_async:
            return await self.bounded(self._threaded(callback, context, entry), due)
        coroutine = callback.invoke(context)
        # Begun by hand: most callbacks never wait, and planning a timeout costs as much as all the rest of a step.
        before = RECORD.begin(entry) if entry else b""
        try:
            awaited = coroutine.send(None)
        except StopIteration as stop:
            self._check(due)
            return stop.value
        except GeneratorExit as error:
            raise raised_by_code(error) from error
        except Exception as error:
            self._check(due, error=error)
            raise
        finally:
            if entry:
                RECORD.resume(before)
        return await self._within(_Drive(coroutine, entry).go_on, awaited, due)

    def due(self, timeout_ms: int) -> Due:
        """Return when an attempt that begins now is over at the latest."""
        return self._clock.monotonic() - self._excused + timeout_ms / 1000, timeout_ms

    async def bounded(self, work: Coroutine[Any, Any, Any], due: Due) -> Any:
        """Await ``work`` until ``due``; raise as `call`."""
        return await self._within(_Drive(work, b"").begin, None, due)

    async def _within(
        self, drive: Callable[[Any, asyncio.Timeout], Awaitable[Any]], awaited: Any, due: Due
    ) -> Any:
        left = max(0.0, due[0] + self._excused - self._clock.monotonic())
        deadline = asyncio.timeout(left)
        try:
            async with deadline:
                self._deadlines.add(deadline)
                result = await drive(awaited, deadline)
        except Exception as error:
            self._check(due, deadline, error)
            raise
        finally:
            self._deadlines.discard(deadline)
        self._check(due, deadline)
        return result

    def _check(
        self, due: Due, deadline: asyncio.Timeout | None = None, error: Exception | None = None
    ) -> None:
        """Raise WorkflowTimeoutError if it is later than ``due``: whatever came out of the callback is too late."""
        at, timeout_ms = due
        if self._clock.monotonic() - self._excused > at or (deadline is not None and deadline.expired()):
            raise WorkflowTimeoutError(timeout_ms) from (None if isinstance(error, TimeoutError) else error)

    async def _threaded(self, callback: Callback, context: dict[str, Any], entry: bytes) -> Any:
        outcome = await self._in_thread(callback, context, entry)
        result = outcome.value()
        if entry and inspect.iscoroutine(result):
            return await recorded(result, entry)
        return await result if inspect.isawaitable(result) else result

    def _in_thread(
        self, callback: Callback, context: dict[str, Any], entry: bytes
    ) -> asyncio.Future[Outcome]:
        loop = asyncio.get_running_loop()
        run = contextvars.copy_context().run
        if entry:
            return loop.run_in_executor(
                self._threads, Outcome, RECORD.in_thread, entry, run, callback.invoke, context
            )
        return loop.run_in_executor(self._threads, Outcome, run, callback.invoke, context)

    def extend_deadlines(self, seconds: float) -> None:
        """Move all running deadlines: a debugger that sits in a step must not time it out."""
        self._excused += seconds
        for deadline in self._deadlines:
            when = deadline.when()
            if when is not None and not deadline.expired():
                deadline.reschedule(when + seconds)

    def close(self) -> None:
        """Release the threads; one that never returns lives until the process ends."""
        self._threads.shutdown()


async def recorded(coroutine: Coroutine[Any, Any, Any], entry: bytes) -> Any:
    """Await a coroutine, with ``entry`` in the record of what executes whenever it does."""
    before = RECORD.begin(entry)
    try:
        awaited = coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        RECORD.resume(before)
    return await _Drive(coroutine, entry).go_on(awaited)


def raised_by_code(error: GeneratorExit) -> RuntimeError:
    """Return the error of code that raises GeneratorExit itself: raised on, it would look as if nobody awaited it."""
    return RuntimeError(f"the code raised GeneratorExit: {error}".rstrip(": "))


def _close(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Close a coroutine; one that swallows that too is kept for as long as the process lives.

    The interpreter closes it again when it removes it, at the latest on exit. ``while True: try: await ... except:``
    would then run for ever, because without an event loop its `await` raises at once. A reference that is never given
    back keeps it from being removed.
    """
    try:
        coroutine.close()
    except RuntimeError:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))


class _Drive:
    """A coroutine driven by hand in the task of who awaits it, so that it can be left where it will not end."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], entry: bytes) -> None:
        self._coroutine = coroutine
        self._send = partial(_record, coroutine.send, entry) if entry else coroutine.send
        self._throw = partial(_record, coroutine.throw, entry) if entry else coroutine.throw
        self._grace: asyncio.TimerHandle | None = None
        #: The task that was cancelled at the end of the grace: the coroutine is over.
        self._cancelled: asyncio.Task[Any] | None = None

    @types.coroutine
    def begin(self, _: None, deadline: asyncio.Timeout) -> Generator[Any, Any, Any]:
        """Run a coroutine that has not begun."""
        try:
            awaited = self._send(None)
        except StopIteration as stop:
            return stop.value
        return (yield from self.go_on(awaited, deadline))

    @types.coroutine
    def go_on(self, awaited: Any, deadline: asyncio.Timeout | None = None) -> Generator[Any, Any, Any]:
        """Go on with a coroutine that was begun by hand and waits for ``awaited``."""
        try:
            while True:
                try:
                    sent = yield awaited
                except GeneratorExit:
                    _close(self._coroutine)
                    raise
                except BaseException as error:
                    if self._cancelled is not None:  # In place of cancelling it again.
                        _close(self._coroutine)
                        raise
                    awaited = self._resume(self._throw, error)
                    self._bound(deadline)
                else:
                    awaited = self._resume(self._send, sent)
        except StopIteration as stop:
            return stop.value
        finally:
            if self._grace is not None:
                self._grace.cancel()
            if self._cancelled is not None:
                # To the timeout around, there is its own cancellation alone; also where one further out closes this.
                self._cancelled.uncancel()

    @staticmethod
    def _resume(step: Callable[[Any], Any], value: Any) -> Any:
        try:
            return step(value)
        except GeneratorExit as error:
            raise raised_by_code(error) from error

    def _bound(self, deadline: asyncio.Timeout | None) -> None:
        """After its timeout, give a coroutine that goes on some time to clean up, and no more."""
        if self._grace is None and deadline is not None and deadline.expired():
            task = asyncio.current_task()
            assert task is not None
            self._grace = asyncio.get_running_loop().call_later(GRACE_S, self._end, task)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._cancelled = task
        task.cancel()


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


async def ask_delay(
    function: DelayFunction, context: dict[str, Any], error: BaseException, display: str
) -> int:
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
    except asyncio.CancelledError:
        raise
    except BaseException as failure:
        if (control_flow := control_flow_in(failure)) is not None:
            raise control_flow from None
        raise NonRetryableDelayError(f"{start} raised {summary_of(failure)}") from failure
    try:
        return parse_duration(answer)
    except PywranglerError as failure:
        raise NonRetryableDelayError(f"{start} returned nonsense: {failure}") from None
