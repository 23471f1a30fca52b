"""What a field of a query asks for: its arguments, and what is selected below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionSetNode,
)

from wrangler_py.engine.analytics import (
    AGGREGATES,
    DIMENSIONS,
    WALL_TIME,
    Analysis,
    Condition,
    Filter,
    Order,
    Together,
)
from wrangler_py.server.graphql.schema import MOST, OPERATORS

#: The longest suffix first: ``date_notin`` does not end the field's name at ``_notin``'s ``in``.
_SUFFIXES = sorted((one for one in OPERATORS if one), key=len, reverse=True)


def of_groups(info: GraphQLResolveInfo[Any], arguments: Mapping[str, Any]) -> Analysis:
    """Return what is asked of groups: grouped by what is selected below ``dimensions``."""
    order = _order(arguments)
    selected = dict(_selected(info, info.field_nodes))
    dimensions = {field.name.value for field in selected.get("dimensions", ())} & set(DIMENSIONS)
    for one in order:
        if one.field in DIMENSIONS and one.field not in dimensions:
            raise GraphQLError(f"Ordering by {one.field} needs it among the dimensions.")
    measures = bool(selected.keys() & set(AGGREGATES)) or any(WALL_TIME in one.field for one in order)
    return _analysis(arguments, order, _sorted(dimensions), is_grouped=True, measures=measures)


def of_events(info: GraphQLResolveInfo[Any], arguments: Mapping[str, Any]) -> Analysis:
    """Return what is asked of single events."""
    order = _order(arguments)
    selected = dict(_selected(info, info.field_nodes)).keys()
    measures = WALL_TIME in selected or any(one.field == WALL_TIME for one in order)
    return _analysis(
        arguments, order, _sorted(selected & set(DIMENSIONS)), is_grouped=False, measures=measures
    )


def _analysis(
    arguments: Mapping[str, Any],
    order: tuple[Order, ...],
    dimensions: tuple[str, ...],
    *,
    is_grouped: bool,
    measures: bool,
) -> Analysis:
    limit = arguments["limit"]
    if not 0 < limit <= MOST:
        raise GraphQLError(f"limit must be from 1 to {MOST}, not {limit}.")
    conditions = _filter(arguments.get("filter") or {})
    measures = measures or _asks_for_wall_time(conditions)
    return Analysis(conditions, limit, dimensions, order, is_grouped, measures)


def _sorted(dimensions: set[str]) -> tuple[str, ...]:
    return tuple(one for one in DIMENSIONS if one in dimensions)


def _order(arguments: Mapping[str, Any]) -> tuple[Order, ...]:
    return tuple(arguments.get("orderBy") or ())


def _filter(given: Mapping[str, Any]) -> Together:
    return Together(tuple(one for key, value in given.items() for one in _conditions(key, value)))


def _conditions(key: str, value: Any) -> Iterator[Filter]:
    if value is None:
        return
    if key in ("AND", "OR"):
        yield Together(tuple(_filter(one) for one in value), is_any=key == "OR")
        return
    suffix = next((one for one in _SUFFIXES if key.endswith(one)), "")
    yield Condition(key.removesuffix(suffix), OPERATORS[suffix], value)


def _asks_for_wall_time(part: Filter) -> bool:
    if isinstance(part, Condition):
        return part.field == WALL_TIME
    return any(_asks_for_wall_time(one) for one in part.parts)


def _selected(
    info: GraphQLResolveInfo[Any], nodes: Sequence[FieldNode]
) -> Iterator[tuple[str, list[FieldNode]]]:
    """Give the fields selected below ``nodes`` by name, each with what is selected below it in turn."""
    found: dict[str, list[FieldNode]] = {}
    for node in nodes:
        for field in _fields(info, node.selection_set):
            found.setdefault(field.name.value, []).extend(_fields(info, field.selection_set))
    yield from found.items()


def _fields(info: GraphQLResolveInfo[Any], selection: SelectionSetNode | None) -> Iterator[FieldNode]:
    for one in selection.selections if selection else ():
        if isinstance(one, FieldNode):
            yield one
        elif isinstance(one, InlineFragmentNode):
            yield from _fields(info, one.selection_set)
        elif isinstance(one, FragmentSpreadNode):
            yield from _fields(info, info.fragments[one.name.value].selection_set)
