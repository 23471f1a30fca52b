"""Waiting for a database that another process has locked, without stopping the event loop.

SQLite itself waits in the thread that asks: on the loop's thread that stops every request and every timer. A database
that is used there therefore does not wait (`Database.open`, ``waits=False``): it raises StoreBusyError, and what it was
asked is tried again from here, with pauses in which the loop goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from inspect import iscoroutinefunction
from itertools import chain, repeat
from typing import Any, ParamSpec, TypeVar

from wrangler_py.errors import StoreBusyError
from wrangler_py.storage.schema import BUSY_S

P = ParamSpec("P")
T = TypeVar("T")
#: Seconds between two tries: most transactions take a millisecond or less, the last is for what takes long.
_PAUSES = (0.0005, 0.001, 0.001, 0.002, 0.002, 0.003, 0.005, 0.005, 0.01, 0.01, 0.02)


def waits_for_lock(store: type[T]) -> type[T]:
    """Return a class whose coroutine methods wait as `waiting_for_lock` says."""
    for name, method in list(vars(store).items()):
        if iscoroutinefunction(method):
            setattr(store, name, waiting_for_lock(method))
    return store


def waiting_for_lock(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return ``method``, which is tried again while it raises StoreBusyError, for `BUSY_S` seconds at most.

    It must change nothing before it has the lock, and not give up its turn of the loop once it has.
    """

    @wraps(method)
    async def waiting(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(*args, **kwargs)
        except StoreBusyError:
            loop = asyncio.get_running_loop()
        deadline = loop.time() + BUSY_S
        for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
            await asyncio.sleep(pause)
            try:
                return await method(*args, **kwargs)
            except StoreBusyError:
                if loop.time() >= deadline:
                    raise
        raise AssertionError("the pauses never end")

    return waiting
