"""The scheduler: claims due instances, keeps to the concurrency limits, prefers those that go on (docs, "Sleep a
Workflow")."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable

from wrangler_py.engine.definition import Definition
from wrangler_py.engine.instance.context import EngineContext, InstanceContext, Stop
from wrangler_py.engine.instance.runner import Runner
from wrangler_py.engine.store import Claimed, Store
from wrangler_py.engine.timers import Timer
from wrangler_py.engine.trials import Trials
from wrangler_py.errors import StaleEpochError, StoreError

logger = logging.getLogger(__name__)

#: Instances taken up in one batch; between two batches the event loop polls its sockets.
CLAIM_SIZE = 32
#: Delay before retrying after a store failure, in milliseconds.
RETRY_MS = 1000


class Scheduler:
    """Holds the instances in memory of one process and gives them slots."""

    def __init__(self, store: Store, shared: EngineContext, *, capacity: int) -> None:
        #: The instances in memory, by row.
        self.resident: dict[int, InstanceContext] = {}
        self.definitions: dict[str, Definition] = {}
        self.epoch: int | None = None
        #: Called when the lease turns out to be gone.
        self.on_lost: Callable[[], None] = lambda: None
        self._store = store
        self._shared = shared
        self._capacity = capacity
        self._running: dict[str, int] = {}
        self._total = 0
        self._places: dict[int, tuple[str, str]] = {}
        self._resuming: deque[InstanceContext] = deque()
        #: Held while the store is asked for instances, and by those who must not release what it has just given.
        self.claims = asyncio.Lock()
        self._wake = asyncio.Event()
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None
        self._trials = Trials(shared, self.resident, self.kick)
        #: Suspects in memory that want to go on; when the next one that is not in memory is due.
        self._suspects: deque[InstanceContext] = deque()
        self._suspect_due: int | None = None

    # life

    def start(self, epoch: int) -> None:
        """Begin to take up instances under a lease."""
        self.epoch = epoch
        self._suspects.clear()
        self._trials.clear()
        self._wake.set()
        self._task = asyncio.get_running_loop().create_task(self._schedule(), name="scheduler")

    async def stop(self) -> None:
        """Take up no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._timer is not None:
            self._timer.cancel()

    def kick(self) -> None:
        """Something may be due: look soon."""
        self._wake.set()

    # slots

    def request(self, context: InstanceContext) -> None:
        """An instance in memory wants to go on; it gets the next free slot, before any that is not in memory."""
        if context in self._resuming or context in self._suspects:
            return
        if context.suspicion.deaths:
            self._suspects.append(context)
            self._wake.set()
        elif not self._shared.is_quarantined and self._free(context.definition) > 0:
            self._take(context)
        else:
            self._resuming.append(context)

    def give_back(self, context: InstanceContext) -> None:
        """An instance waits: its slot is free."""
        name = context.instance.workflow
        self._running[name] = self._running.get(name, 1) - 1
        self._total -= 1
        self._trials.end(context)
        self._grant()
        self._wake.set()

    def _take(self, context: InstanceContext) -> None:
        self._count(context)
        context.granted()
        if context.idle:
            self.give_back(context)

    def _count(self, context: InstanceContext) -> None:
        self._reserve(context.instance.workflow, 1)

    def _free(self, definition: Definition) -> int:
        free = self._capacity - self._total
        concurrency = definition.settings.concurrency
        if concurrency is not None:
            free = min(free, concurrency - self._running.get(definition.name, 0))
        return free

    def came_through(self, context: InstanceContext) -> None:
        """A suspect is none any more."""
        self._trials.passed(context)

    def look_for_suspects(self) -> None:
        """A callback has ended that a suspect may wait for."""
        self._wake.set()

    def _grant(self) -> None:
        if self._shared.is_quarantined:
            return
        for _ in range(len(self._resuming)):
            context = self._resuming.popleft()
            if context.code.has_ended or context.stop_reason is not None:
                continue
            if self._free(context.definition) > 0:
                self._take(context)
            else:
                self._resuming.append(context)

    # claiming

    async def _schedule(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                more = await self._claim_all()
                if not more:
                    await self._plan()
            except StaleEpochError:
                self.on_lost()
                return
            except StoreError:
                self._look_again(RETRY_MS)
                continue
            except Exception:
                logger.exception("the scheduler failed; it goes on")
                self._look_again(RETRY_MS)
                continue
            if more:
                self._wake.set()
                await asyncio.sleep(0)

    async def _claim_all(self) -> bool:
        await self._try_suspects()
        self._grant()
        more = False
        for definition in self._runnable():
            if self._shared.is_quarantined:
                return False
            claimed = await self._claim(definition, CLAIM_SIZE, suspects=False)
            for one in claimed:
                self._start(one, definition)
            more = more or len(claimed) == CLAIM_SIZE
        return more

    def _runnable(self) -> list[Definition]:
        """Return the workflows whose code is here and that have a slot free."""
        definitions = self.definitions.values()
        return [one for one in definitions if one.make is not None and self._free(one) > 0]

    async def _claim(self, definition: Definition, most: int, *, suspects: bool) -> list[Claimed]:
        limit = min(most, self._free(definition))
        if limit <= 0:
            return []
        assert self.epoch is not None
        now = self._shared.clock.now()
        # Slots are held meanwhile: the store may have to wait for a lock, and others ask for slots.
        self._reserve(definition.name, limit)
        try:
            async with self.claims:
                claimed = await self._store.claim(
                    definition.wanted, self.epoch, now=now, limit=limit, suspects=suspects
                )
        except StoreError as error:
            # The claim may be stored though its answer was lost: such instances would be driven by nobody.
            raise StaleEpochError(f"instances were claimed and not received: {error}") from error
        finally:
            self._reserve(definition.name, -limit)
        if self._shared.commits.epoch != self.epoch:
            raise StaleEpochError("the lease was given up while instances were claimed under it")
        return claimed

    @property
    def is_claiming(self) -> bool:
        """True while the store may have given instances that are not in memory yet."""
        return self.claims.locked()

    def _reserve(self, workflow: str, slots: int) -> None:
        self._running[workflow] = self._running.get(workflow, 0) + slots
        self._total += slots

    async def _try_suspects(self) -> None:
        """Begin the trials for which it is time, and hold others as they demand (`engine.quarantine`)."""
        self._trials.review()
        self._suspect_due = None
        left = [await self._try_due(definition) for definition in self._runnable()]
        left.append(self._try_resident())
        self._trials.settle(are_waiting=any(left))

    async def _try_due(self, definition: Definition) -> int:
        """Try suspects of a workflow that are not in memory; return how many that are due must wait."""
        now = self._shared.clock.now()
        found = await self._store.suspects(definition.wanted, limit=CLAIM_SIZE)
        due = sorted(deaths for deaths, due_at in found if due_at <= now)
        later = [due_at for _, due_at in found if due_at > now]
        self._suspect_due = min(filter(None, (self._suspect_due, *later)), default=None)
        count = self._trials.admits(due)
        claimed = await self._claim(definition, count, suspects=True) if count else []
        for one in claimed:
            self._trials.begin(self._start(one, definition))
        return len(due) - len(claimed)

    def _try_resident(self) -> int:
        """Try suspects in memory that want to go on; return how many must wait."""
        for _ in range(len(self._suspects)):
            context = self._suspects.popleft()
            if context.code.has_ended or context.stop_reason is not None:
                continue
            if self._free(context.definition) > 0 and self._trials.admits([context.suspicion.deaths]):
                self._trials.begin(context)
                self._take(context)
            else:
                self._suspects.append(context)
        return sum(self._free(one.definition) > 0 for one in self._suspects)

    def _start(self, claimed: Claimed, definition: Definition) -> InstanceContext:
        runner = Runner(claimed, definition, self._shared, self)
        context = runner.context
        self.resident[context.row] = context
        self._places[context.row] = (context.instance.workflow, context.instance.id)
        self._count(context)
        runner.start().add_done_callback(lambda _: self._ended(context))
        return context

    def _ended(self, context: InstanceContext) -> None:
        # One left behind by a command ends while the next life of its instance runs: what is known of that stays.
        if self.resident.get(context.row) is context:
            del self.resident[context.row]
            if context.stop_reason in (Stop.ABORT, Stop.LOST):
                self._places.pop(context.row, None)
        if not context.idle:
            self.give_back(context)
        else:
            self._wake.set()

    async def _plan(self) -> None:
        """Look again when the next instance that nobody drives is due."""
        wanted = [
            definition.wanted for definition in self.definitions.values() if definition.make is not None
        ]
        due_at = await self._store.next_due(wanted)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # What is due already and was not taken waits for a slot; giving one back wakes us.
        now = self._shared.clock.now()
        upcoming = [at for at in (due_at, self._suspect_due) if at is not None and at > now]
        if upcoming:
            self._timer = self._shared.timers.call_at(min(upcoming), self.kick)

    def _look_again(self, after_ms: int) -> None:
        self._shared.timers.call_at(self._shared.clock.now() + after_ms, self.kick)

    # all in memory

    def drop(self, row: int) -> None:
        """An instance turned out to be driven by this process no longer: stop it, and write nothing more."""
        context = self.resident.get(row)
        if context is not None:
            context.stop(Stop.LOST)

    def place_of(self, row: int) -> tuple[str, str]:
        """Return workflow and id of an instance that is in memory, or whose last writes are on their way to disk."""
        return self._places[row]

    def forget(self, rows: Iterable[int]) -> None:
        """The last writes of these instances are on disk."""
        for row in rows:
            if row not in self.resident:
                self._places.pop(row, None)

    @property
    def in_flight(self) -> int:
        """Count of the instances with a step callback executing."""
        return sum(1 for context in self.resident.values() if context.in_flight)
