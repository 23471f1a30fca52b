"""Calls of steps: user code may make one and forget to await it, which must not pass in silence."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from inspect import CORO_CLOSED, getcoroutinestate
from typing import Any

from wrangler_py.serde import show


class Calls:
    """The calls of steps in one `run()` that nobody has awaited yet."""

    def __init__(self) -> None:
        self._count = 0
        self._open: dict[int, tuple[str, Coroutine[Any, Any, Any]]] = {}

    def call(
        self, name: object, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any
    ) -> Coroutine[Any, Any, Any]:
        """Return the call of a step, to be awaited; one that never is, is named when `run()` ends."""
        self._count += 1
        call = self._arrive(self._count, function, args)
        self._open[self._count] = (name if type(name) is str else show(name), call)
        return call

    async def _arrive(
        self, number: int, function: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]
    ) -> Any:
        self._open.pop(number, None)
        return await function(*args)

    @property
    def names(self) -> list[str]:
        """The names of the steps that were called and not awaited, in the order of their calls.

        A call that a task was given and that was cancelled before it began is closed: it was not forgotten.
        """
        return [name for name, call in self._open.values() if getcoroutinestate(call) != CORO_CLOSED]

    def close(self) -> None:
        """Forget the calls that nobody awaited."""
        for _, call in self._open.values():
            call.close()
        self._open.clear()
