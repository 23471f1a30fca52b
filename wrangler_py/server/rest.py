"""REST v4 under ``/client/v4/accounts/{account}`` (rest-and-cli, section 3). The account may be anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wrangler_py.clock import iso
from wrangler_py.engine import NewInstance, StepRef
from wrangler_py.engine.creation import encode_payload
from wrangler_py.engine.describe import is_stream
from wrangler_py.engine.limits import check_instance_id
from wrangler_py.engine.model import InstanceDetail, Kind, Status, Trigger, WorkflowRow
from wrangler_py.errors import (
    InstanceNotFoundError,
    InvalidArgumentError,
    InvalidInstanceIdError,
    PayloadTooLargeError,
    RequestError,
)
from wrangler_py.server import requests
from wrangler_py.server.envelope import Success, rest_refusal
from wrangler_py.server.pages import MAX_PAGE, QueryReader, cut, list_query, page_info, page_of
from wrangler_py.server.routing import Handler, Route, routes
from wrangler_py.server.streaming import ByteStream
from wrangler_py.server.subscribe import TABLE as LIVE
from wrangler_py.server.versions import get_graph, get_version, list_versions
from wrangler_py.server.views import (
    WorkflowView,
    view_created,
    view_instance,
    view_step,
    view_workflow,
)
from wrangler_py.server.workflows import put_workflow, terminate_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wrangler_py.engine import DeleteResult
    from wrangler_py.engine.store import InstancePage, ListQuery
    from wrangler_py.server.call import Call

#: A hundred instances of up to 1 MiB each.
BATCH_BODY_LIMIT = 128 * 1024 * 1024


# workflows


async def list_workflows(call: Call) -> Success:
    """Return the workflows, newest first; ``search`` looks for a part of the name."""
    query = call.query
    page, per_page = page_of(query)
    search = query.get("search", "").lower()
    rows = [row for row in await call.engine.workflows() if search in row.name.lower()]
    rows.sort(key=lambda row: row.created_at, reverse=True)
    shown = [await _shown(call, row) for row in cut(rows, page, per_page)]
    return Success(shown, page_info(len(shown), page, per_page, len(rows)))


async def get_workflow(call: Call) -> Success:
    """Return one workflow."""
    return Success(await _shown(call, await call.engine.workflow(call.workflow)))


async def delete_workflow(call: Call) -> Success:
    """Remove a workflow and its instances."""
    await call.engine.delete_workflow(call.workflow)
    return Success({"status": "ok", "success": True})


# instances


async def create_instance(call: Call) -> Success:
    """Create an instance."""
    body: requests.NewInstanceBody = requests.read(await call.body(), requests.NewInstanceBody)
    params = requests.read_params(body.params)
    engine = await call.steering()
    kept = requests.retention_of(body.instance_retention)
    row = await engine.create(
        call.workflow, id=body.instance_id, params=params, trigger=Trigger.API, retention=kept
    )
    return Success(view_created(row))


async def create_batch(call: Call) -> Success:
    """Create up to a hundred instances; ids that exist are skipped (engine-semantics, section 1).

    One entry that cannot be created refuses the batch: nothing is created then.
    """
    data = await call.body(BATCH_BODY_LIMIT)
    body: list[requests.NewInstanceBody] = requests.read(data, requests.NewInstanceBatch)
    wanted = [
        NewInstance(
            item.instance_id,
            requests.read_params(item.params),
            requests.retention_of(item.instance_retention),
        )
        for item in body
    ]
    _refuse_unfit(wanted)
    engine = await call.steering()
    found = await engine.create_batch(call.workflow, wanted, trigger=Trigger.API)
    if found.errors:
        raise RequestError(400, *(f"[{error.index}]: {error.message}" for error in found.errors))
    return Success([view_created(row) for row in found.created])


async def list_instances(call: Call) -> Success:
    """Return a page of instances."""
    query = list_query(call.query)
    page = await call.engine.instances(call.workflow, query)
    return Success([view_instance(row) for row in page.items], _instances_info(page, query))


async def get_instance(call: Call) -> Success:
    """Return one instance in full; ``order=desc`` turns its steps round, ``simple=true`` leaves them out."""
    reader = QueryReader(call.query)
    order = reader.choice("order", ("asc", "desc"), "asc")
    is_simple = reader.choice("simple", ("true", "false"), "false") == "true"
    reader.finish()
    return Success(_arrange(await _detail(call), order=order, is_simple=is_simple))


async def get_step(call: Call) -> Success | ByteStream:
    """Return what a step, or one attempt of it, came to; a stream as its bytes."""
    reader = QueryReader(call.query)
    name = reader.text("name")
    kind = reader.choice("type", ("step", "waitForEvent"))
    attempt = reader.integer("attempt", 0, MAX_PAGE) or None
    for missing in (key for key in ("name", "type") if reader.text(key) is None):
        reader.problems.append(f"{missing}: missing")
    reader.finish()
    shown = view_step(await _detail(call), str(name), str(kind), attempt)
    if shown is None:
        raise RequestError(
            404, f"No {kind} '{name}'{f', attempt {attempt},' if attempt else ''} in this instance."
        )
    if is_stream(shown.output) and (
        stream := await call.engine.step_stream(call.workflow, await call.instance_id(), str(name))
    ):
        return ByteStream(stream.chunks, stream.size, call.receive)
    return Success(shown)


async def set_status(call: Call) -> Success:
    """Pause, resume, terminate or restart."""
    body: requests.StatusBody = requests.read(await call.body(), requests.StatusBody)
    status = await change_status(call, body.status, body.from_, rollback=body.rollback)
    return Success({"status": status.value, "timestamp": iso(call.engine.clock.now())})


async def send_event(call: Call) -> Success:
    """Send an event; the whole body is its payload, an empty one null."""
    instance_id, at = await deliver_event(call)
    return Success({"instanceId": instance_id, "timestamp": iso(at)})


async def delete_instance(call: Call) -> Success:
    """Remove one instance."""
    instance_id = await call.instance_id()
    await (await call.steering()).delete(call.workflow, instance_id)
    return Success({"status": "ok", "success": True})


async def delete_batch(call: Call) -> Success:
    """Remove up to a hundred instances; those that do not exist are told one by one."""
    body: requests.DeleteBody = requests.read(await call.body(), requests.DeleteBody)
    engine = await call.steering()
    return Success(_deletions(await engine.delete_batch(call.workflow, body.instances)))


# shared with the explorer


async def change_status(call: Call, action: requests.Action, step: Any, *, rollback: bool) -> Status:
    """Carry out a status command and return the new status: after ``rollback`` that is often still "running"."""
    _refuse_misplaced(action, step, rollback=rollback)
    instance_id = await call.instance_id()
    engine = await call.steering()
    if action == "restart":
        origin = step and StepRef(step.name, step.count, Kind(step.type))
        return await engine.restart(call.workflow, instance_id, from_=origin)
    if action == "terminate":
        return await engine.terminate(call.workflow, instance_id, rollback=rollback)
    commands = {"pause": engine.pause, "resume": engine.resume}
    return await commands[action](call.workflow, instance_id)


async def deliver_event(call: Call) -> tuple[str, int]:
    """Send the event the path and the body describe; return the instance's id and the event's time."""
    data = await call.body()
    payload = requests.read_json(data) if data else None
    instance_id = await call.instance_id()
    engine = await call.steering()
    at = await engine.send_event(call.workflow, instance_id, call.parts["event_type"], payload)
    return instance_id, at


async def _detail(call: Call) -> InstanceDetail:
    return await call.engine.detail(call.workflow, await call.instance_id())


def _refuse_misplaced(action: str, step: Any, *, rollback: bool) -> None:
    problems = []
    if step is not None and action != "restart":
        problems.append(f"from: is for restart, not for {action}")
    if rollback and action != "terminate":
        problems.append(f"rollback: is for terminate, not for {action}")
    if problems:
        raise RequestError(400, *problems)


def _arrange(detail: InstanceDetail, *, order: str | None, is_simple: bool) -> InstanceDetail:
    if is_simple:
        detail.steps = []
    elif order == "desc":
        detail.steps = detail.steps[::-1]
    return detail


def _deletions(found: DeleteResult) -> dict[str, Any]:
    missing = rest_refusal(InstanceNotFoundError()).problems[0]
    errors = [{"id": error.id, "code": missing.code, "message": missing.message} for error in found.errors]
    return {"deleted": [{"id": deleted} for deleted in found.deleted], "errors": errors}


def _refuse_unfit(wanted: list[NewInstance]) -> None:
    """Look at every entry before any is created."""
    problems = [f"[{index}].{problem}" for index, new in enumerate(wanted) for problem in _unfit(new)]
    if problems:
        raise RequestError(400, *problems)


def _unfit(new: NewInstance) -> Iterator[str]:
    if new.id is not None:
        try:
            check_instance_id(new.id)
        except InvalidInstanceIdError as error:
            yield f"instance_id: {error}"
    try:
        encode_payload("params", new.params)
    except PayloadTooLargeError:
        yield "params: larger than the 1 MiB allowed"
    except InvalidArgumentError as error:
        yield str(error)


async def _shown(call: Call, row: WorkflowRow) -> WorkflowView:
    counts = await call.engine.status_counts(row.name)
    settings = await call.engine.maintenance.settings(row.name)
    return view_workflow(row, counts, settings, call.engine.clock.now())


def _instances_info(page: InstancePage, query: ListQuery) -> dict[str, Any]:
    info = page_info(len(page.items), query.page, query.per_page, page.total_count)
    if page.next_cursor is not None:
        info["cursor"] = info["next_cursor"] = page.next_cursor
    return info


_W = "workflows/{workflow}"
_I = f"{_W}/instances/{{instance}}"
TABLE: dict[str, Handler] = {
    "GET workflows": list_workflows,
    f"GET {_W}": get_workflow,
    f"PUT {_W}": put_workflow,
    f"DELETE {_W}": delete_workflow,
    f"GET {_W}/versions": list_versions,
    f"GET {_W}/versions/{{version}}": get_version,
    f"GET {_W}/versions/{{version}}/graph": get_graph,
    f"GET {_W}/instances": list_instances,
    f"PUT {_W}/instances/terminate": terminate_all,
    f"POST {_W}/instances": create_instance,
    f"POST {_W}/instances/batch": create_batch,
    f"DELETE {_W}/instances/batch": delete_batch,
    f"POST {_W}/instances/batch/delete": delete_batch,
    f"GET {_I}": get_instance,
    f"DELETE {_I}": delete_instance,
    f"PATCH {_I}/status": set_status,
    f"POST {_I}/events/{{event_type}}": send_event,
    f"GET {_I}/step": get_step,
}


def rest_routes() -> list[Route]:
    """Return the routes of REST v4."""
    return routes("client/v4/accounts/{account}", rest_refusal, {**TABLE, **LIVE})
