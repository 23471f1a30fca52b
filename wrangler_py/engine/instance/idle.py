"""Does an instance do anything but wait?

`run()` may await anything, a socket or `asyncio.sleep` between two steps. The instance may leave memory only when each
of its tasks awaits a durable wait, or something that only another of its tasks can bring about. A task knows the future
that it awaits and the code that it stands in, so this is certain; what cannot be told counts as something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from types import FrameType
from typing import Any

#: Turns of the event loop to let pass before looking: a task just started must reach its first step, and the end of
#: one task takes a turn for each `asyncio.wait`, `gather` or TaskGroup around it to reach `run()`.
SETTLE_TURNS = 8
#: Delay before looking again when something else was going on, in milliseconds.
RECHECK_MS = 250
#: Code of asyncio that waits for other tasks, each of which is looked at by itself...
_FOR_OTHERS = frozenset({"asyncio.locks", "asyncio.queues", "asyncio.taskgroups"})
#: ... and functions that do, or that wait for a timer, which `Tasks` knows.
_FUNCTIONS = frozenset({"sleep", "_wait", "wait_for"})


def only_waits(
    main: asyncio.Task[Any] | None,
    tasks: Iterable[asyncio.Future[Any]],
    waits: Collection[asyncio.Future[Any]],
) -> bool:
    """Return True if ``main`` and the other ``tasks`` of an instance await nothing but ``waits`` and each other."""
    if main is None or main.done():
        return False
    return all(_rests(task, waits) for task in (main, *tasks) if not task.done())


def _rests(task: asyncio.Future[Any], waits: Collection[asyncio.Future[Any]]) -> bool:
    """Return True if a task awaits one of ``waits``, or other tasks."""
    future = _waiter(task)
    if future is None or future.done():
        return False
    return _hangs_on(future, waits) or _is_for_others(task, future)


def _waiter(task: asyncio.Future[Any]) -> asyncio.Future[Any] | None:
    return getattr(task, "_fut_waiter", None)


def _hangs_on(future: asyncio.Future[Any], waits: Collection[asyncio.Future[Any]]) -> bool:
    if future in waits:
        return True
    children = getattr(future, "_children", None)
    if children:
        return all(child.done() or _hangs_on(child, waits) for child in children)
    return isinstance(future, asyncio.Task) and _rests(future, waits)


def _is_for_others(task: asyncio.Future[Any], future: asyncio.Future[Any]) -> bool:
    """Return True if only other tasks, or a timer, can end ``future``, a plain one that ``task`` awaits."""
    if isinstance(future, asyncio.Task) or getattr(future, "_children", None):
        return False
    frame = _innermost(task)
    if frame is None:
        return False
    module = frame.f_globals.get("__name__")
    return (
        module in _FOR_OTHERS
        or (module == "asyncio.tasks" and frame.f_code.co_name in _FUNCTIONS)
        or _is_shield(future)
    )


def _is_shield(future: asyncio.Future[Any]) -> bool:
    """Return True for what `asyncio.shield` gives, which ends with the task behind it."""
    callbacks = getattr(future, "_callbacks", None) or ()
    return any(getattr(callback, "__qualname__", "").startswith("shield.") for callback, _ in callbacks)


def _innermost(task: asyncio.Future[Any]) -> FrameType | None:
    """Return the frame in which a task awaits a future; None where there is no telling, as in an `async for`."""
    coroutine: Any = task.get_coro() if isinstance(task, asyncio.Task) else None
    frame: FrameType | None = None
    while hasattr(coroutine, "cr_frame"):
        frame, coroutine = coroutine.cr_frame, coroutine.cr_await
    return None if hasattr(coroutine, "asend") or type(coroutine).__name__.startswith("async_gen") else frame
