"""Durable waiting: `sleep`, `sleep_until`, `wait_for_event` (engine-semantics, section 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from wrangler_py.clock import naive_utc
from wrangler_py.engine.durations import parse_duration
from wrangler_py.engine.entries import FailureData, StartData, encode_data
from wrangler_py.engine.instance.context import InstanceContext
from wrangler_py.engine.instance.replay import Reached, Recorded
from wrangler_py.engine.limits import MAX_SLEEP_MS, check_text
from wrangler_py.engine.model import HistoryType, Kind
from wrangler_py.errors import (
    FatalStepError,
    InvalidArgumentError,
    StepAbandonedError,
    WorkflowTimeoutError,
)
from wrangler_py.sdk.failures import capture
from wrangler_py.serde import Record, decode, encode, show

if TYPE_CHECKING:
    from wrangler_py.engine.instance.waits import Wait


async def sleep(context: InstanceContext, name: str, duration: object) -> None:
    """Sleep for ``duration``, fixed when the sleep first runs; at most 365 days (docs, "Limits")."""
    reached = await context.reach(Kind.SLEEP, name)
    recorded = reached.recorded
    if recorded is None:
        try:
            length = parse_duration(duration)
        except InvalidArgumentError as error:
            raise context.end_with(FatalStepError(f'Sleep "{name}": {error}')) from None
        if length > MAX_SLEEP_MS:
            raise context.end_with(FatalStepError(f'Sleep "{name}" is longer than the limit of 365 days'))
        wake_at = context.now() + length
    else:
        wake_at = _planned(recorded, recorded.start.wake_at)
    await _sleep(context, reached, wake_at)


async def sleep_until(context: InstanceContext, name: str, when: object) -> None:
    """Sleep until a datetime (naive ones are UTC) or epoch milliseconds."""
    reached = await context.reach(Kind.SLEEP, name)
    recorded = reached.recorded
    if recorded is None:
        wake_at = _moment(context, name, when)
        now = context.now()
        if wake_at < now:
            raise context.end_with(FatalStepError("You can't sleep until a time in the past, time-traveler"))
        if wake_at - now > MAX_SLEEP_MS:
            raise context.end_with(FatalStepError(f'Sleep "{name}" is longer than the limit of 365 days'))
    else:
        wake_at = _planned(recorded, recorded.start.wake_at)
    await _sleep(context, reached, wake_at)


def _moment(context: InstanceContext, name: str, when: object) -> int:
    if isinstance(when, datetime):
        moment = when if when.tzinfo else when.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    if isinstance(when, int | float) and not isinstance(when, bool):
        return round(when)
    text = f'Sleep "{name}": {show(when)} is not a time: use a datetime or milliseconds since 1970'
    raise context.end_with(FatalStepError(text))


def _planned(recorded: Recorded, at: int | None) -> int:
    return (at or 0) + recorded.shift_ms


async def _sleep(context: InstanceContext, reached: Reached, wake_at: int) -> None:
    recorded, display, scope = reached.recorded, reached.display, reached.scope
    if recorded is not None and recorded.done:
        await context.stored_end(recorded)
        return

    @cache
    def start() -> int:
        if recorded is not None:
            return recorded.step
        step = context.new_step(Kind.SLEEP)
        data = encode_data(StartData(wake_at=wake_at, parent=scope.parent, task=scope.task))
        context.log(HistoryType.SLEEP_START, step=step, name=display, data=data)
        return step

    with _abandonable(context, HistoryType.SLEEP_ABANDONED, start, display):
        await context.gate.enter()
        start()
        await context.waits.until_time(wake_at)
    context.log(HistoryType.SLEEP_COMPLETE, step=start(), name=display)
    await _hand_over(context, start())


@contextmanager
def _abandonable(
    context: InstanceContext, kind: HistoryType, step: Callable[[], int], display: str
) -> Iterator[None]:
    """Store that `run()` gave a wait up, as `Attempts` does for a step; one inside a callback begins again with it.

    ``step`` returns its number, and starts it if it has not begun.
    """
    try:
        yield
    except asyncio.CancelledError:
        if context.is_given_up:
            failure = FailureData(capture(StepAbandonedError()), abandoned=True)
            context.log(kind, step=step(), name=display, data=encode_data(failure))
        raise


async def _hand_over(context: InstanceContext, step: int) -> None:
    context.step_begins()
    try:
        await context.hand_over(step)
    finally:
        context.step_ends()


async def wait_for_event(context: InstanceContext, name: str, event_type: object, timeout: object) -> Any:
    """Return the next event of ``event_type`` as ``{payload, timestamp, type}``.

    Raises:
        WorkflowTimeoutError: none came in time; stored, so that every replay raises it too.
    """
    reached = await context.reach(Kind.WAIT, name)
    recorded = reached.recorded
    if recorded is not None and recorded.done:
        return _event(decode(await context.stored_end(recorded)))

    def begin() -> tuple[int, StartData]:
        if recorded is not None:
            return recorded.step, recorded.start
        return _start_wait(context, reached, event_type, timeout)

    with _abandonable(context, HistoryType.WAIT_ABANDONED, lambda: begin()[0], reached.display):
        await context.gate.enter()
    step, start = begin()
    due_at = (start.timeout_at or 0) if recorded is None else _planned(recorded, start.timeout_at)
    return await _receive(context, reached.display, step, start, due_at)


def _start_wait(
    context: InstanceContext, reached: Reached, event_type: object, timeout: object
) -> tuple[int, StartData]:
    try:
        event_type = check_text("the type of the event", event_type)
        timeout_ms = parse_duration(timeout)
    except InvalidArgumentError as error:
        raise context.end_with(FatalStepError(f'wait_for_event "{reached.name}": {error}')) from None
    if timeout_ms > MAX_SLEEP_MS:
        raise context.end_with(
            FatalStepError(f'wait_for_event "{reached.name}" waits longer than the limit of 365 days')
        )
    step = context.new_step(Kind.WAIT)
    start = StartData(
        timeout_at=context.now() + timeout_ms,
        timeout_ms=timeout_ms,
        event_type=event_type,
        parent=reached.scope.parent,
        task=reached.scope.task,
    )
    context.log(HistoryType.WAIT_START, step=step, name=reached.display, data=encode_data(start))
    return step, start


async def _receive(context: InstanceContext, display: str, step: int, start: StartData, due_at: int) -> Any:
    event_type = start.event_type or ""
    wait = context.waits.begin(due_at)
    context.mailbox.expect(wait, event_type)
    try:
        with _abandonable(context, HistoryType.WAIT_ABANDONED, lambda: step, display):
            await context.waits.until(wait)
            if wait.event is None:
                # Another process may have stored one that this one has not looked for yet.
                await context.collect_events()
        if wait.event is None:
            return await _timed_out(context, display, step, start)
        return await _delivered(context, display, step, wait)
    finally:
        context.mailbox.forget(wait, event_type)


async def _delivered(context: InstanceContext, display: str, step: int, wait: Wait) -> Any:
    event = wait.event
    assert event is not None
    wait.taken = True
    value = {"payload": decode(event.payload), "timestamp": naive_utc(event.at), "type": event.type}
    data = encode(value, around=1)
    context.log(HistoryType.WAIT_COMPLETE, step=step, name=display, data=data)
    context.shared.commits.consume(event)
    context.count_bytes(len(data))
    try:
        await _hand_over(context, step)
    except asyncio.CancelledError:
        if context.is_given_up:  # User code has not seen it: the next wait of its type gets it.
            context.shared.commits.give_back(event)
            context.mailbox.put_back(event)
        raise
    return _event(decode(data))


async def _timed_out(context: InstanceContext, display: str, step: int, start: StartData) -> Any:
    record = capture(WorkflowTimeoutError(start.timeout_ms or 0))
    data = encode_data(FailureData(record))
    context.log(HistoryType.WAIT_TIMED_OUT, step=step, name=display, data=data)
    await _hand_over(context, step)
    raise context.failure(record)


def _event(value: Any) -> Record:
    return Record(value)
