"""One durable `do`: from its checkpoint, or through its attempts to one (engine-semantics, section 2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable
from typing import Any

import msgspec

from wrangler_py.engine.entries import FailureData, StartData, encode_data
from wrangler_py.engine.executing import RECORD, entry_of
from wrangler_py.engine.instance.callback import Callback
from wrangler_py.engine.instance.context import InstanceContext
from wrangler_py.engine.instance.executor import Due, ask_delay, encode_result
from wrangler_py.engine.instance.place import current_step
from wrangler_py.engine.instance.replay import RUN, Reached, Recorded
from wrangler_py.engine.instance.streams import NotBytesError, record, restore
from wrangler_py.engine.instance.tasks import cancellations_of
from wrangler_py.engine.model import ErrorRecord, HistoryType, Kind, StepConfig
from wrangler_py.engine.retry import (
    DEFAULT_CONFIG,
    Policy,
    delay_before,
    may_retry,
)
from wrangler_py.errors import (
    Abort,
    FatalStepError,
    NonRetryableDelayError,
    StepAbandonedError,
    WorkflowInternalError,
    control_flow_in,
)
from wrangler_py.sdk.failures import capture, final, record_of
from wrangler_py.serde import NotSerialisableError, Record, RpcTypeError

_DO = Kind.DO
_DEFAULT_START = encode_data(StartData(config=DEFAULT_CONFIG))


class Attempts:
    """The attempts of one step, continued where an earlier lifetime left them."""

    is_rollback = False
    #: Their types in the history. Here, because an attribute of an Enum class is slow (3.11).
    STEP_START = HistoryType.STEP_START
    STEP_SUCCESS = HistoryType.STEP_SUCCESS
    STEP_FAILURE = HistoryType.STEP_FAILURE
    ATTEMPT_START = HistoryType.ATTEMPT_START
    ATTEMPT_SUCCESS = HistoryType.ATTEMPT_SUCCESS
    ATTEMPT_FAILURE = HistoryType.ATTEMPT_FAILURE
    __slots__ = (
        "attempt",
        "config",
        "context",
        "delay_function",
        "display",
        "has_ended",
        "is_open",
        "reached",
        "recorded",
        "step",
    )

    def __init__(
        self,
        context: InstanceContext,
        reached: Reached,
        policy: Policy,
        *,
        number: int | None = None,
    ) -> None:
        self.context = context
        self.reached = reached
        self.display = reached.display
        self.recorded = recorded = reached.recorded
        self.config: StepConfig = policy.config
        self.delay_function = policy.delay_function
        self.attempt = 0
        #: True while an attempt has begun and its end is not logged; True once the step's own end is.
        self.is_open = self.has_ended = False
        if recorded is None:
            self.step = context.new_step(_DO) if number is None else number
            self._log(self.STEP_START, self._start_data())
        else:
            self.step = recorded.step
            self.attempt = recorded.attempts
            self.config = recorded.start.config or policy.config

    def _start_data(self) -> bytes:
        scope = self.reached.scope
        if self.config is DEFAULT_CONFIG and not scope.parent:
            return (
                _DEFAULT_START
                if scope is RUN
                else b'%b,"task":"%b"}' % (_DEFAULT_START[:-1], scope.task.encode())
            )
        return encode_data(StartData(config=self.config, parent=scope.parent, task=scope.task))

    def _log(self, kind: HistoryType, data: bytes | None = None) -> None:
        self.context.log(kind, self.step, self.attempt, self.display, data)

    async def run(self, callback: Callback) -> Any:
        """Go on with the attempts until one succeeds, and return what was stored; raise what the last one ended in."""
        try:
            retry_at = None if self.recorded is None else await self._recover(self.recorded)
            if self.context.replay.fatal_attempts and self._was_fatal():
                self._begin()
                retry_at = await self._failed(self._counted_death())
            while True:
                if retry_at is not None:
                    await self.context.waits.until_time(retry_at)
                    await self.context.gate.enter()
                outcome = await self._try(callback)
                if isinstance(outcome, bytes):
                    return restore(self.context, outcome)
                retry_at = outcome
        except asyncio.CancelledError:
            self._abandon()
            raise

    def give_up(self) -> None:
        """Store that `run()` has given the step up before it could go on."""
        if self.recorded is not None and self.recorded.attempt_open:
            failure = FailureData(capture(self._death()), None, self.config.retries.limit)
            self._log(self.ATTEMPT_FAILURE, encode_data(failure))
        self._abandon()

    async def _recover(self, recorded: Recorded) -> int | None:
        """Return when the next attempt may start, for a step an earlier lifetime left unfinished."""
        if recorded.attempt_open:
            return await self._failed(self._death())
        return None if recorded.retry_at is None else recorded.retry_at + recorded.shift_ms

    def _was_fatal(self) -> bool:
        """Return True if the next attempt was made already, and killed its process before its start was stored."""
        return self.context.replay.fatal_attempts.get((self.is_rollback, self.display)) == self.attempt + 1

    def _begin(self) -> None:
        self.attempt += 1
        self._log(self.ATTEMPT_START)
        self.is_open = True

    def _death(self) -> WorkflowInternalError:
        """Return the error of an attempt that an earlier process began and did not end."""
        if not self.context.suspicion.is_suspect:
            return WorkflowInternalError()
        return self._counted_death()

    def _counted_death(self) -> WorkflowInternalError:
        if self.context.suspicion.is_suspect:
            self.context.suspicion.count_as_attempt()
        return WorkflowInternalError.by_death()

    async def _try(self, callback: Callback) -> bytes | int:
        """Make one attempt; return its stored result, or when to try again."""
        context = self.context
        context.step_begins()
        task = asyncio.current_task()
        assert task is not None
        cancellations, count = cancellations_of(task), task.cancelling()
        try:
            self._begin()
            try:
                # It may kill the process at once: on disk first, so that the attempt counts.
                if context.suspicion.is_suspect:
                    await context.durable()
                data = await self._call(callback, task)
            except GeneratorExit:
                raise
            except BaseException as error:
                if (control_flow := control_flow_in(error)) is not None:
                    raise control_flow from None
                if cancellations_of(task) is not cancellations:
                    self._settle(task, len(cancellations), count)
                if self._is_asked_for(error):
                    raise
                context.survived()
                return await self._failed(error)
            if cancellations_of(task) is not cancellations:
                self._settle(task, len(cancellations), count)
            context.survived()
            await self._store(data)
            return data
        finally:
            context.step_ends()

    def _store(self, data: bytes) -> Awaitable[None]:
        context = self.context
        self._log(self.ATTEMPT_SUCCESS)
        self.is_open, self.has_ended = False, True
        self._log(self.STEP_SUCCESS, data)
        context.count_bytes(len(data))
        return self._hand_over()

    def _hand_over(self) -> Awaitable[None]:
        return self.context.hand_over(self.step)

    async def _call(self, callback: Callback, task: asyncio.Task[Any]) -> bytes:
        context = self.context
        shared = context.shared
        due = shared.executor.due(self.config.timeout_ms)
        entered = shared.places.enter(task, context.place, self.display, self.step)
        try:
            ctx = self.ctx() if callback.wants_context else {}
            value = await shared.executor.call(callback, ctx, due, self._entry())
            try:
                return encode_result(value, self.display)
            except RpcTypeError as error:
                refused = TypeError(str(error))
                refused.add_note(error.remedy)
                raise final(refused) from None
            except NotSerialisableError as error:
                if not isinstance(value, AsyncIterable):
                    raise self._not_serialisable(error) from None
            return await self._record(value, due)
        finally:
            shared.places.leave(entered)

    def _entry(self) -> bytes:
        """Return the attempt's entry in the record of what executes; nothing if none is kept."""
        if not RECORD.is_kept:
            return b""
        place, limit = self.context.place, self.config.retries.limit
        attempts = 0 if limit is None else limit + 1
        return entry_of(
            place.workflow,
            place.instance_id,
            self.display,
            self.attempt,
            attempts,
            is_rollback=self.is_rollback,
        )

    async def _record(self, stream: AsyncIterable[Any], due: Due) -> bytes:
        """Store the stream a callback returned, in what is left of the attempt's time."""
        recording = record(self.context, self.step, stream)
        try:
            data: bytes = await self.context.shared.executor.bounded(recording, due)
        except NotBytesError as error:
            raise self._not_serialisable(error) from None
        return data

    def _not_serialisable(self, error: NotSerialisableError) -> Abort:
        text = (
            f'The execution of the Workflow instance was terminated, as the step "{self.reached.name}" '
            f"returned a value which is not serialisable: {error}"
        )
        self._failed_for_good(record_of("WorkflowFatalError", text), attempt_too=True)
        return self.context.end_with(FatalStepError(text))

    def ctx(self) -> dict[str, Any]:
        """Return what a callback is given as ``ctx``."""
        name, _, count = self.display.rpartition("-")
        return Record(
            step=Record(name=name, count=int(count)),
            attempt=self.attempt,
            config=msgspec.to_builtins(self.config.shown),
        )

    def _is_asked_for(self, error: BaseException) -> bool:
        """Return True for a cancellation of this task; a CancelledError that nobody asked for is an error like any."""
        if not isinstance(error, asyncio.CancelledError):
            return False
        task = asyncio.current_task()
        return self.context.is_stopping or task is None or task.cancelling() > 0

    def _settle(self, task: asyncio.Task[Any], before: int, count: int) -> None:
        """Look at how often the attempt's task was cancelled, beyond the ``before`` times, ``count`` of them pending.

        What a TaskGroup or a timeout within the step cancels is its own affair, and over with the attempt: a TaskGroup
        that has failed leaves its cancellation behind (Python 3.11, 3.12), and a timeout in `run()` would take that
        for another one than its own.

        Raises:
            CancelledError: the code around has given the step up. Where the step has swallowed that, what came out of
                it is dropped, as after a timeout: a replay gives the step up at the same moment, with no code of the
                step there to swallow anything.
        """
        new = cancellations_of(task)[before:]
        around = sum(place is None or not place.is_within(self.step) for place in new)
        for _ in range(task.cancelling() - count - around):
            task.uncancel()
        if around and not self.context.is_stopping:
            raise asyncio.CancelledError from None

    def _abandon(self) -> None:
        """Store that `run()` gave this step up: a lost race, a timeout of its own, a cancelled task.

        That is the step's end, whatever is left of its limit: user code has seen it and goes on, so a replay must
        neither call the function again nor come with a result. Only a step inside a callback may be tried again, since
        the whole callback is. Where the instance itself stops, the attempt stays open.
        """
        if self.context.is_stopping or self.has_ended:
            return
        record = capture(StepAbandonedError())
        is_final = current_step.get() is None or not may_retry(self.config.retries, self.attempt)
        failure = encode_data(FailureData(record, limit=self.config.retries.limit, abandoned=is_final))
        if self.is_open:
            self._log(self.ATTEMPT_FAILURE, failure)
            self.is_open = False
        if is_final:
            self._log(self.STEP_FAILURE, failure)

    # failures

    async def _failed(self, error: BaseException) -> int:
        """Store a failed attempt; return when to try again, or raise the step's final error."""
        record = capture(error)
        retries = self.config.retries
        if record.non_retryable or not may_retry(retries, self.attempt):
            return await self._give_up(record)
        try:
            delay = await self._delay(error)
        except NonRetryableDelayError as failure:
            return await self._give_up(capture(failure), attempt_error=record)
        retry_at = self.context.now() + delay
        self.is_open = False
        self._log(self.ATTEMPT_FAILURE, encode_data(FailureData(record, retry_at, retries.limit)))
        await self.context.durable()
        return retry_at

    async def _delay(self, error: BaseException) -> int:
        if self.delay_function is not None:
            return await ask_delay(self.delay_function, self.ctx(), error, self.display)
        return delay_before(self.config.retries, self.attempt)

    async def _give_up(self, record: ErrorRecord, *, attempt_error: ErrorRecord | None = None) -> int:
        self._failed_for_good(record, attempt_error=attempt_error or record)
        await self._hand_over()
        raise self.context.failure(record)

    def _failed_for_good(
        self, record: ErrorRecord, *, attempt_error: ErrorRecord | None = None, attempt_too: bool = False
    ) -> None:
        limit = self.config.retries.limit
        self.is_open, self.has_ended = False, True
        if attempt_error is not None or attempt_too:
            self._log(
                self.ATTEMPT_FAILURE,
                data=encode_data(FailureData(attempt_error or record, None, limit)),
            )
        self._log(self.STEP_FAILURE, encode_data(FailureData(record, None, limit)))
