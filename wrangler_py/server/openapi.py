"""The API's OpenAPI document, made from its routes and the types of `server.operations`."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from wrangler_py import __version__
from wrangler_py.server import explorer, rest, subscribe
from wrangler_py.server.answer import JSON_TYPE, Answer
from wrangler_py.server.envelope import explorer_refusal, rest_refusal
from wrangler_py.server.operations import EXPLORER, REST, STEPS, DetailView, Operation
from wrangler_py.server.routing import Route, routes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wrangler_py.server.call import Call
    from wrangler_py.server.routing import Handler

_REF = "#/components/schemas/{name}"
#: What any request may be answered with.
_ALWAYS = (400, 403, 503)
_REFUSALS = {
    400: "The request is wrong; every problem is named.",
    401: "The bearer token is missing, or not one of this server's.",
    403: "The request comes from another site, or the token may not do this.",
    404: "There is no such workflow, version or instance.",
    409: "It cannot be done in the state that the instance or workflow is in.",
    413: "The request, the parameters or the payload are too large.",
    429: "Too many instances were created or are queued; see `Retry-After`.",
    503: "The state cannot be written, or who drives the instance does not answer; try again.",
}
_PARAMETERS = {
    "account": ("Any; one server has one account.", {"type": "string", "minLength": 1}),
    "workflow": ("Name of the workflow.", {"type": "string", "minLength": 1}),
    "version": ("Id of the version.", {"type": "string", "minLength": 1}),
    "instance": (
        "Id of the instance; `latest`: the one created last.",
        {"type": "string", "minLength": 1, "maxLength": 271},
    ),
    "event_type": ("Type of the event.", {"type": "string", "minLength": 1}),
}


async def get_rest_document(call: Call) -> Answer:
    """Return the document of REST v4."""
    _ = call
    return Answer(200, _encoded("rest"), (JSON_TYPE,))


async def get_explorer_document(call: Call) -> Answer:
    """Return the document of the explorer API."""
    _ = call
    return Answer(200, _encoded("explorer"), (JSON_TYPE,))


@cache
def _encoded(which: str) -> bytes:
    return msgspec.json.encode(rest_document() if which == "rest" else explorer_document())


def rest_document() -> dict[str, Any]:
    """Return the document of REST v4."""
    return _document("Workflows", "/client/v4/accounts/{account}", rest.TABLE, REST)


def explorer_document() -> dict[str, Any]:
    """Return the document of the explorer API, which `wrangler --local` speaks."""
    return _document("Workflows, for wrangler --local", f"/{explorer.PREFIXES[0]}", explorer.TABLE, EXPLORER)


def _document(
    title: str, prefix: str, table: Mapping[str, Handler], operations: Mapping[str, Operation]
) -> dict[str, Any]:
    table = {**table, **subscribe.TABLE}
    shown = {key: operations[key] for key in table if key in operations}
    kinds = [*STEPS, *(kind for one in shown.values() for kind in _kinds(one))]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    components[DetailView.__name__]["properties"]["steps"]["items"] = {"anyOf": list(schemas[: len(STEPS)])}
    of = dict(zip(map(_key, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for key, one in shown.items():
        method, _, path = key.partition(" ")
        full = f"{prefix}/{path}"
        paths.setdefault(full, {})[method.lower()] = _operation(full, method, table[key], one, of)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__, "description": _ABOUT},
        "security": [{"bearer": []}, {}],
        "paths": paths,
        "components": {
            "schemas": {**components, "Refusal": _REFUSAL},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": _TOKENS}},
        },
    }


_ABOUT = "Cloudflare's Workflows API, answered by pywrangler. Times are ISO 8601 UTC with milliseconds."
_TOKENS = "`pywrangler tokens create` makes one. A session of `pywrangler dev` needs none."
_REFUSAL = {
    "type": "object",
    "description": "An error; the codes are Cloudflare's where they are known.",
    "required": ["success", "errors", "messages", "result"],
    "properties": {
        "success": {"const": False},
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
            },
        },
        "messages": {"type": "array"},
        "result": {"type": "null"},
    },
}


def _kinds(one: Operation) -> Iterator[Any]:
    yield one.result
    if one.body is not None:
        yield one.body
    if one.info is not None:
        yield one.info
    if one.query is not None:
        yield from (field.type for field in msgspec.structs.fields(one.query))


def _key(kind: Any) -> str:
    return repr(kind)


def _operation(
    path: str, method: str, handler: Handler, one: Operation, of: Mapping[str, Any]
) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(handler) or "").partition("\n\n")
    shown: dict[str, Any] = {
        "operationId": f"{method.lower()}_{re.sub(r'[^a-z]+', '_', path.partition('workflows')[2])}".strip(
            "_"
        ),
        "summary": summary.replace("``", "`"),
        "description": description.replace("``", "`"),
        "parameters": [*_in_path(path), *_in_query(one, of)],
        "responses": _responses(path, one, of),
    }
    if one.body is not None:
        content = {"application/json": {"schema": of[_key(one.body)]}}
        shown["requestBody"] = {"required": one.needs_body, "content": content}
    return shown


def _in_path(path: str) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        description, schema = _PARAMETERS[name]
        yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _in_query(one: Operation, of: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for field in msgspec.structs.fields(one.query) if one.query else ():
        schema = of[_key(field.type)]
        yield {"name": field.encode_name, "in": "query", "required": field.required, "schema": schema}


def _responses(path: str, one: Operation, of: Mapping[str, Any]) -> dict[str, Any]:
    codes = {*_ALWAYS, *one.errors, *((404,) if "{workflow}" in path else ()), 401}
    return {
        "200": _success(one, of),
        **{str(code): _refusal(code) for code in sorted(codes)},
    }


def _success(one: Operation, of: Mapping[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "success": {"const": True},
        "errors": {"type": "array", "maxItems": 0},
        "messages": {"type": "array", "maxItems": 0},
        "result": of[_key(one.result)],
    }
    if one.info is not None:
        properties["result_info"] = of[_key(one.info)]
    schema = {"type": "object", "required": list(properties), "properties": properties}
    content: dict[str, Any] = {"application/json": {"schema": schema}} if one.is_json else {}
    if one.other_type is not None:
        content[one.other_type] = {"schema": {}}
    return {"description": "Done.", "content": content}


def _refusal(code: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "description": _REFUSALS[code],
        "content": {"application/json": {"schema": {"$ref": _REF.format(name="Refusal")}}},
    }
    if code in {429, 503}:
        seconds = {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds."}
        shown["headers"] = {"Retry-After": seconds}
    return shown


def document_routes() -> list[Route]:
    """Return the routes that serve the documents."""
    found = routes("client/v4", rest_refusal, {"GET openapi.json": get_rest_document})
    for prefix in explorer.PREFIXES:
        found += routes(prefix, explorer_refusal, {"GET openapi.json": get_explorer_document})
    return found
