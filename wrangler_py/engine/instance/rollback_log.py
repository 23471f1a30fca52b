"""The rollback in an instance's history: pure folding and deciding (engine-semantics, section 2, "Rollback").

A rollback's events carry the number of the step that it undoes. The first ROLLBACK_START says how the instance ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from wrangler_py.engine.entries import Cause, read_cause, read_death, read_failure, read_resume, read_start
from wrangler_py.engine.instance.replay import Recorded, spare
from wrangler_py.engine.model import HistoryEvent, HistoryType, Kind


def has_begun(history: Iterable[HistoryEvent]) -> bool:
    """Return True if an instance rolls back."""
    return any(event.type is HistoryType.ROLLBACK_START for event in history)


def can_roll_back(history: Iterable[HistoryEvent]) -> bool:
    """Return True if a step that has a rollback was ever started."""
    return any(event.type is HistoryType.STEP_START and read_start(event).rollback for event in history)


#: By its class, a member of an Enum is found by Python code (3.11), which every event would pay for.
_START = HistoryType.ROLLBACK_START


class RollbackLog:
    """The progress of an instance's rollbacks."""

    def __init__(self, cause: Cause) -> None:
        self.cause = cause
        #: By the number of the step that is undone.
        self.recorded: dict[int, Recorded] = {}

    @classmethod
    def read(cls, history: Iterable[HistoryEvent]) -> RollbackLog | None:
        """Fold a history; None if no rollback has begun."""
        log: RollbackLog | None = None
        for event in history:
            if log is not None:
                log.take(event)
            elif event.type is _START:
                log = cls(read_cause(event))
        return log

    def take(self, event: HistoryEvent) -> None:
        """Take one event behind ROLLBACK_START into account."""
        if event.type is HistoryType.ROLLBACK_STEP_START:
            self.recorded[event.step] = Recorded(Kind.DO, event.name or "", event.step, event.data)
        elif event.type is HistoryType.WORKFLOW_RESUMED:
            for record in self.recorded.values():
                record.shift_ms += 0 if record.done else read_resume(event).paused_ms
        elif event.type is HistoryType.PROCESS_DIED:
            if (death := read_death(event)).is_certain:
                spare(self.recorded.values(), event.name if death.rollback else None)
        elif (found := self.recorded.get(event.step)) is not None:
            _progress(event, found)


def _progress(event: HistoryEvent, record: Recorded) -> None:
    match event.type:
        case HistoryType.ROLLBACK_ATTEMPT_START:
            record.attempts, record.attempt_open, record.retry_at = event.attempt, True, None
            record.shift_ms = 0
        case HistoryType.ROLLBACK_ATTEMPT_FAILURE:
            record.attempt_open, record.retry_at = False, read_failure(event).retry_at
            record.shift_ms = 0
        case HistoryType.ROLLBACK_STEP_SUCCESS:
            record.done, record.attempt_open = True, False
        case HistoryType.ROLLBACK_STEP_FAILURE:
            record.done, record.attempt_open, record.error = True, False, read_failure(event).error


def order(registered: Collection[int], expected: Collection[int]) -> list[int]:
    """Return the numbers of the steps to undo, those that started last first.

    ``registered`` have their function here; ``expected`` had one when they started. Where a replay did not bring the
    function of one up, the chain must stop there rather than pass it over.
    """
    return sorted({*registered, *expected}, reverse=True)
