"""When a schedule comes: against another cron of Python's, against brute force, and on the days that are odd."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from wrangler_py.config.cron import CronError
from wrangler_py.config.schedule import MINUTE_MS, Schedule

START = datetime(2026, 1, 1, tzinfo=UTC)


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def at(text: str) -> int:
    return ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


def days(expression: str, year: int, count: int) -> list[str]:
    """Return the first days, as month-day, on which the expression comes from the start of a year on."""
    schedule, moment, found = Schedule(expression), at(f"{year}-01-01") - 1, []
    for _ in range(count):
        moment = schedule.next_after(moment)
        found.append(datetime.fromtimestamp(moment / 1000, UTC).strftime("%m-%d"))
    return found


def field(low: int, high: int):
    """A field without `*`: values, ranges, ranges with steps, and lists of them."""
    number = st.integers(low, high)
    # Two ends: cronsim reads 5-5/2 as 5/2.
    ranges = st.lists(number, min_size=2, max_size=2, unique=True).map(sorted)
    part = st.one_of(
        number.map(str),
        ranges.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.tuples(ranges, st.integers(1, high - low)).map(lambda got: f"{got[0][0]}-{got[0][1]}/{got[1]}"),
    )
    return st.lists(part, min_size=1, max_size=3).map(",".join)


def any_field(low: int, high: int):
    return st.one_of(st.just("*"), field(low, high))


def weekdays_of_others(text: str) -> str:
    """Cloudflare's weekdays, where 1 is Sunday, as everybody else's, where 0 is."""
    parts = []
    for part in text.split(","):
        span, slash, step = part.partition("/")
        numbers = "-".join(str(int(number) - 1) for number in span.split("-"))
        parts.append(numbers + slash + step)
    return ",".join(parts)


MOMENTS = st.integers(at("2024-01-01"), at("2031-01-01"))


@given(
    any_field(0, 59),
    any_field(0, 23),
    any_field(1, 31) | st.just("L"),
    any_field(1, 12),
    any_field(1, 7) | st.sampled_from(["1#1", "6#2", "4#3"]),
    MOMENTS,
)
def test_the_next_minutes_are_those_of_another_cron(minute, hour, day, month, weekday, moment):
    ours = Schedule(f"{minute} {hour} {day} {month} {weekday}")
    others_weekday = weekday if "*" in weekday else weekdays_of_others(weekday.partition("#")[0])
    nth = weekday[1:] if "#" in weekday else ""
    start = datetime.fromtimestamp(moment / 1000, UTC)
    theirs = CronSim(f"{minute} {hour} {day} {month} {others_weekday}{nth}", start)
    for expected in [next(theirs, None) for _ in range(5)]:
        found = ours.next_after(moment)
        assert found == (None if expected is None else ms(expected))
        moment = found or moment


@given(any_field(0, 59), any_field(0, 23), any_field(1, 31), any_field(1, 7), MOMENTS)
def test_next_after_skips_no_minute_that_matches(minute, hour, day, weekday, moment):
    schedule = Schedule(f"{minute} {hour} {day} * {weekday}")
    found = schedule.next_after(moment)
    assert found is not None
    assert found > moment
    assert schedule.matches(found)
    first = moment // MINUTE_MS * MINUTE_MS + MINUTE_MS
    assert not any(
        schedule.matches(minute) for minute in range(first, min(found, first + 90 * MINUTE_MS), MINUTE_MS)
    )


def test_after_a_due_minute_comes_the_next_one_and_just_before_it_itself():
    schedule = Schedule("*/5 * * * *")
    due = at("2026-03-01T12:05")
    assert schedule.next_after(due - 1) == due
    assert schedule.next_after(due) == schedule.next_after(due + 299_999) == due + 5 * MINUTE_MS
    assert schedule.matches(due)
    assert not schedule.matches(due + MINUTE_MS)
    assert not schedule.matches(due + 1)


@pytest.mark.parametrize(
    ("expression", "year", "expected"),
    [
        ("0 0 L * *", 2028, ["01-31", "02-29", "03-31", "04-30"]),
        ("0 0 L-2 2 *", 2027, ["02-26", "02-27", "02-26"]),
        ("0 0 LW * *", 2026, ["01-30", "02-27", "03-31", "04-30", "05-29"]),
        ("0 0 L-3W * *", 2026, ["01-28", "02-25", "03-27"]),
        ("0 0 1W * *", 2026, ["01-01", "02-02", "03-02", "04-01", "05-01", "06-01", "07-01", "08-03"]),
        ("0 0 15W 8 *", 2026, ["08-14", "08-16", "08-15"]),
        ("0 0 31W * *", 2026, ["01-30", "03-31", "05-29", "07-31"]),
        ("0 0 * * 6L", 2026, ["01-30", "02-27", "03-27"]),
        ("0 0 * * friL", 2026, ["01-30", "02-27", "03-27"]),
        ("0 0 * * L", 2026, ["01-03", "01-10", "01-17"]),
        ("0 0 * * MON#2", 2026, ["01-12", "02-09", "03-09"]),
        ("0 0 * * 0", 2026, ["01-04", "01-11", "01-18"]),
        ("0 0 * * 1", 2026, ["01-04", "01-11", "01-18"]),
        ("0 0 * * 2-6", 2026, ["01-01", "01-02", "01-05"]),
        ("0 0 * * FRI-MON", 2026, ["01-02", "01-03", "01-04", "01-05", "01-09"]),
        ("0 0 * * FRI-MON/2", 2026, ["01-02", "01-04", "01-09"]),
        ("0 0 1 NOV-FEB *", 2026, ["01-01", "02-01", "11-01", "12-01", "01-01"]),
        ("0 0 30-2 * *", 2026, ["01-01", "01-02", "01-30", "01-31", "02-01", "02-02", "03-01"]),
        ("0 0 25/3 1 *", 2026, ["01-25", "01-28", "01-31"]),
        ("0 0 13 * FRI", 2026, ["01-02", "01-09", "01-13", "01-16"]),
        ("0 0 */10 2 MON", 2026, ["02-01", "02-02", "02-09", "02-11"]),
    ],
)
def test_the_days_that_are_odd(expression, year, expected):
    assert days(expression, year, len(expected)) == expected


def test_a_range_of_hours_goes_over_midnight():
    schedule = Schedule("0 22-1 * * *")
    assert [hour for hour in range(24) if schedule.matches(at(f"2026-05-05T{hour:02}:00"))] == [0, 1, 22, 23]


def test_a_leap_day_comes_across_a_century_without_one():
    assert Schedule("0 0 29 2 *").next_after(at("2096-03-01")) == at("2104-02-29")


def test_the_rarest_day_is_forty_years_away():
    """A fifth Monday of February needs a leap year that begins on a Thursday; 2100 is no leap year."""
    schedule = Schedule("0 0 * 2 MON#5")
    assert schedule.next_after(at("2072-03-01")) == at("2112-02-29")


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 30W 2 *", "* * L-30 2 *"])
def test_what_never_comes_is_none(expression):
    assert Schedule(expression).next_after(ms(START)) is None


def test_what_is_no_expression_is_refused():
    with pytest.raises(CronError, match="five fields"):
        Schedule("* * *")


def test_the_text_is_kept_with_single_spaces():
    assert Schedule(" */5  *\t* * mon ").expression == "*/5 * * * mon"
