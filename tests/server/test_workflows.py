"""What the API does to a workflow as a whole, and the limits it answers with (docs, "Limits")."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.session import echo, errors, in_session, result, sleeper
from wrangler_py.clock import SystemClock
from wrangler_py.runtime.versions import Versions

PUT = {"class_name": "W", "script_name": "script"}
HOUR_MS = 3_600_000


def test_put_sets_what_holds_and_the_version_shows_it(tmp_path):
    async def body(session):
        sent = {
            **PUT,
            "limits": {"steps": 50},
            "concurrency": {"limit": 2},
            "schedules": [{"cron": "*/5 * * * *"}],
            "default_retention": {"success_retention": "1 hour", "error_retention": 5000},
        }
        found = result(await session.rest("PUT", "/workflows/w", json=sent))
        assert (found["name"], found["is_deleted"], found["terminator_running"]) == ("w", 0, 0)
        version = result(await session.rest("GET", f"/workflows/w/versions/{found['version_id']}"))
        assert (version["limits"], version["concurrency"]) == ({"steps": 50}, {"limit": 2})
        assert version["default_retention"] == {"success_retention": HOUR_MS, "error_retention": 5000}
        shown = result(await session.rest("GET", "/workflows/w"))
        assert [one["cron"] for one in shown["schedules"]] == ["*/5 * * * *"]
        result(await session.rest("PUT", "/workflows/w", json=PUT))
        version = result(await session.rest("GET", f"/workflows/w/versions/{found['version_id']}"))
        assert (version["limits"], version["concurrency"]) == ({"steps": 1024}, None)

    in_session(tmp_path, body, run=echo)


def test_put_refuses_what_the_code_does_not_know(tmp_path):
    async def body(session):
        unknown = await session.rest("PUT", "/workflows/nope", json=PUT)
        assert (unknown.status_code, len(errors(unknown))) == (404, 1)
        other = await session.rest("PUT", "/workflows/w", json={**PUT, "class_name": "Other"})
        assert other.status_code == 409
        assert "'W'" in errors(other)[0][1]

    in_session(tmp_path, body, run=echo)


@pytest.mark.parametrize(
    "more",
    [
        {"limits": {"steps": 0}},
        {"limits": {"steps": 25_001}},
        {"concurrency": {"limit": "2"}},
        {"schedules": [{"cron": "every day"}]},
        {"schedules": ["* * * * *"]},
        {"default_retention": {"success_retention": "for long"}},
        {"default_retention": {"error_retention": -1}},
        {"retention": {}},
    ],
)
def test_put_names_what_is_wrong_and_changes_nothing(tmp_path, more):
    async def body(session):
        response = await session.rest("PUT", "/workflows/w", json={**PUT, **more})
        assert response.status_code == 400
        assert errors(response)
        assert (await session.world.engine.maintenance.settings("w")).step_limit is None

    in_session(tmp_path, body, run=echo)


def test_an_instance_created_with_a_retention_goes(tmp_path):
    async def body(session):
        kept = {"success_retention": "1 hour"}
        one = {"instance_id": "one", "instance_retention": kept}
        result(await session.rest("POST", "/workflows/w/instances", json=one))
        many = [{"instance_id": "two", "instance_retention": kept}, {"instance_id": "stays"}]
        result(await session.rest("POST", "/workflows/w/instances/batch", json=many))
        local = {"id": "three", "instance_retention": {"success_retention": HOUR_MS}}
        result(await session.explorer("POST", "/workflows/w/instances", json=local))
        await asyncio.sleep(3660)
        left = result(await session.rest("GET", "/workflows/w/instances"), info=True)
        assert [item["id"] for item in left] == ["stays"]

    in_session(tmp_path, body, run=echo)


def test_terminate_all(tmp_path):
    async def body(session):
        for name in ("a", "b"):
            await session.create(name)
        await session.world.settle()
        path = "/workflows/w/instances/terminate"
        assert result(await session.rest("PUT", path)) == {"status": "ok"}
        assert result(await session.rest("PUT", path)) == {"status": "already_running"}
        await asyncio.sleep(1)
        assert (await session.world.engine.status_counts("w"))["terminated"] == 2
        assert result(await session.rest("PUT", f"{path}?status=queued")) == {"status": "ok"}
        ended = await session.rest("PUT", f"{path}?status=complete")
        assert ended.status_code == 400
        assert (await session.rest("PUT", "/workflows/nope/instances/terminate")).status_code == 404

    in_session(tmp_path, body, run=sleeper)


def test_a_version_whose_code_is_not_here_has_no_diagram(tmp_path):
    async def body(session):
        found = result(await session.rest("GET", "/workflows/w/versions/v1/graph"))
        assert (found["id"], found["class_name"], found["graph"]) == ("v1", "W", None)
        assert result(await session.rest("GET", "/workflows/w/versions/v1"))["has_dag"] is False
        response = await session.rest("GET", "/workflows/w/versions/v2/graph")
        assert (response.status_code, len(errors(response))) == (404, 1)

    in_session(tmp_path, body, run=echo)


def test_what_was_deployed_and_cannot_be_read_is_a_503_that_says_so(tmp_path):
    async def body(session):
        folder = tmp_path / "served" / "deployments"
        folder.mkdir(parents=True)
        (folder / "deployments.sqlite").write_bytes(b"no database" * 400)
        session.host.versions = Versions(None, "", tmp_path / "served", SystemClock())
        response = await session.rest("GET", "/workflows/w/versions")
        assert response.status_code == 503
        assert "is not a usable database" in errors(response)[0][1]

    in_session(tmp_path, body, run=echo)


def test_past_the_creation_rate_429_says_when_to_come_back(tmp_path):
    """docs, "Maximum Workflow instance creation rate": 100 per 10 seconds, "HTTP 429"."""

    async def body(session):
        path = "/workflows/w/instances"
        await session.rest("POST", path)
        await asyncio.sleep(4)
        result(await session.rest("POST", f"{path}/batch", json=[{}] * 99))
        response = await session.rest("POST", path)
        assert (response.status_code, errors(response)[0][0]) == (429, 10408)
        assert response.headers["retry-after"] == "6"
        await asyncio.sleep(6)
        assert (await session.rest("POST", path)).status_code == 200

    in_session(tmp_path, body, run=echo, enforce_limits=True)


def test_without_enforcement_there_is_no_creation_rate(tmp_path):
    async def body(session):
        for _ in range(3):
            result(await session.rest("POST", "/workflows/w/instances/batch", json=[{}] * 100))

    in_session(tmp_path, body, run=echo)


def test_as_many_as_the_plan_allows_may_be_queued(tmp_path):
    """docs, "Maximum number of queued instances": 10,000 on the free plan."""

    async def body(session):
        await session.world.engine._scheduler.stop()
        for _ in range(100):
            result(await session.rest("POST", "/workflows/w/instances/batch", json=[{}] * 100))
        response = await session.rest("POST", "/workflows/w/instances")
        assert (response.status_code, errors(response)[0][0]) == (429, 10407)
        assert "10000" in errors(response)[0][1]

    in_session(tmp_path, body, run=echo, plan="free")


def test_the_free_plan_executes_25_at_once(tmp_path):
    """docs, "Concurrent Workflow instances (executions) per account"; those that wait do not count."""
    running, most = 0, 0

    async def working(event, step):
        nonlocal running, most

        async def work():
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1

        await step.do("work", work)
        await step.sleep("nap", "1 hour")

    async def body(session):
        result(await session.rest("POST", "/workflows/w/instances/batch", json=[{}] * 60))
        await asyncio.sleep(60)
        assert (await session.world.engine.status_counts("w"))["waiting"] == 60
        assert most == 25

    in_session(tmp_path, body, run=working, plan="free")
