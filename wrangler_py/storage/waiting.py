"""Waiting for a database that another process has locked, without stopping an event loop.

SQLite itself waits in the thread that asks: on a loop's thread that stops every request and every timer. So no
connection lets SQLite wait (`storage.schema.connect`), and what a lock refuses is decided here, in one of two ways:

* A thread without an event loop waits where it is: `waiting_here`.
* On an event loop StoreBusyError is raised at once, and the caller awaits `waited`, which tries again with pauses in
  which the loop goes on. A caller that forgets this gets the error, and stops nobody.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutinefunction
from itertools import chain, repeat
from typing import Any, ParamSpec, TypeVar

from wrangler_py.errors import StoreBusyError

P = ParamSpec("P")
T = TypeVar("T")
#: Seconds to wait for another process that writes, and between two tries of a thread.
BUSY_S, PAUSE_S = 5.0, 0.005
#: Seconds between two tries on an event loop: most transactions take a millisecond or less, the last is for long ones.
_PAUSES = (0.0005, 0.001, 0.001, 0.002, 0.002, 0.003, 0.005, 0.005, 0.01, 0.01, 0.02)
_serves_nobody: ContextVar[bool] = ContextVar("serves_nobody", default=False)


def is_locked(error: BaseException) -> bool:
    """Return True if an error of the driver says that another process holds the lock."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.Error) and code == sqlite3.SQLITE_BUSY


@contextmanager
def serving_nobody() -> Iterator[None]:
    """Let an event loop wait inside: it answers nobody, or nobody yet, so nobody is held up."""
    token = _serves_nobody.set(True)
    try:
        yield
    finally:
        _serves_nobody.reset(token)


def may_wait() -> bool:
    """Return True if the calling thread holds up no event loop when it waits."""
    return asyncio._get_running_loop() is None or _serves_nobody.get()


def waiting_here(work: Callable[[], T]) -> T:
    """Return what ``work`` returns; in a thread that may wait it is called again while it meets a lock.

    ``work`` must change nothing before it has the lock. After `BUSY_S` seconds what it raises passes.
    """
    deadline = None
    while True:
        try:
            return work()
        except sqlite3.Error as error:
            now = time.monotonic()
            deadline = now + BUSY_S if deadline is None else deadline
            if not is_locked(error) or now >= deadline or not may_wait():
                raise
        time.sleep(PAUSE_S)


async def waited(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``work`` returns, which is called again as `waiting_for_lock` says."""

    async def at_once() -> T:
        return work(*args, **kwargs)

    return await waiting_for_lock(at_once)()


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
