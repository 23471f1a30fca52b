"""Events to views: one instance's log folded into what the API, the terminal and the browser show."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from wrangler_py.clock import iso
from wrangler_py.engine.entries import (
    Checkpoint,
    read_checkpoint,
    read_failure,
    read_message,
    read_resume,
    read_start,
)
from wrangler_py.engine.model import (
    AttemptView,
    ErrorRecord,
    ErrorView,
    HistoryEvent,
    HistoryType,
    InstanceDetail,
    InstanceRow,
    RollbackView,
    SleepView,
    Status,
    StepView,
    TerminationView,
    WaitView,
)
from wrangler_py.sdk.stacks import stack_of
from wrangler_py.serde import to_json

REDACTED = "[REDACTED]"
_View = StepView | SleepView | WaitView


def describe(instance: InstanceRow, history: Iterable[HistoryEvent]) -> InstanceDetail:
    """Return one instance in full, its steps in the order they started (rest-and-cli, section 4)."""
    stacks = _Stacks()
    # First: where steps are left out, it stays.
    error = stacks.show(instance.error)
    fold, undone, outcome = _Fold("step", stacks), _Fold("rollback", stacks), None
    for event in history:
        outcome = _outcome(event, stacks) or outcome
        if event.type in _FORWARD:
            undone.take(msgspec.structs.replace(event, type=_FORWARD[event.type]))
        else:
            fold.take(event)
        if event.type is HistoryType.WORKFLOW_RESUMED:
            undone.take(event)
    steps: list[Any] = [*fold.views.values(), *undone.views.values()]
    count = len(fold.views)
    if instance.status is Status.TERMINATED:
        steps.append(TerminationView(type="termination", trigger={"source": "user"}))
    return InstanceDetail(
        id=instance.id,
        status=instance.status.value,
        params=to_json(instance.params),
        trigger={"source": instance.trigger.value},
        versionId=instance.version,
        queued=iso(instance.created_at),
        start=_iso(instance.started_at),
        end=_iso(instance.ended_at),
        steps=steps,
        step_count=count,
        success=_success(instance.status),
        error=error,
        output=to_json(instance.output),
        warnings=fold.warnings,
        schedule=instance.schedule,
        rollback=outcome,
    )


def is_stream(output: object) -> bool:
    """Return True if a view's output may stand for a stream; a text of the user's may look the same."""
    return isinstance(output, str) and output.startswith("[ReadableStream ")


def public_stream(history: Iterable[HistoryEvent], name: str) -> Checkpoint | None:
    """Return where the stream is that the step ``name`` stored; None if it has none, or is sensitive."""
    secret: set[int] = set()
    for event in history:
        if event.type is HistoryType.STEP_START and (config := read_start(event).config) and config.sensitive:
            secret.add(event.step)
        elif event.type is HistoryType.STEP_SUCCESS and event.name == name:
            return None if event.step in secret else read_checkpoint(event.data)
    return None


class _Stacks:
    """Shows errors, and the stack of each distinct one once: attempts mostly fail for one reason."""

    def __init__(self) -> None:
        self._seen = {""}

    def show(self, error: ErrorRecord | None) -> ErrorView | None:
        if error is None:
            return None
        stack = stack_of(error)
        if stack in self._seen:
            return ErrorView(error.name, error.message)
        self._seen.add(stack)
        return ErrorView(error.name, error.message, stack)


def show_event(event: HistoryEvent) -> dict[str, Any]:
    """Return one event as subscribers get it: what happened, not what was stored (that is in the detail)."""
    shown: dict[str, Any] = {
        "cursor": event.seq,
        "type": event.type.value,
        "timestamp": iso(event.at),
        "name": event.name,
        "attempt": event.attempt or None,
        "error": None,
    }
    if event.type in _WITH_ERROR and event.data:
        error = read_failure(event).error
        shown["error"] = {"name": error.name, "message": error.message}
    return shown


_WITH_ERROR = frozenset(
    {
        HistoryType.ATTEMPT_FAILURE,
        HistoryType.STEP_FAILURE,
        HistoryType.SLEEP_ABANDONED,
        HistoryType.WAIT_TIMED_OUT,
        HistoryType.WAIT_ABANDONED,
        HistoryType.WORKFLOW_FAILURE,
        HistoryType.ROLLBACK_ATTEMPT_FAILURE,
        HistoryType.ROLLBACK_STEP_FAILURE,
        HistoryType.ROLLBACK_FAILED,
    }
)


#: The events of a rollback, and those of a step that they are shown like.
_FORWARD = {
    HistoryType.ROLLBACK_STEP_START: HistoryType.STEP_START,
    HistoryType.ROLLBACK_STEP_SUCCESS: HistoryType.STEP_SUCCESS,
    HistoryType.ROLLBACK_STEP_FAILURE: HistoryType.STEP_FAILURE,
    HistoryType.ROLLBACK_ATTEMPT_START: HistoryType.ATTEMPT_START,
    HistoryType.ROLLBACK_ATTEMPT_SUCCESS: HistoryType.ATTEMPT_SUCCESS,
    HistoryType.ROLLBACK_ATTEMPT_FAILURE: HistoryType.ATTEMPT_FAILURE,
}


def _outcome(event: HistoryEvent, stacks: _Stacks) -> RollbackView | None:
    if event.type is HistoryType.ROLLBACK_COMPLETE:
        return RollbackView("complete")
    if event.type is HistoryType.ROLLBACK_FAILED:
        return RollbackView("failed", stacks.show(read_failure(event).error))
    return None


def _iso(at: int | None) -> str | None:
    return None if at is None else iso(at)


def _success(status: Status) -> bool | None:
    if not status.is_final:
        return None
    return status is Status.COMPLETE


class _Fold:
    """Views by step number, brought forward one event at a time."""

    def __init__(self, step_type: str, stacks: _Stacks) -> None:
        self._step_type = step_type
        self._stacks = stacks
        self.views: dict[int, _View] = {}
        self.warnings: list[str] = []
        self._planned: dict[int, int] = {}
        self._sensitive: set[int] = set()

    def take(self, event: HistoryEvent) -> None:
        if event.type in _STARTS:
            _STARTS[event.type](self, event)
        elif event.step and event.step in self.views:
            _PROGRESS[event.type](self, event, self.views[event.step])
        elif event.type is HistoryType.WORKFLOW_RESUMED:
            self._shift(read_resume(event).paused_ms)
        elif event.type is HistoryType.REPLAY_DIVERGED:
            self.warnings.append(read_message(event))

    def _shift(self, paused_ms: int) -> None:
        for step in self._planned:
            self._plan(step, self._planned[step] + paused_ms)

    def _plan(self, step: int, at: int) -> None:
        self._planned[step] = at
        view = self.views[step]
        if isinstance(view, StepView):
            view.retry_at = iso(at)
        else:
            view.end = iso(at)

    # starts

    def start_step(self, event: HistoryEvent) -> None:
        config = read_start(event).config
        if config is not None and config.sensitive:
            self._sensitive.add(event.step)
        shown = config.shown if config else None
        self.views[event.step] = StepView(
            event.name or "", self._step_type, iso(event.at), None, None, None, shown, []
        )

    def start_sleep(self, event: HistoryEvent) -> None:
        self.views[event.step] = SleepView(event.name or "", "sleep", iso(event.at), None, finished=False)
        self._plan(event.step, read_start(event).wake_at or event.at)

    def start_wait(self, event: HistoryEvent) -> None:
        data = read_start(event)
        self.views[event.step] = WaitView(
            event.name or "", "waitForEvent", iso(event.at), None, False, None, None, data.event_type or ""
        )
        self._plan(event.step, data.timeout_at or event.at)

    # progress

    def start_attempt(self, event: HistoryEvent, view: StepView) -> None:
        self._planned.pop(event.step, None)
        view.retry_at = None
        # One that was under way when another step killed the process begins again under its number.
        del view.attempts[max(0, event.attempt - 1) :]
        view.attempts.append(AttemptView(iso(event.at)))

    def end_attempt(self, event: HistoryEvent, view: StepView) -> None:
        if view.attempts:
            view.attempts[-1].end, view.attempts[-1].success = iso(event.at), True

    def fail_attempt(self, event: HistoryEvent, view: StepView) -> None:
        failure = read_failure(event)
        if view.attempts:
            last = view.attempts[-1]
            last.end, last.success, last.error = iso(event.at), False, self._stacks.show(failure.error)
        if failure.retry_at is not None:
            self._plan(event.step, failure.retry_at)

    def end_step(self, event: HistoryEvent, view: StepView) -> None:
        view.end, view.success = iso(event.at), True
        view.output = REDACTED if event.step in self._sensitive else to_json(event.data)

    def fail_step(self, event: HistoryEvent, view: StepView) -> None:
        self._planned.pop(event.step, None)
        view.end, view.success, view.retry_at = iso(event.at), False, None
        view.error = self._stacks.show(read_failure(event).error)

    def end_sleep(self, event: HistoryEvent, view: SleepView) -> None:
        self._planned.pop(event.step, None)
        view.end, view.finished = iso(event.at), True

    def end_wait(self, event: HistoryEvent, view: WaitView) -> None:
        self._planned.pop(event.step, None)
        view.end, view.finished, view.output = iso(event.at), True, to_json(event.data)

    def fail_wait(self, event: HistoryEvent, view: WaitView | SleepView) -> None:
        self._planned.pop(event.step, None)
        view.end, view.finished, view.error = (
            iso(event.at),
            True,
            self._stacks.show(read_failure(event).error),
        )


_STARTS: dict[HistoryType, Callable[[_Fold, HistoryEvent], None]] = {
    HistoryType.STEP_START: _Fold.start_step,
    HistoryType.SLEEP_START: _Fold.start_sleep,
    HistoryType.WAIT_START: _Fold.start_wait,
}
_PROGRESS: dict[HistoryType, Callable[[_Fold, HistoryEvent, Any], None]] = {
    HistoryType.ATTEMPT_START: _Fold.start_attempt,
    HistoryType.ATTEMPT_SUCCESS: _Fold.end_attempt,
    HistoryType.ATTEMPT_FAILURE: _Fold.fail_attempt,
    HistoryType.STEP_SUCCESS: _Fold.end_step,
    HistoryType.STEP_FAILURE: _Fold.fail_step,
    HistoryType.SLEEP_COMPLETE: _Fold.end_sleep,
    HistoryType.SLEEP_ABANDONED: _Fold.fail_wait,
    HistoryType.WAIT_COMPLETE: _Fold.end_wait,
    HistoryType.WAIT_TIMED_OUT: _Fold.fail_wait,
    HistoryType.WAIT_ABANDONED: _Fold.fail_wait,
}
