"""Pages of instances: the one query whose shape depends on what is asked."""

from __future__ import annotations

from typing import Any

from wrangler_py.engine.store import ListQuery
from wrangler_py.errors import InvalidArgumentError
from wrangler_py.storage.database import Database
from wrangler_py.storage.sql import load_queries

_Q = load_queries("wrangler_py.storage.sqlite")


def list_instances(
    database: Database, workflow: str, query: ListQuery, counts: dict[str, int]
) -> tuple[list[Any], int, str | None]:
    """Return the rows of a page, how many instances match in all, and the cursor of the next page (None: no more).

    Raises:
        InvalidArgumentError: a cursor that this function did not give.
    """
    where, parameters = _filter(workflow, query)
    total = _total(database, where, parameters, query, counts)
    direction, beyond = ("DESC", "<") if query.descending else ("ASC", ">")
    if query.cursor is not None:
        where = f"{where} AND number {beyond} :cursor"
        parameters["cursor"] = _cursor(query.cursor)
        offset = 0
    else:
        offset = (query.page - 1) * query.per_page
    page = f"ORDER BY number {direction} LIMIT :limit OFFSET :offset"
    sql = f"SELECT {_Q['instance']} FROM instances WHERE {where} {page}"  # noqa: S608
    rows = database.records(sql, {**parameters, "limit": query.per_page + 1, "offset": offset})
    more = len(rows) > query.per_page
    rows = rows[: query.per_page]
    return rows, total, str(rows[-1]["number"]) if more else None


def _filter(workflow: str, query: ListQuery) -> tuple[str, dict[str, Any]]:
    parts, parameters = ["workflow = :workflow"], {"workflow": workflow}
    for condition, name, value in (
        ("status = :status", "status", query.status),
        ("created_at >= :date_start", "date_start", query.date_start_ms),
        ("created_at <= :date_end", "date_end", query.date_end_ms),
    ):
        if value is not None:
            parts.append(condition)
            parameters[name] = value  # type: ignore[assignment]
    return " AND ".join(parts), parameters


def _total(
    database: Database, where: str, parameters: dict[str, Any], query: ListQuery, counts: dict[str, int]
) -> int:
    if query.date_start_ms is not None or query.date_end_ms is not None:
        return int(database.value(f"SELECT count(*) FROM instances WHERE {where}", parameters))  # noqa: S608
    return sum(counts.values()) if query.status is None else counts.get(query.status.value, 0)


def _cursor(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise InvalidArgumentError(
            f"cursor {text!r} is not one of ours: use the next_cursor of the page before"
        )
    return int(text)
