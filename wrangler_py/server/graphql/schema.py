"""What can be asked: ``{viewer {accounts {workflowsAdaptiveGroups workflowsAdaptive}}}``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
)

from wrangler_py.engine.analytics import (
    AGGREGATES,
    COUNT,
    DIMENSIONS,
    NUMBERS,
    TIMES,
    WALL_TIME,
    Operator,
    Order,
)
from wrangler_py.server.graphql.scalars import DATE, FLOAT, NUMBER, TEXT, TIME

#: Resolves a field whose value is computed: ``(source, info, **arguments)``.
Resolver = Callable[..., Awaitable[Any]]
#: What stands behind a field's name in a filter, and what that means.
OPERATORS: dict[str, Operator] = {
    "": "=",
    "_neq": "!=",
    "_lt": "<",
    "_leq": "<=",
    "_gt": ">",
    "_geq": ">=",
    "_in": "in",
    "_notin": "notin",
    "_like": "like",
    "_notlike": "notlike",
}
#: Most rows of one answer.
MOST = 10_000
_DESCRIPTIONS = {
    "workflowName": "Name of the workflow.",
    "instanceId": "Id of the instance.",
    "stepName": "Name of the step; empty for events of the instance itself.",
    "eventType": "What happened, such as WORKFLOW_START or STEP_SUCCESS.",
    "stepCount": "Number of the step within its instance.",
    "date": "The day on which the instance was created.",
    "datetime": "When it happened.",
    "datetimeMinute": "The minute in which it happened.",
    "datetimeFiveMinutes": "The five minutes in which it happened.",
    "datetimeFifteenMinutes": "The fifteen minutes in which it happened.",
    "datetimeHour": "The hour in which it happened.",
}
_WALL_TIME_SAYS = "Milliseconds from the start of what the event ends; 0 for events that end nothing."


def make_schema(groups: Resolver, events: Resolver) -> GraphQLSchema:
    """Return the schema; ``groups`` and ``events`` answer the two datasets."""
    account = GraphQLObjectType(
        "account",
        {
            "workflowsAdaptiveGroups": _dataset("AccountWorkflowsAdaptiveGroups", _group(), groups),
            "workflowsAdaptive": _dataset("AccountWorkflowsAdaptive", _event(), events),
        },
        description="What happened in this account.",
    )
    filters = GraphQLInputObjectType(
        "AccountFilter_InputObject", {"accountTag": GraphQLInputField(TEXT, description="Any account id.")}
    )
    viewer = GraphQLObjectType(
        "viewer",
        {
            "accounts": GraphQLField(
                GraphQLNonNull(GraphQLList(GraphQLNonNull(account))),
                {"filter": GraphQLArgument(filters), "limit": GraphQLArgument(NUMBER)},
                resolve=_here,
            )
        },
    )
    return GraphQLSchema(GraphQLObjectType("Query", {"viewer": GraphQLField(viewer, resolve=_root)}))


def _root(_: Any, __: GraphQLResolveInfo[Any]) -> Mapping[str, Any]:
    return {}


def _here(_: Any, __: GraphQLResolveInfo[Any], **___: Any) -> list[Mapping[str, Any]]:
    """There is one account, whatever its id."""
    return [{}]


def _scalar(dimension: str) -> GraphQLScalarType:
    if dimension in TIMES:
        return DATE if dimension == "date" else TIME
    return NUMBER if dimension in NUMBERS else TEXT


def _dimensions() -> dict[str, GraphQLField]:
    return {
        name: GraphQLField(GraphQLNonNull(_scalar(name)), description=_DESCRIPTIONS[name])
        for name in DIMENSIONS
    }


def _group() -> GraphQLObjectType:
    name = "AccountWorkflowsAdaptiveGroups"
    fields = {
        COUNT: GraphQLField(GraphQLNonNull(NUMBER), description="How many events."),
        "dimensions": GraphQLField(GraphQLObjectType(f"{name}Dimensions", _dimensions())),
    }
    for aggregate in AGGREGATES:
        scalar = FLOAT if aggregate == "avg" else NUMBER
        measured = {WALL_TIME: GraphQLField(GraphQLNonNull(scalar), description=_WALL_TIME_SAYS)}
        fields[aggregate] = GraphQLField(GraphQLObjectType(f"{name}{aggregate.capitalize()}", measured))
    return GraphQLObjectType(name, fields, description="Events that have the same dimensions.")


def _event() -> GraphQLObjectType:
    wall_time = GraphQLField(GraphQLNonNull(NUMBER), description=_WALL_TIME_SAYS)
    return GraphQLObjectType("AccountWorkflowsAdaptive", {**_dimensions(), WALL_TIME: wall_time})


def _dataset(name: str, row: GraphQLObjectType, resolve: Resolver) -> GraphQLField:
    return GraphQLField(
        GraphQLNonNull(GraphQLList(GraphQLNonNull(row))),
        {
            "limit": GraphQLArgument(GraphQLNonNull(NUMBER), description=f"Most rows; up to {MOST}."),
            "filter": GraphQLArgument(_filter(name)),
            "orderBy": GraphQLArgument(GraphQLList(GraphQLNonNull(_order(name)))),
        },
        resolve=resolve,
    )


def _filter(dataset: str) -> GraphQLInputObjectType:
    def fields() -> dict[str, GraphQLInputField]:
        every = GraphQLList(GraphQLNonNull(found))
        both = {"AND": GraphQLInputField(every), "OR": GraphQLInputField(every)}
        return both | {
            f"{name}{suffix}": GraphQLInputField(_compared(scalar, operator))
            for name, scalar in {**{one: _scalar(one) for one in DIMENSIONS}, WALL_TIME: NUMBER}.items()
            for suffix, operator in OPERATORS.items()
            if scalar is TEXT or not operator.endswith("like")
        }

    found = GraphQLInputObjectType(f"{dataset}Filter_InputObject", fields)
    return found


def _compared(scalar: GraphQLScalarType, operator: Operator) -> GraphQLInputType:
    return GraphQLList(GraphQLNonNull(scalar)) if operator in ("in", "notin") else scalar


def _order(dataset: str) -> GraphQLEnumType:
    is_grouped = dataset.endswith("Groups")
    measures = (COUNT, *(f"{one}_{WALL_TIME}" for one in AGGREGATES)) if is_grouped else (WALL_TIME,)
    return GraphQLEnumType(
        f"{dataset}OrderBy",
        {
            f"{field}_{direction}": Order(field, direction == "DESC")
            for field in (*measures, *DIMENSIONS)
            for direction in ("ASC", "DESC")
        },
    )
