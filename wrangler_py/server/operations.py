"""What each route of the API takes and gives, by the very types its handler reads and returns.

`server.openapi` makes a document of it. That the two agree with what is answered is tested with made-up requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from wrangler_py.engine.model import InstanceDetail, SleepView, Status, StepView, WaitView
from wrangler_py.engine.model import TerminationView as EndView
from wrangler_py.server import requests
from wrangler_py.server.pages import MAX_PAGE, MAX_PER_PAGE, PER_PAGE
from wrangler_py.server.views import (
    CreatedView,
    GraphView,
    InstanceView,
    StepOutputView,
    VersionView,
    WorkflowView,
)
from wrangler_py.server.workflows import OrderView, UpdatedView

Instant = Annotated[str, msgspec.Meta(description="ISO 8601, UTC; 2026-01-31 is its first moment.")]
Page = Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE, description="From 1.")]
PerPage = Annotated[int, msgspec.Meta(ge=1, le=MAX_PER_PAGE)]


class Query(msgspec.Struct):
    """Base of query parameters."""


class PageQuery(Query):
    """A list with pages."""

    page: Page = 1
    per_page: PerPage = PER_PAGE


class WorkflowsQuery(PageQuery):
    """GET ``workflows``."""

    search: Annotated[str, msgspec.Meta(description="A part of the name.")] = ""


class InstancesQuery(PageQuery):
    """GET ``instances``."""

    status: Status | None = None
    date_start: Instant | None = None
    date_end: Instant | None = None
    direction: Literal["asc", "desc"] = "desc"
    cursor: Annotated[
        str, msgspec.Meta(description="`next_cursor` of the page before; not together with `page`.")
    ] = ""


class InstanceQuery(Query):
    """GET ``instances/{instance}``."""

    order: Literal["asc", "desc"] = "asc"
    simple: Annotated[Literal["true", "false"], msgspec.Meta(description="Leave the steps out.")] = "false"


class StepQuery(Query):
    """GET ``instances/{instance}/step``."""

    name: Annotated[str, msgspec.Meta(min_length=1, description="As lists show it: `<name>-<count>`.")]
    type: Literal["step", "waitForEvent"]
    attempt: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] | None = None


class SubscribeQuery(Query):
    """GET ``instances/{instance}/subscribe``."""

    filter: Annotated[str, msgspec.Meta(description="Types of events, comma between them; all.")] = ""
    cursor: Annotated[int, msgspec.Meta(ge=0, description="`id` of the last event seen.")] = 0


class TerminateQuery(Query):
    """PUT ``instances/terminate``."""

    status: Literal["queued", "running", "paused", "waitingForPause", "waiting"] | None = None


class PageInfo(msgspec.Struct, omit_defaults=True):
    """``result_info`` of a list with pages."""

    count: int
    page: int
    per_page: int
    total_count: int
    total_pages: int
    cursor: str | None = None
    next_cursor: str | None = None


class CountInfo(msgspec.Struct):
    """``result_info`` of a list without pages."""

    count: int


class CountsInfo(msgspec.Struct):
    """``result_info`` of the explorer's list of instances."""

    page: int
    per_page: int
    total_count: int
    total_pages: int
    status_counts: dict[str, int]


class RemovedView(msgspec.Struct):
    """A removal."""

    status: str
    success: bool


class ChangedView(msgspec.Struct):
    """A change of status."""

    status: Status
    timestamp: str


class SentView(msgspec.Struct):
    """An event that was stored."""

    instanceId: str  # noqa: N815 - the API's own spelling
    timestamp: str


class IdView(msgspec.Struct):
    """An instance by its id."""

    id: str


class NotDeletedView(msgspec.Struct):
    """An instance that could not be deleted, and why."""

    id: str
    code: int
    message: str


class DeletionsView(msgspec.Struct):
    """What became of each instance to delete."""

    deleted: list[IdView]
    errors: list[NotDeletedView]


class SuccessView(msgspec.Struct):
    """The explorer's answer to what has no result."""

    success: bool


class NamedView(msgspec.Struct):
    """A workflow as the explorer lists it."""

    name: str
    class_name: str
    script_name: str


class CountedView(NamedView):
    """A workflow of the explorer with its instance counts."""

    instances: dict[str, int]


class ListedView(msgspec.Struct):
    """An instance as the explorer lists it."""

    id: str
    status: Status
    created_on: str


#: Entries of an instance's ``steps``. They are told apart by ``type``, for which msgspec has no schema.
STEPS = (StepView, SleepView, WaitView, EndView)
DetailView = msgspec.defstruct(
    InstanceDetail.__name__,
    [
        (one.name, list[Any] if one.name == "steps" else one.type)
        for one in msgspec.structs.fields(InstanceDetail)
    ],
)


@dataclass(frozen=True)
class Operation:
    """One route. ``summary`` is a line; ``errors`` are the refusals that are its own."""

    result: Any
    query: type[Query] | None = None
    body: Any = None
    info: type | None = None
    errors: tuple[int, ...] = ()
    #: Another media type its success may have, or has always.
    other_type: str | None = None
    is_json: bool = True
    needs_body: bool = True


_W = "workflows/{workflow}"
_I = f"{_W}/instances/{{instance}}"
_BATCH = Operation(DeletionsView, body=requests.DeleteBody)
REST: dict[str, Operation] = {
    "GET workflows": Operation(list[WorkflowView], WorkflowsQuery, info=PageInfo),
    f"GET {_W}": Operation(WorkflowView),
    f"PUT {_W}": Operation(UpdatedView, body=requests.WorkflowBody, errors=(409,)),
    f"DELETE {_W}": Operation(RemovedView),
    f"GET {_W}/versions": Operation(list[VersionView], PageQuery, info=PageInfo),
    f"GET {_W}/versions/{{version}}": Operation(VersionView),
    f"GET {_W}/versions/{{version}}/graph": Operation(GraphView),
    f"GET {_W}/instances": Operation(list[InstanceView], InstancesQuery, info=PageInfo),
    f"PUT {_W}/instances/terminate": Operation(OrderView, TerminateQuery),
    f"POST {_W}/instances": Operation(
        CreatedView, body=requests.NewInstanceBody, errors=(409, 413, 429), needs_body=False
    ),
    f"POST {_W}/instances/batch": Operation(
        list[CreatedView], body=requests.NewInstanceBatch, errors=(413, 429)
    ),
    f"DELETE {_W}/instances/batch": _BATCH,
    f"POST {_W}/instances/batch/delete": _BATCH,
    f"GET {_I}": Operation(DetailView, InstanceQuery),
    f"DELETE {_I}": Operation(RemovedView),
    f"PATCH {_I}/status": Operation(ChangedView, body=requests.StatusBody, errors=(409,)),
    f"POST {_I}/events/{{event_type}}": Operation(SentView, body=Any, errors=(409, 413), needs_body=False),
    f"GET {_I}/subscribe": Operation(None, SubscribeQuery, other_type="text/event-stream", is_json=False),
    f"GET {_I}/step": Operation(StepOutputView, StepQuery, other_type="application/octet-stream"),
}
EXPLORER: dict[str, Operation] = {
    **REST,
    "GET workflows": Operation(list[NamedView], info=CountInfo),
    f"GET {_W}": Operation(CountedView),
    f"GET {_W}/instances": Operation(list[ListedView], InstancesQuery, info=CountsInfo),
    f"POST {_W}/instances": Operation(
        IdView, body=requests.ExplorerInstanceBody, errors=(409, 413, 429), needs_body=False
    ),
    f"PATCH {_I}/status": Operation(ChangedView, body=requests.ExplorerStatusBody, errors=(409,)),
    f"POST {_I}/events/{{event_type}}": Operation(SuccessView, body=Any, errors=(409, 413), needs_body=False),
    f"DELETE {_I}": Operation(SuccessView),
}
