"""REST v4 (rest-and-cli, sections 3 and 5): the versions of a workflow's code, and what each of them does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrangler_py.errors import RequestError
from wrangler_py.server.envelope import Success
from wrangler_py.server.pages import cut, page_info, page_of
from wrangler_py.server.views import VersionView, view_graph, view_version

if TYPE_CHECKING:
    from wrangler_py.engine.model import WorkflowRow
    from wrangler_py.runtime.versions import CodeVersion
    from wrangler_py.server.call import Call


async def list_versions(call: Call) -> Success:
    """Return the versions, newest first: under `dev` the one that runs, under `serve` all that are kept."""
    page, per_page = page_of(call.query)
    row = await call.engine.workflow(call.workflow)
    found = await call.host.versions.of(row)
    shown = [await _shown(call, row, code) for code in cut(found, page, per_page)]
    return Success(shown, page_info(len(shown), page, per_page, len(found)))


async def get_version(call: Call) -> Success:
    """Return one version."""
    return Success(await _shown(call, *await _version(call)))


async def get_graph(call: Call) -> Success:
    """Return the diagram of a version, read from its code; ``graph`` is null where that is not here any more."""
    row, code = await _version(call)
    return Success(view_graph(row, code, await call.host.versions.graph(code)))


async def _version(call: Call) -> tuple[WorkflowRow, CodeVersion]:
    row, wanted = await call.engine.workflow(call.workflow), call.parts["version"]
    for code in await call.host.versions.of(row):
        if code.id == wanted:
            return row, code
    raise RequestError(404, f"Workflow '{row.name}' has no version '{wanted}'; it runs '{row.version}'.")


async def _shown(call: Call, row: WorkflowRow, code: CodeVersion) -> VersionView:
    settings = await call.engine.maintenance.settings(row.name)
    return view_version(row, code, settings, await call.host.versions.graph(code))
