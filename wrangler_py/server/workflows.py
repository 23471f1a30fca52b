"""What the API does to a workflow as a whole: set it up, draw it, terminate all its instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wrangler_py.clock import iso
from wrangler_py.config.cron import problem as cron_problem
from wrangler_py.engine.model import WorkflowRow
from wrangler_py.engine.settings import Settings
from wrangler_py.engine.terminations import TERMINABLE
from wrangler_py.errors import RequestError, WorkflowNotFoundError
from wrangler_py.server import requests
from wrangler_py.server.envelope import Success
from wrangler_py.server.pages import QueryReader
from wrangler_py.server.views import workflow_id

if TYPE_CHECKING:
    from wrangler_py.server.call import Call


class UpdatedView(msgspec.Struct):
    """A workflow as the answer to PUT shows it; the two counts are Cloudflare's, 0 or 1."""

    id: str
    name: str
    script_name: str
    class_name: str
    created_on: str
    modified_on: str
    triggered_on: str | None
    version_id: str
    is_deleted: int
    terminator_running: int


class OrderView(msgspec.Struct):
    """What became of an order to terminate all: ``ok`` or ``already_running``."""

    status: str


async def put_workflow(call: Call) -> Success:
    """Set what holds for a workflow where its configuration is silent, in this session and later ones.

    All of it at once: what is left out is not set any more. It makes no workflow, because its code is needed for
    that: a session declares it in its configuration, a deploy brings it along.
    """
    body: requests.WorkflowBody = requests.read(await call.body(), requests.WorkflowBody)
    settings = _read_settings(body)
    row = await _known(call, body)
    await call.engine.maintenance.change_settings(row.name, settings)
    return Success(await _shown(call))


async def terminate_all(call: Call) -> Success:
    """Order to terminate all instances that have not ended; it is carried out in the background.

    ``status`` spares those in another one. While an order is being carried out, a second one changes nothing.
    """
    reader = QueryReader(call.query)
    status = reader.status("status", TERMINABLE)
    reader.finish()
    await call.engine.workflow(call.workflow)
    is_new = await call.engine.maintenance.terminate_all(call.workflow, status)
    return Success(OrderView("ok" if is_new else "already_running"))


def _read_settings(body: requests.WorkflowBody) -> Settings:
    schedules = tuple(one.cron for one in body.schedules or ())
    complaints = ((one, cron_problem(one)) for one in schedules)
    problems = [f"schedules: {one!r} {complaint}" for one, complaint in complaints if complaint]
    if problems:
        raise RequestError(400, *problems)
    steps = body.limits.steps if body.limits else None
    concurrency = body.concurrency.limit if body.concurrency else None
    return Settings(steps, concurrency, schedules, requests.retention_of(body.default_retention))


async def _known(call: Call, body: requests.WorkflowBody) -> WorkflowRow:
    try:
        row = await call.engine.workflow(call.workflow)
    except WorkflowNotFoundError:
        raise RequestError(
            404, f"No code declares a workflow '{call.workflow}': add it to [[workflows]], or deploy it."
        ) from None
    if (body.script_name, body.class_name) != (row.script, row.class_name):
        raise RequestError(
            409,
            f"'{row.name}' is class {row.class_name!r} of {row.script!r}: "
            "another one takes a change of the configuration, or a deploy.",
        )
    return row


async def _shown(call: Call) -> UpdatedView:
    row = await call.engine.workflow(call.workflow)
    return UpdatedView(
        id=workflow_id(row.name),
        name=row.name,
        script_name=row.script,
        class_name=row.class_name,
        created_on=iso(row.created_at),
        modified_on=iso(row.modified_at),
        triggered_on=None if row.triggered_at is None else iso(row.triggered_at),
        version_id=row.version,
        is_deleted=0,
        terminator_running=int(await call.engine.maintenance.is_terminating(row.name)),
    )
