"""The messages of all queues, as the producers and consumers of one process share them.

Writes come in groups: all that is sent and settled in one turn of the event loop is one transaction, and whoever waits
is released when it is on disk. While another process holds the lock, the group is tried again after a pause, and
grows.

What else writes or reads raises StoreBusyError then; on an event loop it is for `storage.waiting.waited`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wrangler_py.clock import Clock
from wrangler_py.errors import StoreBusyError, StoreError
from wrangler_py.storage import waiting
from wrangler_py.storage.queues import Backlog, HeldMessage, Holder, NewMessage, QueueStore, Settlement
from wrangler_py.storage.reading import is_reading_only
from wrangler_py.storage.waiting import PAUSE_S, serving_nobody

if TYPE_CHECKING:
    from wrangler_py.bindings.resources import Resources

_log = logging.getLogger(__name__)
#: Queues docs, "Limits": the default.
RETENTION_MS = 4 * 24 * 3_600_000
#: Messages one transaction takes, so that a turn of the event loop stays short.
_MOST = 500


class _Write(NamedTuple):
    sent: Sequence[NewMessage]
    settled: Settlement | None
    size: int
    done: asyncio.Future[None]
    #: By the event loop's clock: when waiting for a lock is given up.
    until: float


class Queues:
    """All queues of a state directory. Belongs to the event loop that uses it first."""

    def __init__(self, store: QueueStore, clock: Clock) -> None:
        self._store, self.clock = store, clock
        self._writes: deque[_Write] = deque()
        self._is_planned = False
        self._watchers: dict[str, Callable[[], None]] = {}

    @classmethod
    def of(cls, resources: Resources) -> Queues:
        """Return the queues that all bindings of this process share."""
        return resources.shared(cls, lambda: cls._opened(resources))

    @classmethod
    def _opened(cls, resources: Resources) -> Queues:
        path = resources.place("queues", "queues", ".sqlite")
        found = cls.open(path, resources.clock, synchronous=resources.synchronous)
        resources.on_close(found.close)
        return found

    @classmethod
    def open(cls, path: Path, clock: Clock, *, synchronous: str = "NORMAL") -> Queues:
        """Open or make the database at ``path``, without what is older than four days.

        Raises:
            StateError: the file cannot be used.
        """
        with serving_nobody():
            found = cls(QueueStore.open(path, synchronous=synchronous), clock)
        if not is_reading_only():
            with contextlib.suppress(StoreBusyError):  # The next look takes them along.
                found.expire()
        return found

    def close(self) -> None:
        """Write what is left, unless the database is locked, and close it."""
        while self._writes:
            self._commit(float("inf"))
        self._store.close()

    # sending

    def new_message(self, queue: str, content_type: str, body: bytes, delay_s: int) -> NewMessage:
        """Return a message of now, with a fresh id."""
        now, fresh = self.clock.now(), self.clock.new_id().replace("-", "")
        return NewMessage(queue, fresh, now, now + RETENTION_MS, now + delay_s * 1000, content_type, body)

    async def send(self, messages: Sequence[NewMessage]) -> None:
        """Store messages, all or none; raise StoreError."""
        await self._write(messages, None, len(messages))

    async def settle(self, settled: Settlement) -> None:
        """Store what becomes of held messages; raise StoreError."""
        await self._write((), settled, _size(settled))

    def settle_soon(self, settled: Settlement) -> None:
        """Do as `settle`, and have nobody wait; what fails is up to a later `settle`."""
        done = self._write((), settled, _size(settled))
        done.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _write(
        self, sent: Sequence[NewMessage], settled: Settlement | None, size: int
    ) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._writes.append(_Write(sent, settled, size, done, loop.time() + waiting.BUSY_S))
        self._plan(loop)
        return done

    def _plan(self, loop: asyncio.AbstractEventLoop, after_s: float = 0) -> None:
        if not self._is_planned:
            self._is_planned = True
            # `call_soon` where nothing is locked: a timer costs more.
            if after_s:
                loop.call_later(after_s, self._commit_one_turn, loop)
            else:
                loop.call_soon(self._commit_one_turn, loop)

    def _commit_one_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_planned = False
        is_free = not self._writes or self._commit(loop.time())
        if self._writes:
            self._plan(loop, 0 if is_free else PAUSE_S)

    def _commit(self, now: float) -> bool:
        """Write the next group; return False if the database is locked: what need not be given up stays in place."""
        writes = self._next_writes()
        sent = [message for write in writes for message in write.sent]
        settled = [write.settled for write in writes if write.settled is not None]
        try:
            self._store.apply(sent, settled)
        except StoreBusyError as error:
            _fail([write for write in writes if write.until <= now], error)
            self._writes.extendleft(write for write in reversed(writes) if write.until > now)
            return False
        except StoreError as error:
            _fail(writes, error)
            return True
        for write in writes:
            if not write.done.done():
                write.done.set_result(None)
        moved = (move.queue for one in settled for move in one.moved)
        self._wake({*(message.queue for message in sent), *moved})
        return True

    def _next_writes(self) -> list[_Write]:
        writes = [self._writes.popleft()]
        size = writes[0].size
        while self._writes and size + self._writes[0].size <= _MOST:
            writes.append(self._writes.popleft())
            size += writes[-1].size
        return writes

    # delivering

    def watch(self, queue: str, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever messages have come to ``queue``."""
        self._watchers[queue] = callback

    def unwatch(self, queue: str) -> None:
        """Call nobody any more."""
        self._watchers.pop(queue, None)

    def look_around(self) -> None:
        """Wake all watchers if another process has written; raise StoreError."""
        if self._store.changed_elsewhere():
            self._wake(self._watchers)

    def _wake(self, queues: Iterable[str]) -> None:
        for queue in queues:
            if queue in self._watchers:
                self._watchers[queue]()

    def due_times(self, queue: str, limit: int) -> list[int]:
        """Return when the next ``limit`` messages of a queue are due (ms), earliest first; raise StoreError."""
        return self._store.due_times(queue, limit)

    def take(self, queue: str, limit: int, holder: Holder) -> list[HeldMessage]:
        """Hold the messages that are due; their attempt counts from here on. Raise StoreError."""
        return self._store.take(queue, self.clock.now(), limit, holder.number)

    def new_holder(self) -> Holder:
        """Return this process's right to hold messages; raise StoreError."""
        return self._store.new_holder()

    def free_dead(self, own: Holder) -> None:
        """Make due what processes held that are no more; raise StoreError."""
        if self._store.free_dead(own.number):
            self._wake(self._watchers)

    # looking after

    def expire(self) -> None:
        """Remove messages that nobody has consumed for four days; raise StoreError."""
        expired = self._store.expire(self.clock.now())
        if expired:
            _log.warning("%d messages expired in their queues after four days and were deleted", expired)

    def purge(self, queue: str) -> int:
        """Remove all messages of a queue but those being delivered; return how many. Raise StoreError."""
        return self._store.purge(queue)

    def backlog(self, queue: str) -> Backlog:
        """Count what a queue holds; raise StoreError."""
        return self._store.backlog(queue, self.clock.now())

    async def count(self, queue: str) -> Backlog:
        """Do as `backlog`, and keep nobody waiting while a long queue is counted."""
        return await asyncio.to_thread(self._store.backlog, queue, self.clock.now())

    def names(self) -> list[str]:
        """Return the queues that hold messages; raise StoreError."""
        return self._store.queue_names()


def _size(settled: Settlement) -> int:
    return sum(map(len, settled[1:]))


def _fail(writes: Iterable[_Write], error: StoreError) -> None:
    for write in writes:
        if not write.done.done():
            write.done.set_exception(error)
