"""Undoing steps when an instance fails, or is terminated with ``rollback`` (engine-semantics, section 2, "Rollback").

A step's rollback function is code, and code is not stored. Whoever takes up an instance that rolls back therefore
replays `run()` over its checkpoints, with every step that is not finished held back: the functions come along with the
steps they belong to. When only held steps are left, `run()` is unwound and the chain goes on where its log ends. After
a crash, a pause and a terminate it is the same path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from wrangler_py.engine.entries import Cause, FailureData, StartData, encode_data
from wrangler_py.engine.instance import idle
from wrangler_py.engine.instance.attempts import Attempts
from wrangler_py.engine.instance.callback import Callback, is_coroutine_function, parameters_of
from wrangler_py.engine.instance.executor import StepPlace, current_step
from wrangler_py.engine.instance.replay import Recorded
from wrangler_py.engine.instance.rollback_log import RollbackLog, order
from wrangler_py.engine.instance.streams import restore
from wrangler_py.engine.instance.waits import Waits
from wrangler_py.engine.model import ErrorRecord, HistoryType, Status, StepConfig
from wrangler_py.engine.retry import Policy, read_rollback_policy
from wrangler_py.engine.store import Ending
from wrangler_py.errors import ControlFlow, FatalStepError

if TYPE_CHECKING:
    from wrangler_py.engine.instance.runner import Runner

#: What a rollback function may take, by the names of its parameters.
OFFERED = ("ctx", "error", "output")
#: How long user code that was told to stop is waited for before the first rollback, in seconds.
QUIET_S = 5.0
_LOGGED_AS = {
    HistoryType.STEP_START: HistoryType.ROLLBACK_STEP_START,
    HistoryType.STEP_SUCCESS: HistoryType.ROLLBACK_STEP_SUCCESS,
    HistoryType.STEP_FAILURE: HistoryType.ROLLBACK_STEP_FAILURE,
    HistoryType.ATTEMPT_START: HistoryType.ROLLBACK_ATTEMPT_START,
    HistoryType.ATTEMPT_SUCCESS: HistoryType.ROLLBACK_ATTEMPT_SUCCESS,
    HistoryType.ATTEMPT_FAILURE: HistoryType.ROLLBACK_ATTEMPT_FAILURE,
}


class Rollback(NamedTuple):
    """How to undo a step: a function of any of ``ctx``, ``error`` and ``output``, and its configuration as written."""

    function: Callable[..., Any]
    config: object = None

    def check(self, step_name: str) -> None:
        """Raise TypeError if the function takes what it cannot be given."""
        for name in parameters_of(self.function):
            if name not in OFFERED:
                raise TypeError(
                    f'The rollback of step "{step_name}" takes {name!r}: it is given any of {", ".join(OFFERED)}'
                )


class Undo(NamedTuple):
    """A started step that can be undone: the attempts that made it, and its rollback."""

    attempts: ReversibleAttempts
    rollback: Rollback
    policy: Policy


class ReversibleAttempts(Attempts):
    """The attempts of a step that has a rollback."""

    __slots__ = ("output",)

    def __init__(
        self, runner: Runner, name: str, display: str, policy: Policy, recorded: Recorded | None
    ) -> None:
        #: The stored result, None while there is none.
        self.output = None if recorded is None else recorded.output
        super().__init__(runner, name, display, policy, recorded)

    def _start_data(self) -> bytes:
        return encode_data(StartData(config=self.config, rollback=True))

    def _store(self, data: bytes) -> asyncio.Future[None]:
        self.output = data
        return super()._store(data)


class RollbackAttempts(Attempts):
    """The attempts of one rollback, in the history under the number of the step that it undoes."""

    __slots__ = ("failure",)

    def __init__(self, undo: Undo, recorded: Recorded | None) -> None:
        made = undo.attempts
        self.runner, self.name, self.display, self.step = made.runner, made.name, made.display, made.step
        self.recorded, self.attempt = recorded, 0 if recorded is None else recorded.attempts
        self.config: StepConfig = undo.policy.config
        self.delay_function = undo.policy.delay_function
        #: Why it was given up.
        self.failure: ErrorRecord | None = None
        if recorded is None:
            self._log(HistoryType.STEP_START, encode_data(StartData(config=self.config)))
        elif recorded.start.config is not None:
            self.config = recorded.start.config

    def _log(self, kind: HistoryType, data: bytes | None = None) -> None:
        super()._log(_LOGGED_AS[kind], data)

    async def _call(self, callback: Callback) -> bytes:
        runner = self.runner
        # The watchdog finds this local by its name, as in `Attempts`.
        blamed_place = StepPlace(runner.place.workflow, runner.place.instance_id, self.display, self.step)
        token = current_step.set(blamed_place)
        try:
            await runner.around.bench.call(callback, self.context(), self.config.timeout_ms)
        except (ControlFlow, asyncio.CancelledError):
            if runner.stop_reason is not None:
                raise
            raise RuntimeError("a rollback function starts no steps and does not cancel itself") from None
        finally:
            current_step.reset(token)
        return b"null"

    def _store(self, data: bytes) -> asyncio.Future[None]:  # noqa: ARG002 - a rollback has no result
        self._log(HistoryType.ATTEMPT_SUCCESS)
        self._log(HistoryType.STEP_SUCCESS)
        return self.runner.around.commits.durable()

    def _failed_for_good(
        self, record: ErrorRecord, *, attempt_error: ErrorRecord | None = None, attempt_too: bool = False
    ) -> None:
        self.failure = record
        super()._failed_for_good(record, attempt_error=attempt_error, attempt_too=attempt_too)


class Saga:
    """The rollbacks of one instance: collected while `run()` goes on, run when it must be undone."""

    def __init__(self, runner: Runner, log: RollbackLog | None) -> None:
        self._runner = runner
        self._log = log
        self._undo: dict[int, Undo] = {}
        self._held: dict[asyncio.Future[None], None] = {}
        #: True while `run()` is replayed for nothing but its rollback functions.
        self.is_collecting = log is not None
        #: True while rollbacks run.
        self.is_active = False

    # collecting

    def attempts(
        self, rollback: Rollback, name: str, display: str, policy: Policy, recorded: Recorded | None
    ) -> ReversibleAttempts:
        """Return the attempts of a step that now starts or came up in a replay, and remember how to undo it."""
        runner = self._runner
        if current_step.get() is not None:
            text = f'Step "{name}" runs inside another step: give its rollback to the outer one'
            raise runner.die(FatalStepError(text))
        try:
            undo_policy = read_rollback_policy(name, rollback.config)
        except FatalStepError as error:
            raise runner.die(error) from None
        made = ReversibleAttempts(runner, name, display, policy, recorded)
        self._undo[made.step] = Undo(made, rollback, undo_policy)
        return made

    def watch(self) -> None:
        """Begin to look whether a replay has brought up all that there is to undo."""
        if self.is_collecting:
            asyncio.get_running_loop().call_soon(self._look, idle.SETTLE_TURNS)

    async def hold(self) -> None:
        """Hold a step back that would go on; until `run()` is unwound."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held[future] = None
        try:
            await future
        finally:
            del self._held[future]

    def _look(self, turns: int) -> None:
        runner = self._runner
        if runner.ended or not self.is_collecting or runner.stop_reason or runner.fatal:
            return
        if turns:
            asyncio.get_running_loop().call_soon(self._look, turns - 1)
        elif runner.replay.is_through or idle.only_waits(runner.task, runner.tasks, self._held):
            assert self._log is not None
            runner.fatal = self._log.cause.told
            runner.unwind()
        else:
            again = runner.now() + idle.RECHECK_MS
            runner.around.timers.call_at(again, lambda: self._look(idle.SETTLE_TURNS))

    # running

    def is_due(self, ending: Ending) -> bool:
        """Say whether something must be undone before an instance ends like this."""
        return self._log is not None or (ending.status is not Status.COMPLETE and bool(self._undo))

    async def run(self, ending: Ending) -> Ending:
        """Undo what was started and return how the instance ends: as it would have without."""
        runner, log = self._runner, self._log
        cause = Cause(ending.status, ending.error) if log is None else log.cause
        await self._silence(cause)
        self.is_collecting, self.is_active = False, True
        if log is None:
            log = self._log = RollbackLog(cause)
            runner.log(HistoryType.ROLLBACK_START, data=encode_data(cause))
        # On disk before the first rollback acts: else a replay that goes another way could end well, half undone.
        await runner.around.commits.durable()
        failure = await self._undo_all(log)
        runner.check_going()
        if failure is None:
            runner.log(HistoryType.ROLLBACK_COMPLETE)
        else:
            runner.log(HistoryType.ROLLBACK_FAILED, data=encode_data(FailureData(failure)))
        return Ending(runner.row, cause.status, runner.now(), error=cause.error)

    async def _silence(self, cause: Cause) -> None:
        """Stop what of `run()` still goes on beside it: no step may run while others are undone."""
        runner = self._runner
        runner.fatal = runner.fatal or cause.told
        runner.close_calls()
        left = [task for task in runner.tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=QUIET_S)
        runner.waits.close()
        runner.waits = Waits(runner)

    async def _undo_all(self, log: RollbackLog) -> ErrorRecord | None:
        """Undo one step after the other; return why the chain stopped, None if it came to its end."""
        for step in order(self._undo, self._runner.replay.reversible):
            failure = await self._undo_one(step, log.recorded.get(step), log.cause)
            if failure is not None:
                return failure
        return None

    async def _undo_one(self, step: int, recorded: Recorded | None, cause: Cause) -> ErrorRecord | None:
        if recorded is not None and recorded.done:
            return recorded.error
        undo = self._undo.get(step)
        if undo is None:
            text = (
                f"the rollback of step {step} did not come up in the replay: its code was changed or removed"
            )
            return ErrorRecord("RollbackNotFoundError", text)
        await self._runner.gate()
        attempts = RollbackAttempts(undo, recorded)
        try:
            await attempts.run(self._callback(undo, cause))
        except Exception:
            if attempts.failure is None:
                raise
        return attempts.failure

    def _callback(self, undo: Undo, cause: Cause) -> Callback:
        function, made = undo.rollback.function, undo.attempts
        offered = {
            "error": self._runner.failure(cause.told),
            "output": None if made.output is None else restore(self._runner, made.output),
        }
        wanted = parameters_of(function)

        def call(ctx: dict[str, Any]) -> Any:
            given = {**offered, "ctx": ctx}
            return function(**{name: given[name] for name in wanted})

        return Callback(call, is_coroutine_function(function), wants_context=True)
