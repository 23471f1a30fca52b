"""The simulated world: virtual time, processes that turn in a random order, deaths, stops, and clocks that jump."""

from __future__ import annotations

import asyncio
import heapq
import random
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.simulation.faults import FaultyStore
from tests.simulation.interpreter import Interpreter
from tests.simulation.journal import Journal, Record
from tests.simulation.ledger import Ledger
from tests.simulation.loop import SimLoop, set_running
from tests.simulation.plan import Plan
from tests.simulation.programs import Program
from wrangler_py.engine import Definition, Engine, EngineOptions
from wrangler_py.engine.lease import LEASE_MS
from wrangler_py.storage.sqlite import SqliteStore

#: 2026-01-01, in milliseconds.
START = 1_767_225_600_000
#: Seconds between two renewals of a lease; between two, and between two looks, when no fault is to come.
BEAT_S, CALM_BEAT_S, CALM_LOOK_S = 4.0, 60.0, 5.0
#: Seconds that a turn of a loop takes: code that waits for the last nanosecond must get there.
TURN_S = 1e-6
#: Seconds that may pass while the script waits for callbacks.
IDLE_S = 1.0
#: More callbacks in one moment of virtual time than this, and something spins.
MOST_TURNS = 60_000
#: Deaths beside those that a plan's programs ask for: with more, a step that kills its process is not counted.
MOST_DEATHS = 60


class Stuck(Exception):
    """The world goes on and on without getting anywhere."""


@dataclass(frozen=True)
class Violation:
    """A law that was broken."""

    law: str
    who: str
    text: str

    def __str__(self) -> str:
        return f"[{self.law}] {self.who}: {self.text}"


class SimClock:
    """The wall clock of the machine: it can be set."""

    def __init__(self, world: World, max_wait: float) -> None:
        self._world = world
        self._random = random.Random(world.plan.seed)
        self.max_wait = max_wait
        self.offset = 0

    def now(self) -> int:
        """Return milliseconds since 1970, as the machine believes."""
        return START + round(self._world.now * 1000) + self.offset

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return self._world.now

    def new_id(self) -> str:
        """Return a fresh id."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


@dataclass(frozen=True)
class Claim:
    """An instance that a process took up."""

    record: Record
    life: int
    epoch: int


class Process:
    """One engine, with a loop, a connection and a heartbeat of its own."""

    def __init__(self, world: World, slot: int, version: int) -> None:
        self.world = world
        self.slot = slot
        self.version = version
        world.born += 1
        self.name = f"p{slot}.{world.born}"
        self.dead = False
        self.draining = False
        #: Not before this moment does its loop turn again.
        self.stopped_until = 0.0
        self.heart_stopped = False
        self.claims: dict[str, Claim] = {}
        self.poisoned: set[int] = set()
        self._slow_calls = dict(world.plan.slow_calls)
        self.loop = SimLoop(self)
        self.store: FaultyStore
        self.engine: Engine
        self.is_up = False
        self.errors: list[str] = []

    # what the loop asks its owner

    def time(self) -> float:
        """Return virtual seconds."""
        return self.world.now

    def in_thread(self, work: Callable[[], None]) -> None:
        """Run ``work`` after a while, as the thread of a ``def`` step."""
        rng = self.world.rng
        delay = rng.choice((0.0, 0.0, 0.001, 0.005, 0.05, 1.0))

        def go() -> None:
            if not self.dead:
                set_running(self.loop)
                try:
                    work()
                except (SystemExit, KeyboardInterrupt) as stop:
                    self.kill(f"{type(stop).__name__} in a thread")
                finally:
                    set_running(None)

        self.world.call_later(delay, go)

    def unhandled(self, context: dict[str, Any]) -> None:
        """Report an error inside the engine that nobody handled."""
        if self.dead:
            return
        error = context.get("exception")
        what = context.get("message", "")
        if isinstance(error, Exception) and not _is_of_a_program(error):
            self.world.report("no-internal-error", self.name, f"{what}: {type(error).__name__}: {error}")

    # life

    async def boot(self) -> None:
        """Open the store, bind the workflows and begin to drive."""
        world = self.world
        real = await SqliteStore.open(world.path, synchronous="OFF")
        self.store = FaultyStore(real, self)
        options = EngineOptions(
            hibernate_after_ms=world.plan.hibernate_after_ms,
            owner=f"p{self.slot}",
            look_s=world.plan.look_s,
        )
        self.engine = Engine(
            self.store,  # type: ignore[arg-type]
            world.clock,
            options=options,
            heartbeat=lambda *args, **kwargs: _Heartbeat(self, *args, **kwargs),
        )
        definitions = [
            Definition(
                name, "script", "Simulated", f"v{self.version}", lambda: Interpreter(self), concurrency=limit
            )
            for name, limit in world.plan.workflows.items()
        ]
        while True:
            try:
                await self.engine.bind(definitions)
                await self.engine.start(None if world.plan.engines == 1 else [f"p{self.slot}"])
            except Exception as error:
                if type(error).__name__ != "StoreUnavailableError":
                    world.report("no-internal-error", self.name, f"start: {type(error).__name__}: {error}")
                    return
                await asyncio.sleep(0.5)
            else:
                break
        self.is_up = True

    def program(self, number: int) -> Program:
        """Return a program as this process's version of the code has it."""
        versions = self.world.plan.programs[number]
        return versions[min(self.version, len(versions) - 1)]

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Begin a task on this process's loop."""
        set_running(self.loop)
        try:
            return self.loop.create_task(coroutine, name=name)
        finally:
            set_running(None)

    def kill(self, why: str) -> None:
        """End at once: nothing more is written, no code unwinds."""
        if self.dead:
            return
        self.dead = True
        world = self.world
        world.deaths += 1
        world.log(f"{self.name} dies ({why})")
        self.loop.abandon()
        if hasattr(self, "store"):
            self.store._store._database.close()
            background = self.store._store._background
            if background is not None:
                background.close()
        world.call_later(world.rng.choice((0.0, 0.1, 1.0, 15.0)), lambda: world.replace(self))

    def stop(self, seconds: float, *, heart_too: bool) -> None:
        """Stand still, as under SIGSTOP or (the heart goes on) when user code blocks the loop."""
        self.stopped_until = self.world.now + seconds
        self.heart_stopped = heart_too

    @property
    def can_turn(self) -> bool:
        """True if its loop has something to do and is not stopped."""
        return not self.dead and self.world.now >= self.stopped_until and self.loop.is_ready

    # what its store asks

    def delay(self, name: str | None = None) -> float | None:
        """Return how slow the next call of the store, or an answer of it, is, in seconds; None: at once."""
        plan, rng = self.world.plan, self.world.rng
        if self.world.is_calm:
            return None
        if name in self._slow_calls:
            return self._slow_calls[name]
        if rng.random() >= plan.slow_rate:
            return None
        return rng.choice((0.0, 0.0, 0.003, 0.05, 0.6))

    def is_deaf(self) -> bool:
        """Return True if the next call of the store that only reads is refused."""
        rate = self.world.plan.deaf_rate
        return rate > 0 and not self.world.is_calm and self.world.rng.random() < rate

    def next_fault(self, name: str) -> str | None:
        """Return what goes wrong with this call."""
        return self.world.next_fault(self, name)

    def wrote(self, name: str, epoch: int | None, args: tuple[Any, ...]) -> None:
        """Check that a lease under which a batch was refused writes no more."""
        if name == "apply" and epoch in self.poisoned:
            batch = args[0]
            parts = ("creations", "history", "statuses", "parkings", "endings", "consumed", "chunks")
            told = ", ".join(part for part in parts if getattr(batch, part, None))
            if told and told != "creations":
                self.world.report(
                    "poisoned-lease", self.name, f"a batch ({told}) follows a refused one under epoch {epoch}"
                )

    def claimed(self, claims: list[Any], epoch: int | None) -> None:
        """Take note of the instances that were taken up."""
        assert epoch is not None
        for one in claims:
            instance = one.instance
            record = self.world.journal.present[instance.row]
            self.claims[instance.id] = claim = Claim(record, record.life, epoch)
            self.world.claims.append((self, claim))


class _Heartbeat:
    """The world's own renewal of a lease, instead of a thread."""

    def __init__(
        self,
        process: Process,
        store: FaultyStore,
        clock: SimClock,
        epoch: int,
        *,
        on_lost: Callable[[], None],
        on_blocked: Callable[..., None],
    ) -> None:
        self._process, self._store, self._clock, self._epoch = process, store, clock, epoch
        self._on_lost = on_lost
        self._stopped = False
        self._plan(BEAT_S)

    def _plan(self, seconds: float) -> None:
        self._process.world.call_later(seconds, self._beat)

    def _beat(self) -> None:
        process = self._process
        if self._stopped or process.dead:
            return
        if process.heart_stopped and process.world.now < process.stopped_until:
            self._plan(BEAT_S)
            return
        calm = process.world.is_calm
        lasts = round(CALM_BEAT_S * 3000) if calm else LEASE_MS
        if self._store.beat(self._epoch, self._clock.now() + lasts):
            self._plan(CALM_BEAT_S if calm else BEAT_S)
        else:
            process.loop.call_soon_threadsafe(self._on_lost)

    async def stop(self) -> None:
        """Stop beating."""
        self._stopped = True


def _is_of_a_program(error: Exception) -> bool:
    return type(error).__name__ in (
        "RuntimeError",
        "NonRetryableError",
        "ValueError",
        "WorkflowTimeoutError",
        "WorkflowInternalError",
        "ExceptionGroup",
    ) and not isinstance(error, AssertionError)


class World:
    """Everything in one run: the clock, the file, the processes, the witnesses."""

    def __init__(self, plan: Plan, path: Path) -> None:
        self.plan = plan
        self.path = path
        self.rng = random.Random(plan.seed * 7919 + 1)
        self.now = 0.0
        self.ticks = 0
        self.callbacks = 0
        self.born = 0
        self.deaths = 0
        #: The instances each process took up, also where it died before it called `run()`.
        self.claims: list[tuple[Process, Claim]] = []
        self.is_calm = False
        self.violations: list[Violation] = []
        self.told: list[str] = []
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._spin = 0
        self.clock = SimClock(self, plan.max_wait)
        self.ledger = Ledger(self)
        self.journal = Journal(self, path)
        self.processes: list[Process] = []
        self.buried: list[Process] = []
        self.version = 0
        #: Has a user give a command on an instance, through a process.
        self.steer: Callable[[str, Record, Process], Coroutine[Any, Any, Any]]
        #: Faults armed by the script: (slot or None, kind, how many more writes until it strikes, their call or None).
        self.armed: list[list[Any]] = []

    # witnesses

    def tick(self) -> int:
        """Return the next number: what has a greater one came later."""
        self.ticks += 1
        return self.ticks

    def report(self, law: str, who: str, text: str) -> None:
        """Record that a law was broken."""
        self.violations.append(Violation(law, who, text))

    def log(self, text: str) -> None:
        """Record what the world did."""
        self.told.append(f"{self.now:10.3f}s {self.tick():6d} {text}")

    # processes

    def start(self) -> None:
        """Start all processes."""
        for slot in range(self.plan.engines):
            self.processes.append(self._boot(slot))

    def _boot(self, slot: int) -> Process:
        process = Process(self, slot, self.version)
        self.log(f"{process.name} starts (version {self.version})")
        process.spawn(process.boot(), "boot")
        return process

    def replace(self, old: Process) -> None:
        """Start another process where one has ended."""
        if self.processes[old.slot] is not old:
            return
        if self.deaths > MOST_DEATHS + self.plan.deadly_attempts:
            self.report("ends", old.name, "its steps kill process after process")
            raise Stuck("too many deaths")
        self.buried.append(old)
        self.processes[old.slot] = self._boot(old.slot)

    # faults

    def next_fault(self, process: Process, name: str) -> str | None:
        """Return what goes wrong with a write of a process, if something does."""
        for fault in self.armed:
            slot, kind, left, call = fault
            if slot not in (None, process.slot) or call not in (None, name):
                continue
            if kind in ("refuse", "lose") and name in ("bind_workflow", "reap", "release_lease"):
                continue
            if left > 0:
                fault[2] -= 1
                continue
            self.armed.remove(fault)
            self.log(f"{process.name} {kind} {name}")
            return str(kind)
        return None

    def calm(self) -> None:
        """End all faults."""
        self.is_calm = True
        self.armed.clear()
        for process in self.processes:
            process.stopped_until = 0.0
            if hasattr(process, "engine"):
                process.engine.options.look_s = CALM_LOOK_S

    # time

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something later, outside all loops."""
        heapq.heappush(self._calls, (self.now + seconds, self.tick(), call))

    def run(self, *, turns: int | None = None, until: float | None = None) -> None:
        """Let the world go on for so many callbacks, or until a moment (then time passes whatever happens)."""
        idle_until = self.now + IDLE_S
        while turns is None or turns > 0:
            while self._calls and self._calls[0][0] <= self.now:
                heapq.heappop(self._calls)[2]()
            ready = [process for process in self.processes if process.can_turn]
            if ready:
                ran = self._turn(ready, turns)
                if turns is not None:
                    turns -= ran
                continue
            self._spin = 0
            target = self._next_moment()
            if turns is not None and (target is None or target > idle_until):
                return
            if until is not None and (target is None or target > until):
                self.now = max(self.now, until)
                return
            if target is None:
                return
            self.now = max(self.now, target)

    def _turn(self, ready: list[Process], turns: int | None) -> int:
        process = ready[0] if len(ready) == 1 else self.rng.choice(ready)
        loop = process.loop
        set_running(loop)
        try:
            ran = loop.turn(64 if turns is None else min(turns, 64))
        except (SystemExit, KeyboardInterrupt) as stop:
            process.kill(f"{type(stop).__name__}")
            ran = 1
        finally:
            set_running(None)
        self.now += TURN_S
        self.callbacks += ran
        self._spin += ran
        if self._spin > MOST_TURNS:
            self.report("no-spinning", process.name, "the loop turns without end while no time passes")
            raise Stuck("spinning")
        return max(1, ran)

    def _next_moment(self) -> float | None:
        moments = [self._calls[0][0]] if self._calls else []
        for process in self.processes:
            if process.dead:
                continue
            when = process.loop.next_timer()
            if process.loop._ready:
                when = self.now
            if when is not None:
                moments.append(max(when, process.stopped_until))
        return min(moments, default=None)

    def close(self) -> None:
        """End everything, without a trace."""
        for process in [*self.processes, *self.buried]:
            if not process.dead:
                process.dead = True
                process.loop.abandon()
                if hasattr(process, "store"):
                    store = process.store._store
                    store._database.close()
                    if store._background is not None:
                        store._background.close()
        self.journal.close()
