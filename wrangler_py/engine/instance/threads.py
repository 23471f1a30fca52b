"""Threads for ``def`` steps: at most so many work, and one that never returns is replaced.

`ThreadPoolExecutor` counts a thread that hangs in a dead socket among those that work: with all of them hanging, no
``def`` step of the process would ever be called again. Here a call that nobody waits for any more is *left behind*: its
thread no longer counts and ends when the call returns. Threads are daemons, so that one which never does cannot keep
the process alive.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

from wrangler_py.errors import StepError

#: Calls left behind and still running after which no more are begun.
MOST_LEFT_BEHIND = 1000


class TooManyThreadsError(StepError):
    """So many ``def`` steps have not returned after their timeout that no other is begun."""

    name = "TooManyThreadsError"

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} threads of `def` steps that timed out or were given up still run: give the calls they hang in "
            "a timeout of their own, and restart the session"
        )


class _Call(Future[Any]):
    """A call in a thread, or waiting for one; cancelled while it runs, it is left behind."""

    def __init__(self, threads: StepThreads, function: Callable[[], Any]) -> None:
        super().__init__()
        self._threads = threads
        self.function = function
        self.is_left_behind = False

    def cancel(self) -> bool:
        if super().cancel():
            return True
        self._threads.leave(self)
        return False


class StepThreads(Executor):
    """A pool of threads in which a call may be given up."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._queue: deque[_Call] = deque()
        self._threads = self._idle = self._left_behind = 0
        self._closed = False

    @property
    def left_behind(self) -> int:
        """Count of the running calls that nobody waits for."""
        return self._left_behind

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn`` in a thread, in the order of calls; raise TooManyThreadsError where too many never returned."""
        if self._left_behind >= MOST_LEFT_BEHIND:
            raise TooManyThreadsError(self._left_behind)
        call = _Call(self, partial(fn, *args, **kwargs))
        with self._work:
            self._queue.append(call)
            self._supply()
        return call

    def leave(self, call: _Call) -> None:
        """Stop counting a running call, and let another thread take its place."""
        with self._work:
            if call.is_left_behind or call.done():
                return
            call.is_left_behind = True
            self._left_behind += 1
            self._threads -= 1
            self._supply()

    def _supply(self) -> None:
        if self._idle:
            self._work.notify()
        elif self._queue and self._threads < self._most:
            self._threads += 1
            # In a context of its own: what runs in it brings its context along.
            thread = threading.Thread(
                target=contextvars.Context().run, args=(self._serve,), name="step", daemon=True
            )
            thread.start()

    def _serve(self) -> None:
        while (call := self._next()) is not None:
            if call.set_running_or_notify_cancel():
                _run(call)
            if self._is_replaced(call):
                return
            del call

    def _next(self) -> _Call | None:
        with self._work:
            while not self._queue:
                if self._closed:
                    self._threads -= 1
                    return None
                self._idle += 1
                self._work.wait()
                self._idle -= 1
            return self._queue.popleft()

    def _is_replaced(self, call: _Call) -> bool:
        with self._work:
            if call.is_left_behind:
                self._left_behind -= 1
            return call.is_left_behind

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:
        """Begin no more calls and wait for none: threads that have nothing to do end."""
        del wait
        with self._work:
            self._closed = True
            waiting = list(self._queue) if cancel_futures else []
            if cancel_futures:
                self._queue.clear()
            self._work.notify_all()
        for call in waiting:
            call.cancel()


def _run(call: _Call) -> None:
    try:
        result = call.function()
    except BaseException as error:  # noqa: BLE001 - passed on to who waits
        call.set_exception(error)
    else:
        call.set_result(result)


class Outcome:
    """The outcome of a call in a thread. It crosses as a value: a future cannot carry StopIteration."""

    __slots__ = ("_error", "_value")

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._value: Any = None
        self._error: BaseException | None = None
        try:
            self._value = function(*args)
        except BaseException as error:  # noqa: BLE001 - raised again by `value`
            self._error = error

    def value(self) -> Any:
        """Return what the call returned, or raise what it raised: StopIteration as a RuntimeError (PEP 479)."""
        error, self._error = self._error, None
        if error is None:
            return self._value
        if isinstance(error, StopIteration | GeneratorExit):
            error = _made_harmless(error)
        raise error


def _made_harmless(error: BaseException) -> RuntimeError:
    """Return an error for one that means something else to a coroutine which raises it."""
    raised = RuntimeError(f"the step raised {type(error).__name__}")
    raised.__cause__ = error
    return raised
