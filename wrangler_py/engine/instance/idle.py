"""Does an instance do anything but wait?

`run()` may await anything, a socket or `asyncio.sleep` between two steps. The instance may leave memory only when each
of its tasks awaits a durable wait. A task knows the future that it awaits, so this is certain. Tasks that have not
called a step yet, and that nobody awaits, cannot be seen and do not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

#: Turns of the event loop to let pass before looking: a task just started must reach its first step, and the end of
#: one task takes a turn for each `asyncio.wait`, `gather` or TaskGroup around it to reach `run()`.
SETTLE_TURNS = 8
#: Delay before looking again when something else was going on, in milliseconds.
RECHECK_MS = 250


def only_waits(
    main: asyncio.Task[Any] | None, tasks: Iterable[asyncio.Task[Any]], waits: Collection[asyncio.Future[Any]]
) -> bool:
    """Return True if ``main`` and the other ``tasks`` of an instance await nothing but ``waits``."""
    if main is None or main.done():
        return False
    others = [task for task in tasks if not task.done()]
    if not all(_hangs_on(_waiter(task), waits) for task in others):
        return False
    waiter = _waiter(main)
    if waiter is None or waiter.done():
        return False
    return _hangs_on(waiter, waits) or (bool(others) and not _is_group(waiter))


def _waiter(task: asyncio.Future[Any]) -> asyncio.Future[Any] | None:
    return getattr(task, "_fut_waiter", None)


def _is_group(future: asyncio.Future[Any]) -> bool:
    return bool(getattr(future, "_children", None))


def _hangs_on(future: asyncio.Future[Any] | None, waits: Collection[asyncio.Future[Any]]) -> bool:
    if future is None or future.done():
        return False
    if future in waits:
        return True
    children = getattr(future, "_children", None)
    if children:
        return all(child.done() or _hangs_on(child, waits) for child in children)
    return isinstance(future, asyncio.Task) and _hangs_on(_waiter(future), waits)
