"""Whether a cron expression is one that Cloudflare takes.

Five fields: minute, hour, day of the month, month, day of the week. Weekdays count from 1, which is Sunday, to 7;
`L`, `W` and `#` are known where Cloudflare knows them (Workers docs, "Cron Triggers", "Supported cron expressions").
0 passes as well: elsewhere that is how cron writes Sunday.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_STEP = re.compile(r"[0-9]{1,4}")
_NUMBER = re.compile(r"[0-9]{1,4}")


class Field(NamedTuple):
    """One of the five fields. ``special`` matches what it takes beside values, ranges, steps and ``*``."""

    title: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    special: re.Pattern[str] | None = None

    @property
    def allowed(self) -> str:
        """Say which values the field takes."""
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.low} to {self.high}{names}"


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field(
        "day of the month",
        1,
        31,
        special=re.compile(r"L|LW|(?:[1-9]|[12][0-9]|3[01])W|L-(?:[1-9]|[12][0-9]|30)W?"),
    ),
    Field("month", 1, 12, _MONTHS),
    Field("day of the week", 0, 7, _WEEKDAYS, re.compile(rf"L|(?:[0-7]|{'|'.join(_WEEKDAYS)})(?:L|#[1-5])")),
)


def problem(expression: str) -> str | None:
    """Return what is wrong with ``expression``, or None if Cloudflare takes it."""
    parts = expression.split()
    if len(parts) != len(FIELDS):
        return f"needs five fields (minute, hour, day of the month, month, day of the week), not {len(parts)}"
    return next(filter(None, map(_field_problem, parts, FIELDS)), None)


def _field_problem(text: str, field: Field) -> str | None:
    return next((found for part in text.upper().split(",") if (found := _part_problem(part, field))), None)


def _part_problem(part: str, field: Field) -> str | None:
    """Judge one of the parts between commas: ``*``, a value, a range, each with or without a step, or a special."""
    if field.special is not None and field.special.fullmatch(part):
        return None
    span, slash, step = part.partition("/")
    if slash and not (_STEP.fullmatch(step) and 1 <= int(step) <= field.high):
        return f'has a wrong step "{step}" in the {field.title}: 1 to {field.high}'
    if span == "*":
        return None
    first, dash, last = span.partition("-")
    bounds = [_number(end, field) for end in ((first, last) if dash else (first,))]
    if None in bounds:
        return f'has a wrong {field.title} "{part}": {field.allowed}'
    return (
        None if _in_order(bounds, field) else f'has a range "{part}" that runs backwards in the {field.title}'
    )


def _number(text: str, field: Field) -> int | None:
    if text in field.names:
        return field.names.index(text) + field.low
    found = int(text) if _NUMBER.fullmatch(text) else -1
    return found if field.low <= found <= field.high else None


def _in_order(bounds: list[int | None], field: Field) -> bool:
    """Weekdays and months may wrap around (FRI-MON); the others may not."""
    numbers = [bound for bound in bounds if bound is not None]
    return bool(field.names) or numbers == sorted(numbers)
