"""A replay folds a history, and finds the steps that come up again: `Replay` by itself (engine-semantics, section
3)."""

from __future__ import annotations

from typing import Any

import pytest

from wrangler_py.engine.entries import (
    Checkpoint,
    DeathData,
    FailureData,
    GroupData,
    ResumeData,
    StartData,
    encode_checkpoint,
    encode_data,
)
from wrangler_py.engine.instance.replay import RUN, Replay, Scope
from wrangler_py.engine.model import ErrorRecord, HistoryEvent, HistoryType, Kind

T = HistoryType
ERROR = ErrorRecord("ValueError", "no")
STARTS = {Kind.DO: T.STEP_START, Kind.SLEEP: T.SLEEP_START, Kind.WAIT: T.WAIT_START}


class History:
    """A history that grows by a line at a time; its clock goes on by ten milliseconds with each."""

    def __init__(self) -> None:
        self.events: list[HistoryEvent] = []
        self._steps = 0

    def add(
        self, kind: HistoryType, step: int = 0, *, attempt: int = 0, name: str | None = None, data: Any = None
    ):
        at = 10 * (len(self.events) + 1)
        stored = data if isinstance(data, bytes | None) else encode_data(data)
        self.events.append(HistoryEvent(1, kind, at, step, attempt, name, stored, len(self.events) + 1))
        return self

    def start(self, name: str, kind: Kind = Kind.DO, **data: Any) -> History:
        """Start the next step; ``task`` and ``parent`` say where."""
        self._steps += 1
        return self.add(STARTS[kind], self._steps, name=name, data=StartData(**data) if data else None)

    def done(self, step: int, output: bytes = b"1") -> History:
        return self.add(T.STEP_SUCCESS, step, data=output)

    def steps(self, *names: str, **data: Any) -> History:
        """Add steps, each of which has ended."""
        for name in names:
            self.start(name, **data).done(self._steps)
        return self

    def fold(self) -> Replay:
        return Replay(self.events)


def state(replay: Replay, step: int) -> tuple[Any, ...]:
    record = replay.recorded[step]
    return record.attempts, record.attempt_open, record.retry_at, record.done, record.visited


# what was stored ------------------------------------------------------------------------------------------------------


def test_a_step_that_has_begun_no_attempt_yet_starts_with_its_first():
    replay = History().start("a-1").fold()
    assert state(replay, 1) == (0, False, None, False, False)
    assert replay.recorded[1].abandoned_ms is None


def test_an_attempt_is_open_until_it_fails_or_the_step_ends():
    history = History().start("a-1").add(T.ATTEMPT_START, 1, attempt=1)
    assert state(history.fold(), 1) == (1, True, None, False, False)
    history.add(T.ATTEMPT_FAILURE, 1, attempt=1, data=FailureData(ERROR, retry_at=700))
    assert state(history.fold(), 1) == (1, False, 700, False, False)
    history.add(T.ATTEMPT_START, 1, attempt=2)
    assert state(history.fold(), 1) == (2, True, None, False, False)
    history.done(1, b"5")
    assert state(history.fold(), 1) == (2, False, None, True, False)
    assert history.fold().recorded[1].output == b"5"


def test_a_step_that_failed_for_good_has_its_error():
    history = History().start("a-1").add(T.ATTEMPT_START, 1, attempt=1)
    replay = history.add(T.STEP_FAILURE, 1, data=FailureData(ERROR)).fold()
    assert state(replay, 1) == (1, False, None, True, False)
    assert (replay.recorded[1].error, replay.recorded[1].ended_at) == (ERROR, 30)
    assert (replay.ranks, replay.recorded[1].abandoned_ms) == ({1: (1, 1)}, None)


@pytest.mark.parametrize("kind", [T.STEP_FAILURE, T.SLEEP_ABANDONED, T.WAIT_ABANDONED])
def test_a_step_that_was_given_up_knows_after_how_long(kind):
    history = History().start("other-1").start("a-1").add(T.ATTEMPT_START, 2, attempt=1)
    replay = history.add(kind, 2, data=FailureData(ERROR, abandoned=True)).fold()
    assert (replay.recorded[2].abandoned_ms, replay.recorded[2].ended_at) == (20, 40)
    assert (replay.ranks, replay.ends) == ({2: (1, 1)}, 1)


def test_a_step_that_was_given_up_while_its_result_was_on_the_way_has_its_place_where_it_was_given_up():
    replay = History().steps("a-1", "b-1").add(T.RESULT_ABANDONED, 1).fold()
    assert (replay.recorded[1].abandoned_ms, replay.recorded[1].ended_at) == (40, 50)
    assert replay.ranks == {1: (3, 3), 2: (2, 2)}


def test_a_pause_moves_what_is_pending_and_a_new_attempt_begins_anew():
    pause = ResumeData(paused_ms=500)
    history = History().steps("done-1").start("a-1").start("b-1")
    history.add(T.WORKFLOW_RESUMED, data=pause).add(T.WORKFLOW_RESUMED, data=pause)
    assert [record.shift_ms for record in history.fold().recorded.values()] == [0, 1000, 1000]
    history.add(T.ATTEMPT_START, 2, attempt=1)
    assert [record.shift_ms for record in history.fold().recorded.values()] == [0, 0, 1000]
    history.add(T.WORKFLOW_RESUMED, data=pause).add(T.ATTEMPT_FAILURE, 2, data=FailureData(ERROR, retry_at=9))
    assert [record.shift_ms for record in history.fold().recorded.values()] == [0, 0, 1500]


def test_steps_are_numbered_on_and_sleeps_take_none_of_the_limit():
    replay = History().start("a-1").start("nap-1", Kind.SLEEP).start("go-1", Kind.WAIT).fold()
    assert (replay.last_step, replay.steps_taken) == (3, 2)
    assert (Replay().last_step, Replay().steps_taken, Replay().stored_bytes, Replay().ends) == (0, 0, 0, 0)


def test_the_bytes_stored_are_those_of_all_results_and_of_their_streams():
    history = History().steps("a-1", "b-1").start("c-1")
    history.done(3, encode_checkpoint(Checkpoint(3, 5_000)))
    history.start("nap-1", Kind.SLEEP).add(T.SLEEP_COMPLETE, 4)
    assert history.fold().stored_bytes == 2 + 5_000 + len(encode_checkpoint(Checkpoint(3, 5_000)))


def test_results_handed_over_together_are_one_group_from_the_first_of_them():
    history = History().steps("a-1", "b-1", "c-1", "d-1").add(T.RESULT_GROUP, 2, data=GroupData([3, 2, 9]))
    replay = history.fold()
    assert replay.ranks == {1: (1, 1), 2: (2, 2), 3: (2, 3), 4: (4, 4)}
    assert replay.ends == 4


def test_a_step_can_be_undone_if_it_had_a_rollback_when_it_started():
    history = History().start("a-1", rollback=True).start("b-1", task="1").start("c-1")
    assert history.start("d-1", event_type='"rollback":true').fold().reversible == {1}


def test_a_death_counts_for_the_attempt_that_it_names():
    history = History().start("a-1").add(T.ATTEMPT_START, 1, attempt=4)
    history.add(T.PROCESS_DIED, name="a-1", attempt=4)
    history.add(T.PROCESS_DIED, name="a-1", attempt=2, data=DeathData(rollback=True))
    history.add(T.PROCESS_DIED)
    assert history.fold().fatal_attempts == {(False, "a-1"): 4, (True, "a-1"): 2}


@pytest.mark.parametrize(
    ("death", "name", "attempts"),
    [
        (DeathData(is_certain=True), "a-1", [2, 0, 1]),
        (DeathData(is_certain=True), None, [1, 0, 1]),
        (DeathData(is_certain=True, rollback=True), "a-1", [1, 0, 1]),
        (DeathData(), "a-1", [2, 1, 1]),
    ],
    ids=["of a", "of another instance", "of the rollback of a", "not certain"],
)
def test_where_the_culprit_is_certain_no_other_attempt_under_way_counts(death, name, attempts):
    history = History().start("a-1").start("b-1").start("c-1")
    history.add(T.ATTEMPT_START, 1, attempt=2).add(T.ATTEMPT_START, 2, attempt=1)
    history.add(T.ATTEMPT_START, 3, attempt=1).add(T.ATTEMPT_FAILURE, 3, data=FailureData(ERROR))
    replay = history.add(T.PROCESS_DIED, name=name, attempt=2, data=death).fold()
    assert [record.attempts for record in replay.recorded.values()] == attempts
    is_open = [record.attempt_open for record in replay.recorded.values()]
    assert is_open == [attempts[0] == 2, attempts[1] == 1, False]


# what comes up again --------------------------------------------------------------------------------------------------


def visit(replay: Replay, name: str, scope: Scope = RUN, kind: Kind = Kind.DO) -> int | None:
    """Return the number of the stored step that comes up, None if there is none."""
    found = replay.visit(kind, name, scope)
    return None if found is None else found.step


def test_each_place_asks_for_its_own_steps_in_the_order_of_their_starts():
    one, other = Scope("1"), Scope("2")
    history = History().steps("a-1", task="1").steps("a-2", task="2").steps("a-3", task="1").steps("b-1")
    replay = history.start("a-1", Kind.SLEEP).fold()
    assert [visit(replay, "a", scope) for scope in (other, one, one, one, other, RUN)] == [
        2, 1, 3, None, None, None,
    ]  # fmt: skip
    assert (visit(replay, "b"), visit(replay, "a", kind=Kind.SLEEP), visit(replay, "c")) == (4, 5, None)
    assert replay.is_through


def test_a_step_that_comes_up_for_the_first_time_is_counted_behind_all_of_its_name():
    replay = History().steps("a-1", "a-7", "a-2", "b-c-4").fold()
    assert [replay.new_name(Kind.DO, "a", RUN) for _ in range(2)] == ["a-8", "a-9"]
    assert replay.new_name(Kind.DO, "b-c", RUN) == "b-c-5"
    assert (replay.new_name(Kind.DO, "b", RUN), replay.new_name(Kind.SLEEP, "a", RUN)) == ("b-1", "a-1")


def test_a_step_may_have_moved_while_one_of_its_name_has_not_come_up():
    replay = History().steps("a-1", "a-2").fold()
    assert not replay.may_have_moved(Kind.DO, "b")
    for step in (1, 2):
        assert replay.may_have_moved(Kind.DO, "a")
        assert not replay.is_through
        assert visit(replay, "a") == step
    assert not replay.may_have_moved(Kind.DO, "a")


def test_a_step_that_moved_to_another_task_is_taken_over_once_and_said():
    replay = History().steps("a-1", "a-2", task="1").fold()
    assert visit(replay, "a", Scope("1")) == 1
    assert replay.adopt(Kind.DO, "a", Scope("2")).step == 2
    assert replay.adopt(Kind.DO, "a", Scope("2")) is None
    assert not replay.may_have_moved(Kind.DO, "a")
    assert replay.divergence() == ['step "a-2" is now called by another task']


def test_a_step_that_was_taken_over_does_not_come_up_where_it_was():
    replay = History().steps("a-1", task="1").fold()
    assert replay.adopt(Kind.DO, "a", Scope("2")).step == 1
    assert visit(replay, "a", Scope("1")) is None


def test_an_old_history_that_names_no_tasks_is_taken_over_without_a_word():
    replay = History().steps("a-1").fold()
    assert replay.adopt(Kind.DO, "a", Scope("2")).step == 1
    assert replay.divergence() == []


def test_a_step_in_a_callback_never_takes_the_place_of_one_elsewhere():
    replay = History().start("outer-1").steps("a-1", parent=1).steps("a-2").fold()
    assert replay.adopt(Kind.DO, "a", Scope("", 7)) is None
    assert replay.adopt(Kind.DO, "a", Scope("3", 1)).step == 2
    assert replay.adopt(Kind.DO, "a", Scope("3")).step == 3


def test_steps_in_the_callback_of_a_step_that_has_ended_count_as_come_up_at_any_depth():
    history = History().start("outer-1").start("middle-1", parent=1).steps("inner-1", parent=2)
    replay = history.done(2).done(1).fold()
    assert visit(replay, "outer") == 1
    assert replay.is_through
    assert not replay.may_have_moved(Kind.DO, "inner")
    assert replay.divergence() == []


def test_steps_in_a_callback_that_is_called_again_are_not_come_up_yet_and_not_missed():
    replay = History().start("outer-1").steps("inner-1", parent=1).fold()
    assert visit(replay, "outer") == 1
    assert not replay.is_through
    assert replay.divergence() == []
    assert visit(replay, "inner", Scope("", 1)) == 2
    assert replay.is_through


# what differs ---------------------------------------------------------------------------------------------------------


def test_a_step_that_does_not_come_up_again_is_missed():
    text = "did not come up again: renamed, removed, or named differently on every run"
    assert History().steps("a-1").fold().divergence() == [f'stored step "a-1" {text}']
    assert History().steps("a-1", "b-1").fold().divergence() == [f'stored steps "a-1", "b-1" {text}']
    five = ", ".join(f'"{name}-1"' for name in "abcde")
    assert History().steps(*(f"{one}-1" for one in "abcde")).fold().divergence() == [
        f"stored steps {five} {text}"
    ]
    six = History().steps(*(f"{one}-1" for one in "abcdef")).fold()
    assert six.divergence() == [f"stored steps {five} and 1 more {text}"]
    many = History().steps(*(f"{one}-1" for one in "abcdefg")).fold()
    assert many.divergence() == [f"stored steps {five} and 2 more {text}"]


def test_steps_in_the_callback_of_a_missed_step_that_had_ended_are_missed_with_it():
    replay = History().start("outer-1").steps("inner-1", parent=1).done(1).fold()
    assert '"outer-1", "inner-1"' in replay.divergence()[0]


def test_a_step_that_comes_before_stored_ones_is_new():
    replay = History().steps("a-1", "b-1").fold()
    for name in ("new", "newer"):
        assert visit(replay, name) is None
        replay.new_name(Kind.DO, name, RUN)
    visit(replay, "a")
    visit(replay, "b")
    assert replay.divergence() == ['step "new-1" is new: it now runs before the stored step "a-1"']


def test_a_step_that_is_new_behind_all_stored_ones_or_in_a_callback_is_no_change():
    replay = History().steps("a-1", "b-1").fold()
    visit(replay, "a")
    replay.new_name(Kind.DO, "new", Scope("", 1))
    visit(replay, "b")
    replay.new_name(Kind.DO, "new", RUN)
    assert replay.divergence() == []


def test_an_order_that_changed_within_one_task_is_seen_and_between_tasks_is_no_change():
    replay = History().steps("a-1", "b-1", task="1").steps("c-1", task="2").fold()
    for name, task in (("c", "2"), ("b", "1"), ("a", "1")):
        visit(replay, name, Scope(task))
    assert replay.divergence() == ['the order changed: step "b-1" now comes before "a-1"']


def test_in_a_callback_that_is_called_again_any_order_is_right():
    replay = History().start("outer-1").steps("a-1", "b-1", parent=1).fold()
    for name in ("b", "a"):
        visit(replay, name, Scope("", 1))
    visit(replay, "outer")
    assert replay.divergence() == []


def test_of_each_kind_of_change_three_are_told():
    names = [f"{name}-1" for name in "abcdef"]
    replay = History().steps(*names).fold()
    for name in reversed("abcdef"):
        visit(replay, name)
    assert len(replay.divergence()) == 3
    replay = History().steps(*names).fold()
    for name in "abcdef":
        replay.new_name(Kind.DO, f"new {name}", RUN)
        visit(replay, name)
    assert len(replay.divergence()) == 3
    replay = History().steps(*names, task="1").fold()
    for name in "abcdef":
        replay.adopt(Kind.DO, name, RUN)
    assert len(replay.divergence()) == 3


def test_a_first_run_has_nothing_to_differ_from():
    replay = Replay()
    assert visit(replay, "a") is None
    assert replay.new_name(Kind.DO, "a", RUN) == "a-1"
    assert replay.is_through
    assert replay.divergence() == []
