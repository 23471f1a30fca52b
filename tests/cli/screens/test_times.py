"""Instants and durations as people read them."""

import time

import pytest

from wrangler_py.cli.screens import times

MINUTE = 60_000


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (-5, "0 seconds"),
        (0, "0 seconds"),
        (499, "0 seconds"),
        (500, "1 second"),
        (7_000, "7 seconds"),
        (59_600, "1 minute"),
        (61_000, "1 minute"),
        (90_000, "2 minutes"),
        (60 * MINUTE, "1 hour"),
        (36 * 60 * MINUTE, "2 days"),
        (45 * 24 * 60 * MINUTE, "2 months"),
        (365 * 24 * 60 * MINUTE, "1 year"),
    ],
)
def test_a_duration_is_its_largest_unit_rounded(length, text):
    assert times.duration(length) == text


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        ("2026-11-22T00:00:05.000Z", "11/22/2026, 12:00:05 AM"),
        ("2026-11-22T09:53:26.716Z", "11/22/2026, 9:53:26 AM"),
        ("2026-11-22T12:00:00.000Z", "11/22/2026, 12:00:00 PM"),
        ("2026-01-02T23:59:59.999Z", "1/2/2026, 11:59:59 PM"),
        (None, "N/A"),
    ],
)
def test_an_instant_reads_as_in_wrangler(instant, text):
    assert times.local(instant) == text


def test_instants_are_in_local_time_and_durations_do_not_depend_on_it(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    start = "2026-11-22T20:00:00.000Z"
    assert times.local(start) == "11/23/2026, 5:00:00 AM"
    assert times.between(start, None, times.milliseconds(start) + 24_000) == "24 seconds"


def test_a_time_that_has_come_is_now_and_not_in_the_past():
    at = "2026-11-22T10:00:00.000Z"
    due = times.milliseconds(at)
    assert times.from_now(at, due - 7_000) == "in 7 seconds from now"
    assert times.from_now(at, due) == "now"
    assert times.from_now(at, due + 3_600_000) == "now"


@pytest.mark.parametrize(
    ("left", "text"),
    [(-1, "0s"), (1, "1s"), (59_001, "1m 00s"), (3_723_000, "1h 02m 03s"), (93_784_000, "1d 2h 03m 04s")],
)
def test_a_countdown_shows_every_second_and_is_zero_only_when_due(left, text):
    at = "2026-11-22T10:00:00.000Z"
    assert times.countdown(at, times.milliseconds(at) - left) == text
