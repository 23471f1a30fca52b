"""Durations as users write them (engine-semantics, section 2, "Durations")."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from wrangler_py.errors import InvalidArgumentError
from wrangler_py.serde import show

_UNIT_MS = {
    "second": 1000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 7 * 86_400_000,
    "month": 30 * 86_400_000,
    "year": 365 * 86_400_000,
}
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?) ?(millisecond|" + "|".join(_UNIT_MS) + r")s?\s*")


def parse_duration(value: object) -> int:
    """Return ``value`` in whole milliseconds.

    Accepts a number of milliseconds, text such as ``"1 minute"`` or ``"2.5 hours"``, or a timedelta.

    Raises:
        InvalidArgumentError: anything else, a negative or an infinite duration; the message shows what was given.
    """
    try:
        milliseconds = _milliseconds(value)
        fits = milliseconds is not None and milliseconds >= 0 and math.isfinite(milliseconds)
    except OverflowError:
        fits = False
    if not fits or milliseconds is None:
        raise InvalidArgumentError(
            f"{show(value)} is not a duration: use a number of milliseconds, a timedelta, or text such as "
            '"10 seconds" (second, minute, hour, day, week, month, year)'
        )
    return round(milliseconds)


def _milliseconds(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, timedelta):
        return value.total_seconds() * 1000
    if isinstance(value, str) and (match := _TEXT.fullmatch(value)):
        return float(match[1]) * _UNIT_MS.get(match[2], 1)
    return None
