"""The services of an instance to its steps: a number, an entry in the history, permission to go on.

All that an instance in memory writes passes through its `InstanceContext`. It numbers steps, writes history, holds new
steps during a pause, and notices when only waits are left. `instance.runner` starts an instance and writes its end.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeVar

from wrangler_py.clock import Clock
from wrangler_py.engine.commits import GroupCommit
from wrangler_py.engine.instance import idle
from wrangler_py.engine.instance.calls import Calls
from wrangler_py.engine.instance.code import UserCode
from wrangler_py.engine.instance.executor import AttemptExecutor
from wrangler_py.engine.instance.gate import Gate
from wrangler_py.engine.instance.mailbox import Mailbox
from wrangler_py.engine.instance.order import Order
from wrangler_py.engine.instance.place import StepPlace, StepPlaces, current_step
from wrangler_py.engine.instance.replay import Reached, Recorded, Replay
from wrangler_py.engine.instance.suspicion import Suspicion
from wrangler_py.engine.instance.waits import Waits
from wrangler_py.engine.limits import MAX_STEP_NAME, PlanLimits, is_step_name
from wrangler_py.engine.model import ErrorRecord, HistoryType, Kind, Status
from wrangler_py.engine.store import Claimed, StatusChange
from wrangler_py.engine.timers import Timers
from wrangler_py.errors import Abort, FatalStepError, StoreUnavailableError, Suspend
from wrangler_py.sdk.failures import rebuild, record_of
from wrangler_py.serde import show

if TYPE_CHECKING:
    from wrangler_py.engine.definition import Definition
    from wrangler_py.engine.store import Store

#: Extra time, in milliseconds, that a replay leaves user code to give a step up as it did the first time.
_GIVEN_UP_MS = 1000
#: Delay before the store is asked again for what user code waits for, in seconds.
_ASK_AGAIN_S = 0.5
_Answer = TypeVar("_Answer")
#: Checkpoints that a replay returns in one turn of the event loop; about two milliseconds.
_CHECKPOINTS_A_TURN = 200


class Stop(Enum):
    """Why an instance leaves memory before its end."""

    #: Only waits are left.
    HIBERNATE = "hibernate"
    PAUSE = "pause"
    #: The process stops: the instance goes on elsewhere, or later, at once.
    DRAIN = "drain"
    #: Terminated, restarted or deleted: the command writes what follows.
    ABORT = "abort"
    #: The lease is gone, or the store does not take writes: write nothing.
    LOST = "lost"


#: After these the instance itself must not write.
_SILENT = frozenset({Stop.ABORT, Stop.LOST})


class Phase(Enum):
    """The direction of an instance: through `run()`, or back."""

    FORWARD = "forward"
    #: `run()` is replayed for nothing but its rollback functions.
    COLLECTING = "collecting"
    #: Its rollbacks run.
    UNDOING = "undoing"


#: By their class, the members of an Enum are found by Python code (3.11), which every step would pay for.
_COLLECTING, _UNDOING = Phase.COLLECTING, Phase.UNDOING
_SLEEP = Kind.SLEEP


class EngineContext:
    """The state that all instances of an engine share."""

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
        self.executor = AttemptExecutor(clock)
        self.places = StepPlaces()
        self.draining = False
        #: True while only suspects on trial start callbacks (`engine.quarantine`).
        self.is_quarantined = False


class Slots(Protocol):
    """The source of the right to execute; the scheduler."""

    def request(self, context: InstanceContext) -> None:
        """Give an instance that waited its slot, now or later, by `InstanceContext.granted`."""

    def give_back(self, context: InstanceContext) -> None:
        """Let others run: the instance waits."""

    def came_through(self, context: InstanceContext) -> None:
        """Note that a suspect made progress: its trial is over."""

    def look_for_suspects(self) -> None:
        """Note that callbacks have ended, which suspects may wait for."""


class InstanceContext:
    """One instance in memory, as its steps and those who steer it see it."""

    def __init__(
        self, claimed: Claimed, definition: Definition, shared: EngineContext, slots: Slots, phase: Phase
    ) -> None:
        self.instance = claimed.instance
        self.definition = definition
        self.shared = shared
        self.row = claimed.instance.row
        self.place = StepPlace(claimed.instance.workflow, claimed.instance.id)
        self.replay = Replay(claimed.history)
        self.mailbox = Mailbox(claimed.events, claimed.signal)
        self.waits = Waits(self, shared.timers)
        self.code = UserCode()
        self.gate = Gate(self)
        self.suspicion = Suspicion(self.row, claimed.deaths, shared.commits)
        self.order = Order(self.code.own, self.replay, self._at_rest)
        self.calls = Calls()
        self.phase = phase
        #: Step callbacks and their commits now executing.
        self.in_flight = 0
        #: True while it waits and holds no slot.
        self.idle = False
        self.stop_reason: Stop | None = None
        #: True once `run()` has returned or raised: no step begins any more.
        self.is_ending = False
        self.fatal: ErrorRecord | None = None
        self.pausing = False
        #: True once the runner's task has written how the instance goes on.
        self.is_over = False
        self._slots = slots
        self._replayed = 0
        self._settling = 0

    # history and commits

    def now(self) -> int:
        """Return milliseconds since 1970."""
        return self.shared.clock.now()

    def log(
        self,
        kind: HistoryType,
        step: int = 0,
        attempt: int = 0,
        name: str | None = None,
        data: bytes | None = None,
    ) -> None:
        """Append to the history; on disk with the next commit."""
        if self.may_write:
            shared = self.shared
            shared.commits.log((self.row, kind, shared.clock.now(), step, attempt, name, data))

    def store_chunk(self, step: int, number: int, data: bytes | None) -> None:
        """Store a piece of a step's stream with the next commit; ``data`` None drops all there is of the step."""
        if self.may_write:
            self.shared.commits.chunk((self.row, step, number, data))

    @property
    def may_write(self) -> bool:
        """True while the runner drives the instance: not for tasks that `run()` left behind."""
        return self.stop_reason not in _SILENT and not self.is_over

    def durable(self) -> asyncio.Future[None]:
        """Return a future that is done when all that was written before is on disk; it raises Abort if it cannot
        be."""
        return self.shared.commits.durable()

    # requests of steps

    async def reach(self, kind: Kind, name: object) -> Reached:
        """Note that user code has called a step; return what is known of it."""
        self.check_open()
        scope, replay = self.code.called_step(), self.replay
        plain = str.__str__(name) if isinstance(name, str) else ""
        if not is_step_name(plain):
            shown = plain if isinstance(name, str) else show(name)
            raise self.end_with(
                FatalStepError(
                    f'Step name "{shown}" exceeds max length ({MAX_STEP_NAME} chars) or invalid characters found'
                )
            )
        self.order.moved()
        recorded = None
        if replay.recorded:
            recorded = replay.visit(kind, plain, scope)
            if recorded is None and replay.may_have_moved(kind, plain):
                # The task that recorded it may not have reached it yet: hand every recorded result over first.
                await self.order.rest()
                self.check_open()
                recorded = replay.adopt(kind, plain, scope)
        display = replay.new_name(kind, plain, scope) if recorded is None else recorded.name
        return Reached(plain, display, scope, recorded)

    async def stored_end(self, recorded: Recorded) -> bytes:
        """Return a step's stored result when it is its turn; for one that `run()` gave up, wait to be given up again.

        Raises:
            Exception: the step's final error, rebuilt.
        """
        if recorded.abandoned_ms is not None and not recorded.scope.parent:
            await self._given_up(recorded, recorded.abandoned_ms)
        else:
            await self.order.recorded(recorded.step, recorded.ended_at)
        if recorded.error is not None:
            raise self.failure(recorded.error)
        return recorded.output or b"null"

    async def _given_up(self, recorded: Recorded, after_ms: int) -> None:
        """Wait for what made user code give a step up the first time: its own timeout, or the other branch of a race.

        Code that has changed may give it up no more: then the wait ends a little after it did so the first time.
        """
        waiting = self.order.given_up(recorded.step, recorded.ended_at)
        due_at = self.now() + after_ms + _GIVEN_UP_MS
        timer = self.shared.timers.call_at(
            due_at, lambda: None if waiting.done() else waiting.set_result(None)
        )
        try:
            await waiting
        finally:
            timer.cancel()

    async def hand_over(self, step: int) -> None:
        """Wait until a result that was just logged is on disk and it is this step's turn to give it to user code.

        Raises:
            StoreError: it cannot be stored.
        """
        commits = self.shared.commits
        transaction = commits.transaction
        if self.code.own.alive and self.may_write:
            commits.result(self.row, step)
        try:
            await commits.durable()
            await self.order.live(transaction)
        except asyncio.CancelledError:
            if self.is_given_up:
                self.log(HistoryType.RESULT_ABANDONED, step)
            raise
        self.check_going()

    def _at_rest(self) -> None:
        if self.waits and not self.in_flight:
            self.check_idle()

    @property
    def is_stopping(self) -> bool:
        """True once the instance itself ends or leaves memory: what is cancelled then, user code has not given up."""
        return self.stop_reason is not None or self.fatal is not None

    @property
    def is_given_up(self) -> bool:
        """True if a cancellation that arrives now says that `run()` gives a step up.

        A step inside a callback is not given up for good, since the whole callback may be called again.
        """
        is_going = not self.is_stopping and not self.is_ending and self.phase is not _COLLECTING
        return is_going and current_step.get() is None

    def check_open(self) -> None:
        """Raise Abort or Suspend if the instance is stopping."""
        if self.is_over or self.is_ending:
            raise Abort
        if self.stop_reason is not None or self.fatal is not None:
            raise Abort if self.stop_reason in (None, Stop.ABORT, Stop.LOST) else Suspend

    def check_going(self) -> None:
        """As `check_open`, but let rollbacks go on after what was fatal."""
        if self.phase is not _UNDOING or self.stop_reason is not None:
            self.check_open()

    async def answered(self, read: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Return what the store answers, however often it must be asked: user code would catch its failure as one of
        its own step.

        Outside of the instance, or what the store waits for would look like a timer of user code.
        """

        async def ask() -> _Answer:
            while True:
                try:
                    return await read()
                except StoreUnavailableError:
                    await asyncio.sleep(_ASK_AGAIN_S)

        return await asyncio.get_running_loop().create_task(ask(), context=contextvars.Context())

    async def collect_events(self) -> None:
        """Take in the events stored for the instance that are not in the mailbox yet."""
        after = self.mailbox.last_number
        events, _ = await self.answered(lambda: self.shared.store.events(self.row, after=after))
        for event in events:
            self.mailbox.receive(event)

    def has_had_its_turn(self) -> bool:
        """Count a checkpoint that returns at once; return True now and then, when others are to run."""
        self._replayed += 1
        return not self._replayed % _CHECKPOINTS_A_TURN

    def new_step(self, kind: Kind) -> int:
        """Number a step that starts for the first time; past the step limit, end the instance."""
        replay = self.replay
        if kind is not _SLEEP:
            replay.steps_taken += 1
            limit = self.definition.steps
            if replay.steps_taken > limit:
                raise self.end_with(
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
        if self.replay.stored_bytes > self.shared.limits.state_bytes:
            raise self.end_with(
                FatalStepError(f"The instance has exceeded the {self.shared.limits.state_name} storage limit")
            )

    def end_with(self, error: FatalStepError) -> Abort:
        """End the instance with ``error``, whatever user code catches; return what to raise."""
        if self.fatal is None:
            self.fatal = record_of(error.name, str(error))
        # Else it comes from code that `run()` left behind, and steps may be undone already.
        if not self.is_ending:
            self.waits.freeze()
            self.code.cancel(except_for=asyncio.current_task())
        return Abort()

    def failure(self, record: ErrorRecord) -> Exception:
        """Return the exception `run()` sees for a step's stored error."""
        return rebuild(record, strict=self.shared.strict)

    @property
    def is_held(self) -> bool:
        """True while no new step may start."""
        shared = self.shared
        return (
            self.pausing
            or shared.draining
            or self.phase is _COLLECTING
            or (shared.is_quarantined and not self.suspicion.is_on_trial)
        )

    @property
    def is_collecting(self) -> bool:
        """True while `run()` is replayed for nothing but its rollback functions."""
        return self.phase is _COLLECTING

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
            if self.shared.is_quarantined:
                self._slots.look_for_suspects()

    def survived(self) -> None:
        """Lift the suspicion with the next commit: an attempt, or the instance, came to its end in this process."""
        if self.suspicion.deaths and self.stop_reason is None:
            self.suspicion.lift()
            self._slots.came_through(self)

    # idleness

    def check_idle(self) -> None:
        """Look, once the event loop has come to rest behind this call, whether there is anything but waiting."""
        if self.idle:
            return
        if not self._settling:
            asyncio.get_running_loop().call_soon(self._look)
        self._settling = idle.SETTLE_TURNS

    def _look(self) -> None:
        self._settling -= 1
        if self._settling:
            asyncio.get_running_loop().call_soon(self._look)
            return
        if self.code.has_ended or self.in_flight or not self.waits or self.stop_reason or self.idle:
            return
        if self.fatal and self.phase is not _UNDOING:
            return
        if self.order.is_busy:  # It calls `_at_rest`.
            return
        if not self.code.only_waits_for(self.waits.futures):
            self.shared.timers.call_at(self.now() + idle.RECHECK_MS, self.check_idle)
        elif (own_ms := self.code.own.next_timer_ms()) is not None:
            # `asyncio.timeout`, `wait_for`, a race with `asyncio.sleep`: its own code has something to do then.
            self.shared.timers.call_at(self.now() + own_ms, self.check_idle)
        else:
            self._rest()

    def _rest(self) -> None:
        due_at = self.waits.due_at()
        assert due_at is not None
        if not self.suspicion.owes_attempt:
            self.survived()
        self.idle = True
        self._slots.give_back(self)
        if due_at - self.now() > self.shared.hibernate_after_ms or self.shared.hibernate_after_ms == 0:
            self.stop(Stop.HIBERNATE)
        else:
            self.shared.commits.status(StatusChange(self.row, Status.WAITING, due_at, self.now()))

    def wake(self) -> None:
        """A wait is over: ask for a slot, or go on at once if the instance has one."""
        if self.idle:
            self._slots.request(self)
        else:
            self.waits.let_go()

    def granted(self) -> None:
        """The scheduler gives a slot to an instance that waited."""
        if self.idle and not self.code.has_ended and self.stop_reason is None:
            self.idle = False
            self.shared.commits.status(StatusChange(self.row, Status.RUNNING, self.now(), self.now()))
            self.waits.let_go()

    # stopping from outside

    def stop(self, reason: Stop) -> None:
        """Unwind user code; what is written then depends on ``reason``. Does not wait: see `UserCode.stopped`."""
        if self.stop_reason is None and not self.code.has_ended:
            self.stop_reason = reason
            self.unwind()

    def unwind(self) -> None:
        """Cancel all that user code does."""
        self.waits.freeze()
        self.code.cancel()

    async def quiet(self) -> None:
        """Stop what goes on beside `run()` after its end: nothing may execute, or be written, behind that."""
        self.is_ending = True
        self.calls.close()
        await self.code.end_beside_run()

    def renew_waits(self) -> None:
        """Forget what `run()` waited for: rollbacks wait anew, after it was unwound."""
        self.waits.close()
        self.waits = Waits(self, self.shared.timers)

    # pause and resume

    def pause(self) -> bool:
        """Start no new step; True if the instance pauses at once, False if steps in flight finish first."""
        self.pausing = True
        self.waits.hold()
        if self.in_flight:
            self.shared.commits.status(
                StatusChange(self.row, Status.WAITING_FOR_PAUSE, self.now(), self.now())
            )
            return False
        self.stop(Stop.PAUSE)
        return True

    def resume(self) -> None:
        """Take back a pause that waits for steps in flight."""
        self.pausing = False
        self.shared.commits.status(StatusChange(self.row, Status.RUNNING, self.now(), self.now()))
        self.gate.release()
        self.waits.unhold()
