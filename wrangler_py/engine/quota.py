"""The number of instances that may be created now (docs, table "Limits"; engine-semantics, section 5)."""

from __future__ import annotations

import math
from collections import deque

from wrangler_py.clock import Clock
from wrangler_py.engine.limits import DAY_MS, RATE_COUNT, RATE_MS, PlanLimits
from wrangler_py.engine.store import Store
from wrangler_py.errors import QueueFullError, RateLimitedError

#: A count of what is queued is believed for this long; other processes create instances too.
_QUEUED_MS = 1000
#: The same for a count of the day's instances, which reads more.
_DAILY_MS = 10_000


class Quota:
    """Counts what this process creates, and asks the store for what others do.

    The room in the queue is always checked; the creation rate and a plan's daily cap where limits are enforced.
    """

    def __init__(self, store: Store, clock: Clock, limits: PlanLimits, *, enforce: bool) -> None:
        self._store, self._clock, self._limits, self._enforce = store, clock, limits, enforce
        self._recent: deque[int] = deque(maxlen=RATE_COUNT)
        self._queued = _Count(-_QUEUED_MS)
        self._daily = _Count(-DAY_MS)

    async def take(self, count: int) -> None:
        """Book ``count`` instances, or book nothing.

        Raises:
            QueueFullError: as many as the plan allows are queued.
            RateLimitedError: too many in ten seconds, or today.
        """
        now = self._clock.now()
        await self._check_queue(now, count)
        if self._enforce:
            await self._check_day(now, count)
            await self._check_rate(now, count)
            self._recent.extend([now] * count)
        self._queued.value += count
        self._daily.value += count

    async def _check_queue(self, now: int, count: int) -> None:
        if now - self._queued.at > _QUEUED_MS or self._queued.value + count > self._limits.queued:
            self._queued = _Count(now, await self._store.count_queued())
        if self._queued.value + count > self._limits.queued:
            raise QueueFullError(
                f"{self._limits.queued} instances are queued already: wait until some have started"
            )

    async def _check_day(self, now: int, count: int) -> None:
        """Check the day's instances. Days are those of UTC, as Cloudflare counts them."""
        most = self._limits.daily
        if most is None:
            return
        midnight = now - now % DAY_MS
        if now - self._daily.at > _DAILY_MS or self._daily.at < midnight:
            self._daily = _Count(now, await self._store.count_created(midnight))
        if self._daily.value + count > most:
            raise RateLimitedError(
                f"this plan runs {most} instances a day: the next day begins at midnight UTC",
                retry_after_s=math.ceil((midnight + DAY_MS - now) / 1000),
            )

    async def _check_rate(self, now: int, count: int) -> None:
        """Check the last ten seconds, of all processes; own creations may still be on their way there."""
        leaver = RATE_COUNT - count + 1
        own = self._recent[-leaver] if leaver <= len(self._recent) else 0
        free_at = RATE_MS + max(own, await self._store.created_at(leaver) or 0)
        if free_at > now:
            raise RateLimitedError(
                f"more than {RATE_COUNT} instances in {RATE_MS // 1000} seconds: try again in a moment",
                retry_after_s=math.ceil((free_at - now) / 1000),
            )


class _Count:
    """A count, and when it was taken."""

    def __init__(self, at: int, value: int = 0) -> None:
        self.at, self.value = at, value
