"""Request bodies, typed; and what is wrong with one, all of it at once."""

from __future__ import annotations

import types
import typing
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from wrangler_py.engine.limits import ID_PATTERN, MAX_BATCH, MAX_ID_LENGTH, MAX_STEPS, PLANS
from wrangler_py.engine.settings import KEPT_FOR_EVER, LONGEST_MS, read_retention
from wrangler_py.engine.settings import Retention as Kept
from wrangler_py.errors import RequestError
from wrangler_py.serde import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a handler finds out later, in words of its own, stands in the documents all the same (`server.openapi`).
InstanceId = Annotated[
    str, msgspec.Meta(extra_json_schema={"pattern": f"^{ID_PATTERN.pattern}$", "maxLength": MAX_ID_LENGTH})
]
Duration = (
    Annotated[float, msgspec.Meta(extra_json_schema={"minimum": 1, "maximum": LONGEST_MS})]
    | Annotated[
        str,
        msgspec.Meta(
            extra_json_schema={
                "pattern": "^[1-9][0-9]? ?(second|minute|hour|day|week|month|year)s?$",
                "examples": ["3 days"],
            }
        ),
    ]
)
Action = Literal["pause", "resume", "terminate", "restart"]


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """Base: a key nobody knows is a mistake."""


class Retention(Body):
    """How long a finished instance is kept."""

    success_retention: Duration | None = None
    error_retention: Duration | None = None


class LimitsBody(Body):
    """``limits`` of a workflow."""

    steps: Annotated[int, msgspec.Meta(ge=1, le=MAX_STEPS)] | None = None


class ConcurrencyBody(Body):
    """``concurrency`` of a workflow: how many of its instances execute at once."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=PLANS["paid"].concurrency)] | None = None


class ScheduleBody(Body):
    """One of a workflow's ``schedules``."""

    cron: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class WorkflowBody(Body):
    """PUT ``workflows/{name}``."""

    class_name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    script_name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    limits: LimitsBody | None = None
    concurrency: ConcurrencyBody | None = None
    schedules: list[ScheduleBody] | None = None
    default_retention: Retention | None = None


class NewInstanceBody(Body):
    """POST ``instances``, REST v4; ``location_hint`` means nothing on one machine."""

    instance_id: InstanceId | None = None
    params: Any = msgspec.field(default_factory=dict)
    instance_retention: Retention | None = None
    location_hint: str | None = None


class ExplorerInstanceBody(Body):
    """POST ``instances``, explorer."""

    id: InstanceId | None = None
    params: Any = msgspec.field(default_factory=dict)
    instance_retention: Retention | None = None


NewInstanceBatch = Annotated[list[NewInstanceBody], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


class StepBody(Body):
    """The step a restart begins at."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    type: Literal["do", "sleep", "waitForEvent"] = "do"


class StatusBody(Body):
    """PATCH ``instances/{id}/status``, REST v4."""

    status: Action
    rollback: bool = False
    from_: StepBody | None = msgspec.field(default=None, name="from")


class ExplorerStatusBody(Body):
    """The same for the explorer, where the command may also be called ``action``."""

    status: Action | None = None
    action: Action | None = None
    rollback: bool = False
    from_: StepBody | None = msgspec.field(default=None, name="from")


class DeleteBody(Body):
    """POST ``instances/batch/delete``. Ids that cron made may be longer than a user's (explorer.openapi)."""

    instances: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=271)]],
        msgspec.Meta(min_length=1, max_length=MAX_BATCH),
    ]


def read(data: bytes, kind: Any) -> Any:
    """Return ``data`` as a ``kind`` (a `Body`, or a list of them). An empty body reads as ``{}``.

    Raises:
        RequestError: 400, naming every problem.
    """
    try:
        return _decoder(kind).decode(data or b"{}")
    except msgspec.ValidationError:
        raise RequestError(400, *find_problems(read_json(data), kind)) from None
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from None


def read_json(data: bytes) -> Any:
    """Return ``data`` as a JSON value. Raises RequestError (400) if it is none."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from None


def read_params(params: Any) -> Any:
    """Return the parameters meant: a string that holds JSON is the JSON in it, as the SDK sends it."""
    if not isinstance(params, str):
        return params
    try:
        return msgspec.json.decode(params)
    except (ValueError, RecursionError):
        return params


def retention_of(body: Retention | None) -> Kept:
    """Return how long to keep an instance. Raises InvalidArgumentError if that is no duration."""
    return KEPT_FOR_EVER if body is None else read_retention(body.success_retention, body.error_retention)


def find_problems(value: Any, kind: Any, path: str = "") -> list[str]:
    """Return everything that keeps ``value`` from being a ``kind``, each with the path it stands at."""
    plain = _plain(kind)
    found = list(_problems_inside(value, plain, path))
    return found or list(_own_problem(value, kind, plain, path))


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _not_json(error: Exception) -> RequestError:
    if isinstance(error, RecursionError):
        return RequestError(
            400, f"The request body is not JSON of at most {MAX_DEPTH} levels: it is nested too deeply"
        )
    return RequestError(400, f"The request body is not JSON: {error}")


def _plain(kind: Any) -> Any:
    """Strip ``Annotated`` and ``| None``."""
    if typing.get_origin(kind) is Annotated:
        return _plain(typing.get_args(kind)[0])
    if typing.get_origin(kind) in {types.UnionType, typing.Union}:
        others = [arg for arg in typing.get_args(kind) if arg is not type(None)]
        return _plain(others[0]) if len(others) == 1 else kind
    return kind


def _problems_inside(value: Any, plain: Any, path: str) -> Iterator[str]:
    if isinstance(plain, type) and issubclass(plain, Body) and isinstance(value, dict):
        yield from _field_problems(value, plain, path)
    elif typing.get_origin(plain) is list and isinstance(value, list):
        (item_kind,) = typing.get_args(plain)
        for index, item in enumerate(value):
            yield from find_problems(item, item_kind, f"{path}[{index}]")


def _field_problems(value: dict[str, Any], body: type[Body], path: str) -> Iterator[str]:
    fields = {item.encode_name: item for item in msgspec.structs.fields(body)}
    for name in value.keys() - fields.keys():
        yield f"{_join(path, name)}: unknown key; known are {', '.join(fields)}"
    for name, item in fields.items():
        if name in value:
            yield from find_problems(value[name], item.type, _join(path, name))
        elif item.required:
            yield f"{_join(path, name)}: missing"


def _own_problem(value: Any, kind: Any, plain: Any, path: str) -> Iterator[str]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if typing.get_origin(plain) is Literal:
            yield f"{path}: must be one of {', '.join(typing.get_args(plain))}, not {value!r}"
        else:
            yield f"{path or 'the body'}: {error}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
