"""``POST /client/v4/graphql``."""

from __future__ import annotations

from functools import cache
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import msgspec
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    execute,
    parse,
    validate,
    visit,
)

from wrangler_py.engine.analytics import AGGREGATES, DIMENSIONS, WALL_TIME, Analysis
from wrangler_py.errors import RequestError
from wrangler_py.server.answer import JSON_TYPE, Answer
from wrangler_py.server.graphql.questions import of_events, of_groups
from wrangler_py.server.graphql.schema import make_schema

if TYPE_CHECKING:
    from wrangler_py.server.call import Call

#: Bytes of a request, and tokens of a query.
BODY_LIMIT, TOKEN_LIMIT = 256 * 1024, 5000
#: Datasets that one query may ask: each of them may read all of history.
DATASET_LIMIT = 30


class GraphQLBody(msgspec.Struct):
    """A request, as GraphQL clients send it over HTTP."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(default=None, name="operationName")


async def answer_query(call: Call) -> Answer:
    """Answer a query; what is wrong with one is told in ``errors``, as GraphQL clients expect."""
    body = _read(await call.body(BODY_LIMIT))
    try:
        document = _with_variables(body.query)
        if errors := validate(_schema(), document):
            return _answer(None, errors)
    except GraphQLError as error:
        return _answer(None, [error])
    context = {"store": call.engine.store, "asked": 0}
    found = execute(_schema(), document, None, context, body.variables or {}, body.operation_name)
    result = await found if isawaitable(found) else found
    return _answer(result.data, result.errors)


def _read(data: bytes) -> GraphQLBody:
    try:
        return msgspec.json.decode(data, type=GraphQLBody)
    except msgspec.DecodeError as error:
        raise RequestError(400, f"The body must be JSON with a query: {error}") from None


def _answer(data: Any, errors: Any) -> Answer:
    told = [error.formatted for error in errors] if errors else None
    return Answer(200, msgspec.json.encode({"data": data, "errors": told}), (JSON_TYPE,))


@cache
def _schema() -> GraphQLSchema:
    return make_schema(_groups, _events)


async def _groups(_: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> list[dict[str, Any]]:
    rows = await _analyse(info, of_groups(info, arguments))
    return [
        {
            "count": row["count"],
            "dimensions": {name: row[name] for name in DIMENSIONS if name in row},
            **{one: {WALL_TIME: row.get(f"{one}_{WALL_TIME}")} for one in AGGREGATES},
        }
        for row in rows
    ]


async def _events(_: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> list[dict[str, Any]]:
    return await _analyse(info, of_events(info, arguments))


async def _analyse(info: GraphQLResolveInfo[Any], asked: Analysis) -> list[dict[str, Any]]:
    info.context["asked"] += 1
    if info.context["asked"] > DATASET_LIMIT:
        raise GraphQLError(f"A query may ask {DATASET_LIMIT} datasets at most.")
    found: list[dict[str, Any]] = await info.context["store"].analyse(asked)
    return found


class _Undeclared(Visitor):
    """Finds the variables of an operation, with the types that their places ask for."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self.types, self.found = types, dict[str, str]()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        wanted = self.types.get_input_type()
        if wanted is not None:
            self.found.setdefault(node.name.value, str(wanted))


def _with_variables(query: str) -> DocumentNode:
    """Parse a query. One that declares no variables may use them: so the examples of Cloudflare's docs are written."""
    document = parse(query, max_tokens=TOKEN_LIMIT)
    types = TypeInfo(_schema())
    undeclared = _Undeclared(types)
    visit(document, TypeInfoVisitor(types, undeclared))
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    if not undeclared.found or len(operations) != 1 or operations[0].variable_definitions:
        return document
    whole, selection = operations[0].loc, operations[0].selection_set.loc
    assert whole is not None
    assert selection is not None
    declared = ", ".join(f"${name}: {type_name}" for name, type_name in undeclared.found.items())
    head = query[whole.start : selection.start] or "query "
    return parse(f"{query[: whole.start]}{head}({declared}) {query[selection.start :]}")
