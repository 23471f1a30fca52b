"""PyPI `cloudflare`, unmodified: every call of ``client.workflows``, sync and async, pagination included.

Responses are validated strictly: an answer of another shape than the SDK declares raises. Only ``instances.get`` is
read as users read it: outputs are declared as texts there, while Cloudflare's own are any JSON (spec's recordings).
"""

from __future__ import annotations

import asyncio
import inspect
from datetime import datetime

import pytest

from tests.runtime.conftest import eventually

cloudflare = pytest.importorskip("cloudflare", reason="the official SDK is not installed")
A = {"account_id": "local"}


class Sync:
    """The SDK's calls, so that one test drives both clients."""

    def __init__(self, base_url):
        self.base_url = base_url

    def run(self, call, *, strict=True):
        with cloudflare.Cloudflare(base_url=self.base_url, **_options(strict)) as client:
            return call(client.workflows)

    def all(self, call):
        return self.run(lambda workflows: list(call(workflows)))


class Async:
    def __init__(self, base_url):
        self.base_url = base_url

    def run(self, call, *, strict=True):
        async def main():
            async with cloudflare.AsyncCloudflare(base_url=self.base_url, **_options(strict)) as client:
                return await call(client.workflows)

        return asyncio.run(main())

    def all(self, call):
        async def listed(workflows):
            return [one async for one in call(workflows)]

        return self.run(listed)


def _options(strict):
    return {"api_token": "x", "max_retries": 0, "_strict_response_validation": strict}


@pytest.fixture(params=[Sync, Async])
def sdk(request, base_url):
    return request.param(base_url)


def test_workflows_and_their_versions(sdk):
    listed = sdk.all(lambda w: w.list(**A, per_page=1))
    assert sorted(one.name for one in listed) == ["quick", "steps"]
    assert isinstance(listed[0].created_on, datetime)
    assert [one.name for one in sdk.all(lambda w: w.list(**A, search="qui"))] == ["quick"]
    found = sdk.run(lambda w: w.get("steps", **A))
    assert (found.class_name, found.script_name) == ("Steps", "my-app")
    (version,) = sdk.all(lambda w: w.versions.list("steps", **A))
    again = sdk.run(lambda w: w.versions.get(version.id, **A, workflow_name="steps"))
    assert (again.language, again.limits.steps, again.has_dag) == ("python", 1024, True)
    drawn = sdk.run(lambda w: w.versions.graph(version.id, **A, workflow_name="steps"))
    assert (drawn.id, drawn.class_name, drawn.graph.version) == (version.id, "Steps", 1)
    assert drawn.graph.workflow.nodes[0].type == "step_do"
    with pytest.raises(cloudflare.NotFoundError, match="no version 'nope'"):
        sdk.run(lambda w: w.versions.graph("nope", **A, workflow_name="steps"))


def test_update(sdk):
    kept = {"success_retention": "3 days", "error_retention": 86_400_000}
    settings = {"limits": {"steps": 99}, "concurrency": {"limit": 9}, "default_retention": kept}
    whole = {**A, "class_name": "Quick", "script_name": "my-app"}
    found = sdk.run(lambda w: w.update("quick", **whole, **settings, schedules=[{"cron": "0 0 1 1 *"}]))
    assert (found.name, found.is_deleted) == ("quick", 0)
    (version,) = sdk.all(lambda w: w.versions.list("quick", **A))
    assert (version.limits.steps, version.concurrency.limit) == (99, 9)
    assert version.default_retention.success_retention == 3 * 86_400_000
    assert sdk.run(lambda w: w.get("quick", **A)).schedules[0].cron == "0 0 1 1 *"
    sdk.run(lambda w: w.update("quick", **whole))
    assert sdk.run(lambda w: w.get("quick", **A)).schedules == []


def test_the_life_of_an_instance(sdk):
    name = f"life-{type(sdk).__name__}"
    at = {**A, "workflow_name": "steps"}
    created = sdk.run(
        lambda w: w.instances.create(
            "steps", **A, instance_id=name, params='{"n": 1}', instance_retention={"error_retention": "1 day"}
        )
    )
    assert (created.id, created.status, created.trigger_source) == (name, "queued", "api")

    def get(**query):
        return sdk.run(lambda w: w.instances.get(name, **at, **query), strict=False)

    def status():
        return get().status

    eventually(lambda: status() == "waiting", "it waits")
    found = get(order="desc")
    assert [step.name for step in found.steps] == ["approval-1", "work-1"]
    assert found.params == {"n": 1}
    assert get(simple="true").steps == []
    step = sdk.run(lambda w: w.instances.step(name, **at, name="work-1", type="step"))
    assert (step.status, step.output) == ("complete", {"got": {"n": 1}})

    def order(**given):
        return sdk.run(lambda w: w.instances.status.edit(name, **at, **given)).status

    assert order(status="pause") == "paused"
    assert order(status="resume") in {"queued", "waiting", "running"}
    eventually(lambda: status() == "waiting", "it waits again")
    assert order(status="restart", from_={"name": "approval", "type": "waitForEvent"}) == "queued"
    eventually(lambda: status() == "waiting", "it waits once more")
    sent = sdk.run(lambda w: w.instances.events.create("approve", **at, instance_id=name, body={"by": "me"}))
    assert sent.instance_id == name
    eventually(lambda: status() == "complete", "it completes")
    assert order(status="restart") == "queued"
    assert order(status="terminate") == "terminated"
    with pytest.raises(cloudflare.ConflictError, match="finite state"):
        order(status="terminate", rollback=True)


def test_batches_and_pages(sdk):
    prefix = type(sdk).__name__
    body = [{"instance_id": f"{prefix}-{number}", "params": "[1]"} for number in range(7)]
    made = sdk.all(lambda w: w.instances.bulk("quick", **A, body=body))
    assert len(made) == 7
    mine = [one["instance_id"] for one in body]
    for paging in ({"per_page": 3}, {"per_page": 2, "page": 1}, {"per_page": 4, "direction": "asc"}):
        listed = [one.id for one in sdk.all(lambda w, p=paging: w.instances.list("quick", **A, **p))]
        assert sorted(one for one in listed if one in mine) == sorted(mine), paging
        assert len(listed) == len(set(listed)), paging
    eventually(
        lambda: len(sdk.all(lambda w: w.instances.list("quick", **A, status="complete"))) >= 7,
        "they complete",
    )


def test_refusals_are_the_sdks_own_errors(sdk):
    with pytest.raises(cloudflare.NotFoundError):
        sdk.run(lambda w: w.get("nope", **A))
    with pytest.raises(cloudflare.NotFoundError):
        sdk.run(lambda w: w.instances.get("nope", **A, workflow_name="steps"))
    with pytest.raises(cloudflare.BadRequestError):
        sdk.run(lambda w: w.instances.create("quick", **A, instance_id="bad id!"))


def test_delete(sdk):
    assert sdk.run(lambda w: w.delete("quick", **A)).status == "ok"
    assert sdk.all(lambda w: w.instances.list("quick", **A)) == []


def test_every_call_of_the_sdk_is_driven_here(base_url):
    """A newer SDK with a new call is noticed."""
    workflows = cloudflare.Cloudflare(base_url=base_url, **_options(True)).workflows
    parts = (
        workflows,
        workflows.versions,
        workflows.instances,
        workflows.instances.status,
        workflows.instances.events,
    )
    calls = {
        name
        for part in parts
        for name, _ in inspect.getmembers(type(part), inspect.isfunction)
        if not name.startswith("_")
    }
    assert calls == {"update", "list", "delete", "get", "graph", "create", "bulk", "step", "edit"}
