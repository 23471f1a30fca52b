"""Undoing steps when an instance fails, or is terminated with ``rollback`` (engine-semantics, section 2, "Rollback").

A step's rollback function is code, and code is not stored. To take up an instance that rolls back, `run()` is therefore
replayed over its checkpoints, and every step that is not finished is held back: the functions come with their steps.
When only held steps are left, `run()` is unwound and the rollbacks go on where their log ends. The path is the same
after a crash, a pause and a terminate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from wrangler_py.engine.entries import Cause, FailureData, StartData, encode_data
from wrangler_py.engine.instance import idle
from wrangler_py.engine.instance.attempts import Attempts
from wrangler_py.engine.instance.callback import Callback, is_coroutine_function, parameters_of
from wrangler_py.engine.instance.context import InstanceContext, Phase
from wrangler_py.engine.instance.place import current_step
from wrangler_py.engine.instance.replay import Reached, Recorded
from wrangler_py.engine.instance.rollback_log import RollbackLog, order
from wrangler_py.engine.instance.streams import restore
from wrangler_py.engine.model import ErrorRecord, HistoryType, Status
from wrangler_py.engine.retry import Policy, read_rollback_policy
from wrangler_py.engine.store import Ending
from wrangler_py.errors import FatalStepError, control_flow_in

#: What a rollback function may take, by the names of its parameters.
OFFERED = ("ctx", "error", "output")


class Rollback(NamedTuple):
    """The rollback of a step: a function of any of ``ctx``, ``error`` and ``output``, and its configuration."""

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

    def __init__(self, context: InstanceContext, reached: Reached, policy: Policy) -> None:
        #: The stored result, None while there is none.
        self.output = None if reached.recorded is None else reached.recorded.output
        super().__init__(context, reached, policy)

    def _start_data(self) -> bytes:
        return encode_data(StartData(config=self.config, rollback=True, task=self.reached.scope.task))

    def _store(self, data: bytes) -> Awaitable[None]:
        self.output = data
        return super()._store(data)


class RollbackAttempts(Attempts):
    """The attempts of one rollback, in the history under the number of the step that it undoes."""

    is_rollback = True
    STEP_START = HistoryType.ROLLBACK_STEP_START
    STEP_SUCCESS = HistoryType.ROLLBACK_STEP_SUCCESS
    STEP_FAILURE = HistoryType.ROLLBACK_STEP_FAILURE
    ATTEMPT_START = HistoryType.ROLLBACK_ATTEMPT_START
    ATTEMPT_SUCCESS = HistoryType.ROLLBACK_ATTEMPT_SUCCESS
    ATTEMPT_FAILURE = HistoryType.ROLLBACK_ATTEMPT_FAILURE
    __slots__ = ("failure",)

    def __init__(self, undo: Undo, recorded: Recorded | None) -> None:
        made = undo.attempts
        #: Why it was given up.
        self.failure: ErrorRecord | None = None
        reached = msgspec.structs.replace(made.reached, recorded=recorded)
        super().__init__(made.context, reached, undo.policy, number=made.step)

    async def _call(self, callback: Callback, task: asyncio.Task[Any]) -> bytes:
        context = self.context
        shared = context.shared
        entered = shared.places.enter(task, context.place, self.display, self.step)
        try:
            due = shared.executor.due(self.config.timeout_ms)
            await shared.executor.call(callback, self.ctx(), due, self._entry())
        except BaseException as error:
            if context.stop_reason is not None or not _is_forbidden(error):
                raise
            raise RuntimeError("a rollback function starts no steps and does not cancel itself") from None
        finally:
            shared.places.leave(entered)
        return b"null"

    def _store(self, data: bytes) -> Awaitable[None]:  # noqa: ARG002 - a rollback has no result
        self._log(self.ATTEMPT_SUCCESS)
        self._log(self.STEP_SUCCESS)
        return self._hand_over()

    def _hand_over(self) -> Awaitable[None]:
        return self.context.durable()

    def _failed_for_good(
        self, record: ErrorRecord, *, attempt_error: ErrorRecord | None = None, attempt_too: bool = False
    ) -> None:
        self.failure = record
        super()._failed_for_good(record, attempt_error=attempt_error, attempt_too=attempt_too)


class Rollbacks:
    """The rollbacks of one instance: collected while `run()` goes on, run when it must be undone."""

    def __init__(self, context: InstanceContext, log: RollbackLog | None) -> None:
        self._context = context
        self._log = log
        self._undo: dict[int, Undo] = {}

    # collecting

    def attempts(self, rollback: Rollback, reached: Reached, policy: Policy) -> ReversibleAttempts:
        """Return the attempts of a step that now starts or came up in a replay, and remember how to undo it."""
        context = self._context
        if current_step.get() is not None:
            text = f'Step "{reached.name}" runs inside another step: give its rollback to the outer one'
            raise context.end_with(FatalStepError(text))
        try:
            undo_policy = read_rollback_policy(reached.name, rollback.config)
        except FatalStepError as error:
            raise context.end_with(error) from None
        made = ReversibleAttempts(context, reached, policy)
        self._undo[made.step] = Undo(made, rollback, undo_policy)
        return made

    def watch(self) -> None:
        """Begin to look whether a replay has brought up all that there is to undo."""
        if self._context.phase is Phase.COLLECTING:
            asyncio.get_running_loop().call_soon(self._look, idle.SETTLE_TURNS)

    def _look(self, turns: int) -> None:
        context = self._context
        if (
            context.is_ending
            or context.code.has_ended
            or context.phase is not Phase.COLLECTING
            or context.stop_reason
            or context.fatal
        ):
            return
        if turns:
            asyncio.get_running_loop().call_soon(self._look, turns - 1)
        elif context.replay.is_through or context.code.only_waits_for(context.gate.held):
            assert self._log is not None
            context.fatal = self._log.cause.told
            context.unwind()
        else:
            again = context.now() + idle.RECHECK_MS
            context.shared.timers.call_at(again, lambda: self._look(idle.SETTLE_TURNS))

    # running

    def is_due(self, ending: Ending) -> bool:
        """Return True if something must be undone before an instance ends like this."""
        return self._log is not None or (ending.status is not Status.COMPLETE and bool(self._undo))

    async def run(self, ending: Ending) -> Ending:
        """Undo what was started and return how the instance ends: as it would have without."""
        context, log = self._context, self._log
        cause = Cause(ending.status, ending.error) if log is None else log.cause
        await self._silence(cause)
        context.phase = Phase.UNDOING
        if log is None:
            log = self._log = RollbackLog(cause)
            context.log(HistoryType.ROLLBACK_START, data=encode_data(cause))
        # On disk before the first rollback acts: else a replay that goes another way could end well, half undone.
        await context.durable()
        failure = await self._undo_all(log)
        context.check_going()
        if failure is None:
            context.log(HistoryType.ROLLBACK_COMPLETE)
        else:
            context.log(HistoryType.ROLLBACK_FAILED, data=encode_data(FailureData(failure)))
        return Ending(context.row, cause.status, context.now(), error=cause.error)

    async def _silence(self, cause: Cause) -> None:
        """Stop what of `run()` still goes on beside it: no step may run while others are undone."""
        context = self._context
        context.fatal = context.fatal or cause.told
        await context.quiet()
        context.renew_waits()

    async def _undo_all(self, log: RollbackLog) -> ErrorRecord | None:
        """Undo one step after the other; return why the chain stopped, None if it came to its end."""
        for step in order(self._undo, self._context.replay.reversible):
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
        await self._context.gate.enter()
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
            "error": self._context.failure(cause.told),
            "output": None if made.output is None else restore(self._context, made.output),
        }
        wanted = parameters_of(function)

        def call(ctx: dict[str, Any]) -> Any:
            given = {**offered, "ctx": ctx}
            return function(**{name: given[name] for name in wanted})

        return Callback(call, is_coroutine_function(function), wants_context=True)


def _is_forbidden(error: BaseException) -> bool:
    return isinstance(error, asyncio.CancelledError) or control_flow_in(error) is not None
