"""The REST API as methods (rest-and-cli, sections 2 to 4). Results are the API's own JSON, untouched.

Every method raises SessionError: with a message of ours for the codes a user meets, else with the server's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from wrangler_py.errors import SessionError

if TYPE_CHECKING:
    from wrangler_py.cli.following import Bell
    from wrangler_py.cli.transport import Answer, Transport

ROOT = "/client/v4/accounts/local/workflows"
WORKFLOW_NOT_FOUND = 10200
INSTANCE_NOT_FOUND = 10400
INSTANCE_EXISTS = 10401
INVALID_ID = 10402
ID_TAKEN = "Choose another --id, or leave it out for a random one."
ID_FORM = (
    "An ID has up to 64 letters, digits, '-' and '_', not '-' at the start; left out, it is a random UUID."
)


@dataclass(frozen=True)
class Page:
    """A list's ``result`` and its ``result_info``."""

    items: list[dict[str, Any]]
    info: dict[str, Any]


class ApiError(SessionError):
    """The server refused. ``code`` is the first error's, or 0."""

    def __init__(self, message: str, *, code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Client:
    """One conversation with the API behind ``transport``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def is_stored(self) -> bool:
        """True if no session runs, so that nothing moves until `pywrangler dev` does."""
        return self._transport.is_stored

    def workflows(self, *, page: int = 1, per_page: int | None = None) -> Page:
        """List workflows."""
        return self._page(_with_query("", page=page, per_page=per_page))

    def workflow(self, name: str) -> dict[str, Any]:
        """Return one workflow with its instance counts."""
        return self._result("GET", _path(name), workflow=name)

    def graph(self, name: str, version: str) -> dict[str, Any]:
        """Return ``{graph, ...}``: what a version of a workflow does; null where its code is not there."""
        return self._result("GET", _path(name, "versions", version, "graph"), workflow=name)

    def delete_workflow(self, name: str) -> dict[str, Any]:
        """Remove a workflow and its instances."""
        return self._result("DELETE", _path(name), workflow=name)

    def trigger(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create an instance; ``body`` is ``{instance_id?, params?}``."""
        instance_id = str(body.get("instance_id", ""))
        return self._result("POST", _path(name, "instances"), body, workflow=name, instance=instance_id)

    def instances(self, name: str, **query: Any) -> Page:
        """List instances; ``query`` as in the API, None left out."""
        return self._page(_with_query(_path(name, "instances"), **query), workflow=name)

    def instance(self, name: str, instance_id: str) -> dict[str, Any]:
        """Return one instance in full."""
        path = _path(name, "instances", instance_id)
        return self._result("GET", path, workflow=name, instance=instance_id)

    def follow(self, name: str, instance_id: str) -> Bell:
        """Return what tells when the instance has moved: a context manager to wait in."""
        from wrangler_py.cli.following import Bell

        return Bell(self._transport, ROOT + _path(name, "instances", instance_id, "subscribe"))

    def set_status(self, name: str, instance_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Pause, resume, restart or terminate; returns ``{status, timestamp}``."""
        path = _path(name, "instances", instance_id, "status")
        return self._result("PATCH", path, body, workflow=name, instance=instance_id)

    def send_event(self, name: str, instance_id: str, event_type: str, payload: Any) -> dict[str, Any]:
        """Send an event; returns ``{instanceId, timestamp}``."""
        path = _path(name, "instances", instance_id, "events", event_type)
        return self._result("POST", path, payload, workflow=name, instance=instance_id)

    def delete_instances(self, name: str, ids: list[str]) -> dict[str, Any]:
        """Delete instances; returns ``{deleted: [{id}], errors: [{id, code, message}]}``."""
        return self._result(
            "POST", _path(name, "instances", "batch", "delete"), {"instances": ids}, workflow=name
        )

    def terminate_all(self, name: str, status: str | None = None) -> dict[str, Any]:
        """Terminate all instances, or those in a status; returns ``{status: "ok" | "already_running"}``."""
        path = _with_query(_path(name, "instances", "terminate"), status=status)
        return self._result("PUT", path, workflow=name)

    def latest(self, name: str) -> str:
        """Return the id of the instance created last. Raises SessionError if there is none."""
        items = self.instances(name, page=1, per_page=1, direction="desc").items
        if not items:
            raise SessionError(
                f'There are no instances in workflow "{name}"',
                hint=f"Create one: pywrangler workflows trigger {name}",
            )
        return str(items[0]["id"])

    def _page(self, path: str, *, workflow: str = "") -> Page:
        document = self._document("GET", path, workflow=workflow)
        return Page(document["result"], document.get("result_info") or {})

    def _result(
        self, method: str, path: str, *body: Any, workflow: str, instance: str = ""
    ) -> dict[str, Any]:
        result = self._document(method, path, *body, workflow=workflow, instance=instance)["result"]
        return result if isinstance(result, dict) else {}

    def _document(
        self, method: str, path: str, *body: Any, workflow: str = "", instance: str = ""
    ) -> dict[str, Any]:
        data = json.dumps(body[0]).encode() if body else None
        document = _parse(self._transport.request(method, ROOT + path, data))
        if document.get("success"):
            return document
        raise self._error(document, workflow, instance)

    def _error(self, document: dict[str, Any], workflow: str, instance: str) -> ApiError:
        errors = document.get("errors") or [{"code": 0, "message": "the server gave no reason"}]
        code = int(errors[0].get("code", 0))
        if code == WORKFLOW_NOT_FOUND and workflow:
            return ApiError(
                f"Workflow '{workflow}' not found.", code=code, hint=self._which_workflows(workflow)
            )
        if code == INSTANCE_NOT_FOUND and instance:
            hint = f"See which there are: pywrangler workflows instances list {workflow}"
            return ApiError(
                f"Instance '{instance}' not found in workflow '{workflow}'.", code=code, hint=hint
            )
        if code == INSTANCE_EXISTS and instance:
            message = f"Instance '{instance}' already exists in workflow '{workflow}'."
            return ApiError(message, code=code, hint=ID_TAKEN)
        message = "; ".join(str(error.get("message")) for error in errors)
        return ApiError(message, code=code, hint=ID_FORM if code == INVALID_ID else None)

    def _which_workflows(self, wanted: str) -> str:
        names = [item["name"] for item in self.workflows(per_page=100).items]
        near = get_close_matches(wanted, names, n=1)
        if near:
            return f"Did you mean '{near[0]}'?"
        if names:
            return f"Known workflows: {', '.join(names)}"
        return "No workflow is known here: declare one under [[workflows]] in the configuration."


def _parse(answer: Answer) -> dict[str, Any]:
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if isinstance(document, dict) and "success" in document:
        return document
    raise SessionError(
        f"What answered is not a pywrangler session: status {answer.status}, not the JSON of its API.",
        hint="Check --port and --ip, or leave them out.",
    )


def _path(*parts: str) -> str:
    return "".join("/" + quote(part, safe="") for part in parts)


def _with_query(path: str, **query: Any) -> str:
    given = {key: value for key, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
