"""The right to drive instances: one lease a process, renewed from a thread of its own.

The heartbeat must not share fate with a step that blocks the event loop: a blocked process is slow, not dead. The
same thread notices the block, and whose step it is.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from wrangler_py.clock import Clock
from wrangler_py.engine.store import Store
from wrangler_py.errors import StoreError

logger = logging.getLogger(__name__)

#: Lease lifetime in milliseconds, and renewal interval in seconds.
LEASE_MS = 10_000
BEAT_S = 1.0
#: Time without an answer after which the event loop counts as blocked, in seconds.
BLOCKED_S = 1.0


class Beating(Protocol):
    """The renewal of a lease until it is stopped: `Heartbeat`, or one without a thread under virtual time."""

    async def stop(self) -> None:
        """Stop beating."""
        ...


class Heartbeat:
    """Renews a lease until it is stopped, and watches the event loop."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        epoch: int,
        *,
        on_lost: Callable[[], None],
        on_blocked: Callable[[float, list[FrameType]], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._epoch = epoch
        self._on_lost = on_lost
        self._on_blocked = on_blocked
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._asked_at: float | None = None
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Stop beating and wait for the thread, which may itself be waiting for a database that is locked."""
        self._stopped.set()
        await asyncio.to_thread(self._thread.join)

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT_S):
            try:
                if not self._store.renew_lease(self._epoch, self._clock.now() + LEASE_MS):
                    self._tell(self._on_lost)
                    return
            except StoreError:
                # The next commit meets the same trouble and says so; the lease outlives a few missed beats.
                pass
            except Exception as error:  # noqa: BLE001 - a thread that ends would leave a lease that nobody renews
                logger.warning("the lease of this process could not be renewed: %s", error)
            self._watch_loop()

    def _tell(self, callback: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)

    def _watch_loop(self) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            self._tell(self._answered)
        elif now - self._asked_at >= BLOCKED_S:
            self._on_blocked(now - self._asked_at, _stack(self._loop_thread))

    def _answered(self) -> None:
        self._asked_at = None


def _stack(thread: int) -> list[FrameType]:
    """Return the frames of a thread, innermost first."""
    frame, frames = sys._current_frames().get(thread), []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames
