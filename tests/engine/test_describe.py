"""The view of a history for APIs and screens: `describe` by itself (rest-and-cli, section 4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.test_folding import ERROR, History
from wrangler_py.clock import iso
from wrangler_py.engine.describe import REDACTED, describe, is_stream, public_stream, show_event
from wrangler_py.engine.entries import Checkpoint, FailureData, MessageData, ResumeData, encode_checkpoint
from wrangler_py.engine.model import (
    AttemptView,
    ErrorRecord,
    ErrorView,
    HistoryEvent,
    HistoryType,
    InstanceDetail,
    InstanceRow,
    Kind,
    Occurrence,
    Retries,
    RollbackView,
    SleepView,
    Status,
    StepConfig,
    StepView,
    TerminationView,
    Trigger,
    WaitView,
)

T = HistoryType
SHOWN = {"timeout": "1 minute"}
CONFIG = StepConfig(Retries(5, 1000), 60_000, shown=SHOWN)
SECRET = StepConfig(Retries(5, 1000), 60_000, sensitive=True)
FAILED = FailureData(ERROR)
SEEN = ErrorView("ValueError", "no")
TRACED = ErrorRecord("ValueError", "no", traceback="Traceback (most recent call last):\n  here\n")


def shown(history: History, status: Status = Status.RUNNING, **fields: Any) -> InstanceDetail:
    row = InstanceRow(1, "w", "a", status, b'{"p":1}', Trigger.CRON, "v1", 5, 6, **fields)
    return describe(row, history.events)


def only_view(history: History) -> Any:
    (view,) = shown(history).steps
    return view


def step_view(start: int, *, end: int | None = None, success: bool | None = None, **fields: Any) -> StepView:
    attempts = fields.pop("attempts", [])
    ended = None if end is None else iso(end)
    view = StepView(
        fields.pop("name", "a-1"),
        fields.pop("type", "step"),
        iso(start),
        ended,
        success,
        None,
        None,
        attempts,
    )
    for name, value in fields.items():
        setattr(view, name, value)
    return view


# the instance ---------------------------------------------------------------------------------------------------------


def test_an_instance_that_has_not_begun_has_no_start_no_end_and_no_steps():
    assert shown(History(), Status.QUEUED) == InstanceDetail(
        id="a", status="queued", params={"p": 1}, trigger={"source": "cron"}, versionId="v1", queued=iso(5), start=None,
        end=None, steps=[], step_count=0, success=None, error=None, output=None, warnings=[],
    )  # fmt: skip


def test_an_instance_is_shown_with_its_times_its_result_and_its_schedule():
    at_noon = Occurrence("0 12 * * *", 77)
    detail = shown(
        History(), Status.COMPLETE, started_at=0, ended_at=9, output=b"[1]", error=ERROR, schedule=at_noon
    )
    assert (detail.start, detail.end, detail.output, detail.schedule) == (iso(0), iso(9), [1], at_noon)
    assert detail.error == SEEN


@pytest.mark.parametrize("status", Status)
def test_only_one_that_has_ended_was_a_success_or_not(status):
    expected = {Status.COMPLETE: True, Status.ERRORED: False, Status.TERMINATED: False}.get(status)
    assert shown(History(), status).success is expected


def test_a_termination_is_the_last_of_the_steps_and_none_of_their_number():
    detail = shown(History().start("a-1"), Status.TERMINATED)
    assert detail.steps[1:] == [TerminationView("termination", {"source": "user"})]
    assert detail.step_count == 1


def test_what_a_replay_did_differently_is_a_warning():
    history = History().add(T.REPLAY_DIVERGED, data=MessageData("one")).start("a-1")
    assert shown(history.add(T.REPLAY_DIVERGED, data=MessageData("two"))).warnings == ["one", "two"]


def test_the_stack_of_an_error_is_shown_once_and_with_the_instance_first():
    history = History().start("a-1").add(T.ATTEMPT_START, 1, attempt=1)
    history.add(T.ATTEMPT_FAILURE, 1, attempt=1, data=FailureData(TRACED))
    history.add(T.STEP_FAILURE, 1, data=FailureData(TRACED))
    view = only_view(history)
    assert "  here" in view.attempts[0].error.stack
    assert view.error == SEEN
    detail = shown(history, Status.ERRORED, error=TRACED)
    assert "  here" in detail.error.stack
    assert detail.steps[0].attempts[0].error == SEEN


# steps ----------------------------------------------------------------------------------------------------------------


def test_a_step_is_shown_with_its_configuration_as_it_was_written():
    assert only_view(History().start("a-1", config=CONFIG)) == step_view(10, config=SHOWN)
    assert only_view(History().start("a-1")) == step_view(10)


def test_an_attempt_is_under_way_until_it_succeeds_with_its_step():
    history = History().start("a-1").add(T.ATTEMPT_START, 1, attempt=1)
    assert only_view(history) == step_view(10, attempts=[AttemptView(iso(20))])
    history.add(T.ATTEMPT_SUCCESS, 1, attempt=1).done(1, b'{"x":2}')
    attempt = AttemptView(iso(20), iso(30), success=True)
    assert only_view(history) == step_view(10, end=40, success=True, output={"x": 2}, attempts=[attempt])


def test_an_attempt_that_failed_says_why_and_when_the_next_one_starts():
    history = History().start("a-1").add(T.ATTEMPT_START, 1, attempt=1)
    history.add(T.ATTEMPT_FAILURE, 1, attempt=1, data=FailureData(ERROR, retry_at=700))
    first = AttemptView(iso(20), iso(30), success=False, error=SEEN)
    assert only_view(history) == step_view(10, attempts=[first], retry_at=iso(700))
    history.add(T.ATTEMPT_START, 1, attempt=2)
    assert only_view(history) == step_view(10, attempts=[first, AttemptView(iso(40))])


def test_an_attempt_that_failed_for_good_names_no_next_one():
    history = History().start("a-1").add(T.ATTEMPT_START, 1, attempt=1)
    history.add(T.ATTEMPT_FAILURE, 1, attempt=1, data=FAILED)
    assert only_view(history).retry_at is None
    history.add(T.STEP_FAILURE, 1, data=FAILED)
    assert (only_view(history).end, only_view(history).success, only_view(history).error) == (
        iso(40),
        False,
        SEEN,
    )


def test_a_step_that_fails_while_a_retry_is_due_has_none_any_more():
    history = History().start("a-1").add(T.ATTEMPT_START, 1, attempt=1)
    history.add(T.ATTEMPT_FAILURE, 1, attempt=1, data=FailureData(ERROR, retry_at=700)).add(
        T.STEP_FAILURE, 1, data=FAILED
    )
    assert only_view(history).retry_at is None
    assert only_view(history.add(T.WORKFLOW_RESUMED, data=ResumeData(5))).retry_at is None


def test_an_attempt_that_begins_again_under_its_number_is_shown_once():
    history = History().start("a-1")
    for attempt in (1, 2, 2):
        history.add(T.ATTEMPT_START, 1, attempt=attempt)
    assert [attempt.start for attempt in only_view(history).attempts] == [iso(20), iso(40)]


def test_the_result_of_a_sensitive_step_is_not_shown_and_that_of_others_is():
    history = History().start("a-1", config=SECRET).start("b-1").done(1).done(2)
    assert [view.output for view in shown(history).steps] == [REDACTED, 1]


# sleeps and waits -----------------------------------------------------------------------------------------------------


def test_a_sleep_shows_when_it_will_end_and_then_when_it_did():
    history = History().start("a-1", Kind.SLEEP, wake_at=500)
    assert only_view(history) == SleepView("a-1", "sleep", iso(10), iso(500), finished=False)
    history.add(T.SLEEP_COMPLETE, 1)
    assert only_view(history) == SleepView("a-1", "sleep", iso(10), iso(20), finished=True)
    assert only_view(history.add(T.WORKFLOW_RESUMED, data=ResumeData(5))).end == iso(20)


def test_a_wait_shows_when_it_will_give_up_and_then_what_came():
    history = History().start("a-1", Kind.WAIT, timeout_at=500, event_type="go")
    assert only_view(history) == WaitView("a-1", "waitForEvent", iso(10), iso(500), False, None, None, "go")
    history.add(T.WAIT_COMPLETE, 1, data=b"3")
    assert only_view(history) == WaitView("a-1", "waitForEvent", iso(10), iso(20), True, None, 3, "go")
    assert only_view(history.add(T.WORKFLOW_RESUMED, data=ResumeData(5))).end == iso(20)


@pytest.mark.parametrize(
    ("kind", "end"),
    [(Kind.SLEEP, T.SLEEP_ABANDONED), (Kind.WAIT, T.WAIT_TIMED_OUT), (Kind.WAIT, T.WAIT_ABANDONED)],
)
def test_a_sleep_or_wait_that_was_given_up_is_finished_with_an_error(kind, end):
    history = History().start("a-1", kind, wake_at=500, timeout_at=500).add(end, 1, data=FAILED)
    view = only_view(history.add(T.WORKFLOW_RESUMED, data=ResumeData(5)))
    assert (view.end, view.finished, view.error) == (iso(20), True, SEEN)


@pytest.mark.parametrize("kind", [Kind.SLEEP, Kind.WAIT])
def test_without_a_stored_end_it_ends_where_it_began(kind):
    assert only_view(History().start("a-1", kind)).end == iso(10)


def test_a_pause_moves_all_ends_that_are_planned():
    history = History().start("a-1", Kind.SLEEP, wake_at=500).start("b-1", Kind.WAIT, timeout_at=600)
    history.start("c-1").add(T.ATTEMPT_START, 3, attempt=1)
    history.add(T.ATTEMPT_FAILURE, 3, attempt=1, data=FailureData(ERROR, retry_at=700)).start("d-1")
    for _ in range(2):
        history.add(T.WORKFLOW_RESUMED, data=ResumeData(1000))
    sleep, wait, step, other = shown(history).steps
    assert (sleep.end, wait.end) == (iso(2500), iso(2600))
    assert (step.retry_at, step.end, other.retry_at) == (iso(2700), None, None)


# rollbacks ------------------------------------------------------------------------------------------------------------


def undone() -> History:
    history = History().start("a-1").done(1).add(T.ROLLBACK_START, data=FAILED)
    history.add(T.ROLLBACK_STEP_START, 1, name="a-1").add(T.ROLLBACK_ATTEMPT_START, 1, attempt=1)
    return history


def test_a_rollback_stands_behind_all_steps_and_is_none_of_their_number():
    history = undone().add(T.ROLLBACK_ATTEMPT_SUCCESS, 1, attempt=1).add(T.ROLLBACK_STEP_SUCCESS, 1)
    attempt = AttemptView(iso(50), iso(60), success=True)
    expected = step_view(40, end=70, success=True, type="rollback", attempts=[attempt])
    assert shown(history).steps[1:] == [expected]
    assert shown(history).step_count == 1


def test_a_rollback_that_fails_shows_its_attempts_and_a_pause_moves_the_next_one():
    history = undone().add(T.ROLLBACK_ATTEMPT_FAILURE, 1, attempt=1, data=FailureData(ERROR, retry_at=700))
    history.add(T.WORKFLOW_RESUMED, data=ResumeData(1000))
    attempt = AttemptView(iso(50), iso(60), success=False, error=SEEN)
    assert shown(history).steps[1] == step_view(40, type="rollback", attempts=[attempt], retry_at=iso(1700))
    view = shown(history.add(T.ROLLBACK_STEP_FAILURE, 1, data=FAILED)).steps[1]
    assert (view.end, view.success, view.error, view.retry_at) == (iso(80), False, SEEN, None)


def test_the_outcome_of_all_rollbacks_is_said_once_they_are_through():
    assert shown(undone()).rollback is None
    assert shown(undone().add(T.ROLLBACK_COMPLETE).add(T.WORKFLOW_FAILURE)).rollback == RollbackView(
        "complete"
    )
    failed = undone().add(T.ROLLBACK_FAILED, data=FAILED).add(T.WORKFLOW_FAILURE, data=FAILED)
    assert shown(failed).rollback == RollbackView("failed", SEEN)


# streams --------------------------------------------------------------------------------------------------------------

STREAM = Checkpoint(2, 5000)


def streamed(**data: Any) -> list[HistoryEvent]:
    history = History().start("a-1").done(1).start("b-1", **data)
    history.events.append(HistoryEvent(1, T.STEP_SUCCESS, 50, 2, 1, "b-1", encode_checkpoint(STREAM)))
    return history.events


def test_a_stream_is_found_by_the_name_of_its_step():
    assert public_stream(streamed(), "b-1") == public_stream(streamed(config=CONFIG), "b-1") == STREAM
    assert public_stream(streamed(), "a-1") is None
    assert public_stream(streamed(config=SECRET), "b-1") is None


@pytest.mark.parametrize(
    ("output", "may_be"),
    [("[ReadableStream (5 bytes)]", True), ("a text", False), (None, False), ([1], False)],
)
def test_what_stands_for_a_stream_is_a_text_of_its_form(output, may_be):
    assert is_stream(output) is may_be


# events ---------------------------------------------------------------------------------------------------------------


def test_an_event_is_shown_without_what_was_stored():
    event = HistoryEvent(1, T.STEP_SUCCESS, 50, 2, 3, "b-1", b'"secret"', seq=8)
    assert show_event(event) == {
        "cursor": 8, "type": "STEP_SUCCESS", "timestamp": iso(50), "name": "b-1", "attempt": 3, "error": None,
    }  # fmt: skip
    plain = show_event(HistoryEvent(1, T.WORKFLOW_START, 50))
    assert (plain["name"], plain["attempt"]) == (None, None)


@pytest.mark.parametrize(
    "kind",
    [
        T.ATTEMPT_FAILURE, T.STEP_FAILURE, T.SLEEP_ABANDONED, T.WAIT_TIMED_OUT, T.WAIT_ABANDONED, T.WORKFLOW_FAILURE,
        T.ROLLBACK_ATTEMPT_FAILURE, T.ROLLBACK_STEP_FAILURE, T.ROLLBACK_FAILED,
    ],
)  # fmt: skip
def test_the_event_of_a_failure_shows_its_error(kind):
    (event,) = History().add(kind, data=FAILED).events
    assert show_event(event)["error"] == {"name": "ValueError", "message": "no"}
    (event,) = History().add(kind, data=b"").events
    assert show_event(event)["error"] is None
