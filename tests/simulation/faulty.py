"""Parts of the engine as they were before a fault was mended, to be put in place of the mended ones.

Each function here is given the part it takes the place of, and returns the faulty one. `mutants` says what each is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest import mock

from wrangler_py.engine import commits, control
from wrangler_py.engine.entries import FailureData, encode_data
from wrangler_py.engine.instance.context import Stop
from wrangler_py.engine.instance.replay import RUN
from wrangler_py.engine.model import ErrorRecord, HistoryType, Status
from wrangler_py.engine.store import Batch, Ending, Seen
from wrangler_py.errors import (
    Abort,
    InstanceNotFoundError,
    StepAbandonedError,
    StoreUnavailableError,
)
from wrangler_py.sdk.failures import capture
from wrangler_py.serde import encode
from wrangler_py.storage.sqlite.leases import check_lease

# small ones -----------------------------------------------------------------------------------------------------------


def returns(value: Any) -> Callable[[Any], Any]:
    """Put a function in place that only returns ``value``."""

    def make(_: Any) -> Any:
        return lambda *args, **kwargs: value

    return make


def awaits(value: Any = None) -> Callable[[Any], Any]:
    """Put a coroutine function in place that only returns ``value``."""

    def make(_: Any) -> Any:
        async def nothing(*args: Any, **kwargs: Any) -> Any:
            return value

        return nothing

    return make


def replaced(name: str, old: str, new: str) -> Callable[[Any], Any]:
    """Put queries in place of which one has ``new`` for ``old``."""

    def make(queries: Any) -> Any:
        assert old in queries[name], name
        return {**queries, name: queries[name].replace(old, new)}

    return make


# ends -----------------------------------------------------------------------------------------------------------------


def live_without_net(_: Any) -> Any:
    async def live(self: Any) -> None:
        context = self.context
        try:
            await self._live_to_end()
        finally:
            context.is_over = True
            context.calls.close()
            context.waits.close()

    return live


def completed_naively(_: Any) -> Any:
    return lambda self, output: Ending(
        self.context.row, Status.COMPLETE, self.context.now(), output=encode(output)
    )


def captured_naively(_: Any) -> Any:
    return lambda error: ErrorRecord(type(error).__name__, str(error))


def may_always_write(_: Any) -> Any:
    return property(lambda self: self.stop_reason not in (Stop.ABORT, Stop.LOST))


def logs_behind_the_end(original: Any) -> Any:
    def log(self: Any, *args: Any, **kwargs: Any) -> None:
        is_over, self.is_over = self.is_over, False
        try:
            original(self, *args, **kwargs)
        finally:
            self.is_over = is_over

    return log


def groups_behind_the_end(original: Any) -> Any:
    def record(batch: Any, now: int) -> None:
        endings, batch.endings = batch.endings, []
        try:
            original(batch, now)
        finally:
            batch.endings = endings

    return record


# commands -------------------------------------------------------------------------------------------------------------


def decided_once(_: Any) -> Any:

    return _carrying_out(
        lambda self, seen: self._store.look(seen.instance.workflow, seen.instance.id), once=True
    )


def held_by_row(_: Any) -> Any:
    async def again(self: Any, seen: Seen) -> Seen | None:
        rows = self._store._read("SELECT workflow, id FROM instances WHERE number = ?", (seen.instance.row,))
        return await self._store.look(*rows[0]) if rows else None

    return _carrying_out(again, once=False)


def _carrying_out(look_again: Callable[[Any, Seen], Any], *, once: bool) -> Any:
    async def carry_out(self: Any, workflow: str, instance_id: str, request: Any, decide: Any) -> Any:
        lock = self._locks.setdefault((workflow, instance_id), asyncio.Lock())
        async with lock, self._attempt(request) as attempt:
            deadline = control._deadline()
            seen = await self._store.look(workflow, instance_id)
            change = None if seen is None else await decide(seen)
            for look in count():
                await control._before(look, deadline)
                await self._commits.flush()
                seen = None if seen is None else await look_again(self, seen)
                if seen is None:
                    raise InstanceNotFoundError(instance_id)
                change = change if once else await decide(seen)
                if change is None:
                    return seen.instance.status
                if await self._is_free(seen.instance, attempt) and await self._write(seen, change):
                    attempt.halted = None
                    return control._status_after(change)
        raise AssertionError("a command ends inside its loop")

    return carry_out


def changed_whatever_happened(original: Any) -> Any:
    async def change(self: Any, seen: Any, change: Any, *, now: int) -> bool:
        fresh = await self.look(seen.instance.workflow, seen.instance.id)
        return fresh is not None and bool(await original(self, fresh, change, now=now))

    return change


def steer_without_stopping(original: Any) -> Any:
    async def steer(self: Any, context: Any, request: Any) -> None:
        if request != "letGo":
            await original(self, context, request)

    return steer


def command_in_its_callers_task(_: Any) -> Any:
    async def command(self: Any, *args: Any) -> Any:
        return await self._carry_out(*args)

    return command


def let_go_for_nobody(original: Any) -> Any:
    async def let_go(self: Any, row: int, *, epoch: int, due_at: int) -> None:
        await original(self, row, epoch=epoch, due_at=None)

    return let_go


def only_the_last_event(_: Any) -> Any:
    async def collect(self: Any, row: int) -> None:
        context = self._resident(row)
        if context is not None and context.stop_reason is None:
            events, _ = await self._store.events(row, after=context.mailbox.last_number)
            for event in events[-1:]:
                context.mailbox.receive(event)

    return collect


# batches and leases ---------------------------------------------------------------------------------------------------


def durable_at_once(_: Any) -> Any:
    def durable(self: Any) -> asyncio.Future[None]:
        self._schedule()
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    return durable


def flush_that_overtakes(_: Any) -> Any:
    async def flush(self: Any) -> None:
        if self._dirty:
            waiter = asyncio.get_running_loop().create_future()
            self._gathering.flushed.append(waiter)
            await waiter

    return flush


def written_again(original: Any) -> Any:
    async def write(self: Any, turn: Any, epoch: int | None) -> None:
        try:
            await original(self, turn, epoch)
        except StoreUnavailableError:
            await original(self, turn, epoch)

    return write


def told_and_kept(original: Any) -> Any:
    def refuse(self: Any, turn: Any, error: Exception, **asked: Any) -> None:
        waiters, turn.waiters = turn.waiters, []
        original(self, turn, error, **asked)
        for waiter in waiters:
            commits._fail(waiter, Abort())

    return refuse


def store_error(_: Any) -> Any:
    return lambda: StoreUnavailableError("the database is locked")


def lost_a_turn_later(original: Any) -> Any:
    def lost(self: Any) -> None:
        asyncio.get_running_loop().call_soon(original, self)

    return lost


def handed_over_unchecked(_: Any) -> Any:
    return _hand_over


def handed_over_or_not(_: Any) -> Any:
    async def hand_over(self: Any, step: int) -> None:
        await _hand_over(self, step)
        self.check_going()

    return hand_over


async def _hand_over(self: Any, step: int) -> None:
    commits_of_all = self.shared.commits
    transaction = commits_of_all.transaction
    if self.code.own.alive:
        commits_of_all.result(self.row, step)
    await commits_of_all.durable()
    await self.order.live(transaction)


def checks_changes_only(original: Any) -> Any:
    def write(database: Any, batch: Batch, epoch: int | None) -> Any:
        if batch.statuses or batch.parkings or batch.endings or batch.creations or batch.consumed:
            return original(database, batch, epoch)
        if epoch is not None:
            check_lease(database, epoch)
        with mock.patch("wrangler_py.storage.sqlite.batches._not_driven", return_value=frozenset()):
            return original(database, batch, epoch)

    return write


def claim_forgiven(_: Any) -> Any:
    async def claim(self: Any, definition: Any, most: int, *, suspects: bool) -> Any:
        limit = min(most, self._free(definition))
        if limit <= 0:
            return []
        now = self._shared.clock.now()
        return await self._store.claim(definition.wanted, self.epoch, now=now, limit=limit, suspects=suspects)

    return claim


def ended_whoever_runs(_: Any) -> Any:
    def ended(self: Any, context: Any) -> None:
        self.resident.pop(context.row, None)
        self._places.pop(context.row, None)
        if not context.idle:
            self.give_back(context)
        else:
            self._wake.set()

    return ended


def cancels_the_runner_too(original: Any) -> Any:
    def cancel(self: Any, *, except_for: Any = None) -> None:
        original(self, except_for=except_for)
        has_begun_and_waits = self.main.get_coro().cr_await is not None
        if has_begun_and_waits and self.main is not except_for:
            self.main.cancel()

    return cancel


# attempts -------------------------------------------------------------------------------------------------------------


def one_more(_: Any) -> Any:
    return lambda retries, attempt: retries.limit is None or attempt <= retries.limit + 1


def claim_without_deaths(original: Any) -> Any:
    async def claim(self: Any, *args: Any, **kwargs: Any) -> Any:
        claimed = await original(self, *args, **kwargs)
        for one in claimed:
            one.deaths = 0
        return claimed

    return claim


def tried_again(_: Any) -> Any:
    def abandon(self: Any) -> None:
        if self.is_open and not self.context.is_stopping:
            self.is_open = False
            self._log(HistoryType.ATTEMPT_FAILURE, encode_data(FailureData(capture(StepAbandonedError()))))

    return abandon


def any_cancellation(_: Any) -> Any:
    return lambda self, error: isinstance(error, asyncio.CancelledError)


def exit_too(original: Any) -> Any:
    return lambda self, error: isinstance(error, SystemExit) or original(self, error)


def admits_all(_: Any) -> Any:
    return lambda self, waiting: len(waiting)


# replays --------------------------------------------------------------------------------------------------------------


def everywhere(_: Any) -> Any:
    return property(lambda self: RUN)


def names_of_closed_too(_: Any) -> Any:
    return property(lambda self: [name for name, _ in self._open.values()])


# time -----------------------------------------------------------------------------------------------------------------


def by_wall_only(_: Any) -> Any:
    def loop_ms() -> float:
        return -1e15

    return staticmethod(loop_ms)


def result_as_it_is(_: Any) -> Any:
    async def in_thread(self: Any, callback: Any, context: Any, entry: bytes) -> Any:
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._threads, callback.invoke, context)
        return _Plain(result)

    return in_thread


class _Plain:
    def __init__(self, result: Any) -> None:
        self._result = result

    def value(self) -> Any:
        return self._result


# rollbacks ------------------------------------------------------------------------------------------------------------


def without_undoing(phase: Any) -> Any:
    return SimpleNamespace(FORWARD=phase.FORWARD, COLLECTING=phase.COLLECTING, UNDOING=None)
