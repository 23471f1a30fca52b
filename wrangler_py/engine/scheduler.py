"""Who runs next: claims due instances, keeps to the concurrency limits, prefers those that go on (docs, "Sleep a
Workflow")."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from wrangler_py.engine.definition import Definition
from wrangler_py.engine.instance.runner import Runner, Stop, Surroundings
from wrangler_py.engine.store import Claimed, Store
from wrangler_py.engine.timers import Timer
from wrangler_py.errors import StaleEpochError, StoreError

#: Instances taken up at once; between two handfuls the event loop looks at its sockets.
CLAIM_SIZE = 32
#: After the store failed, try again so much later, in milliseconds.
RETRY_MS = 1000


class Scheduler:
    """Holds the runners of one process and gives them slots."""

    def __init__(self, store: Store, around: Surroundings, *, capacity: int) -> None:
        self.runners: dict[int, Runner] = {}
        self.definitions: dict[str, Definition] = {}
        self.epoch: int | None = None
        #: Called when the lease turns out to be gone.
        self.on_lost: Callable[[], None] = lambda: None
        self._store = store
        self._around = around
        self._capacity = capacity
        self._running: dict[str, int] = {}
        self._total = 0
        self._places: dict[int, tuple[str, str]] = {}
        self._resuming: deque[Runner] = deque()
        self._wake = asyncio.Event()
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None
        around.request_slot = self.request
        around.yield_slot = self.give_back

    # life

    def start(self, epoch: int) -> None:
        """Begin to take up instances under a lease."""
        self.epoch = epoch
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

    def request(self, runner: Runner) -> None:
        """An instance in memory wants to go on; it gets the next free slot, before any that is not in memory."""
        if runner in self._resuming:
            return
        if self._free(runner.definition) > 0:
            self._take(runner)
        else:
            self._resuming.append(runner)

    def give_back(self, runner: Runner) -> None:
        """An instance waits: its slot is free."""
        name = runner.instance.workflow
        self._running[name] = self._running.get(name, 1) - 1
        self._total -= 1
        self._grant()
        self._wake.set()

    def _take(self, runner: Runner) -> None:
        self._count(runner)
        runner.granted()
        if runner.idle:
            self.give_back(runner)

    def _count(self, runner: Runner) -> None:
        name = runner.instance.workflow
        self._running[name] = self._running.get(name, 0) + 1
        self._total += 1

    def _free(self, definition: Definition) -> int:
        free = self._capacity - self._total
        concurrency = definition.settings.concurrency
        if concurrency is not None:
            free = min(free, concurrency - self._running.get(definition.name, 0))
        return free

    def _grant(self) -> None:
        for _ in range(len(self._resuming)):
            runner = self._resuming.popleft()
            if runner.ended or runner.stop_reason is not None:
                continue
            if self._free(runner.definition) > 0:
                self._take(runner)
            else:
                self._resuming.append(runner)

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
            if more:
                self._wake.set()
                await asyncio.sleep(0)

    async def _claim_all(self) -> bool:
        more = False
        for definition in self.definitions.values():
            limit = min(CLAIM_SIZE, self._free(definition))
            if definition.make is None or limit <= 0:
                continue
            assert self.epoch is not None
            now = self._around.clock.now()
            claimed = await self._store.claim(definition.wanted, self.epoch, now=now, limit=limit)
            for one in claimed:
                self._start(one, definition)
            more = more or len(claimed) == CLAIM_SIZE
        return more

    def _start(self, claimed: Claimed, definition: Definition) -> None:
        runner = Runner(claimed, definition, self._around)
        self.runners[runner.row] = runner
        self._places[runner.row] = (runner.instance.workflow, runner.instance.id)
        self._count(runner)
        runner.start()
        assert runner.task is not None
        runner.task.add_done_callback(lambda _: self._ended(runner))

    def _ended(self, runner: Runner) -> None:
        if self.runners.get(runner.row) is runner:
            del self.runners[runner.row]
        if runner.stop_reason in (Stop.ABORT, Stop.LOST):
            self._places.pop(runner.row, None)
        if not runner.idle:
            self.give_back(runner)
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
        if due_at is not None and due_at > self._around.clock.now():
            self._timer = self._around.timers.call_at(due_at, self.kick)

    def _look_again(self, after_ms: int) -> None:
        self._around.timers.call_at(self._around.clock.now() + after_ms, self.kick)

    # all runners

    def place_of(self, row: int) -> tuple[str, str]:
        """Return workflow and id of an instance that is in memory, or whose last writes are on their way to disk."""
        return self._places[row]

    def forget(self, rows: Iterable[int]) -> None:
        """The last writes of these instances are on disk."""
        for row in rows:
            if row not in self.runners:
                self._places.pop(row, None)

    @property
    def in_flight(self) -> int:
        """How many instances have a step callback executing."""
        return sum(1 for runner in self.runners.values() if runner.in_flight)
