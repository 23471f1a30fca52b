"""Questions about the history of all instances (docs, "Metrics and analytics"), which a store answers."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

MINUTE = 60_000
#: Fields that are instants or days, and the milliseconds they are cut to.
TIMES: dict[str, int] = {
    "date": 86_400_000,
    "datetime": 1,
    "datetimeMinute": MINUTE,
    "datetimeFiveMinutes": 5 * MINUTE,
    "datetimeFifteenMinutes": 15 * MINUTE,
    "datetimeHour": 60 * MINUTE,
}
TEXTS = ("workflowName", "instanceId", "stepName", "eventType")
NUMBERS = ("stepCount",)
#: What history can be asked by, and grouped by. ``date`` is the day on which the instance was created; the other times
#: are those of the event. ``stepCount`` numbers the steps of an instance.
DIMENSIONS = (*TEXTS, *NUMBERS, *TIMES)
#: Milliseconds from the start of what an event ends: of the instance, the step, the attempt, the sleep; 0 for others.
WALL_TIME = "wallTime"
COUNT = "count"
#: What is computed of a group's wall times.
AGGREGATES = ("sum", "avg", "min", "max")

Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">=", "in", "notin", "like", "notlike"]


class Condition(msgspec.Struct, frozen=True):
    """That a field, a dimension or `WALL_TIME`, compares so with a value; times are in ms since 1970."""

    field: str
    operator: Operator
    value: Any


class Together(msgspec.Struct, frozen=True):
    """That all of the parts hold or, if ``is_any``, one of them."""

    parts: tuple[Filter, ...] = ()
    is_any: bool = False


Filter: TypeAlias = Condition | Together


class Order(msgspec.Struct, frozen=True):
    """By a dimension, `COUNT`, `WALL_TIME`, or ``sum_wallTime`` and the like."""

    field: str
    is_descending: bool = False


class Analysis(msgspec.Struct, frozen=True):
    """The query of an analysis.

    Without ``dimensions`` and with ``is_grouped`` there is one group of everything. Not ``is_grouped``: each event by
    itself, with ``dimensions``, and `WALL_TIME` if ``measures`` wall times.
    """

    filter: Filter
    limit: int
    dimensions: tuple[str, ...] = ()
    order: tuple[Order, ...] = ()
    is_grouped: bool = True
    measures: bool = False
