"""When a cron expression comes, in UTC.

Where both day fields say something other than ``*``, a day that either of them takes is taken (as in every cron).
"""

from __future__ import annotations

import calendar
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from wrangler_py.config.cron import Parsed, parse

MINUTE_MS = 60_000
#: The longest wait there is, for a fifth Monday in February across the year 2100, is forty years.
_YEARS = 41
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SUNDAY, _SATURDAY = 1, 7


class Schedule:
    """An expression, compiled. ``expression`` is its text with single spaces.

    Raises:
        CronError: the expression is not one; `config.cron` has said so to the user before.
    """

    def __init__(self, expression: str) -> None:
        self.expression = " ".join(expression.split())
        minutes, hours, self._days, months, self._weekdays = parse(expression)
        self._months = months.values
        self._times = sorted(hour * 60 + minute for hour in hours.values for minute in minutes.values)
        self._days_in = lru_cache(maxsize=64)(self._find_days)

    def __repr__(self) -> str:
        return f"<schedule {self.expression}>"

    def matches(self, at: int) -> bool:
        """Return True if the minute that begins at ``at`` (ms since 1970) is one of the schedule's."""
        return self.next_after(at - 1) == at

    def next_after(self, at: int) -> int | None:
        """Return the start of the first minute after ``at`` (ms since 1970) that is due; None: it never comes."""
        moment = _EPOCH + timedelta(minutes=at // MINUTE_MS + 1)
        from_day, from_time = moment.day, moment.hour * 60 + moment.minute
        for index in range(moment.month - 1, 12 * _YEARS):
            year, month = moment.year + index // 12, index % 12 + 1
            for day in self._days_in(year, month):
                late = day == from_day and bisect_left(self._times, from_time)
                if day >= from_day and late < len(self._times):
                    return _instant(year, month, day, self._times[late])
            from_day = from_time = 0
        return None

    def _find_days(self, year: int, month: int) -> list[int]:
        """Return the days of a month that are taken, in order."""
        if month not in self._months:
            return []
        page = _Month.of(year, month)
        if self._days.is_star:
            return sorted(page.by_weekday(self._weekdays))
        if self._weekdays.is_star:
            return sorted(page.by_day(self._days))
        return sorted(page.by_day(self._days) | page.by_weekday(self._weekdays))


class _Month(NamedTuple):
    """The page of a calendar: on which weekday (1 is Sunday) the month begins, and how many days it has."""

    first: int
    length: int

    @classmethod
    def of(cls, year: int, month: int) -> _Month:
        monday_first, length = calendar.monthrange(year, month)
        return cls((monday_first + 1) % 7 + 1, length)

    def weekday(self, day: int) -> int:
        return (self.first + day - 2) % 7 + 1

    def by_day(self, field: Parsed) -> set[int]:
        """Return the days that the field for days of the month takes."""
        if field.special is None:
            return {day for day in field.values if day <= self.length}
        base = field.special.removesuffix("W")
        day = self.length - int(base[2:] or 0) if base.startswith("L") else int(base)
        if not 1 <= day <= self.length:
            return set()
        return {self.nearest_workday(day) if field.special.endswith("W") else day}

    def by_weekday(self, field: Parsed) -> set[int]:
        """Return the days that the field for weekdays takes: ``L`` alone is Saturday, ``6L`` the last Friday."""
        wanted = field.values
        if field.special is not None:
            wanted = frozenset({_SATURDAY if field.special == "L" else int(field.special[0])})
        found = [day for day in range(1, self.length + 1) if self.weekday(day) in wanted]
        match field.special:
            case None | "L":
                return set(found)
            case special if special.endswith("L"):
                return {found[-1]}
            case special:
                return set(found[int(special[-1]) - 1 :][:1])

    def nearest_workday(self, day: int) -> int:
        """Return the day from Monday to Friday that is nearest to ``day`` and in the same month."""
        if self.weekday(day) == _SATURDAY:
            return day - 1 if day > 1 else day + 2
        if self.weekday(day) == _SUNDAY:
            return day + 1 if day < self.length else day - 2
        return day


def _instant(year: int, month: int, day: int, minute: int) -> int:
    moment = datetime(year, month, day, minute // 60, minute % 60, tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)
