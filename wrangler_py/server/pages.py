"""Query parameters of lists: page, filters, cursor. All problems of a query are named together."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from wrangler_py.engine.model import Status
from wrangler_py.engine.store import ListQuery
from wrangler_py.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

T = TypeVar("T")
PER_PAGE = 25
MAX_PER_PAGE = 100
#: Beyond this a row number would not fit the store's integers.
MAX_PAGE = 1_000_000_000


class QueryReader:
    """Reads parameters one by one, gathers what is wrong, and says it in `finish`."""

    def __init__(self, query: Mapping[str, str]) -> None:
        self._query = query
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        """Return a parameter as it is, or None if it is missing or empty."""
        return self._query.get(name) or None

    def integer(self, name: str, default: int, high: int) -> int:
        """Return a whole number from 1 to ``high``; ``2.0`` counts as 2, as one client sends it."""
        given = self.text(name)
        if given is None:
            return default
        number = _number(given)
        if number.is_integer() and 1 <= number <= high:
            return int(number)
        self.problems.append(f"{name}: must be a whole number from 1 to {high}, not {given!r}")
        return default

    def choice(self, name: str, options: Collection[str], default: str | None = None) -> str | None:
        """Return one of ``options``."""
        given = self.text(name)
        if given is None or given in options:
            return given or default
        self.problems.append(f"{name}: must be one of {', '.join(options)}, not {given!r}")
        return default

    def status(self, name: str, options: Collection[Status] = tuple(Status)) -> Status | None:
        """Return the status to filter by."""
        given = self.choice(name, [status.value for status in options])
        return None if given is None else Status(given)

    def instant(self, name: str) -> int | None:
        """Return an ISO 8601 date or time as milliseconds since 1970; without an offset it is UTC."""
        given = self.text(name)
        if given is None:
            return None
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            self.problems.append(
                f"{name}: must be an ISO 8601 time like 2026-01-31T12:00:00.000Z, not {given!r}"
            )
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return math.floor(aware.timestamp() * 1000)

    def finish(self) -> None:
        """Raise RequestError (400) if anything was wrong."""
        if self.problems:
            raise RequestError(400, *self.problems)


def page_of(query: Mapping[str, str]) -> tuple[int, int]:
    """Return ``page`` and ``per_page``."""
    reader = QueryReader(query)
    found = _page(reader)
    reader.finish()
    return found


def list_query(query: Mapping[str, str]) -> ListQuery:
    """Return which instances to list: page or cursor, status, dates, direction (newest first, or ``asc``)."""
    reader = QueryReader(query)
    page, per_page = _page(reader)
    found = ListQuery(
        page=page,
        per_page=per_page,
        status=reader.status("status"),
        date_start_ms=reader.instant("date_start"),
        date_end_ms=reader.instant("date_end"),
        descending=reader.choice("direction", ("asc", "desc")) != "asc",
        cursor=reader.text("cursor"),
    )
    if found.cursor and reader.text("page"):
        reader.problems.append("cursor: cannot be used together with page")
    reader.finish()
    return found


def cut(items: list[T], page: int, per_page: int) -> list[T]:
    """Return the items of one page."""
    start = (page - 1) * per_page
    return items[start : start + per_page]


def page_count(total: int, per_page: int) -> int:
    """Return how many pages there are; nothing fills one page too (recorded)."""
    return max(1, math.ceil(total / per_page))


def page_info(count: int, page: int, per_page: int, total: int) -> dict[str, Any]:
    """Return what is told of a page: how many items it has, which it is, and how many there are in all."""
    return {
        "count": count,
        "page": page,
        "per_page": per_page,
        "total_count": total,
        "total_pages": page_count(total, per_page),
    }


def _page(reader: QueryReader) -> tuple[int, int]:
    return reader.integer("page", 1, MAX_PAGE), reader.integer("per_page", PER_PAGE, MAX_PER_PAGE)


def _number(given: str) -> float:
    try:
        return float(given)
    except ValueError:
        return math.nan
