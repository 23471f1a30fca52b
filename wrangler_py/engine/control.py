"""Commands on one instance: pause, resume, terminate, restart, delete, events (engine-semantics, section 1).

An instance may be in this process's memory, at rest in the store, or in the hands of another process. `Control` hides
which: it stops the instance if it is in memory, asks another process to let go, and writes when nobody else drives the
instance. A process that dies before it answers loses its lease, and nobody has to answer any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import msgspec

from wrangler_py.clock import Clock
from wrangler_py.engine.commits import GroupCommit
from wrangler_py.engine.entries import Cause, ResumeData, encode_data
from wrangler_py.engine.instance.context import InstanceContext, Stop
from wrangler_py.engine.instance.rollback_log import can_roll_back, has_begun
from wrangler_py.engine.model import HistoryEvent, HistoryType, InstanceRow, Kind, Request, Status
from wrangler_py.engine.scheduler import Scheduler
from wrangler_py.engine.store import HistoryLine, Store
from wrangler_py.engine.transitions import Command, next_status
from wrangler_py.errors import (
    CannotRestartError,
    InstanceBusyError,
    InstanceFinishedError,
    InstanceNotFoundError,
)

#: How long to wait until another process has done what it was asked, and how often to look, in seconds.
BUSY_S = 10.0
ASK_S = 0.02
#: An instance that was let go for a command is due again after so long, should whoever asked die before it writes.
ORPHAN_MS = 5_000
_STARTS = {
    Kind.DO: HistoryType.STEP_START,
    Kind.SLEEP: HistoryType.SLEEP_START,
    Kind.WAIT: HistoryType.WAIT_START,
}


class StepRef(msgspec.Struct, frozen=True):
    """A step to restart from."""

    name: str
    count: int = 1
    kind: Kind = Kind.DO


class Control:
    """Steers single instances."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        commits: GroupCommit,
        scheduler: Scheduler,
        published: Callable[[InstanceRow, HistoryLine], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._commits = commits
        self._scheduler = scheduler
        self._published = published
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def find(self, workflow: str, instance_id: str) -> InstanceRow:
        """Return an instance; raise InstanceNotFoundError."""
        found = await self._store.get(workflow, instance_id)
        if found is None:
            raise InstanceNotFoundError(instance_id)
        return found

    @asynccontextmanager
    async def _hold(self, workflow: str, instance_id: str) -> AsyncIterator[InstanceRow]:
        """One command at a time for an instance; gives it as it is when all written before is on disk."""
        row = (await self.find(workflow, instance_id)).row
        lock = self._locks.setdefault(row, asyncio.Lock())
        async with lock:
            await self._commits.flush()
            yield await self.find(workflow, instance_id)

    def _resident(self, instance: InstanceRow) -> InstanceContext | None:
        context = self._scheduler.resident.get(instance.row)
        return None if context is None or context.ended else context

    # commands

    async def pause(self, workflow: str, instance_id: str) -> Status:
        """Pause; return the status it then has."""
        async with self._hold(workflow, instance_id) as instance:
            context = self._resident(instance)
            if context is not None:
                return await self._pause_resident(context, instance)
            return await self._pause_elsewhere(await self._asked_elsewhere(instance, Request.PAUSE))

    async def _pause_elsewhere(self, instance: InstanceRow) -> Status:
        if instance.epoch is not None:
            return instance.status
        target = next_status(instance.status, Command.PAUSE)
        if target is not instance.status:
            await self._rest(instance, target, HistoryType.WORKFLOW_PAUSED)
        return target

    async def _pause_resident(self, context: InstanceContext, instance: InstanceRow) -> Status:
        if not context.pausing and context.stop_reason is None and not context.pause():
            return Status.WAITING_FOR_PAUSE
        if context.in_flight and context.pausing and context.stop_reason is None:
            return Status.WAITING_FOR_PAUSE
        await context.stopped()
        await self._commits.flush()
        return (await self.find(instance.workflow, instance.id)).status

    async def resume(self, workflow: str, instance_id: str) -> Status:
        """Resume; return the status it then has."""
        async with self._hold(workflow, instance_id) as instance:
            context = self._resident(instance)
            if context is not None and context.stop_reason is None:
                if context.pausing:
                    context.resume()
                return Status.WAITING if context.idle else Status.RUNNING
            if context is not None:
                await context.stopped()
                await self._commits.flush()
            found = await self._asked_elsewhere(await self.find(workflow, instance_id), Request.RESUME)
            return found.status if found.epoch is not None else await self._resume_resting(found)

    async def _resume_resting(self, instance: InstanceRow) -> Status:
        target = next_status(instance.status, Command.RESUME)
        if target is instance.status:
            return target
        now = self._clock.now()
        data = encode_data(ResumeData(paused_ms=now - (instance.paused_at or now)))
        await self._rest(instance, target, HistoryType.WORKFLOW_RESUMED, due_at=now, data=data)
        self._scheduler.kick()
        return target

    async def terminate(self, workflow: str, instance_id: str, *, rollback: bool = False) -> Status:
        """Terminate at once, or undo its steps first; raise CannotTerminateError if it has ended."""
        async with self._hold(workflow, instance_id) as instance:
            target = next_status(instance.status, Command.TERMINATE)
            if rollback and has_begun(await self._store.history(instance.row)):
                return instance.status
            await self._abort(instance)
            if rollback and can_roll_back(await self._store.history(instance.row)):
                return await self._roll_back(instance)
            await self._rest(instance, target, HistoryType.WORKFLOW_TERMINATED)
            return target

    async def _roll_back(self, instance: InstanceRow) -> Status:
        """Make an instance due that whoever takes it up undoes (`engine.instance.rollback`)."""
        data, now = encode_data(Cause(Status.TERMINATED)), self._clock.now()
        await self._rest(instance, Status.RUNNING, HistoryType.ROLLBACK_START, due_at=now, data=data)
        self._scheduler.kick()
        return Status.RUNNING

    async def restart(
        self, workflow: str, instance_id: str, *, version: str, from_: StepRef | None
    ) -> Status:
        """Run again under the same id, from the start or from a step; raise CannotRestartError if there is no such
        step."""
        async with self._hold(workflow, instance_id) as instance:
            target = next_status(instance.status, Command.RESTART)
            from_step = None if from_ is None else _find_step(await self._store.history(instance.row), from_)
            await self._abort(instance)
            epoch, now = self._commits.epoch, self._clock.now()
            await self._until_free(
                lambda: self._store.restart(
                    instance.row, epoch=epoch, from_step=from_step, version=version, now=now
                ),
                instance,
            )
            self._published(instance, (instance.row, HistoryType.WORKFLOW_QUEUED, now, 0, 0, None, None))
            self._scheduler.kick()
            return target

    async def delete(self, workflow: str, instance_id: str) -> None:
        """Remove the instance and all it stored."""
        async with self._hold(workflow, instance_id) as instance:
            await self._abort(instance)
            await self._until_free(
                lambda: self._store.delete(instance.row, epoch=self._commits.epoch), instance
            )

    async def send_event(self, workflow: str, instance_id: str, event_type: str, payload: bytes) -> int:
        """Store an event and tell who waits for it; return when it was sent. Raise InstanceFinishedError if it has
        ended."""
        instance = await self.find(workflow, instance_id)
        if instance.status.is_final:
            raise _finished(instance)
        context = self._resident(instance)
        if context is not None:
            await self._commits.flush()
        event = await self._store.add_event(instance.row, event_type, payload, self._clock.now())
        if event is None:
            raise _finished(instance)
        context = self._resident(instance)
        if context is not None:
            await self.deliver(context)
        self._scheduler.kick()
        return event.at

    async def deliver(self, context: InstanceContext) -> None:
        """Hand an instance in memory all events that were stored for it since it last looked.

        Never one event alone: an earlier one of another process may not have been handed over yet, and the mailbox
        takes none out of order (`test_events_from_another_process_reach_an_instance_in_the_order_sent`).
        """
        events, _ = await self._store.events(context.row, after=context.mailbox.last_number)
        if context.stop_reason is None:
            for event in events:
                context.mailbox.receive(event)

    # between processes

    async def answer_requests(self, epoch: int) -> None:
        """Do what other processes ask of this one, which drives instances under ``epoch``."""
        for row, request in await self._store.asked(epoch):
            context = self._scheduler.resident.get(row)
            if context is None or context.ended:
                continue
            if request is Request.LET_GO:
                await self._let_go(context, epoch)
            else:
                await self._store.ask(row, None)
                command = self.pause if request is Request.PAUSE else self.resume
                await command(context.instance.workflow, context.instance.id)

    async def _let_go(self, context: InstanceContext, epoch: int) -> None:
        context.stop(Stop.ABORT)
        await context.stopped()
        await self._commits.flush()
        await self._store.let_go(context.row, epoch=epoch, due_at=self._clock.now() + ORPHAN_MS)

    async def _asked_elsewhere(self, instance: InstanceRow, request: Request) -> InstanceRow:
        """Have another process that drives the instance do something; return the instance as it is then.

        Raises:
            InstanceBusyError: it lives and does not answer.
        """
        if instance.epoch in (None, self._commits.epoch):
            return instance
        await self._store.ask(instance.row, request)
        for _ in range(round(BUSY_S / ASK_S)):
            await asyncio.sleep(ASK_S)
            found = await self.find(instance.workflow, instance.id)
            if found.epoch is None or found.request is None:
                return found
        raise _busy()

    # the pieces

    async def _abort(self, instance: InstanceRow) -> None:
        """Stop the instance, if it is in memory; afterwards nothing more is written for the instance."""
        context = self._resident(instance)
        if context is None:
            return
        context.stop(Stop.ABORT)
        await context.stopped()
        await self._commits.flush()

    async def _rest(
        self,
        instance: InstanceRow,
        status: Status,
        event: HistoryType,
        *,
        due_at: int | None = None,
        data: bytes | None = None,
    ) -> None:
        now, epoch = self._clock.now(), self._commits.epoch
        line: HistoryLine = (instance.row, event, now, 0, 0, None, data)
        await self._until_free(
            lambda: self._store.rest(instance.row, status, epoch=epoch, now=now, event=line, due_at=due_at),
            instance,
        )
        self._published(instance, line)

    async def _until_free(self, attempt: Callable[[], Awaitable[bool]], instance: InstanceRow) -> None:
        """Repeat ``attempt`` while another process drives the instance; asked to, it lets go, or dies.

        Raises:
            InstanceBusyError: it lives and does not let go.
        """
        for _ in range(round(BUSY_S / ASK_S)):
            if await attempt():
                return
            # Again each time: between two looks yet another process may have taken it up.
            await self._store.ask(instance.row, Request.LET_GO)
            await asyncio.sleep(ASK_S)
        raise _busy()


def _busy() -> InstanceBusyError:
    return InstanceBusyError("another process drives this instance and does not answer: try again")


def _finished(instance: InstanceRow) -> InstanceFinishedError:
    return InstanceFinishedError(
        f'(instance.cannot_send_event) Instance "{instance.id}" has ended ({instance.status}): it takes no more events'
    )


def _find_step(history: list[HistoryEvent], ref: StepRef) -> int:
    display, start = f"{ref.name}-{ref.count}", _STARTS[ref.kind]
    for event in history:
        if event.type is start and event.name == display:
            return event.step
    raise CannotRestartError(ref.name)
