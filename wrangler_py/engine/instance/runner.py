"""One instance under one lease: from its start, or a replay, to a rest.

A runner calls the user's ``run(event, step)`` once. All that is durable passes through it: it numbers steps, writes
history, holds new steps during a pause, and notices when nothing is left to do but wait. How a step is executed
stands in `engine.instance.attempts`, how one waits in `engine.instance.waits`.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec

from wrangler_py.clock import Clock, naive_utc
from wrangler_py.engine.commits import GroupCommit
from wrangler_py.engine.entries import FailureData, MessageData, encode_data
from wrangler_py.engine.instance import idle
from wrangler_py.engine.instance.executor import StepPlace, Workbench, current_step
from wrangler_py.engine.instance.mailbox import Mailbox
from wrangler_py.engine.instance.replay import Recorded, Replay
from wrangler_py.engine.instance.rollback import Saga
from wrangler_py.engine.instance.rollback_log import RollbackLog
from wrangler_py.engine.instance.waits import Waits
from wrangler_py.engine.limits import MAX_STEP_NAME, MAX_VALUE_BYTES, PlanLimits
from wrangler_py.engine.model import ErrorRecord, HistoryType, Kind, Status
from wrangler_py.engine.store import Claimed, Ending, Parking, StatusChange
from wrangler_py.engine.timers import Timers
from wrangler_py.errors import Abort, ControlFlow, FatalStepError, StoreError, Suspend
from wrangler_py.sdk.failures import capture, rebuild
from wrangler_py.serde import NotSerialisableError, Record, decode, encode

if TYPE_CHECKING:
    from wrangler_py.engine.definition import Definition
    from wrangler_py.engine.store import Store

#: Set during an instance's `run()`.
current_instance: contextvars.ContextVar[StepPlace | None] = contextvars.ContextVar(
    "current_instance", default=None
)

#: How long user code may take to unwind when it is told to stop, in seconds.
UNWIND_S = 5.0


#: Checkpoints that a replay returns without letting others run; about two milliseconds' worth.
_BREATH = 200


class Stop(Enum):
    """Why a runner lets go of its instance before the end."""

    #: Only waits are left: leave memory.
    HIBERNATE = "hibernate"
    PAUSE = "pause"
    #: The process stops: the instance goes on elsewhere, or later, at once.
    DRAIN = "drain"
    #: Terminated, restarted or deleted: who asked for it writes what follows.
    ABORT = "abort"
    #: The lease is gone, or the store does not take writes: write nothing.
    LOST = "lost"


#: Whoever stopped the runner for these reasons writes, or nobody does.
_SILENT = frozenset({Stop.ABORT, Stop.LOST})


class Surroundings:
    """What all runners of an engine share."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        commits: GroupCommit,
        limits: PlanLimits,
        *,
        hibernate_after_ms: int,
        strict: bool,
    ) -> None:
        self.store = store
        self.clock = clock
        self.commits = commits
        self.limits = limits
        self.hibernate_after_ms = hibernate_after_ms
        self.strict = strict
        self.timers = Timers(clock)
        self.bench = Workbench()
        self.draining = False
        #: Set by the scheduler: a waiting instance has something to do and asks for its slot.
        self.request_slot: Callable[[Runner], None]
        #: Set by the scheduler: the instance waits, others may run.
        self.yield_slot: Callable[[Runner], None]


class Runner:
    """Drives one instance."""

    def __init__(self, claimed: Claimed, definition: Definition, around: Surroundings) -> None:
        self.instance = claimed.instance
        self.definition = definition
        self.around = around
        self.row = claimed.instance.row
        self.place = StepPlace(claimed.instance.workflow, claimed.instance.id)
        self.replay = Replay(claimed.history)
        self.mailbox = Mailbox(claimed.events, claimed.signal)
        self.waits = Waits(self)
        self.saga = Saga(self, RollbackLog.read(claimed.history))
        self.task: asyncio.Task[None] | None = None
        #: Step callbacks and their commits now executing.
        self.in_flight = 0
        #: True while it waits and holds no slot.
        self.idle = False
        self.stop_reason: Stop | None = None
        self.fatal: ErrorRecord | None = None
        self.pausing = False
        #: Tasks that have called a step: when all of them wait, so does the instance.
        self.tasks: set[asyncio.Task[Any]] = set()
        self._gate: asyncio.Future[None] | None = None
        self._uncalled: dict[int, tuple[str, Coroutine[Any, Any, Any]]] = {}
        self._calls = 0
        self._replayed = 0
        self._checking = False
        self._warned: set[str] = set()
        self._first_life = not self.replay.recorded and claimed.fresh

    # life

    def start(self) -> None:
        """Begin to run, in a task of its own."""
        self.task = asyncio.get_running_loop().create_task(self._live(), name=f"instance {self.instance.id}")

    async def _live(self) -> None:
        current_instance.set(self.place)
        if self._first_life:
            self.log(HistoryType.WORKFLOW_START)
        self.saga.watch()
        ending = await self._outcome(self._run())
        if self.stop_reason is None and ending is not None and self.saga.is_due(ending):
            ending = await self._outcome(self.saga.run(ending))
        self.close_calls()
        if self.stop_reason is None and ending is not None:
            self._end(ending)
        elif self.stop_reason in (Stop.HIBERNATE, Stop.PAUSE, Stop.DRAIN):
            self._park(self.stop_reason)
        self.waits.close()

    async def _outcome(self, work: Coroutine[Any, Any, Ending | None]) -> Ending | None:
        """Return how the instance ends after ``work``, None if it does not end by that."""
        try:
            return await work
        except ControlFlow:
            return self._fatal_ending()
        except asyncio.CancelledError:
            ending = self._fatal_ending()
            if ending is None and self.stop_reason is None:
                ending = self._errored(ErrorRecord("CancelledError", "run() was cancelled by its own code"))
            return ending
        except StoreError:
            self.stop_reason = Stop.LOST
            return None

    async def _run(self) -> Ending | None:
        from wrangler_py.engine.instance.step import WorkflowStep

        try:
            entrypoint = self.definition.instantiate()
            result = entrypoint.run(self._event(), WorkflowStep(self))
            if not inspect.isawaitable(result):
                return self._errored(ErrorRecord("TypeError", _not_async(self.definition.class_name)))
            output = await result
        except Exception as error:
            if isinstance(error, StoreError):
                raise
            return self._fatal_ending() or self._errored(capture(error))
        return self._fatal_ending() or self._missing_awaits() or self._completed(output)

    def _event(self) -> Record:
        instance = self.instance
        event = Record(
            payload=decode(instance.params),
            timestamp=naive_utc(instance.created_at),
            instanceId=instance.id,
            workflowName=instance.workflow,
        )
        if instance.schedule is not None:
            event["schedule"] = Record(msgspec.structs.asdict(instance.schedule))
        return event

    # endings

    def _completed(self, output: Any) -> Ending:
        try:
            data = encode(output)
        except (NotSerialisableError, TypeError) as error:
            return self._errored(
                ErrorRecord("TypeError", f"run() returned a value that cannot be stored: {error}")
            )
        if len(data) > MAX_VALUE_BYTES:
            return self._errored(
                ErrorRecord(
                    "WorkflowInternalError", "The output of run() is too large. Maximum allowed size is 1MiB."
                )
            )
        return Ending(self.row, Status.COMPLETE, self.now(), output=data)

    def _errored(self, error: ErrorRecord) -> Ending:
        return Ending(self.row, Status.ERRORED, self.now(), error=error)

    def _fatal_ending(self) -> Ending | None:
        return None if self.fatal is None else self._errored(self.fatal)

    def _missing_awaits(self) -> Ending | None:
        if not self._uncalled:
            return None
        names = ", ".join(f"`{name}`" for name, _ in self._uncalled.values())
        plural = "steps" if len(self._uncalled) > 1 else "step"
        verb = "were" if len(self._uncalled) > 1 else "was"
        text = f"{plural} {names} {verb} called but never awaited: put `await` in front of the call"
        return self._errored(ErrorRecord("StepNotAwaitedError", text))

    def _end(self, ending: Ending) -> None:
        self._warn_of_divergence()
        if ending.status is Status.TERMINATED:
            self.log(HistoryType.WORKFLOW_TERMINATED)
        elif ending.error is not None:
            self.log(HistoryType.WORKFLOW_FAILURE, data=encode_data(FailureData(ending.error)))
        else:
            self.log(HistoryType.WORKFLOW_SUCCESS)
        self.around.commits.end(ending)

    def _park(self, reason: Stop) -> None:
        now = self.now()
        if reason is Stop.PAUSE:
            self.log(HistoryType.WORKFLOW_PAUSED)
            parking = Parking(self.row, Status.PAUSED, None, self.mailbox.signal, now, paused_at=now)
        elif reason is Stop.HIBERNATE:
            self._warn_of_divergence()
            parking = Parking(self.row, Status.WAITING, self.waits.due_at(), self.mailbox.signal, now)
        else:
            due = self.waits.due_at() if self.idle else now
            status = Status.WAITING if self.idle else Status.RUNNING
            parking = Parking(self.row, status, due, self.mailbox.signal, now)
        self.around.commits.park(parking)

    def _warn_of_divergence(self) -> None:
        for message in self.replay.divergence():
            if message not in self._warned:
                self._warned.add(message)
                self.log(HistoryType.REPLAY_DIVERGED, data=encode_data(MessageData(message)))

    # stopping from outside

    def stop(self, reason: Stop) -> None:
        """Unwind user code; what is written then depends on ``reason``. Does not wait: see `stopped`."""
        if self.stop_reason is None and not self.ended:
            self.stop_reason = reason
            self.unwind()

    def unwind(self) -> None:
        """Cancel all that user code does."""
        self.waits.freeze()
        for task in {*self.tasks, self.task}:
            if task is not None and not task.done():
                task.cancel()

    @property
    def ended(self) -> bool:
        """True once the runner has let go."""
        return self.task is not None and self.task.done()

    async def stopped(self) -> bool:
        """Wait until user code has unwound; False if it will not, and goes on without being able to write."""
        if self.task is not None:
            await asyncio.wait([self.task], timeout=UNWIND_S)
        return self.ended

    # pause and resume

    def pause(self) -> bool:
        """Start no new step; True if the instance pauses at once, False if steps in flight finish first."""
        self.pausing = True
        self.waits.hold()
        if self.in_flight:
            self.around.commits.status(
                StatusChange(self.row, Status.WAITING_FOR_PAUSE, self.now(), self.now())
            )
            return False
        self.stop(Stop.PAUSE)
        return True

    def resume(self) -> None:
        """Take back a pause that waits for steps in flight."""
        self.pausing = False
        self.around.commits.status(StatusChange(self.row, Status.RUNNING, self.now(), self.now()))
        if self._gate is not None and not self._gate.done():
            self._gate.set_result(None)
        self._gate = None
        self.waits.unhold()

    # what steps use

    def now(self) -> int:
        """Return milliseconds since 1970."""
        return self.around.clock.now()

    def log(
        self,
        kind: HistoryType,
        step: int = 0,
        attempt: int = 0,
        name: str | None = None,
        data: bytes | None = None,
    ) -> None:
        """Append to the history; on disk with the next commit."""
        if self.stop_reason not in _SILENT:
            around = self.around
            around.commits.log((self.row, kind, around.clock.now(), step, attempt, name, data))

    def store_chunk(self, step: int, number: int, data: bytes | None) -> None:
        """Store a piece of a step's stream with the next commit; ``data`` None drops all there is of the step."""
        if self.stop_reason not in _SILENT:
            self.around.commits.chunk((self.row, step, number, data))

    def call(
        self, name: object, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any
    ) -> Coroutine[Any, Any, Any]:
        """Return the call of a step, to be awaited; one that never is, is named when `run()` ends."""
        self._calls += 1
        call = self._arrive(self._calls, function, args)
        self._uncalled[self._calls] = (str(name), call)
        return call

    async def _arrive(
        self, number: int, function: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]
    ) -> Any:
        self._uncalled.pop(number, None)
        return await function(self, *args)

    def close_calls(self) -> None:
        """Forget the calls that nobody awaited."""
        for _, call in self._uncalled.values():
            call.close()
        self._uncalled.clear()

    def visit(self, kind: Kind, name: object) -> tuple[str, Recorded | None]:
        """Count a step that user code reaches; return its display name and what history knows of it."""
        self.check_open()
        task = asyncio.current_task()
        if task is not None and task is not self.task and task not in self.tasks:
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        if type(name) is not str or len(name) > MAX_STEP_NAME or not name.isprintable():
            raise self.die(
                FatalStepError(
                    f'Step name "{name}" exceeds max length ({MAX_STEP_NAME} chars) or invalid characters found'
                )
            )
        display = self.replay.next_name(kind, name)
        return display, self.replay.visit(kind, display, task)

    def check_open(self) -> None:
        """Raise Abort or Suspend if the instance is stopping."""
        if self.stop_reason is not None or self.fatal is not None:
            raise Abort if self.stop_reason in (None, Stop.ABORT, Stop.LOST) else Suspend

    def check_going(self) -> None:
        """As `check_open`, but let rollbacks go on after what was fatal."""
        if not self.saga.is_active or self.stop_reason is not None:
            self.check_open()

    async def breathe(self) -> None:
        """Let others run now and then while checkpoint after checkpoint returns at once."""
        self._replayed += 1
        if not self._replayed % _BREATH:
            await asyncio.sleep(0)

    def new_step(self, kind: Kind) -> int:
        """Number a step that starts for the first time; past the step limit, end the instance."""
        replay = self.replay
        if kind is not Kind.SLEEP:
            replay.steps_taken += 1
            limit = self.definition.steps
            if replay.steps_taken > limit:
                raise self.die(
                    FatalStepError(
                        f"The limit of {limit} steps has been reached. "
                        "This limit can be changed in your worker configuration."
                    )
                )
        replay.last_step += 1
        return replay.last_step

    def count_bytes(self, size: int) -> None:
        """Count what a step stored; past the plan's limit, end the instance (engine-semantics, section 2)."""
        self.replay.stored_bytes += size
        if self.replay.stored_bytes > self.around.limits.state_bytes:
            raise self.die(
                FatalStepError(f"The instance has exceeded the {self.around.limits.state_name} storage limit")
            )

    def die(self, error: FatalStepError) -> Abort:
        """End the instance with ``error``, whatever user code catches; return what to raise."""
        if self.fatal is None:
            self.fatal = ErrorRecord(error.name, str(error))
        self.waits.freeze()
        for task in {*self.tasks, self.task}:
            if task is not None and task is not asyncio.current_task() and not task.done():
                task.cancel()
        return Abort()

    def failure(self, record: ErrorRecord) -> Exception:
        """Return the exception `run()` sees for a step's stored error."""
        return rebuild(record, strict=self.around.strict)

    @property
    def is_held(self) -> bool:
        """True while no new step may start."""
        return self.pausing or self.around.draining or self.saga.is_collecting

    async def gate(self) -> None:
        """Hold here while a pause, or the end of the process, lets no new step start.

        A step inside a callback is part of a step in flight, and passes.
        """
        if current_step.get() is not None:
            return
        while self.is_held:
            if self.saga.is_collecting:
                await self.saga.hold()
            if self._gate is None:
                self._gate = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._gate)
        self.check_going()

    def step_begins(self) -> None:
        """A callback starts to execute."""
        self.in_flight += 1

    def step_ends(self) -> None:
        """A callback, its commit included, is through."""
        self.in_flight -= 1
        if not self.in_flight:
            if self.pausing:
                self.stop(Stop.PAUSE)
            elif self.waits:
                self.check_idle()

    # idleness

    def check_idle(self) -> None:
        """Look, when the event loop has come to rest, whether there is anything but waiting."""
        if not self._checking and not self.idle:
            self._checking = True
            asyncio.get_running_loop().call_soon(self._look, idle.SETTLE_TURNS)

    def _look(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._look, turns - 1)
            return
        self._checking = False
        if self.ended or self.in_flight or not self.waits or self.stop_reason or self.idle:
            return
        if self.fatal and not self.saga.is_active:
            return
        if idle.only_waits(self.task, self.tasks, self.waits.futures):
            self._rest()
        else:
            self.around.timers.call_at(self.now() + idle.RECHECK_MS, self.check_idle)

    def _rest(self) -> None:
        due_at = self.waits.due_at()
        assert due_at is not None
        self.idle = True
        self.around.yield_slot(self)
        if due_at - self.now() > self.around.hibernate_after_ms or self.around.hibernate_after_ms == 0:
            self.stop(Stop.HIBERNATE)
        else:
            self.around.commits.status(StatusChange(self.row, Status.WAITING, due_at, self.now()))

    def wake(self) -> None:
        """A wait is over: ask for a slot, or go on at once if the instance has one."""
        if self.idle:
            self.around.request_slot(self)
        else:
            self.waits.let_go()

    def granted(self) -> None:
        """The scheduler gives a slot to an instance that waited."""
        if self.idle and not self.ended and self.stop_reason is None:
            self.idle = False
            self.around.commits.status(StatusChange(self.row, Status.RUNNING, self.now(), self.now()))
            self.waits.let_go()


def _not_async(class_name: str) -> str:
    return f"{class_name}.run must be `async def run(self, event, step)`: a plain def cannot await its steps"
