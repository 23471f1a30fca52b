"""The fold of a rollback's history: `RollbackLog` by itself (engine-semantics, section 2, "Rollback")."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.test_folding import ERROR, History
from wrangler_py.engine.entries import Cause, DeathData, FailureData, ResumeData
from wrangler_py.engine.instance.rollback_log import RollbackLog, can_roll_back, has_begun, order
from wrangler_py.engine.model import HistoryType, Status

T = HistoryType
CAUSE = Cause(Status.ERRORED, ERROR)
FRESH = (0, False, None, False)


def begun(*steps: int) -> History:
    """Return a history of steps ``a-1``, ``b-1`` and ``c-1`` that rolls back, up to the starts of these rollbacks."""
    history = History().start("a-1", rollback=True).start("b-1", rollback=True).start("c-1", rollback=True)
    history.add(T.ROLLBACK_START, data=CAUSE)
    for step in steps:
        history.add(T.ROLLBACK_STEP_START, step, name=f"{'abc'[step - 1]}-1", data=b"{}")
    return history


def recorded(history: History) -> dict[int, Any]:
    return RollbackLog.read(history.events).recorded


def state(history: History, step: int) -> tuple[Any, ...]:
    record = recorded(history)[step]
    return record.attempts, record.attempt_open, record.retry_at, record.done


def shifts(history: History) -> list[int]:
    return [record.shift_ms for record in recorded(history).values()]


def test_a_history_rolls_back_from_the_event_that_says_so():
    history = History().start("a-1", rollback=True).add(T.ATTEMPT_START, 1, attempt=1)
    assert has_begun(history.events) is False
    assert RollbackLog.read(history.events) is None
    history.add(T.ROLLBACK_START, data=CAUSE)
    assert has_begun(history.events) is True
    log = RollbackLog.read(history.events)
    assert (log.cause, log.recorded) == (CAUSE, {})


def test_there_is_something_to_undo_once_a_step_with_a_rollback_has_started():
    assert not can_roll_back(History().events)
    history = History().add(T.WORKFLOW_START).start("a-1").start("b-1", task="1")
    assert not can_roll_back(history.events)
    assert can_roll_back(history.start("c-1", rollback=True).events)


def test_what_came_before_the_rollback_is_none_of_its_progress():
    history = (
        History().start("a-1").add(T.ROLLBACK_STEP_START, 1, name="a-1").add(T.ROLLBACK_START, data=CAUSE)
    )
    assert recorded(history) == {}


def test_a_rollback_that_has_begun_no_attempt_yet_starts_with_its_first():
    history = begun(2)
    assert list(recorded(history)) == [2]
    record = recorded(history)[2]
    assert (record.name, record.step, record.data) == ("b-1", 2, b"{}")
    assert (state(history, 2), record.shift_ms, record.error) == (FRESH, 0, None)


def test_an_attempt_of_a_rollback_is_open_until_it_fails_or_the_rollback_ends():
    history = begun(2, 1).add(T.ROLLBACK_ATTEMPT_START, 2, attempt=1)
    assert (state(history, 2), state(history, 1)) == ((1, True, None, False), FRESH)
    history.add(T.ROLLBACK_ATTEMPT_FAILURE, 2, attempt=1, data=FailureData(ERROR, retry_at=700))
    assert state(history, 2) == (1, False, 700, False)
    history.add(T.ROLLBACK_ATTEMPT_START, 2, attempt=2)
    assert state(history, 2) == (2, True, None, False)
    history.add(T.ROLLBACK_STEP_SUCCESS, 2)
    assert state(history, 2) == (2, False, None, True)
    assert recorded(history)[2].error is None
    assert state(history, 1) == FRESH


def test_a_rollback_that_failed_for_good_has_its_error():
    history = begun(2).add(T.ROLLBACK_ATTEMPT_START, 2, attempt=1)
    history.add(T.ROLLBACK_STEP_FAILURE, 2, data=FailureData(ERROR))
    assert state(history, 2) == (1, False, None, True)
    assert recorded(history)[2].error == ERROR


def test_a_pause_moves_the_rollbacks_that_are_pending_and_a_new_attempt_begins_anew():
    pause = ResumeData(paused_ms=500)
    history = begun(3, 2, 1).add(T.ROLLBACK_STEP_SUCCESS, 3)
    history.add(T.WORKFLOW_RESUMED, data=pause).add(T.WORKFLOW_RESUMED, data=pause)
    assert shifts(history) == [0, 1000, 1000]
    history.add(T.ROLLBACK_ATTEMPT_START, 2, attempt=1)
    assert shifts(history) == [0, 0, 1000]
    history.add(T.WORKFLOW_RESUMED, data=pause)
    history.add(T.ROLLBACK_ATTEMPT_FAILURE, 2, data=FailureData(ERROR, retry_at=9))
    assert shifts(history) == [0, 0, 1500]


@pytest.mark.parametrize(
    ("death", "name", "attempts"),
    [
        (DeathData(is_certain=True, rollback=True), "b-1", [2, 0]),
        (DeathData(is_certain=True, rollback=True), None, [1, 0]),
        (DeathData(is_certain=True), "b-1", [1, 0]),
        (DeathData(rollback=True), "b-1", [2, 1]),
        (DeathData(), None, [2, 1]),
    ],
    ids=["of b's rollback", "of another instance", "of the step b", "not certain", "of nothing known"],
)
def test_where_the_culprit_is_certain_no_other_attempt_of_a_rollback_counts(death, name, attempts):
    history = (
        begun(2, 1).add(T.ROLLBACK_ATTEMPT_START, 2, attempt=2).add(T.ROLLBACK_ATTEMPT_START, 1, attempt=1)
    )
    history.add(T.PROCESS_DIED, name=name, attempt=2, data=death)
    assert [record.attempts for record in recorded(history).values()] == attempts
    assert [record.attempt_open for record in recorded(history).values()] == [
        attempts[0] == 2,
        attempts[1] == 1,
    ]


def test_an_event_of_a_step_that_is_not_undone_changes_nothing():
    history = (
        begun(2)
        .add(T.ATTEMPT_FAILURE, 3, attempt=1, data=FailureData(ERROR))
        .add(T.ATTEMPT_START, 2, attempt=9)
    )
    assert (list(recorded(history)), state(history, 2)) == ([2], FRESH)


def test_steps_are_undone_from_the_last_that_started_to_the_first():
    assert order({1, 4}, {3, 4, 2}) == [4, 3, 2, 1]
    assert order((), ()) == []
