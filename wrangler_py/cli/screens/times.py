"""Instants and durations for people: the API's ISO strings in UTC become local time."""

from __future__ import annotations

from datetime import datetime

from wrangler_py.cli.screens.words import MISSING, counted

#: Unit and its length in seconds, longest first.
UNITS = (
    ("year", 31_536_000),
    ("month", 2_592_000),
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", 60),
    ("second", 1),
)


def milliseconds(instant: str) -> int:
    """Return an ISO instant as milliseconds since 1970."""
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


def local(instant: str | None) -> str:
    """Return ``11/22/2026, 9:53:26 AM``."""
    return MISSING if instant is None else _moment(_here(instant))


def local_at(at: int) -> str:
    """Return milliseconds since 1970 as `local` shows an instant."""
    return _moment(datetime.fromtimestamp(at / 1000).astimezone())


def time_of_day(instant: str | None) -> str:
    """Return ``9:53:26 AM``."""
    return MISSING if instant is None else _time(_here(instant))


def same_day(first: str, second: str | None) -> bool:
    """Return True if both fall on one local day; an open end does."""
    return second is None or _here(first).date() == _here(second).date()


def _here(instant: str) -> datetime:
    return datetime.fromisoformat(instant).astimezone()


def _moment(moment: datetime) -> str:
    return f"{moment.month}/{moment.day}/{moment.year}, {_time(moment)}"


def _time(moment: datetime) -> str:
    return f"{moment.hour % 12 or 12}:{moment:%M:%S} {'AM' if moment.hour < 12 else 'PM'}"


def duration(length_ms: int) -> str:
    """Return a length in its largest unit, rounded: ``0 seconds``, ``1 minute``, ``2 hours``."""
    seconds = _round(max(length_ms, 0), 1000)
    for noun, size in UNITS:
        if seconds >= size:
            return counted(_round(seconds, size), noun)
    return "0 seconds"


def between(start: str, end: str | None, now_ms: int) -> str:
    """Return how long it took, or has taken until ``now_ms``."""
    return duration((milliseconds(end) if end else now_ms) - milliseconds(start))


def from_now(instant: str, now_ms: int) -> str:
    """Return ``in 7 seconds from now``; ``now`` for what is due."""
    left = milliseconds(instant) - now_ms
    return f"in {duration(left)} from now" if left > 0 else "now"


def countdown(instant: str, now_ms: int) -> str:
    """Return what is left to the second: ``2d 3h 04m 05s``, ``4m 05s``, ``5s``; ``0s`` for what is due."""
    seconds = max(0, -((now_ms - milliseconds(instant)) // 1000))
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{days}d {hours}h {minutes:02}m {seconds:02}s"
    if hours:
        return f"{hours}h {minutes:02}m {seconds:02}s"
    return f"{minutes}m {seconds:02}s" if minutes else f"{seconds}s"


def _round(value: int, unit: int) -> int:
    return (2 * value + unit) // (2 * unit)
