"""Calls that start when they are made, awaited or not, as a promise's do on Cloudflare (python-sdk, "bindings").

`starts` makes a coroutine method such a call. Its first step, up to where it first waits, runs at once: so calls take
effect in the order in which they are made, and most of them need nothing else. What is left runs where it is awaited,
in the task of its caller, as a plain coroutine would. What nobody has awaited by the second turn of the event loop
goes on in a task of its own, which is work of the session, as if it had been handed to ``waitUntil``.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

from wrangler_py.errors import PywranglerError
from wrangler_py.sdk.context import current_context

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)
#: The tasks of calls that nobody awaited: the event loop itself would forget them.
_alone: set[asyncio.Task[None]] = set()
_NOT_YET: Any = object()


def starts(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Started[T]]:
    """Return a coroutine method as one whose calls start when they are made."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> Started[T]:
        return Started(method(*args, **kwargs), args[0], method.__name__)

    return call


def starts_in_a_task(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Started[T]]:
    """Return a coroutine method as one whose calls start at the next turn of the event loop.

    It is for methods that run user code: that may belong to one task from its first step on.
    """

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> Started[T]:
        return Started(method(*args, **kwargs), args[0], method.__name__, at_once=False)

    return call


class Started(Coroutine[Any, Any, T]):
    """A call that has started. It may be awaited any number of times, or never."""

    # Most calls end with their first step: these defaults spare them all that is for the others.
    _error: BaseException | None = None
    _unheard: _Unheard | None = None
    _waiters: tuple[asyncio.Future[None], ...] = ()
    #: By the task that was made of this call.
    _iterators: dict[asyncio.Task[Any] | None, Generator[Any, Any, T]] | None = None
    _handle: asyncio.Handle | None = None
    _place = ""
    _is_driven = _has_begun = False

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], on: object, method: str, *, at_once: bool = True
    ) -> None:
        self._coroutine = coroutine
        self._call = (on, method)
        self._result: T = _NOT_YET
        loop = asyncio._get_running_loop()
        if loop is None:
            self._begin_from_a_thread()
            return
        if at_once:
            self._has_begun = True
            if not self._step(coroutine.send, None):
                return
        # The second turn: tasks that were made of the call in this one (``asyncio.gather``) come first and drive it.
        self._place = _place()
        self._handle = loop.call_soon(self._wait_a_turn, loop)

    def __repr__(self) -> str:
        return f"<call of {_named(self._call)}>"

    # running ------------------------------------------------------------------------------------------------------

    def _step(self, resume: Callable[[Any], Any], value: Any) -> bool:
        """Run the coroutine up to where it waits; return False if it has ended."""
        try:
            self._waits_for = resume(value)
        except StopIteration as done:
            self._result = done.value
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the caller that awaits it gets it
            self._failed(error)
        else:
            return True
        del self._coroutine
        return False

    def _failed(self, error: BaseException) -> None:
        # Without the frame of `_step`, which knows this call: the error would keep alive what keeps it.
        self._error = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        if isinstance(error, Exception):
            self._unheard = _Unheard(self._call, self._place or _place(), error)

    def _drive(self) -> Generator[Any, Any, None]:
        """Run what is left in the task that iterates."""
        self._is_driven = True
        waits = True
        if not self._has_begun:
            self._has_begun = True
            waits = self._step(self._coroutine.send, None)
        while waits:
            try:
                value = yield self._waits_for
            except BaseException as error:  # noqa: BLE001 - it is thrown where the coroutine waits
                waits = self._step(self._coroutine.throw, error)
            else:
                waits = self._step(self._coroutine.send, value)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _raised(self) -> NoReturn:
        assert self._error is not None
        if self._unheard is not None:
            self._unheard.is_heard = True
        raise self._error

    # being awaited ------------------------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, Any, T]:
        if self._result is _NOT_YET and self._error is None:
            if self._is_driven:
                yield from self._end_of_it().__await__()
            else:
                if self._handle is not None:
                    self._handle.cancel()
                yield from self._drive()
        return self._result if self._error is None else self._raised()

    def _end_of_it(self) -> asyncio.Future[None]:
        """Return a future that is done when the task that drives this call has ended it."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters = (*self._waiters, waiter)
        return waiter

    def send(self, value: Any) -> Any:
        """Do as a coroutine does: `asyncio.create_task` takes a call as well."""
        return self._iterating().send(value)

    def throw(self, *error: Any) -> Any:
        """Do as a coroutine does."""
        return self._iterating().throw(*(part for part in error if part is not None))

    def close(self) -> None:
        """Stop waiting for the call, which goes on."""
        if self._iterators is not None:
            self._iterating().close()
        elif not self._has_begun:
            self._coroutine.close()

    def _iterating(self) -> Generator[Any, Any, T]:
        task = asyncio.current_task() if asyncio._get_running_loop() else None
        if self._iterators is None:
            self._iterators = {}
        if task not in self._iterators:
            self._iterators[task] = self.__await__()
        return self._iterators[task]

    # not being awaited --------------------------------------------------------------------------------------------

    def _wait_a_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle = loop.call_soon(self._go_alone, loop)

    def _go_alone(self, loop: asyncio.AbstractEventLoop) -> None:
        """Go on in a task: nobody has awaited the call so far."""
        self._is_driven = True
        task = loop.create_task(self._to_its_end())
        _alone.add(task)
        task.add_done_callback(_alone.discard)
        context = current_context.get()
        if context is not None and context.loop is loop:
            context.wait_until(asyncio.wait([task]))

    async def _to_its_end(self) -> None:
        await _Driven(self)

    def _begin_from_a_thread(self) -> None:
        """Start on the session's event loop: a ``def`` handler calls from a thread of its own."""
        context = current_context.get()
        loop = Unawaited.home if context is None else context.loop
        if loop is not None and loop.is_running():
            self._place = _place()
            loop.call_soon_threadsafe(self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_driven:
            self._has_begun = True
            if self._step(self._coroutine.send, None):
                self._handle = loop.call_soon(self._wait_a_turn, loop)


class Unawaited:
    """The calls of a session that nobody awaits: they end before it does."""

    #: The event loop of the session, for calls that a ``def`` step makes from its thread.
    home: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Take this event loop as the session's."""
        Unawaited.home = asyncio.get_running_loop()

    async def drain(self, grace: float) -> None:
        """Wait up to ``grace`` seconds for the calls that still run, then cancel them."""
        Unawaited.home = None
        if not _alone:
            return
        _, late = await asyncio.wait(_alone, timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


class _Driven:
    """The awaitable of a task that drives a call which nobody awaits."""

    def __init__(self, call: Started[Any]) -> None:
        self._call = call

    def __await__(self) -> Generator[Any, Any, None]:
        return self._call._drive()


class _Unheard:
    """An error of a call. If the call is forgotten before anybody has awaited it, the log tells."""

    __slots__ = ("_call", "_error", "_place", "is_heard")

    def __init__(self, call: tuple[object, str], place: str, error: Exception) -> None:
        self._call, self._place, self._error = call, place, error
        self.is_heard = False

    def __del__(self) -> None:
        if not self.is_heard:
            own = isinstance(self._error, PywranglerError | TypeError | ValueError)
            _log.error(
                "%s failed, and nobody awaited it (%s): %s",
                _named(self._call),
                self._place,
                self._error,
                exc_info=None if own else self._error,
            )


def _named(call: tuple[object, str]) -> str:
    return f"{call[0]!r}.{call[1]}()"


def _place() -> str:
    """Return file and line of the first caller outside of the bindings."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OWN):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


_OWN = "wrangler_py.bindings."
