"""Wake-ups of resident instances: one heap on wall time, one timer of the event loop.

Wall time decides, not the loop's own clock: a laptop that slept wakes up late, and what is overdue fires at once.
Therefore no wait of the loop is longer than `Clock.max_wait`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from wrangler_py.clock import Clock


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


class Timers:
    """All planned calls of an engine, in milliseconds since 1970."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = count()
        self._handle: asyncio.TimerHandle | None = None
        self._planned_at: int | None = None
        self._forgotten = 0

    def call_at(self, at: int, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` when the wall clock reaches ``at``; at once, in the next turn, if it has."""
        timer = Timer(at, callback, self)
        heapq.heappush(self._heap, (at, next(self._order), timer))
        if self._planned_at is None or at < self._planned_at:
            self._plan()
        return timer

    def forgot_one(self) -> None:
        """Count a cancelled timer; when most are, clear them out, or a day's waits would pile up."""
        self._forgotten += 1
        if self._forgotten > 100 and self._forgotten * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self._forgotten = 0

    def close(self) -> None:
        """Forget all."""
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
        self._planned_at = None

    def _plan(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        if not self._heap:
            self._planned_at = None
            return
        self._planned_at = self._heap[0][0]
        wait = min(max(0, self._planned_at - self._clock.now()) / 1000, self._clock.max_wait)
        self._handle = asyncio.get_running_loop().call_later(wait, self._fire)

    def _fire(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self._plan()
