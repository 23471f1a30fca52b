"""Does an instance do anything but wait?

`run()` may await what it likes, a socket or `asyncio.sleep` between two steps. Only when every one of its tasks
hangs on waits of ours may the instance leave memory. Tasks say what they hang on, so this is a look, not a guess;
what cannot be seen (a task that has not called a step yet, started and not awaited) does not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

#: Turns of the event loop to let pass before looking: a task just started must reach its first step, and the end of
#: one task takes a turn for each `asyncio.wait`, `gather` or TaskGroup around it to reach `run()`.
SETTLE_TURNS = 8
#: When to look again if something else was going on, in milliseconds.
RECHECK_MS = 250


def only_waits(
    main: asyncio.Task[Any] | None, tasks: Iterable[asyncio.Task[Any]], waits: Collection[asyncio.Future[Any]]
) -> bool:
    """Say whether ``main`` and the other ``tasks`` of an instance hang on nothing but ``waits`` of ours."""
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
