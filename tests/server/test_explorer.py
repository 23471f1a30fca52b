"""The explorer API answers what was recorded from it (spec/wrangler/local.md), in both of its places."""

from __future__ import annotations

import pytest

from tests.server.session import echo, errors, in_session, result, sleeper, waiter


@pytest.mark.parametrize("prefix", ["/cdn-cgi/local/explorer/api", "/cdn-cgi/explorer/api"])
def test_list_has_names_only_and_no_pages(tmp_path, prefix):
    async def body(session):
        for name in ("second", "third"):
            await session.world.define(echo, name)
        response = await session.client.get(f"{prefix}/workflows?per_page=1")
        found = result(response, info=True)
        assert {"name": "w", "class_name": "W", "script_name": "script"} in found
        assert sorted(item["name"] for item in found) == ["second", "third", "w"]
        assert response.json()["result_info"] == {"count": 3}

    in_session(tmp_path, body, run=echo)


def test_workflow_details_count_all_eight_statuses(tmp_path):
    async def body(session):
        await session.create("a")
        await session.world.settle()
        found = result(await session.explorer("GET", "/workflows/w"))
        assert set(found) == {"name", "class_name", "script_name", "instances"}
        assert found["instances"] == {
            "complete": 0,
            "errored": 0,
            "paused": 0,
            "queued": 0,
            "running": 0,
            "terminated": 0,
            "waiting": 1,
            "waitingForPause": 0,
        }
        assert list(found["instances"]) == sorted(found["instances"])

    in_session(tmp_path, body, run=sleeper)


def test_create_takes_id_and_answers_the_id(tmp_path):
    async def body(session):
        sent = {"id": "cli-1", "params": {"hello": "cli"}}
        assert result(await session.explorer("POST", "/workflows/w/instances", json=sent)) == {"id": "cli-1"}
        assert (await session.world.engine.status("w", "cli-1")).params == b'{"hello":"cli"}'
        fresh = result(await session.explorer("POST", "/workflows/w/instances", json={}))
        assert set(fresh) == {"id"}
        rest_spelling = await session.explorer("POST", "/workflows/w/instances", json={"instance_id": "x"})
        assert rest_spelling.status_code == 400

    in_session(tmp_path, body, run=echo)


def test_recorded_refusals_of_create(tmp_path):
    async def body(session):
        path = "/workflows/w/instances"
        await session.explorer("POST", path, json={"id": "cli-1"})
        taken = await session.explorer("POST", path, json={"id": "cli-1"})
        message = 'WorkflowError: (instance.already_exists) Workflow instance with id "cli-1" already exists'
        assert (taken.status_code, errors(taken)) == (409, [(10001, message)])
        invalid = await session.explorer("POST", path, json={"id": "bad id!"})
        assert (invalid.status_code, errors(invalid)) == (
            400,
            [(10001, "WorkflowError: Workflow instance has invalid id")],
        )

    in_session(tmp_path, body, run=echo)


def test_list_instances_counts_statuses_over_all_pages(tmp_path):
    async def body(session):
        for instance_id in ("a", "b", "c"):
            await session.create(instance_id)
        await session.world.settle()
        await session.explorer("PATCH", "/workflows/w/instances/a/status", json={"status": "terminate"})
        response = await session.explorer("GET", "/workflows/w/instances?status=waiting&per_page=1&page=1")
        (item,) = result(response, info=True)
        assert set(item) == {"id", "status", "created_on"}
        assert (item["id"], item["status"]) == ("c", "waiting")
        assert response.json()["result_info"] == {
            "page": 1,
            "per_page": 1,
            "total_count": 2,
            "total_pages": 2,
            "status_counts": {"terminated": 1, "waiting": 2},
        }

    in_session(tmp_path, body, run=sleeper)


def test_an_empty_list_is_one_page(tmp_path):
    async def body(session):
        response = await session.explorer("GET", "/workflows/w/instances?page=9")
        assert result(response, info=True) == []
        assert response.json()["result_info"] == {
            "page": 9,
            "per_page": 25,
            "total_count": 0,
            "total_pages": 1,
            "status_counts": {},
        }

    in_session(tmp_path, body, run=echo)


def test_describe(tmp_path):
    async def body(session):
        await session.create("a")
        await session.world.settle()
        found = result(await session.explorer("GET", "/workflows/w/instances/a"))
        assert {"id", "status", "params", "queued", "start", "end", "output", "error", "steps"} <= set(found)
        assert [step["name"] for step in found["steps"]] == ["before-1", "nap-1"]

    in_session(tmp_path, body, run=sleeper)


@pytest.mark.parametrize("key", ["status", "action"])
def test_the_command_is_in_status_or_in_action(tmp_path, key):
    async def body(session):
        await session.create("a")
        path = "/workflows/w/instances/a/status"
        found = result(await session.explorer("PATCH", path, json={key: "terminate"}))
        assert set(found) == {"status", "timestamp"}
        assert found["status"] == "terminated"
        again = await session.explorer("PATCH", path, json={key: "terminate"})
        message = "(instance.cannot_terminate) Cannot terminate instance since its on a finite state"
        assert (again.status_code, errors(again)) == (409, [(10001, f"WorkflowError: {message}")])
        assert result(await session.explorer("PATCH", path, json={key: "pause"}))["status"] == "terminated"

    in_session(tmp_path, body, run=sleeper)


@pytest.mark.parametrize("sent", [{}, {"status": "pause", "action": "pause"}, {"action": "explode"}])
def test_a_status_change_needs_exactly_one_known_command(tmp_path, sent):
    async def body(session):
        await session.create("a")
        response = await session.explorer("PATCH", "/workflows/w/instances/a/status", json=sent)
        assert (response.status_code, len(errors(response))) == (400, 1)

    in_session(tmp_path, body, run=sleeper)


def test_restart_from_an_unknown_step_is_a_conflict(tmp_path):
    async def body(session):
        await session.create("a")
        sent = {"status": "restart", "from": {"name": "no such step"}}
        response = await session.explorer("PATCH", "/workflows/w/instances/a/status", json=sent)
        assert response.status_code == 409
        assert errors(response) == [
            (
                10001,
                'WorkflowError: (instance.cannot_restart) Step "no such step" not found in execution history',
            )
        ]

    in_session(tmp_path, body, run=sleeper)


def test_events_and_deletions(tmp_path):
    async def body(session):
        row = await session.create("a")
        await session.create("b")
        sent = await session.explorer("POST", "/workflows/w/instances/a/events/approve", json={"ok": 1})
        assert result(sent) == {"success": True}
        await session.world.finish(row)
        assert (await session.world.engine.detail("w", "a")).output == {"ok": 1}
        sent = {"instances": ["a", "missing3"]}
        found = result(await session.explorer("POST", "/workflows/w/instances/batch/delete", json=sent))
        assert found == {
            "deleted": [{"id": "a"}],
            "errors": [
                {"id": "missing3", "code": 10400, "message": "workflows.api.error.instance.not_found"}
            ],
        }
        assert result(await session.explorer("DELETE", "/workflows/w/instances/b")) == {"success": True}

    in_session(tmp_path, body, run=waiter)


def test_a_bound_workflow_stays_after_delete_without_instances(tmp_path):
    """Recorded: `delete` empties a workflow; the session goes on serving it."""

    async def body(session):
        await session.create("a")
        found = result(await session.explorer("DELETE", "/workflows/w"))
        assert found == {"status": "ok", "success": True}
        assert result(await session.explorer("GET", "/workflows/w/instances?page=1"), info=True) == []

    in_session(tmp_path, body, run=sleeper)


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/workflows/nope", "Workflow 'nope' not found."),
        ("DELETE", "/workflows/nope", "Workflow 'nope' not found."),
        ("POST", "/workflows/nope/instances", "Workflow 'nope' not found."),
        ("GET", "/workflows/nope/instances?page=1", "Workflow 'nope' not found."),
        ("GET", "/workflows/nope/instances/missing", "Workflow 'nope' not found."),
        ("GET", "/workflows/w/instances/missing", "Workflow instance 'missing' not found."),
        ("DELETE", "/workflows/w/instances/missing", "Workflow instance 'missing' not found."),
        ("POST", "/workflows/w/instances/missing/events/x", "Workflow instance 'missing' not found."),
    ],
)
def test_recorded_not_found(tmp_path, method, path, message):
    async def body(session):
        response = await session.explorer(method, path)
        assert (response.status_code, errors(response)) == (404, [(10501, message)])

    in_session(tmp_path, body, run=echo)
