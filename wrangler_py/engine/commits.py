"""Group commit: every durable write of one turn of the event loop, of all instances together, is one transaction.

Who must know that a write is on disk awaits `GroupCommit.durable`. When a transaction is through, its waiters are
let go a few at a time, so that a thousand instances never keep a request waiting: between two handfuls the event
loop looks at its sockets.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from wrangler_py.engine.store import (
    Batch,
    ChunkLine,
    Creation,
    Ending,
    HistoryLine,
    Parking,
    StatusChange,
    Store,
)
from wrangler_py.errors import StoreError

_TURN_S = 0.003
_LEAST, _MOST = 16, 512
Waiter = asyncio.Future[None]


class Pacer:
    """Lets waiters go so that one turn of the event loop takes about three milliseconds, whatever each of them
    does."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: deque[Waiter] = deque()
        self._share = 64
        self._running = False

    def release(self, waiters: list[Waiter]) -> None:
        """Let ``waiters`` go on, in order, behind those released before."""
        self._queue.extend(waiters)
        if not self._running:
            self._running = True
            self._let_go()

    def _let_go(self) -> None:
        queue = self._queue
        for _ in range(min(self._share, len(queue))):
            waiter = queue.popleft()
            if not waiter.done():
                waiter.set_result(None)
        if queue:
            self._loop.call_soon(self._next_turn, time.perf_counter())
        else:
            self._running = False

    def _next_turn(self, started: float) -> None:
        took = time.perf_counter() - started
        if took > _TURN_S:
            self._share = max(_LEAST, self._share // 2)
        elif took < _TURN_S / 2:
            self._share = min(_MOST, self._share * 2)
        self._let_go()


class GroupCommit:
    """Gathers writes and commits them once a turn, under this process's lease."""

    def __init__(self, store: Store) -> None:
        self.epoch: int | None = None
        #: Called with each batch, and the rows of its creations, when it is on disk.
        self.on_commit: Callable[[Batch, list[int | None]], None] | None = None
        #: Called when a transaction failed; its waiters have been told.
        self.on_failure: Callable[[StoreError], None] | None = None
        self._store = store
        self._batch = Batch()
        self._waiters: list[Waiter] = []
        self._created: list[asyncio.Future[int | None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Future[None] | None = None
        self._dirty = False
        self._writer: asyncio.Task[None] | None = None
        self._pacer: Pacer | None = None

    # adding writes; nobody waits yet

    def log(self, line: HistoryLine) -> None:
        """Append a history line."""
        self._batch.history.append(line)
        if not self._dirty:
            self._schedule()

    def chunk(self, line: ChunkLine) -> None:
        """Store a piece of a step's stream."""
        self._batch.chunks.append(line)
        self._schedule()

    def status(self, change: StatusChange) -> None:
        """Change the status of a driven instance."""
        self._batch.statuses.append(change)
        self._schedule()

    def park(self, parking: Parking) -> None:
        """Let an instance go, to be taken up later."""
        self._batch.parkings.append(parking)
        self._schedule()

    def end(self, ending: Ending) -> None:
        """End an instance."""
        self._batch.endings.append(ending)
        self._schedule()

    def set_deaths(self, row: int, deaths: int) -> None:
        """Store how many deaths count for a driven instance from now on."""
        self._batch.deaths.append((row, deaths))
        self._schedule()

    def consume(self, event_number: int) -> None:
        """Take a delivered event out of the mailbox."""
        self._batch.consumed.append(event_number)
        self._schedule()

    # waiting

    def durable(self) -> Waiter:
        """Return a future that is done when all that was added before is on disk; it raises StoreError if it cannot
        be."""
        self._schedule()
        assert self._loop is not None
        waiter: Waiter = self._loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def create(self, creation: Creation) -> asyncio.Future[int | None]:
        """Store a new instance; the future gives its row, or None if the id is taken, once that is on disk."""
        self._schedule()
        assert self._loop is not None
        created: asyncio.Future[int | None] = self._loop.create_future()
        self._batch.creations.append(creation)
        self._created.append(created)
        return created

    def _schedule(self) -> None:
        if self._dirty:
            return
        self._dirty = True
        if self._writer is None or self._writer.done():
            self._loop = asyncio.get_running_loop()
            self._pacer = Pacer(self._loop)
            self._writer = self._loop.create_task(self._write_for_ever(), name="group commit")
        elif self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # writing

    async def _write_for_ever(self) -> None:
        assert self._loop is not None
        while True:
            if self._dirty:
                await self._commit()
            else:
                self._wake = self._loop.create_future()
                await self._wake

    async def _commit(self) -> None:
        batch, waiters, created = self._batch, self._waiters, self._created
        self._batch, self._waiters, self._created = Batch(), [], []
        self._dirty = False
        try:
            rows = await self._store.apply(batch, self.epoch)
        except StoreError as error:
            self._fail(waiters, created, error)
        else:
            self._succeed(batch, waiters, created, rows)

    def _succeed(
        self,
        batch: Batch,
        waiters: list[Waiter],
        created: list[asyncio.Future[int | None]],
        rows: list[int | None],
    ) -> None:
        for future, row in zip(created, rows, strict=True):
            if not future.done():
                future.set_result(row)
        if waiters:
            assert self._pacer is not None
            self._pacer.release(waiters)
        if self.on_commit is not None:
            self.on_commit(batch, rows)

    def _fail(
        self, waiters: list[Waiter], created: list[asyncio.Future[int | None]], error: StoreError
    ) -> None:
        futures: list[asyncio.Future[Any]] = [*waiters, *created]
        for future in futures:
            if not future.done():
                future.set_exception(error)
        if self.on_failure is not None:
            self.on_failure(error)

    async def flush(self) -> None:
        """Wait until all that was added is on disk."""
        if self._dirty or self._waiters:
            await self.durable()

    async def close(self) -> None:
        """Write what is left and stop."""
        if self._writer is None:
            return
        try:
            await self.flush()
        finally:
            self._writer.cancel()
            await asyncio.wait([self._writer])
            self._writer = None
