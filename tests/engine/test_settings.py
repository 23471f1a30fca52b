"""Settings of a workflow: what the configuration says wins, and a retention is a duration that every calendar holds."""

from __future__ import annotations

import pytest

from wrangler_py.engine.settings import LONGEST_MS, Retention, Settings, read_retention
from wrangler_py.errors import InvalidArgumentError

SET = Settings(step_limit=5, concurrency=2, schedules=("* * * * *",), retention=Retention(10, 20))
OTHER = Settings(step_limit=7, concurrency=3, schedules=("0 0 * * *",), retention=Retention(30, 40))


def test_what_is_set_wins_and_what_is_not_is_the_others():
    assert SET.over(OTHER) == SET
    assert Settings().over(OTHER) == OTHER
    assert Settings(step_limit=5, retention=Retention(None, 20)).over(OTHER) == Settings(
        5, 3, ("0 0 * * *",), Retention(30, 20)
    )


@pytest.mark.parametrize(
    ("retention", "longest"),
    [
        (Retention(10, 20), 20),
        (Retention(20, 10), 20),
        (Retention(7), 7),
        (Retention(error_ms=7), 7),
        (Retention(), 0),
    ],
)
def test_the_longest_is_the_longer_and_one_that_is_missing_is_nothing(retention, longest):
    assert retention.longest_ms == longest


def test_a_retention_is_read_from_durations():
    assert read_retention("3 days", 5) == Retention(3 * 86_400_000, 5)
    assert read_retention() == Retention()


def test_a_retention_is_from_a_millisecond_to_a_hundred_years():
    assert LONGEST_MS == 3_153_600_000_000
    assert read_retention(1, LONGEST_MS) == Retention(1, LONGEST_MS)


@pytest.mark.parametrize("value", [0, LONGEST_MS + 1, "soon"])
@pytest.mark.parametrize("name", ["success_retention", "error_retention"])
def test_another_duration_is_refused_by_its_name(name, value):
    place = name.removesuffix("_retention")
    with pytest.raises(InvalidArgumentError, match=f"^{name}: "):
        read_retention(**{place: value})
