"""Questions about history as SQL. What comes from outside is only ever bound, never part of a statement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wrangler_py.engine.analytics import (
    AGGREGATES,
    COUNT,
    DIMENSIONS,
    TIMES,
    WALL_TIME,
    Analysis,
    Condition,
    Filter,
    Order,
    Together,
)
from wrangler_py.storage.database import Database
from wrangler_py.storage.sql import load_queries

_Q = load_queries("wrangler_py.storage.sqlite")
_OPERATORS = {"like": "LIKE", "notlike": "NOT LIKE", "in": "IN", "notin": "NOT IN"}
_COLUMNS = {name: name for name in DIMENSIONS if name not in TIMES} | {
    name: f"at - at % {size}" for name, size in TIMES.items() if size > 1
}
_COLUMNS |= {"date": f"created - created % {TIMES['date']}", "datetime": "at", WALL_TIME: WALL_TIME}
_AGGREGATES = {f"{name}_{WALL_TIME}": f"{name}({WALL_TIME})" for name in AGGREGATES}
#: Conditions on these say which instances are looked at, before anything is computed of their events.
_OF_INSTANCES = {"workflowName": "workflow", "instanceId": "id"}


def analyse(database: Database, asked: Analysis) -> list[dict[str, Any]]:
    """Return a row for each group or event: dimensions, `COUNT`, ``sum_wallTime`` and the like, as ``asked``.

    Raises:
        StoreUnavailableError: the file cannot be used at the moment.
    """
    values: list[Any] = []
    narrow = _narrow(asked.filter, values)
    source = _Q["measured_events" if asked.measures else "events_of_all"].replace("{narrow}", narrow)
    where = _where(asked.filter, values)
    names = [*asked.dimensions]
    columns = [_COLUMNS[name] for name in names]
    if asked.is_grouped:
        names += [COUNT, *(_AGGREGATES if asked.measures else ())]
        columns += ["count(*)", *(_AGGREGATES.values() if asked.measures else ())]
    elif asked.measures:
        names.append(WALL_TIME)
        columns.append(WALL_TIME)
    shown = ", ".join(f'{column} AS "{name}"' for name, column in zip(names, columns, strict=True))
    sql = f"SELECT {shown} FROM ({source}) WHERE {where}"  # noqa: S608 - made of the constants above
    if asked.is_grouped:
        groups = ", ".join(_COLUMNS[name] for name in asked.dimensions)
        sql += f" GROUP BY {groups}" if groups else " HAVING count(*) > 0"
    order = [_order(one, asked) for one in asked.order] + ([] if asked.is_grouped else ["seq"])
    if order:
        sql += f" ORDER BY {', '.join(order)}"
    rows = database.read(f"{sql} LIMIT ?", [*values, asked.limit])
    return [dict(zip(names, row, strict=True)) for row in rows]


def _order(order: Order, asked: Analysis) -> str:
    columns = {**_COLUMNS, COUNT: "count(*)", **(_AGGREGATES if asked.measures else {})}
    return f"{columns[order.field]} {'DESC' if order.is_descending else 'ASC'}"


def _where(part: Filter, values: list[Any]) -> str:
    """Return a condition as SQL, and add what it compares with to ``values``."""
    if isinstance(part, Together):
        if not part.parts:
            return "FALSE" if part.is_any else "TRUE"
        return f"({(' OR ' if part.is_any else ' AND ').join(_where(one, values) for one in part.parts)})"
    return _compare(f"({_COLUMNS[part.field]})", part, values)


def _compare(column: str, part: Condition, values: list[Any]) -> str:
    operator = _OPERATORS.get(part.operator, part.operator)
    if part.operator in ("in", "notin"):
        values.extend(part.value)
        return f"{column} {operator} ({', '.join('?' * len(part.value))})"
    values.append(part.value)
    return f"{column} {operator} ?"


def _narrow(part: Filter, values: list[Any]) -> str:
    found = [
        _compare(f"instances.{_OF_INSTANCES[one.field]}", one, values)
        for one in _all_of(part)
        if one.field in _OF_INSTANCES
    ]
    return " AND ".join(found) or "TRUE"


def _all_of(part: Filter) -> Iterator[Condition]:
    """Give the conditions that hold for every event that is looked for."""
    if isinstance(part, Condition):
        yield part
    elif not part.is_any:
        for one in part.parts:
            yield from _all_of(one)
