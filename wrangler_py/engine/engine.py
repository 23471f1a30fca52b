"""The engine's face: everything the server, the bindings and the tests ask for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from functools import partial
from types import FrameType
from typing import Any, Unpack

import msgspec

from wrangler_py.clock import Clock
from wrangler_py.engine.commits import GroupCommit
from wrangler_py.engine.control import Control, StepRef
from wrangler_py.engine.creation import (
    BatchError,
    BatchResult,
    DeleteResult,
    InstanceCreator,
    Named,
    NewInstance,
    encode_payload,
)
from wrangler_py.engine.definition import Definition
from wrangler_py.engine.describe import describe, public_stream
from wrangler_py.engine.instance.code import LAST_UNWIND_S, UNWIND_S
from wrangler_py.engine.instance.context import EngineContext, Stop
from wrangler_py.engine.instance.place import StepPlace
from wrangler_py.engine.instance.streams import StepStream, read_chunks
from wrangler_py.engine.instance.tasks import watch
from wrangler_py.engine.lease import LEASE_MS, Beating, Heartbeat
from wrangler_py.engine.limits import PLANS, check_text
from wrangler_py.engine.maintenance import Maintenance
from wrangler_py.engine.model import (
    HistoryEvent,
    HistoryType,
    InstanceDetail,
    InstanceRow,
    Occurrence,
    Status,
    Trigger,
    WorkflowRow,
)
from wrangler_py.engine.observation import Blocked, Observation, Observers, innermost
from wrangler_py.engine.options import EngineOptions
from wrangler_py.engine.quarantine import Ends
from wrangler_py.engine.scheduler import Scheduler
from wrangler_py.engine.sentinel import Sentinel
from wrangler_py.engine.settings import KEPT_FOR_EVER, Retention
from wrangler_py.engine.store import Batch, HistoryLine, InstancePage, ListQuery, Store
from wrangler_py.engine.subscriptions import Subscriptions
from wrangler_py.errors import InstanceNotFoundError, StoreError, WorkflowNotFoundError

logger = logging.getLogger(__name__)

#: Interval at which expired leases are ended, in seconds.
REAP_S = 5.0
#: Interval of retries while the store does not take writes, in seconds.
STORE_RETRY_S = 1.0


class Engine:
    """Runs workflows over a store. Commands work whether or not `start` was called; without it, nothing is
    executed."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        options: EngineOptions | None = None,
        heartbeat: Callable[..., Beating] = Heartbeat,
    ) -> None:
        self.options = options or EngineOptions()
        self._new_heartbeat = heartbeat
        self.store = store
        self.clock = clock
        limits = PLANS[self.options.plan]
        self._commits = GroupCommit(store, clock)
        self._shared = EngineContext(
            store,
            clock,
            self._commits,
            limits,
            hibernate_after_ms=self.options.hibernate_after_ms,
            strict=self.options.strict,
        )
        self._scheduler = Scheduler(store, self._shared, capacity=limits.concurrency)
        self._control = Control(store, clock, self._commits, self._scheduler, self._publish)
        self._subscriptions = Subscriptions(store, self.options.look_s)
        self._creator = InstanceCreator(
            store, clock, self._commits, limits, enforce=self.options.enforce_limits
        )
        definitions = self._scheduler.definitions
        self.maintenance = Maintenance(
            store, clock, self._shared.timers, definitions, self._control.terminate
        )
        self._known: set[str] = set()
        self._observers = Observers()
        self._heartbeat: Beating | None = None
        self._sentinel: Sentinel | None = None
        self._looking: asyncio.Task[None] | None = None
        self._healing: asyncio.Task[None] | None = None
        #: The lease of this process in the store: also while nothing is written under it any more.
        self._lease: int | None = None
        self._commits.on_commit = self._committed
        self._commits.on_failure = self._commit_failed
        self._scheduler.on_lost = self._lease_lost

    # life

    async def bind(self, definitions: Iterable[Definition]) -> None:
        """Make workflows known, here and in the store."""
        now = self.clock.now()
        for one in definitions:
            self._scheduler.definitions[one.name] = one
            self._known.add(one.name)
            if one.is_pinned:  # A deployment decides which version is the newest.
                continue
            await self.store.bind_workflow(
                WorkflowRow(one.name, one.script, one.class_name, one.version, now, now)
            )
        await self.maintenance.take_settings()
        self._scheduler.kick()

    async def start(
        self, dead_owners: Collection[str] | None = (), *, living: str | None = None, **ends: Unpack[Ends]
    ) -> None:
        """Take a lease and begin to drive instances.

        Instances of the ``dead_owners`` (None: of all other owners) are due, and so are those of owners whose names do
        not begin with ``living``, if that is given. ``ends`` reports on their deaths; see `Store.reap`.
        """
        now = self.clock.now()
        watch(asyncio.get_running_loop())
        epoch = await self.store.take_lease(self.options.owner, now + LEASE_MS)
        await self.store.reap(now=now, keep=(epoch,), owners=dead_owners, living=living, **ends)
        self._shared.draining = False
        self._sentinel = self._sentinel or Sentinel(self._abandon)
        self._drive(epoch)
        if self.options.heartbeat and self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look_around(), name="look around")

    async def free_all(self) -> None:
        """End every lease: for a process that knows no other is alive, and steers instances without driving any."""
        await self.store.reap(now=self.clock.now(), keep=(), owners=None)

    def _drive(self, epoch: int) -> None:
        self._lease = self._commits.epoch = epoch
        if self.options.heartbeat:
            on_blocked = partial(self._loop_blocked, asyncio.get_running_loop())
            self._heartbeat = self._new_heartbeat(
                self.store, self.clock, epoch, on_lost=self._lease_lost, on_blocked=on_blocked
            )
        self._scheduler.start(epoch)
        self.maintenance.start(epoch)

    async def drain(self, grace: float) -> None:
        """Start no new step, wait up to ``grace`` seconds for those in flight, release instances and lease."""
        if self._lease is None:
            return
        self._shared.draining = True
        await self._scheduler.stop()
        deadline = asyncio.get_running_loop().time() + grace
        while self._scheduler.in_flight and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(min(0.02, grace))
        await self._stop_instances(Stop.DRAIN)
        await self._stop_background()
        epoch, self._lease, self._commits.epoch = self._lease, None, None
        if epoch is not None:
            await self.store.release_lease(epoch)

    async def _stop_instances(self, reason: Stop) -> None:
        contexts = list(self._scheduler.resident.values())
        for context in contexts:
            context.stop(reason)
        if contexts:
            within = LAST_UNWIND_S if reason is Stop.DRAIN else UNWIND_S
            await asyncio.gather(*(context.code.stopped(within) for context in contexts))
        if reason is not Stop.LOST:
            await self._commits.flush()

    async def _stop_background(self) -> None:
        await self.maintenance.stop()
        for task in (self._looking, self._healing):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        self._looking = self._healing = None
        if self._sentinel is not None:
            self._sentinel.dismiss()
            self._sentinel = None
        await self._stop_heartbeat()

    async def _stop_heartbeat(self) -> None:
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            await heartbeat.stop()

    async def close(self) -> None:
        """Drain without grace and release threads; the store stays open."""
        self.end_subscriptions()
        try:
            await self.drain(0)
        except StoreError:
            self._lease = self._commits.epoch = None
        await self._scheduler.stop()
        await self._stop_background()
        self.release()
        await self._commits.close()

    def release(self) -> None:
        """Release threads and timers and write nothing; the engine cannot be used afterwards."""
        self._shared.timers.close()
        self._shared.executor.close()

    # observing

    def observe(self, callback: Callable[[Observation], None]) -> None:
        """Call ``callback`` with every history event once it is on disk."""
        self._observers.events.append(callback)

    def observe_blocks(self, callback: Callable[[Blocked], None]) -> None:
        """Call ``callback``, from another thread, while user code blocks the event loop for over a second."""
        self._observers.blocks.append(callback)

    def observe_store(self, callback: Callable[[StoreError], None]) -> None:
        """Call ``callback`` when the store did not take a write; the engine tries again by itself."""
        self._observers.store_errors.append(callback)

    def _committed(self, batch: Batch, rows: list[int | None]) -> None:
        for row in batch.lost:
            self._scheduler.drop(row)
        if batch.parkings or batch.creations:
            self._scheduler.kick()
        if self._subscriptions:
            for row in {line[0] for line in batch.history}:
                self._subscriptions.wake(row)
        if self._observers.events:
            self._observers.committed(batch, rows, self._scheduler.place_of)
        if batch.endings:
            self.maintenance.instances_ended()
        if batch.parkings or batch.endings:
            self._scheduler.forget([one.row for one in batch.parkings] + [one.row for one in batch.endings])

    def _publish(self, instance: InstanceRow, line: HistoryLine) -> None:
        self._subscriptions.wake(instance.row)
        self.maintenance.instances_ended()
        self._observers.event(instance.workflow, instance.id, line)

    def _loop_blocked(self, loop: asyncio.AbstractEventLoop, seconds: float, stack: list[FrameType]) -> None:
        self._observers.blocked(Blocked(seconds, self.executing(loop), innermost(stack)))

    def executing(self, loop: asyncio.AbstractEventLoop) -> StepPlace | None:
        """Return the step that ``loop`` executes at this moment, None outside of steps. Any thread may ask."""
        return self._shared.places.current(loop)

    # when the store or the lease fails

    def _commit_failed(self, error: StoreError) -> None:
        self._observers.store_failed(error)
        if self._commits.epoch is None:  # Else only creations were in it: what instances did is stored.
            self._lease_lost()

    def _lease_lost(self) -> None:
        """Write nothing more of what is in memory, let no user code go on, and begin again from what is stored."""
        self._abandon()
        if self._lease is not None and (self._healing is None or self._healing.done()):
            self._healing = asyncio.get_running_loop().create_task(self._heal(), name="heal")

    def _abandon(self) -> None:
        self._commits.poison()
        for context in list(self._scheduler.resident.values()):
            context.stop(Stop.LOST)

    async def _heal(self) -> None:
        await self._scheduler.stop()
        await self._stop_instances(Stop.LOST)
        await self._stop_heartbeat()
        while True:
            try:
                if self._lease is not None:
                    await self.store.release_lease(self._lease)
                    self._lease = None
                epoch = await self.store.take_lease(self.options.owner, self.clock.now() + LEASE_MS)
            except Exception as error:
                if not isinstance(error, StoreError):
                    logger.exception("a new lease could not be taken")
                await asyncio.sleep(STORE_RETRY_S)
            else:
                self._drive(epoch)
                return

    async def _look_around(self) -> None:
        """Notice what other processes wrote: new instances, events, leases that expired."""
        looks, reap_looks = 0, max(1, round(REAP_S / self.options.look_s))
        while True:
            await asyncio.sleep(self.options.look_s)
            looks += 1
            epoch = self._commits.epoch
            if epoch is None:
                continue
            try:
                if looks % reap_looks == 0 and await self.store.reap(now=self.clock.now(), keep=(epoch,)):
                    self._scheduler.kick()
                if self.store.changed_elsewhere():
                    self._scheduler.kick()
                    await self._control.collect_events(epoch)
                    await self.maintenance.look()
                    await self._control.answer_requests(epoch)
            except StoreError as error:
                self._observers.store_failed(error)
                self._lease_lost()
            except Exception:
                logger.exception("looking at what other processes wrote failed")

    # creating

    async def create(
        self,
        workflow: str,
        *,
        id: str | None = None,
        params: Any = msgspec.UNSET,
        trigger: Trigger = Trigger.API,
        schedule: Occurrence | None = None,
        retention: Retention = KEPT_FOR_EVER,
    ) -> InstanceRow:
        """Store a new instance and return it, queued. With ``schedule`` the id is made from that.

        ``retention``: how long to keep it once it has ended; where that says nothing, as the workflow's settings say.

        Raises:
            WorkflowNotFoundError, InvalidInstanceIdError, InstanceExistsError, InvalidArgumentError (params that cannot
            be stored), PayloadTooLargeError, QueueFullError, RateLimitedError.
        """
        new = NewInstance(id, {} if params is msgspec.UNSET else params, retention)
        return await self._creator.create(await self._named(workflow), new, trigger, schedule)

    async def create_batch(
        self,
        workflow: str,
        instances: Sequence[NewInstance],
        *,
        trigger: Trigger = Trigger.API,
        skip_existing: bool = True,
    ) -> BatchResult:
        """Store up to 100 new instances in one transaction; ids that exist are skipped, or reported as errors."""
        return await self._creator.create_batch(
            await self._named(workflow), instances, trigger, skip_existing=skip_existing
        )

    async def _named(self, workflow: str) -> Named:
        await self._check_workflow(workflow)
        definition = self._scheduler.definitions.get(workflow)
        if definition is not None and not definition.is_pinned:
            return Named(workflow, definition.version, definition.settings.retention)
        row = await self.workflow(workflow)
        return Named(workflow, row.version, row.settings.retention)

    async def _check_workflow(self, name: str) -> None:
        if name not in self._known:
            self._known.update(row.name for row in await self.store.workflows())
            if name not in self._known:
                raise WorkflowNotFoundError(name)

    # reading

    async def status(self, workflow: str, instance_id: str) -> InstanceRow:
        """Return an instance; raise InstanceNotFoundError."""
        return await self._control.find(workflow, instance_id)

    async def detail(self, workflow: str, instance_id: str) -> InstanceDetail:
        """Return an instance in full; raise InstanceNotFoundError."""
        instance = await self._control.find(workflow, instance_id)
        return describe(instance, await self.store.history(instance.row))

    async def history(self, workflow: str, instance_id: str, *, after: int = 0) -> list[HistoryEvent]:
        """Return an instance's log behind the cursor ``after``; raise InstanceNotFoundError."""
        return await self.store.history((await self._control.find(workflow, instance_id)).row, after=after)

    async def step_stream(self, workflow: str, instance_id: str, name: str) -> StepStream | None:
        """Return what the step ``<name>-<count>`` stored as a stream, None if it did not, or they are secret.

        Raises:
            InstanceNotFoundError: there is none of this id.
        """
        row = (await self._control.find(workflow, instance_id)).row
        checkpoint = public_stream(await self.store.history(row), name)
        if checkpoint is None:
            return None
        return StepStream(checkpoint.size, read_chunks(self.store.chunk, row, checkpoint))

    async def subscribe(
        self, workflow: str, instance_id: str, *, after: int = 0, only: Collection[HistoryType] | None = None
    ) -> AsyncIterator[HistoryEvent]:
        """Give an instance's events behind the cursor ``after``, then live ones, up to its end.

        Raises:
            InstanceNotFoundError: when the first event is asked for.
        """
        instance = await self._control.find(workflow, instance_id)
        async for event in self._subscriptions.follow(instance, after=after, only=only):
            yield event

    def end_subscriptions(self) -> None:
        """Let all who follow an instance go: this process ends, and they go on at the next one."""
        self._subscriptions.close()

    async def instances(self, workflow: str, query: ListQuery | None = None) -> InstancePage:
        """Return a page of a workflow's instances; raise WorkflowNotFoundError."""
        await self._check_workflow(workflow)
        return await self.store.list_instances(workflow, query or ListQuery())

    async def latest(self, workflow: str) -> InstanceRow | None:
        """Return the instance created last; raise WorkflowNotFoundError."""
        await self._check_workflow(workflow)
        return await self.store.latest(workflow)

    async def workflows(self) -> list[WorkflowRow]:
        """Return all workflows, those of earlier sessions too."""
        return await self.store.workflows()

    async def workflow(self, name: str) -> WorkflowRow:
        """Return a workflow; raise WorkflowNotFoundError."""
        for row in await self.store.workflows():
            if row.name == name:
                return row
        raise WorkflowNotFoundError(name)

    async def status_counts(self, workflow: str) -> dict[str, int]:
        """Return how many instances have each of the eight statuses; raise WorkflowNotFoundError."""
        await self._check_workflow(workflow)
        counts = await self.store.status_counts(workflow)
        return {status.value: counts.get(status.value, 0) for status in Status}

    def resident_count(self) -> int:
        """Return how many instances are in memory."""
        return len(self._scheduler.resident)

    # steering

    async def pause(self, workflow: str, instance_id: str) -> Status:
        """Pause an instance; without effect unless it runs or waits."""
        return await self._control.pause(workflow, instance_id)

    async def resume(self, workflow: str, instance_id: str) -> Status:
        """Resume a paused instance; without effect on others."""
        return await self._control.resume(workflow, instance_id)

    async def terminate(self, workflow: str, instance_id: str, *, rollback: bool = False) -> Status:
        """End an instance at once, or when its steps are undone; raise CannotTerminateError if it has ended."""
        return await self._control.terminate(workflow, instance_id, rollback=rollback)

    async def restart(self, workflow: str, instance_id: str, *, from_: StepRef | None = None) -> Status:
        """Run an instance again, all of it or from a step, on the newest version."""
        version = (await self._named(workflow)).version
        return await self._control.restart(workflow, instance_id, version=version, from_=from_)

    async def delete(self, workflow: str, instance_id: str) -> None:
        """Remove an instance and all it stored."""
        await self._control.delete(workflow, instance_id)

    async def delete_batch(self, workflow: str, ids: Sequence[str]) -> DeleteResult:
        """Remove instances; those that do not exist are reported."""
        await self._check_workflow(workflow)
        result = DeleteResult([], [])
        for index, instance_id in enumerate(ids):
            try:
                await self.delete(workflow, instance_id)
                result.deleted.append(instance_id)
            except InstanceNotFoundError as error:
                result.errors.append(BatchError(index, instance_id, error.code, str(error)))
        return result

    async def delete_workflow(self, name: str) -> None:
        """Remove a workflow's instances, and the workflow itself unless this process has it bound."""
        await self._check_workflow(name)
        await self._control.delete_workflow(name)
        self._known.discard(name)
        definition = self._scheduler.definitions.get(name)
        if definition is not None:
            await self.bind([definition])

    async def send_event(self, workflow: str, instance_id: str, event_type: str, payload: Any = None) -> int:
        """Send an event, kept until the instance takes it; return when it was sent (ms).

        Raises:
            InstanceNotFoundError, InstanceFinishedError, PayloadTooLargeError, InvalidArgumentError.
        """
        event_type = check_text("the type of an event", event_type)
        data = encode_payload("the payload", payload)
        return await self._control.send_event(workflow, instance_id, event_type, data)

    def extend_deadlines(self, seconds: float) -> None:
        """Move the deadlines of all running attempts by the time spent in a debugger."""
        self._shared.executor.extend_deadlines(seconds)
