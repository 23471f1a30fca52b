"""Wake-ups of resident instances: planned in wall time, bounded by the monotonic clock, one timer of the event loop.

A timer fires when the wall clock reaches its time, or when as many milliseconds have passed as were left when it was
planned, whichever comes first. The wall clock alone would stall a delay of 30 ms for a day after the clock is set back
by a day; the monotonic clock alone would keep an instance asleep for as long as the laptop was suspended. The wall
clock is read at least every `Clock.max_wait` seconds.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections.abc import Callable
from itertools import count

from wrangler_py.clock import Clock

#: Cancelled timers that are kept before they are cleared out.
_KEPT = 100


class Timer:
    """One planned call; `cancel` forgets it."""

    __slots__ = ("_timers", "at", "callback")

    def __init__(self, at: int, callback: Callable[[], None], timers: Timers) -> None:
        self.at = at
        self.callback: Callable[[], None] | None = callback
        self._timers = timers

    def cancel(self) -> None:
        """Never call back."""
        if self.callback is not None:
            self.callback = None
            self._timers.forgot_one()


class _Heap:
    """Timers by one clock, the earliest first; those that are over are dropped when they come up."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Timer]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, at: float, order: int, timer: Timer) -> None:
        heapq.heappush(self._entries, (at, order, timer))

    def earliest(self) -> float | None:
        """Return when the next timer is due by this clock, None if there is none."""
        while self._entries and self._entries[0][2].callback is None:
            heapq.heappop(self._entries)
        return self._entries[0][0] if self._entries else None

    def pop_due(self, now: float) -> list[tuple[int, Timer]]:
        """Take out what is due by ``now``."""
        due = []
        while self._entries and self._entries[0][0] <= now:
            _, order, timer = heapq.heappop(self._entries)
            if timer.callback is not None:
                due.append((order, timer))
        return due

    def drop_cancelled(self) -> None:
        self._entries = [entry for entry in self._entries if entry[2].callback is not None]
        heapq.heapify(self._entries)

    def clear(self) -> None:
        self._entries.clear()


class Timers:
    """All planned calls of an engine, in milliseconds since 1970."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_wall = _Heap()
        #: The same timers, by the milliseconds of the loop's own, monotonic clock.
        self._by_loop = _Heap()
        self._order = count()
        self._handle: asyncio.TimerHandle | None = None
        #: When the loop's timer fires, by the loop's clock.
        self._planned: float | None = None
        self._forgotten = 0
        #: The loop's timer belongs to no instance, whichever planned the first wake-up.
        self._outside = contextvars.Context()

    def call_at(self, at: int, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` when the wall clock reaches ``at``, or the monotonic clock the same distance from now.

        What is due already is called in the next turn of the loop.
        """
        timer, order = Timer(at, callback, self), next(self._order)
        due = self._loop_ms() + max(0, at - self._clock.now())
        self._by_wall.push(at, order, timer)
        self._by_loop.push(due, order, timer)
        if self._planned is None or due < self._planned:
            self._plan()
        return timer

    def forgot_one(self) -> None:
        """Count a timer that is over and still in a heap; when most are, clear them out, or a day's waits pile up."""
        self._forgotten += 1
        if self._forgotten > _KEPT and self._forgotten * 2 > len(self._by_wall):
            self._by_wall.drop_cancelled()
            self._by_loop.drop_cancelled()
            self._forgotten = 0

    def close(self) -> None:
        """Forget all."""
        self._by_wall.clear()
        self._by_loop.clear()
        if self._handle is not None:
            self._handle.cancel()
        self._planned = None

    @staticmethod
    def _loop_ms() -> float:
        return asyncio.get_running_loop().time() * 1000

    def _plan(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        at, due = self._by_wall.earliest(), self._by_loop.earliest()
        if at is None or due is None:
            self._planned = None
            return
        now = self._loop_ms()
        wait = max(0.0, min(at - self._clock.now(), due - now, self._clock.max_wait * 1000))
        self._planned = now + wait
        self._handle = asyncio.get_running_loop().call_later(wait / 1000, self._fire, context=self._outside)

    def _fire(self) -> None:
        due = dict(self._by_wall.pop_due(self._clock.now()))
        due.update(self._by_loop.pop_due(self._loop_ms()))
        for _, timer in sorted(due.items(), key=lambda entry: (entry[1].at, entry[0])):
            callback, timer.callback = timer.callback, None
            if callback is not None:
                self.forgot_one()
                callback()
        self._plan()
