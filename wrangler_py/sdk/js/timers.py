"""``Promise``, ``setTimeout`` and ``queueMicrotask`` on asyncio."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

_numbers = itertools.count(1)
_timers: dict[int, asyncio.TimerHandle] = {}
_started: set[asyncio.Future[Any]] = set()


def setTimeout(callback: Callable[..., Any], delay: float = 0, *args: Any) -> int:
    """Call ``callback(*args)`` after ``delay`` milliseconds; return a number for `clearTimeout`."""
    number = next(_numbers)
    loop = asyncio.get_running_loop()
    _timers[number] = loop.call_later(max(delay, 0) / 1000, _ring, number, callback, args)
    return number


def clearTimeout(number: int | None) -> None:
    """Do not call what was to be called, if it was not yet."""
    timer = None if number is None else _timers.pop(number, None)
    if timer is not None:
        timer.cancel()


def queueMicrotask(callback: Callable[[], Any]) -> None:
    """Call ``callback`` as soon as the running code gives way."""
    asyncio.get_running_loop().call_soon(_call, callback, ())


def _ring(number: int, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
    _timers.pop(number, None)
    _call(callback, args)


def _call(callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
    result = callback(*args)
    if inspect.isawaitable(result):
        task = asyncio.ensure_future(result)
        _started.add(task)
        task.add_done_callback(_started.discard)


class Promise:
    """JavaScript's promises as futures of the running event loop."""

    @staticmethod
    def resolve(value: Any = None) -> asyncio.Future[Any]:
        """Return a future that has ``value``, or that waits for it if it can be awaited."""
        if inspect.isawaitable(value):
            return asyncio.ensure_future(value)
        future = asyncio.get_running_loop().create_future()
        future.set_result(value)
        return future

    @staticmethod
    def all(values: Iterable[Awaitable[Any] | Any]) -> asyncio.Future[list[Any]]:
        """Return a future of the list of all results; it fails with the first failure."""
        return asyncio.gather(*map(Promise.resolve, values))
