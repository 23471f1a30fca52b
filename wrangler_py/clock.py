"""The one source of time, ids and randomness.

The engine never calls `time`, `uuid` or `random` itself: it is given a `Clock`. Under `SystemClock` time passes by
itself. `VirtualLoop` is an event loop on which it does not: whenever nothing is left to do, it jumps to the next
timer, so that a year of sleep takes a millisecond. `LoopClock` reads its time.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import time
import uuid
from datetime import UTC, datetime
from typing import Any, Protocol


class Clock(Protocol):
    """Time in milliseconds since 1970 (UTC), fresh ids, and randomness."""

    #: The longest one timer may wait, in seconds, before the wall clock is read again (a laptop that slept).
    max_wait: float

    def now(self) -> int:
        """Return milliseconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds by a clock that nobody sets, to measure how long something took."""
        ...

    def new_id(self) -> str:
        """Return a fresh UUID4 as text."""
        ...


class SystemClock:
    """The machine's clock."""

    max_wait = 5.0

    def now(self) -> int:
        """Return the wall time in milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    #: The machine's monotonic time in seconds. Not a method that calls it: each step asks twice.
    monotonic = staticmethod(time.monotonic)

    def new_id(self) -> str:
        """Return a random UUID4."""
        return str(uuid.uuid4())


class LoopClock:
    """Reads the time of the running event loop: with `VirtualLoop`, virtual time. Ids come from a seed."""

    max_wait = float("inf")

    def __init__(self, *, start: int = 1_767_225_600_000, seed: int = 0) -> None:
        self.start = start
        self._random = random.Random(seed)  # noqa: S311 - reproducible, not secret

    def now(self) -> int:
        """Return ``start`` plus the loop's own time, in milliseconds."""
        return self.start + round(asyncio.get_running_loop().time() * 1000)

    def monotonic(self) -> float:
        """Return the loop's own time in seconds."""
        return asyncio.get_running_loop().time()

    def new_id(self) -> str:
        """Return the next UUID4 of the seeded sequence."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


class _JumpingSelector(selectors.SelectSelector):
    """A selector that, instead of waiting for a timer, tells its loop to jump there."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0 or self.loop.busy:
            return super().select(timeout)
        ready = super().select(0)
        if not ready:
            self.loop.jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on which waiting costs nothing: time stands still while code runs and jumps when all of it waits.

    ``busy`` counts work in threads; while it is above zero the loop waits for real, because that work decides what
    is next.
    """

    def __init__(self) -> None:
        self._virtual_time = 0.0
        self.busy = 0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        # After a year, a float of seconds is good to some nanoseconds only: asyncio must not wait for the last of
        # them.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._virtual_time

    def jump(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass at once."""
        self._virtual_time += seconds

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run ``func`` in a thread; virtual time stands still until it is done."""
        self.busy += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self.busy -= 1


def iso(at: int) -> str:
    """Return milliseconds since 1970 as ``2026-01-31T12:00:00.000Z``."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"


def naive_utc(at: int) -> datetime:
    """Return milliseconds since 1970 as the naive UTC datetime that user code sees (python-sdk, section 3)."""
    return datetime.fromtimestamp(at / 1000, UTC).replace(tzinfo=None)
