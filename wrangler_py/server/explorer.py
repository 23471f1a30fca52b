"""The explorer API, which `wrangler --local` speaks: the same set as REST v4, in the shapes recorded from it.

Bodies and answers: spec/wrangler/local.md and explorer.openapi.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrangler_py.clock import iso
from wrangler_py.engine.model import Trigger
from wrangler_py.errors import RequestError
from wrangler_py.server import requests, rest
from wrangler_py.server.envelope import Success, explorer_refusal
from wrangler_py.server.pages import list_query, page_count
from wrangler_py.server.routing import Handler, Route, routes

if TYPE_CHECKING:
    from wrangler_py.engine.model import InstanceRow, WorkflowRow
    from wrangler_py.server.call import Call

PREFIXES = ("cdn-cgi/local/explorer/api", "cdn-cgi/explorer/api")


async def list_workflows(call: Call) -> Success:
    """Return all workflows; this list has no pages."""
    shown = [_view_workflow(row) for row in await call.engine.workflows()]
    return Success(shown, {"count": len(shown)})


async def get_workflow(call: Call) -> Success:
    """Return one workflow with its instance counts, by name as wrangler prints them."""
    row = await call.engine.workflow(call.workflow)
    counts = await call.engine.status_counts(row.name)
    return Success({**_view_workflow(row), "instances": dict(sorted(counts.items()))})


async def list_instances(call: Call) -> Success:
    """Return a page of instances, and in ``status_counts`` how many there are of each status on all pages."""
    query = list_query(call.query)
    page = await call.engine.instances(call.workflow, query)
    info = {
        "page": query.page,
        "per_page": query.per_page,
        "total_count": page.total_count,
        "total_pages": page_count(page.total_count, query.per_page),
        "status_counts": {status: count for status, count in page.status_counts.items() if count},
    }
    return Success([_view_instance(row) for row in page.items], info)


async def create_instance(call: Call) -> Success:
    """Create an instance from ``{id?, params?}``."""
    body: requests.ExplorerInstanceBody = requests.read(await call.body(), requests.ExplorerInstanceBody)
    params = requests.read_params(body.params)
    engine = await call.steering()
    kept = requests.retention_of(body.instance_retention)
    row = await engine.create(call.workflow, id=body.id, params=params, trigger=Trigger.API, retention=kept)
    return Success({"id": row.id})


async def set_status(call: Call) -> Success:
    """Pause, resume, terminate or restart; the command is in ``status`` or in ``action``."""
    body: requests.ExplorerStatusBody = requests.read(await call.body(), requests.ExplorerStatusBody)
    status = await rest.change_status(call, _action(body), body.from_, rollback=body.rollback)
    return Success({"status": status.value, "timestamp": iso(call.engine.clock.now())})


async def send_event(call: Call) -> Success:
    """Send an event."""
    await rest.deliver_event(call)
    return Success({"success": True})


async def delete_instance(call: Call) -> Success:
    """Remove one instance."""
    await rest.delete_instance(call)
    return Success({"success": True})


def _action(body: requests.ExplorerStatusBody) -> requests.Action:
    if body.status and body.action:
        raise RequestError(400, "status, action: give one of them, not both")
    action = body.status or body.action
    if action is None:
        raise RequestError(400, "status: missing")
    return action


def _view_workflow(row: WorkflowRow) -> dict[str, object]:
    return {"name": row.name, "class_name": row.class_name, "script_name": row.script}


def _view_instance(row: InstanceRow) -> dict[str, str]:
    return {"id": row.id, "status": row.status.value, "created_on": iso(row.created_at)}


TABLE: dict[str, Handler] = {
    **rest.TABLE,
    "GET workflows": list_workflows,
    "GET workflows/{workflow}": get_workflow,
    "GET workflows/{workflow}/instances": list_instances,
    "POST workflows/{workflow}/instances": create_instance,
    "PATCH workflows/{workflow}/instances/{instance}/status": set_status,
    "POST workflows/{workflow}/instances/{instance}/events/{event_type}": send_event,
    "DELETE workflows/{workflow}/instances/{instance}": delete_instance,
}


def explorer_routes() -> list[Route]:
    """Return the routes of the explorer API, under its path and its older one."""
    from wrangler_py.server.subscribe import TABLE as LIVE

    table = {**TABLE, **LIVE}
    return [route for prefix in PREFIXES for route in routes(prefix, explorer_refusal, table)]
