from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wrangler_py import serde
from wrangler_py.sdk.js import Date

MOMENT = 1_769_860_800_123


@pytest.mark.parametrize(
    "given",
    [
        (MOMENT,),
        ("2026-01-31T12:00:00.123Z",),
        ("2026-01-31T13:00:00.123+01:00",),
        (datetime(2026, 1, 31, 12, 0, 0, 123_456),),
        (datetime(2026, 1, 31, 12, 0, 0, 123_000, UTC),),
        (2026, 0, 31, 12, 0, 0, 123),
        (2025, 12, 31, 12, 0, 0, 123),
    ],
)
def test_a_date_is_made_of_many_things(given: tuple[object, ...]) -> None:
    date = Date.new(*given)  # type: ignore[arg-type]
    assert (date.getTime(), date.toISOString(), date.toJSON()) == (MOMENT, *["2026-01-31T12:00:00.123Z"] * 2)


def test_a_date_is_a_naive_datetime_in_utc() -> None:
    date = Date.new(MOMENT)
    assert date == date.to_py() == datetime(2026, 1, 31, 12, 0, 0, 123_000)
    assert (type(date.to_py()), date.tzinfo) == (datetime, None)
    assert serde.decode(serde.encode(date)) == date.to_py()


def test_parts_count_as_in_javascript() -> None:
    date = Date.new("2026-02-01T03:04:05Z")
    fields = (
        date.getFullYear(),
        date.getMonth(),
        date.getDate(),
        date.getDay(),
        date.getHours(),
        date.getMinutes(),
    )
    assert fields == (2026, 1, 1, 0, 3, 4)
    assert (date.getSeconds(), date.valueOf()) == (5, date.getTime())


def test_now_is_milliseconds_since_1970() -> None:
    now = Date.now()
    assert abs(Date.new().getTime() - now) < 5000
    assert abs(datetime.now(UTC) - datetime.fromtimestamp(now / 1000, UTC)) < timedelta(seconds=5)


def test_a_text_that_is_no_date_is_a_value_error() -> None:
    assert Date.parse("1970-01-01") == 0
    with pytest.raises(ValueError, match="someday"):
        Date.new("someday")
