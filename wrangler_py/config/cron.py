"""Cron expressions, read as Cloudflare reads them; `config.schedule` says when one comes.

Five fields: minute, hour, day of the month, month, day of the week. Weekdays count from 1, which is Sunday, to 7; every
range may wrap around (``22-4``, ``FRI-MON``); `L`, `W` and `#` stand alone in their field (Workers docs, "Cron
Triggers", "Supported cron expressions", and Cloudflare's public parser, ``saffron``). 0 passes as well: elsewhere that
is how cron writes Sunday.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NUMBER = re.compile(r"[0-9]{1,4}")


class CronError(ValueError):
    """Cloudflare would not take the expression. The message goes on where the expression's text ends."""


class Parsed(NamedTuple):
    """One field as read: ``*``, a special such as ``LW`` or ``6#2``, or else the values it takes."""

    values: frozenset[int]
    special: str | None = None
    is_star: bool = False


class Field(NamedTuple):
    """One of the five fields. ``special`` matches what it takes beside values; ``zero`` is what 0 means if not 0."""

    title: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    special: re.Pattern[str] | None = None
    zero: int | None = None

    @property
    def allowed(self) -> str:
        """Say which values the field takes."""
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.low} to {self.high}{names}"

    def number(self, text: str) -> int | None:
        """Return the value that a number or a name stands for, or None."""
        if text in self.names:
            return self.names.index(text) + self.low
        found = int(text) if _NUMBER.fullmatch(text) else -1
        if found == 0 and self.zero is not None:
            return self.zero
        return found if self.low <= found <= self.high else None

    def span(self, first: int, last: int, step: int) -> frozenset[int]:
        """Return every ``step``-th value from ``first`` to ``last``, going round where ``last`` comes before."""
        size = self.high - self.low + 1
        count = (last - first) % size + 1
        return frozenset(self.low + (first - self.low + i) % size for i in range(0, count, step))


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
    Field(
        "day of the week", 1, 7, _WEEKDAYS, re.compile(rf"L|([0-7]|{'|'.join(_WEEKDAYS)})(L|#[1-5])"), zero=1
    ),
)


def problem(expression: str) -> str | None:
    """Return what is wrong with ``expression``, or None if Cloudflare takes it."""
    try:
        parse(expression)
    except CronError as error:
        return str(error)
    return None


def parse(expression: str) -> tuple[Parsed, ...]:
    """Return the five fields of ``expression``; raise CronError."""
    texts = expression.upper().split()
    if len(texts) != len(FIELDS):
        raise CronError(
            f"needs five fields (minute, hour, day of the month, month, day of the week), not {len(texts)}"
        )
    return tuple(_parse_field(text, field) for text, field in zip(texts, FIELDS, strict=True))


def _parse_field(text: str, field: Field) -> Parsed:
    if text == "*":
        return Parsed(field.span(field.low, field.high, 1), is_star=True)
    if special := _special(text, field):
        return Parsed(frozenset(), special)
    return Parsed(frozenset().union(*(_parse_part(part, field) for part in text.split(","))))


def _special(text: str, field: Field) -> str | None:
    """Return a special with its weekday as a number, or None if ``text`` is none."""
    found = None if field.special is None else field.special.fullmatch(text)
    if found is None or not found.lastindex:
        return found and text
    return f"{field.number(found[1])}{found[2]}"


def _parse_part(part: str, field: Field) -> frozenset[int]:
    """Return the values of one of the parts between commas: a value, a range, or ``*``, each with or without a step."""
    if part == "*" or _special(part, field):
        raise CronError(f'has "{part}" in a list in the {field.title}, where it must stand alone')
    span, slash, step = part.partition("/")
    if slash and not (_NUMBER.fullmatch(step) and 1 <= int(step) <= field.high - field.low):
        raise CronError(f'has a wrong step "{step}" in the {field.title}: 1 to {field.high - field.low}')
    if span == "*":
        return field.span(field.low, field.high, int(step))
    first, dash, last = span.partition("-")
    ends = field.number(first), field.number(last if dash else first)
    if ends[0] is None or ends[1] is None:
        raise CronError(f'has a wrong {field.title} "{part}": {field.allowed}')
    return field.span(ends[0], field.high if slash and not dash else ends[1], int(step or 1))
