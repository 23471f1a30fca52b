"""Instances that have ended leave the store when their time is up (docs, "Limits": retention).

A process that drives instances also sweeps. What is due is *discarded* first: it takes one small write, and from then
on nobody sees the instance. What it stored is removed afterwards, some lines at a time, and the file gives back what
has become free. Each of these is a transaction of about a millisecond, with a pause behind it, so that nobody waits for
a sweep; and each leaves the store as a next process may take it over: a sweep that is cut off is gone on with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from wrangler_py.clock import Clock
from wrangler_py.engine.store import Store
from wrangler_py.engine.timers import Timer, Timers
from wrangler_py.errors import StoreError

#: What one transaction does: instances discarded, lines of history removed, pages of the file given back.
DISCARDED, REMOVED, GIVEN_BACK = 50, 500, 250
#: Seconds between two of them.
PAUSE_S = 0.005
#: Delay before the next look, in milliseconds, after an instance has ended or the store has failed.
LOOK_MS = 1000


class Sweeper:
    """Sweeps while its process drives instances."""

    def __init__(self, store: Store, clock: Clock, timers: Timers) -> None:
        self._store, self._clock, self._timers = store, clock, timers
        self._wake = asyncio.Event()
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with what became due while nobody swept."""
        self._wake.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._sweep_for_ever(), name="sweeper")

    async def stop(self) -> None:
        """Leave the rest to the next process."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if self._timer is not None:
            self._timer.cancel()

    def look_soon(self) -> None:
        """Something ended, here or in another process: it may be due before what was known to be the next."""
        if self._task is not None:
            self._plan(self._clock.now() + LOOK_MS)

    def _plan(self, at: int) -> None:
        if self._timer is not None and self._timer.callback is not None:
            if self._timer.at <= at:
                return
            self._timer.cancel()
        self._timer = self._timers.call_at(at, self._wake.set)

    async def _sweep_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._sweep()
            except StoreError:
                self._plan(self._clock.now() + LOOK_MS)

    async def _sweep(self) -> None:
        await _repeat(lambda: self._store.discard_expired(now=self._clock.now(), limit=DISCARDED))
        if await _repeat(lambda: self._store.remove_discarded(limit=REMOVED)):
            await _repeat(lambda: self._store.give_back(limit=GIVEN_BACK))
        due_at = await self._store.next_expiry()
        if due_at is not None:
            self._plan(due_at)


async def _repeat(some: Callable[[], Awaitable[bool]]) -> bool:
    """Do ``some`` of it until there is no more; return True if there was any."""
    was_any = False
    while await some():
        was_any = True
        await asyncio.sleep(PAUSE_S)
    return was_any
