"""The scalars of Cloudflare's Analytics API; instants are milliseconds since 1970 inside."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from graphql import GraphQLError, GraphQLScalarType


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise GraphQLError(f"A string is needed, not {value!r}.")
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _read_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise GraphQLError(f"A whole number from 0 on is needed, not {value!r}.")
    return value


def _read_time(value: Any) -> int:
    try:
        found = datetime.fromisoformat(_text(value))
        # Without an offset it is UTC, as all instants of this API are.
        return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise GraphQLError(f"A time such as 2026-01-31T12:00:00Z is needed, not {value!r}.") from None


def _read_date(value: Any) -> int:
    try:
        found = date.fromisoformat(_text(value))
    except ValueError:
        raise GraphQLError(f"A date such as 2026-01-31 is needed, not {value!r}.") from None
    return round(datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp() * 1000)


def _write_time(at: int) -> str:
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if at % 1000 else "seconds").replace("+00:00", "Z")


def _write_date(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()


TEXT = GraphQLScalarType("string", description="Text.", serialize=str, parse_value=_read_text)
NUMBER = GraphQLScalarType(
    "uint64", description="A whole number from 0 on.", serialize=int, parse_value=_read_number
)
FLOAT = GraphQLScalarType("float64", description="A number.", serialize=float, parse_value=float)
TIME = GraphQLScalarType(
    "Time", description="An instant, ISO 8601, UTC.", serialize=_write_time, parse_value=_read_time
)
DATE = GraphQLScalarType("Date", description="A day, UTC.", serialize=_write_date, parse_value=_read_date)
