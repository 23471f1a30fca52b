"""What happens to instances, in words: one line an event (the log of a session)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from wrangler_py.clock import iso
from wrangler_py.engine import Blocked, Observation
from wrangler_py.engine.entries import read_cause, read_failure, read_message, read_start
from wrangler_py.engine.model import ErrorRecord, HistoryEvent, HistoryType
from wrangler_py.runtime.options import LogLevel
from wrangler_py.runtime.output import shown_id, shown_step
from wrangler_py.sdk.stacks import stack_of
from wrangler_py.serde import visible

Words = Callable[[HistoryEvent, str], "Said"]
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"))


class Said(NamedTuple):
    """A line about an instance, and further lines below it."""

    text: str
    below: str = ""


def span(ms: float) -> str:
    """Return a duration for people: ``20 s``, ``1.5 s``, ``340 ms``, ``2 h 5 min``."""
    if ms < 1000:
        return f"{round(max(ms, 0))} ms"
    if ms < 10_000:
        return f"{ms / 1000:.1f}".removesuffix(".0") + " s"
    for index, (size, unit) in enumerate(_UNITS):
        if ms >= size:
            rest = _UNITS[index + 1 : index + 2]
            return f"{int(ms // size)} {unit}" + "".join(_rest(ms % size, *next_one) for next_one in rest)
    return f"{round(ms)} ms"


def _rest(ms: float, size: int, unit: str) -> str:
    count = int(ms // size)
    return f" {count} {unit}" if count else ""


def subject(workflow: str, instance_id: str) -> str:
    """Return what a line begins with."""
    return f"⎔ {workflow} {shown_id(instance_id)}"


def level_of(kind: HistoryType) -> LogLevel:
    """Return how important an event is."""
    return _LEVELS.get(kind, LogLevel.LOG)


def describe(seen: Observation, started_at: int | None = None) -> Said:
    """Return the line for an event; ``started_at`` is when the instance did (ms), if known, for its duration."""
    took = f" ({span(seen.event.at - started_at)})" if started_at is not None else ""
    said = _WORDS[seen.event.type](seen.event, took)
    return Said(f"{subject(seen.workflow, seen.instance_id)} {said.text}", said.below)


def describe_block(blocked: Blocked) -> str:
    """Return the line for user code that keeps the event loop from turning."""
    place = blocked.place
    what = f'step "{shown_step(place.step)}"' if place is not None and place.step else "your code"
    who = f"{subject(place.workflow, place.instance_id)} " if place is not None else "⎔ "
    return f"{who}{what} blocked the loop for {span(blocked.seconds * 1000)} ({blocked.where})"


_LEVELS = {
    HistoryType.WORKFLOW_QUEUED: LogLevel.DEBUG,
    HistoryType.WORKFLOW_FAILURE: LogLevel.ERROR,
    HistoryType.STEP_START: LogLevel.DEBUG,
    HistoryType.STEP_FAILURE: LogLevel.DEBUG,
    HistoryType.SLEEP_COMPLETE: LogLevel.DEBUG,
    HistoryType.SLEEP_ABANDONED: LogLevel.DEBUG,
    HistoryType.ATTEMPT_START: LogLevel.DEBUG,
    HistoryType.ATTEMPT_SUCCESS: LogLevel.DEBUG,
    HistoryType.ATTEMPT_FAILURE: LogLevel.WARN,
    HistoryType.WAIT_TIMED_OUT: LogLevel.WARN,
    HistoryType.WAIT_ABANDONED: LogLevel.DEBUG,
    HistoryType.ROLLBACK_START: LogLevel.WARN,
    HistoryType.ROLLBACK_STEP_START: LogLevel.DEBUG,
    HistoryType.ROLLBACK_STEP_FAILURE: LogLevel.DEBUG,
    HistoryType.ROLLBACK_ATTEMPT_START: LogLevel.DEBUG,
    HistoryType.ROLLBACK_ATTEMPT_SUCCESS: LogLevel.DEBUG,
    HistoryType.ROLLBACK_ATTEMPT_FAILURE: LogLevel.WARN,
    HistoryType.ROLLBACK_FAILED: LogLevel.ERROR,
    HistoryType.REPLAY_DIVERGED: LogLevel.WARN,
}


def _constant(text: str) -> Words:
    return lambda _event, took: Said(text + took)


def _step(text: str) -> Words:
    return lambda event, _took: Said(f"{_name(event)} {text}")


def _name(event: HistoryEvent) -> str:
    return f'step "{visible(shown_step(event.name or "?"))}"'


def _reason(error: ErrorRecord) -> str:
    return visible(f"{error.name}: {error.message}".rstrip(": "))


def _workflow_failed(event: HistoryEvent, took: str) -> Said:
    error = read_failure(event).error
    return Said(f"errored{took}: {_reason(error)}", visible(stack_of(error)))


def _attempt_started(event: HistoryEvent, _took: str) -> Said:
    return Said(f"{_name(event)} attempt {event.attempt} started")


def _attempt_failed(event: HistoryEvent, _took: str) -> Said:
    failure = read_failure(event)
    of = "" if failure.limit is None else f"/{failure.limit + 1}"
    then = "not tried again" if failure.retry_at is None else f"next in {span(failure.retry_at - event.at)}"
    text = f"{_name(event)} failed (attempt {event.attempt}{of}), {then}: {_reason(failure.error)}"
    return Said(text, visible(stack_of(failure.error)))


def _sleeping(event: HistoryEvent, _took: str) -> Said:
    wake_at = read_start(event).wake_at or event.at
    return Said(f"{_name(event)} sleeps {span(wake_at - event.at)}, until {iso(wake_at)}")


def _waiting(event: HistoryEvent, _took: str) -> Said:
    return Said(f'{_name(event)} waits for event "{visible(read_start(event).event_type or "?")}"')


def _rollback_attempt_started(event: HistoryEvent, _took: str) -> Said:
    return Said(f"rollback of {_attempt_started(event, '').text}")


def _rollback_attempt_failed(event: HistoryEvent, took: str) -> Said:
    said = _attempt_failed(event, took)
    return Said(f"rollback of {said.text}", said.below)


def _rolling_back(event: HistoryEvent, _took: str) -> Said:
    cause = read_cause(event)
    return Said(f"rolls back: {_reason(cause.error) if cause.error else 'terminated'}")


def _rollback_failed(event: HistoryEvent, _took: str) -> Said:
    error = read_failure(event).error
    return Said(
        f"rollback failed, the steps before are not undone: {_reason(error)}", visible(stack_of(error))
    )


def _undo(text: str) -> Words:
    return lambda event, _took: Said(f"rollback of {_name(event)} {text}")


def _diverged(event: HistoryEvent, _took: str) -> Said:
    return Said(visible(read_message(event)))


_WORDS: dict[HistoryType, Words] = {
    HistoryType.WORKFLOW_QUEUED: _constant("queued"),
    HistoryType.WORKFLOW_START: _constant("started"),
    HistoryType.WORKFLOW_SUCCESS: _constant("completed"),
    HistoryType.WORKFLOW_FAILURE: _workflow_failed,
    HistoryType.WORKFLOW_TERMINATED: _constant("terminated"),
    HistoryType.WORKFLOW_PAUSED: _constant("paused"),
    HistoryType.WORKFLOW_RESUMED: _constant("resumed"),
    HistoryType.STEP_START: _step("started"),
    HistoryType.STEP_SUCCESS: _step("completed"),
    HistoryType.STEP_FAILURE: _step("failed for good"),
    HistoryType.ATTEMPT_START: _attempt_started,
    HistoryType.ATTEMPT_SUCCESS: _step("succeeded"),
    HistoryType.ATTEMPT_FAILURE: _attempt_failed,
    HistoryType.SLEEP_START: _sleeping,
    HistoryType.SLEEP_COMPLETE: _step("woke up"),
    HistoryType.SLEEP_ABANDONED: _step("was given up by run()"),
    HistoryType.WAIT_START: _waiting,
    HistoryType.WAIT_COMPLETE: _step("got its event"),
    HistoryType.WAIT_TIMED_OUT: _step("got no event in time"),
    HistoryType.WAIT_ABANDONED: _step("was given up by run()"),
    HistoryType.REPLAY_DIVERGED: _diverged,
    HistoryType.ROLLBACK_START: _rolling_back,
    HistoryType.ROLLBACK_STEP_START: _undo("started"),
    HistoryType.ROLLBACK_STEP_SUCCESS: _undo("completed"),
    HistoryType.ROLLBACK_STEP_FAILURE: _undo("failed for good"),
    HistoryType.ROLLBACK_ATTEMPT_START: _rollback_attempt_started,
    HistoryType.ROLLBACK_ATTEMPT_SUCCESS: _undo("succeeded"),
    HistoryType.ROLLBACK_ATTEMPT_FAILURE: _rollback_attempt_failed,
    HistoryType.ROLLBACK_COMPLETE: _constant("rolled back"),
    HistoryType.ROLLBACK_FAILED: _rollback_failed,
}
