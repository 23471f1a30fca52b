"""Laws of who is tried when, after a process died: pure rules (`engine.quarantine`)."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from wrangler_py.engine.quarantine import (
    ALONE,
    FIRST_DELAY_MS,
    HOLD_MS,
    LONGEST_DELAY_MS,
    PATIENCE_MS,
    PAUSE_MS,
    Evidence,
    admitted,
    after_counted,
    holds_others,
    is_hopeless,
    next_change_ms,
    survival_ms,
)

DEATHS = st.lists(st.integers(1, 12), max_size=40)


def admit(waiting, trying=(), *, passed=0, busy=False):
    return admitted(sorted(waiting), list(trying), passed=passed, are_others_busy=busy)


def test_nobody_is_tried_while_a_callback_of_another_executes():
    assert admit([1, 1, 2], busy=True) == 0


def test_one_with_two_deaths_is_tried_alone():
    assert admit([2, 2]) == 1
    assert admit([2], trying=[2]) == 0
    assert admit([2], trying=[1]) == 0
    assert admit([1], trying=[2]) == 0


def test_those_with_one_death_go_first_in_a_group_of_eight():
    assert admit([1, 1, 1, 2]) == 3
    assert admit([1] * 100) == 8
    assert admit([1] * 100, trying=[1] * 3) == 5
    assert admit([1] * 100, trying=[1] * 8) == 0


def test_the_group_grows_with_those_that_came_through():
    assert admit([1] * 100, passed=40) == 40


@given(DEATHS, DEATHS, st.integers(0, 1000), st.booleans())
def test_whoever_is_admitted_is_with_its_like_or_alone(waiting, trying, passed, busy):
    count = admit(waiting, trying, passed=passed, busy=busy)
    together = [*trying, *sorted(waiting)[:count]]
    assert 0 <= count <= len(waiting)
    if count:
        assert not busy
        assert len(together) == 1 or max(together) < ALONE


@given(DEATHS.filter(bool))
def test_somebody_is_always_tried_when_nobody_else_executes(waiting):
    assert admit(waiting) >= 1


def test_a_culprit_is_tried_alone_at_once():
    assert Evidence("o", [("w", "a")], is_certain=True).least_deaths == ALONE
    assert Evidence("o", [("w", "a")]).least_deaths == 1
    assert Evidence("o", [("w", "a"), ("w", "b")]).least_deaths == 1


def test_an_instance_is_given_up_after_five_deaths_without_an_attempt_and_ten_in_any_case():
    assert [is_hopeless(deaths, has_open_attempt=False) for deaths in (4, 5)] == [False, True]
    assert [is_hopeless(deaths, has_open_attempt=True) for deaths in (9, 10)] == [False, True]


@given(st.integers(0, 100))
def test_a_death_that_an_attempt_counts_leaves_the_instance_alone_but_not_given_up(deaths):
    counted = after_counted(deaths)
    assert counted <= min(deaths, ALONE)
    assert not is_hopeless(counted, has_open_attempt=False)


def test_survival_takes_longer_with_each_death_up_to_ten_minutes():
    """A suspect that has counted no death yet survives as one with its first."""
    times = [survival_ms(deaths) for deaths in (0, 1, 2, 3, 4, 5, 50)]
    assert times == [3_000, 3_000, 30_000, 120_000, 600_000, 600_000, 600_000]


def test_a_suspect_is_tried_again_after_half_a_second_at_first_and_ten_at_last():
    """The doubling in between is the store's: `test_suspects`."""
    assert (FIRST_DELAY_MS, LONGEST_DELAY_MS) == (500, 10_000)


def test_others_are_held_for_two_seconds_in_twenty_two_and_after_ten_minutes_for_good():
    assert [holds_others(ms) for ms in (0, 1_999, 2_000, 21_999, 22_000, 23_999, 24_000)] == [
        True, True, False, False, True, True, False,
    ]  # fmt: skip
    assert not holds_others(599_999)
    assert all(holds_others(600_000 + more) for more in (0, HOLD_MS, 12_345_678))


@example(HOLD_MS)
@given(st.integers(0, PATIENCE_MS - HOLD_MS - PAUSE_MS))
def test_the_next_change_is_when_holding_begins_or_ends(waited):
    after = next_change_ms(waited)
    assert after > 0
    assert holds_others(waited + after) is not holds_others(waited)
    assert all(holds_others(waited + part) is holds_others(waited) for part in (after // 2, after - 1))
