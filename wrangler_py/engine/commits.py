"""Group commit: every durable write of one turn of the event loop, of all instances together, is one transaction.

Await `GroupCommit.durable()` to know that a write is on disk. Waiters are released in small batches, so that resuming a
thousand instances never starves the event loop.

A refused transaction poisons the lease: what an instance did afterwards may rest on what is not stored. From then on
every driver's write is dropped, until the engine has a new lease and replays from what is stored. New instances do not
depend on a lease: they go on.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from wrangler_py.clock import Clock
from wrangler_py.engine.entries import FailureData, GroupData, encode_data
from wrangler_py.engine.model import ErrorRecord, HistoryType, Status
from wrangler_py.engine.store import (
    Batch,
    ChunkLine,
    Creation,
    Ending,
    EventRow,
    HistoryLine,
    Parking,
    StatusChange,
    Store,
)
from wrangler_py.errors import Abort, StaleEpochError, StoreError, StoreUnavailableError

_TURN_S = 0.003
_LEAST, _MOST = 16, 512
Waiter = asyncio.Future[None]
_Result = TypeVar("_Result")
#: These refuse a transaction whatever is in it; any other error is the fault of something in it.
_REFUSALS = (StoreError, MemoryError)


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


class _Turn:
    """The writes of one transaction, and who waits for it."""

    __slots__ = ("batch", "created", "flushed", "waiters")

    def __init__(self) -> None:
        self.batch = Batch()
        #: Of runners.
        self.waiters: list[Waiter] = []
        #: Of everybody else.
        self.flushed: list[Waiter] = []
        self.created: list[asyncio.Future[int | None]] = []


class GroupCommit:
    """Gathers writes and commits them once a turn, under this process's lease."""

    def __init__(self, store: Store, clock: Clock) -> None:
        #: The lease under which instances are driven. While it is None, all writes but creations are dropped.
        self.epoch: int | None = None
        #: Called with each batch, and the rows of its creations, when it is on disk.
        self.on_commit: Callable[[Batch, list[int | None]], None] | None = None
        #: Called when a transaction failed; `epoch` is None then, and the waiters have been told.
        self.on_failure: Callable[[StoreError], None] | None = None
        self._store, self._clock = store, clock
        self._gathering = _Turn()
        self._under_way: _Turn | None = None
        #: Counts transactions: what is added now goes to disk with this one.
        self.transaction = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Future[None] | None = None
        self._dirty = False
        self._writer: asyncio.Task[None] | None = None
        self._pacer: Pacer | None = None

    # adding writes; nobody waits yet

    def log(self, line: HistoryLine) -> None:
        """Append a history line."""
        if self.epoch is not None:
            self._gathering.batch.history.append(line)
            if not self._dirty:
                self._schedule()

    def result(self, row: int, step: int) -> None:
        """Note that a step of an instance with several tasks has ended; what ends together is recorded as a group."""
        if self.epoch is not None:
            self._gathering.batch.results.setdefault(row, []).append(step)

    def chunk(self, line: ChunkLine) -> None:
        """Store a piece of a step's stream."""
        self._add(self._gathering.batch.chunks, line)

    def status(self, change: StatusChange) -> None:
        """Change the status of a driven instance."""
        self._add(self._gathering.batch.statuses, change)

    def park(self, parking: Parking) -> None:
        """Release an instance, to be taken up later."""
        self._add(self._gathering.batch.parkings, parking)

    def end(self, ending: Ending) -> None:
        """End an instance."""
        self._add(self._gathering.batch.endings, ending)

    def set_deaths(self, row: int, deaths: int) -> None:
        """Store how many deaths count for a driven instance from now on."""
        self._add(self._gathering.batch.deaths, (row, deaths))

    def consume(self, event: EventRow) -> None:
        """Take a delivered event out of the mailbox."""
        self._add(self._gathering.batch.consumed, event)

    def give_back(self, event: EventRow) -> None:
        """Put an event that was taken out, and did not reach user code, back into the mailbox."""
        self._add(self._gathering.batch.returned, event)

    def _add(self, writes: list[_Result], write: _Result) -> None:
        if self.epoch is not None:
            writes.append(write)
            self._schedule()

    # waiting

    def durable(self) -> Waiter:
        """Return a future that is done when all that a runner added before is on disk.

        It raises Abort if it cannot be: the runner has been stopped, and user code must not see more of it.
        """
        self._schedule()
        assert self._loop is not None
        waiter: Waiter = self._loop.create_future()
        if self.epoch is None:
            _fail(waiter, Abort())
        else:
            self._gathering.waiters.append(waiter)
        return waiter

    def create(self, creation: Creation) -> asyncio.Future[int | None]:
        """Store a new instance; the future gives its row, or None if the id is taken, once that is on disk."""
        self._schedule()
        assert self._loop is not None
        created: asyncio.Future[int | None] = self._loop.create_future()
        self._gathering.batch.creations.append(creation)
        self._gathering.created.append(created)
        return created

    def writes_for(self, row: int) -> bool:
        """Return True if something that was added for an instance is not known to be on disk yet."""
        turns = (self._gathering, self._under_way)
        return any(turn is not None and row in turn.batch.rows for turn in turns)

    async def flush(self) -> None:
        """Wait until all that was added is on disk; raise StoreError if it cannot be."""
        turn = self._gathering if self._dirty else self._under_way
        if turn is not None:
            assert self._loop is not None
            waiter: Waiter = self._loop.create_future()
            turn.flushed.append(waiter)
            await waiter

    def _schedule(self) -> None:
        if self._dirty:
            return
        self._dirty = True
        if self._writer is None or self._writer.done():
            self._loop = asyncio.get_running_loop()
            self._pacer = Pacer(self._loop)
            # In no instance's context: the task belongs to none, whichever wrote first.
            self._writer = self._loop.create_task(
                self._write_for_ever(), name="group commit", context=contextvars.Context()
            )
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
        turn, self._gathering = self._gathering, _Turn()
        self._dirty, self._under_way = False, turn
        self.transaction += 1
        # Asked now: the store takes out what is of instances that are not driven any more.
        is_driving = turn.batch.is_driving
        try:
            if turn.batch.results:
                _record_groups(turn.batch, self._clock.now())
            await self._write(turn, self.epoch if is_driving else None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the writer goes on
            self._refuse(turn, error, is_driving=is_driving)
        finally:
            self._under_way = None

    async def _write(self, turn: _Turn, epoch: int | None) -> None:
        batch = turn.batch
        rows: Sequence[int | Exception | None]
        try:
            rows = await self._store.apply(batch, epoch)
        except _REFUSALS:
            raise
        except Exception:  # noqa: BLE001 - something in it cannot be written: find out what
            rows = [await self._write_creation(one) for one in batch.creations]
            for number, part in batch.by_instance().items():
                await self._write_instance(number, part, epoch)
            told = None
        else:
            told = self.on_commit
        # Before the instances are taken up, so that their creators find them queued.
        for created, row in zip(turn.created, rows, strict=True):
            _resolve(created, row)
        self._tell(told, batch, rows)
        for waiter in turn.flushed:
            _resolve(waiter, None)
        if turn.waiters:
            assert self._pacer is not None
            self._pacer.release(turn.waiters)

    async def _write_creation(self, creation: Creation) -> int | Exception | None:
        batch = Batch()
        batch.creations.append(creation)
        try:
            rows = await self._store.apply(batch, None)
        except _REFUSALS:
            raise
        except Exception as error:  # noqa: BLE001 - its creator is told
            return _unconfirmed(error)
        self._tell(self.on_commit, batch, rows)
        return rows[0]

    async def _write_instance(self, row: int, part: Batch, epoch: int | None) -> None:
        """Write what one instance did; end the instance if that cannot be written."""
        try:
            await self._store.apply(part, epoch)
        except _REFUSALS:
            raise
        except Exception as error:  # noqa: BLE001 - the instance is told
            part = _unwritable(row, self._clock.now(), error)
            await self._store.apply(part, epoch)
        self._tell(self.on_commit, part, [])

    # failing

    def _refuse(self, turn: _Turn, error: Exception, *, is_driving: bool) -> None:
        failure = error if isinstance(error, StoreError) else StoreUnavailableError(_named(error))
        failure.__cause__ = None if failure is error else error
        # Also where a runner only waited: it is told that it cannot go on, and only a new lease lets another one.
        if turn.waiters or is_driving or isinstance(error, StaleEpochError):
            self.poison()
        for waiter in turn.waiters:
            _fail(waiter, Abort())
        for waiter in turn.flushed:
            _fail(waiter, failure)
        for created in turn.created:
            _fail(created, _unconfirmed(failure))
        self._tell(self.on_failure, failure)

    def poison(self) -> None:
        """Write nothing more under this lease: drop all that was added and is not under way, but for creations."""
        self.epoch = None
        turn = self._gathering
        creations, turn.batch = turn.batch.creations, Batch()
        turn.batch.creations = creations
        waiters, turn.waiters = turn.waiters, []
        for waiter in waiters:
            _fail(waiter, Abort())

    def _tell(self, callback: Callable[..., None] | None, *what: object) -> None:
        """Call back; an error there is a bug that must not stop the writer."""
        if callback is None:
            return
        try:
            callback(*what)
        except Exception as error:  # noqa: BLE001
            assert self._loop is not None
            text = "an observer of the group commit failed"
            self._loop.call_exception_handler({"message": text, "exception": error})

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


def _resolve(future: asyncio.Future[_Result], result: _Result | Exception) -> None:
    if isinstance(result, Exception):
        _fail(future, result)
    elif not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[_Result], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
        # A caller that has gone away must not leave "exception was never retrieved" behind.
        future.exception()


def _named(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text.encode("ascii", "backslashreplace").decode()


def _unconfirmed(error: Exception) -> StoreUnavailableError:
    reason = str(error) if isinstance(error, StoreError) else _named(error)
    return StoreUnavailableError(
        f"The new instance was not confirmed by the store: {reason}. Create it again: an id of your own makes that safe"
    )


def _unwritable(row: int, at: int, error: Exception) -> Batch:
    """Return the end of an instance whose writes caused ``error``, to be written instead of them."""
    record = ErrorRecord("WorkflowInternalError", f"What the instance did cannot be stored: {_named(error)}")
    batch = Batch()
    batch.lost = frozenset({row})
    data = encode_data(FailureData(record))
    batch.history.append((row, HistoryType.WORKFLOW_FAILURE, at, 0, 0, None, data))
    batch.endings.append(Ending(row, Status.ERRORED, at, error=record))
    return batch


def _record_groups(batch: Batch, now: int) -> None:
    """Record which results of an instance are handed to its tasks together (`engine.instance.order`)."""
    ended = {end.row for end in batch.endings}
    for row, steps in batch.results.items():
        if len(steps) > 1 and row not in ended:  # Nothing stands behind an end, and nothing replays it.
            data = encode_data(GroupData(steps))
            batch.history.append((row, HistoryType.RESULT_GROUP, now, max(steps), 0, None, data))
