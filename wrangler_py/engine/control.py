"""Commands on one instance: pause, resume, terminate, restart, delete, events (engine-semantics, section 1).

An instance may be in this process's memory, at rest in the store, or in the hands of another process, and it may change
hands, or end, at any moment. Therefore a command is a loop: look, decide, act. What it decides is a `Change`; that is
written where nobody drives the instance and only if nothing has happened to it since the look. Otherwise the driver,
this process or another, is steered first, and the command looks and decides again. A process that dies before it
answers loses its lease, and nobody has to answer any more.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import msgspec

from wrangler_py.clock import Clock
from wrangler_py.engine.commits import GroupCommit
from wrangler_py.engine.entries import Cause, ResumeData, encode_data
from wrangler_py.engine.instance.context import InstanceContext, Stop
from wrangler_py.engine.instance.rollback_log import can_roll_back, has_begun
from wrangler_py.engine.limits import is_text
from wrangler_py.engine.model import HistoryEvent, HistoryType, InstanceRow, Kind, Request, Status
from wrangler_py.engine.scheduler import Scheduler
from wrangler_py.engine.store import (
    Change,
    Deleting,
    HistoryLine,
    Parking,
    Restarting,
    Resting,
    Seen,
    Store,
)
from wrangler_py.engine.transitions import Command, next_status
from wrangler_py.errors import (
    CannotRestartError,
    InstanceBusyError,
    InstanceFinishedError,
    InstanceNotFoundError,
    StoreError,
)

#: Timeout for a request to the driver of an instance, and interval between looks at the row, in seconds.
BUSY_S = 10.0
ASK_S = 0.02
#: An instance that was released for a command is due again after this delay, in milliseconds, should the process that
#: asked for it die before it writes.
ORPHAN_MS = 5_000
_Answer = TypeVar("_Answer")

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


#: Decides on an instance: what to change, None for nothing. Raises a WorkflowError for a command that comes too late.
Decide = Callable[[Seen], Awaitable[Change | None]]


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
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._under_way: set[asyncio.Task[Any]] = set()
        #: The command that stopped a context last: what becomes of the instance is for that to say.
        self._halts: WeakKeyDictionary[InstanceContext, _Attempt] = WeakKeyDictionary()

    async def find(self, workflow: str, instance_id: str) -> InstanceRow:
        """Return an instance; raise InstanceNotFoundError, as for what no instance can be called."""
        found = await self._store.get(workflow, instance_id) if is_text(instance_id) else None
        if found is None:
            raise InstanceNotFoundError(instance_id)
        return found

    def _resident(self, row: int) -> InstanceContext | None:
        context = self._scheduler.resident.get(row)
        return None if context is None or context.code.has_ended else context

    # commands

    async def pause(self, workflow: str, instance_id: str) -> Status:
        """Pause; return the status it then has."""

        async def decide(seen: Seen) -> Change | None:
            status = seen.instance.status
            target = next_status(status, Command.PAUSE)
            return None if target is status else Resting(target, HistoryType.WORKFLOW_PAUSED)

        return await self._command(workflow, instance_id, Request.PAUSE, decide)

    async def resume(self, workflow: str, instance_id: str) -> Status:
        """Resume; return the status it then has."""

        async def decide(seen: Seen) -> Change | None:
            instance, now = seen.instance, self._clock.now()
            target = next_status(instance.status, Command.RESUME)
            if target is instance.status:
                return None
            data = encode_data(ResumeData(paused_ms=now - (instance.paused_at or now)))
            return Resting(target, HistoryType.WORKFLOW_RESUMED, due_at=now, data=data)

        return await self._command(workflow, instance_id, Request.RESUME, decide)

    async def terminate(
        self, workflow: str, instance_id: str, *, rollback: bool = False, only: Status | None = None
    ) -> Status:
        """Terminate at once, or undo its steps first; raise CannotTerminateError if it has ended.

        ``only``: leave an instance alone whose status is another.
        """

        async def decide(seen: Seen) -> Change | None:
            status = seen.instance.status
            target = next_status(status, Command.TERMINATE)
            if only not in (None, status):
                return None
            if rollback:
                history = await self._store.history(seen.instance.row)
                if has_begun(history):
                    return None
                if can_roll_back(history):
                    return self._rolling_back()
            return Resting(target, HistoryType.WORKFLOW_TERMINATED)

        return await self._command(workflow, instance_id, Request.LET_GO, decide)

    def _rolling_back(self) -> Change:
        """Return the change that makes an instance due, to be undone (`engine.instance.rollback`)."""
        data, now = encode_data(Cause(Status.TERMINATED)), self._clock.now()
        return Resting(Status.RUNNING, HistoryType.ROLLBACK_START, due_at=now, data=data)

    async def restart(
        self, workflow: str, instance_id: str, *, version: str, from_: StepRef | None
    ) -> Status:
        """Run again under the same id, from the start or from a step; raise CannotRestartError if there is no such
        step."""

        async def decide(seen: Seen) -> Change:
            row = seen.instance.row
            from_step = None if from_ is None else _find_step(await self._store.history(row), from_)
            return Restarting(version, from_step)

        return await self._command(workflow, instance_id, Request.LET_GO, decide)

    async def delete(self, workflow: str, instance_id: str) -> None:
        """Remove the instance and all it stored."""

        async def decide(_: Seen) -> Change:
            return Deleting()

        await self._command(workflow, instance_id, Request.LET_GO, decide)

    async def delete_workflow(self, name: str) -> None:
        """Remove a workflow, its instances and all they stored.

        Raises:
            InstanceBusyError: a process that drives some of them does not answer.
        """
        deadline = _deadline()
        for look in count():
            await _before(look, deadline)
            await self._commits.flush()
            if await self._store.delete_workflow(name):
                return
            for context in list(self._scheduler.resident.values()):
                if context.instance.workflow == name and self._commits.epoch is not None:
                    await self._release(context, self._commits.epoch)

    async def send_event(self, workflow: str, instance_id: str, event_type: str, payload: bytes) -> int:
        """Store an event and tell who waits for it; return when it was sent. Raise InstanceFinishedError if it has
        ended."""
        while True:
            instance = await self.find(workflow, instance_id)
            if self._resident(instance.row) is not None:
                await self._commits.flush()
            try:
                event = await self._store.add_event(instance, event_type, payload, self._clock.now())
            finally:  # Also where the answer was lost: the event may be stored.
                await self._collect(instance.row)
                self._scheduler.kick()
            if event is not None:
                return event.at
            found = await self.find(workflow, instance_id)
            if found.status.is_final:
                raise _finished(found)

    # the one loop of all commands

    async def _command(self, workflow: str, instance_id: str, request: Request, decide: Decide) -> Status:
        """Look, decide and act until nothing comes in between; return the status that is stored then.

        ``request``: the request that the instance's driver gets first.

        Raises:
            InstanceNotFoundError: there is none.
            InstanceBusyError: its driver lives and does not answer.
        """
        # In a task of its own: an instance may steer itself, in `run()` or in a step. The command stops it, which
        # cancels the caller. Cancelled with it, the command would store nothing, and the instance begin again for ever.
        work = self._carry_out(workflow, instance_id, request, decide)
        return await asyncio.shield(self._begin(work))

    def _begin(self, work: Coroutine[Any, Any, _Answer]) -> asyncio.Task[_Answer]:
        """Return a task of its own, outside of any instance, that does ``work``."""
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._under_way.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # Its caller may have gone.

    async def _carry_out(self, workflow: str, instance_id: str, request: Request, decide: Decide) -> Status:
        lock = self._locks.setdefault((workflow, instance_id), asyncio.Lock())
        async with lock, self._attempt(request) as attempt:
            deadline = _deadline()
            for look in count():
                await _before(look, deadline)
                await self._commits.flush()
                seen = await self._store.look(workflow, instance_id) if is_text(instance_id) else None
                if seen is None:
                    raise InstanceNotFoundError(instance_id)
                change = await decide(seen)
                if change is None:
                    return seen.instance.status
                if await self._is_free(seen.instance, attempt) and await self._write(seen, change):
                    attempt.halted = None
                    return _status_after(change)
        raise AssertionError("a command ends inside its loop")

    @asynccontextmanager
    async def _attempt(self, request: Request) -> AsyncIterator[_Attempt]:
        """Leave nothing behind that no loop looks at, however the command ends."""
        attempt = _Attempt(request)
        try:
            yield attempt
        finally:
            if attempt.halted is not None:
                self._set_going(attempt.halted, attempt)
            if attempt.asked is not None:
                with suppress(StoreError):
                    await self._store.answered(attempt.asked, request)

    def _set_going(self, context: InstanceContext, attempt: _Attempt) -> None:
        """Make an instance due whose context was stopped for a command that then changed nothing."""
        if context.stop_reason is Stop.ABORT and context.code.main is not None:
            self._begin(self._park(context, attempt))

    async def _park(self, context: InstanceContext, attempt: _Attempt) -> None:
        # Not before its user code has unwound: the next context must not overlap it.
        if not context.code.has_ended and context.code.main is not None:
            await asyncio.wait([context.code.main])
        # The answer of the command's own change may have been lost: then the instance is due already, and is claimed.
        async with self._scheduler.claims:
            # A later command may have taken the context over. What an earlier one left behind drives nothing, and after
            # a new lease another context drives the instance, or another instance has the row.
            is_held = attempt.epoch is not None and attempt.epoch == self._commits.epoch
            if is_held and self._halts.get(context) is attempt and not self._is_newer(context):
                now = self._clock.now()
                self._commits.park(Parking(context.row, attempt.status, now, context.mailbox.signal, now))
                with suppress(StoreError):
                    await self._commits.flush()

    async def _is_free(self, instance: InstanceRow, attempt: _Attempt) -> bool:
        """Return True if this process may write; else steer the instance's driver, to look again."""
        context = self._resident(instance.row)
        if context is not None and context is not attempt.halted:
            if attempt.request is Request.LET_GO:
                self._halt(context, instance, attempt)
            await self._steer(context, attempt.request)
            return False
        if instance.epoch is None:
            return True
        if instance.epoch == self._commits.epoch:
            # Its runner may have ended since the flush: what it wrote last, committed after the change, would release
            # the instance again from whoever claimed it meanwhile under the same lease. Or it was claimed just now, and
            # its runner starts when the store has answered.
            return not (self._scheduler.is_claiming or self._commits.writes_for(instance.row))
        if instance.request is not attempt.request:
            await self._store.ask(instance, attempt.request)
            attempt.asked = instance.row
        return False

    def _halt(self, context: InstanceContext, instance: InstanceRow, attempt: _Attempt) -> None:
        """Note that a command is about to stop a context, ``instance`` being what it has seen of its instance."""
        attempt.halted, attempt.status, attempt.epoch = context, instance.status, instance.epoch
        if context.stop_reason is None and instance.epoch != self._commits.epoch:
            # Claimed since the command has looked.
            attempt.status, attempt.epoch = context.instance.status, self._commits.epoch
        self._halts[context] = attempt

    async def _steer(self, context: InstanceContext, request: Request) -> None:
        """Do with a context of this process what is asked; what it writes is on disk with the next flush."""
        if request is Request.LET_GO:
            context.stop(Stop.ABORT)
        elif context.stop_reason is None and request is Request.PAUSE and not context.pausing:
            context.pause()
        elif context.stop_reason is None and request is Request.RESUME and context.pausing:
            context.resume()
        if context.stop_reason is not None:
            await context.code.stopped()

    async def _write(self, seen: Seen, change: Change) -> bool:
        now, instance = self._clock.now(), seen.instance
        if not await self._store.change(seen, change, now=now):
            return False
        if isinstance(change, Resting):
            self._published(instance, (instance.row, change.event, now, 0, 0, None, change.data))
        elif isinstance(change, Restarting):
            self._published(instance, (instance.row, HistoryType.WORKFLOW_QUEUED, now, 0, 0, None, None))
        self._scheduler.kick()
        return True

    # between processes

    async def answer_requests(self, epoch: int) -> None:
        """Do what other processes ask of this one, which drives instances under ``epoch``."""
        for row, request in await self._store.asked(epoch):
            context = self._resident(row)
            if context is None:
                continue
            if request is Request.LET_GO:
                await self._release(context, epoch)
            else:
                await self._steer(context, request)
                await self._commits.flush()
                await self._store.answered(row, request)

    async def _release(self, context: InstanceContext, epoch: int) -> None:
        await self._steer(context, Request.LET_GO)
        await self._commits.flush()
        async with self._scheduler.claims:
            # Meanwhile a command of this process may have made it due, and it is driven again under the same lease:
            # its caller asks again.
            if self._is_newer(context):
                return
            # From now on it holds the instance no more: a command that has stopped it, too, has nothing to set going.
            self._halts.pop(context, None)
            await self._store.let_go(context.row, epoch=epoch, due_at=self._clock.now() + ORPHAN_MS)

    def _is_newer(self, context: InstanceContext) -> bool:
        """Return True if an instance is driven by another context of this process than ``context`` by now."""
        return self._scheduler.resident.get(context.row, context) is not context

    async def collect_events(self, epoch: int) -> None:
        """Take in the events that other processes stored for instances that ``epoch`` drives."""
        for row, signal in await self._store.signalled(epoch):
            context = self._resident(row)
            if context is not None and context.mailbox.signal != signal:
                await self._collect(row)

    async def _collect(self, row: int) -> None:
        # All that are stored, not only the one just sent: an earlier one of another process would be passed over.
        context = self._resident(row)
        if context is None or context.stop_reason is not None:
            return
        events, _ = await self._store.events(row, after=context.mailbox.last_number)
        for event in events:
            context.mailbox.receive(event)


class _Attempt:
    """The state of a command under way: the instance it stopped, and the driver it asked."""

    def __init__(self, request: Request) -> None:
        self.request = request
        #: The context of this process that it stopped, and the status stored for it.
        self.halted: InstanceContext | None = None
        self.status = Status.RUNNING
        #: The lease under which that context held the instance, None if it did not any more.
        self.epoch: int | None = None
        #: The row for which it asked another process.
        self.asked: int | None = None


async def _before(look: int, deadline: float) -> None:
    """Wait before a look at an instance, counted from 0; raise InstanceBusyError if ``deadline`` is over.

    The second comes at once: a context of this process has been steered by then.
    """
    if asyncio.get_running_loop().time() > deadline:
        raise InstanceBusyError("the process that drives this instance does not answer: try again")
    if look > 1:
        await asyncio.sleep(ASK_S)


def _deadline() -> float:
    return asyncio.get_running_loop().time() + BUSY_S


def _status_after(change: Change) -> Status:
    return change.status if isinstance(change, Resting) else Status.QUEUED


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
