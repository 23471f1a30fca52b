"""REST v4: every call of rest-and-cli, section 3, answers in the SDK's shapes."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest

from tests.server.session import echo, errors, in_session, result, sleeper, waiter
from wrangler_py.clock import iso
from wrangler_py.engine import Occurrence, Trigger
from wrangler_py.serde import MAX_DEPTH

INSTANCE_KEYS = {
    "id",
    "status",
    "version_id",
    "workflow_id",
    "created_on",
    "modified_on",
    "started_on",
    "ended_on",
    "trigger_source",
}
WORKFLOW_NOT_FOUND = [(10200, "workflows.api.error.workflow.not_found")]
INSTANCE_NOT_FOUND = [(10400, "workflows.api.error.instance.not_found")]


# workflows


def test_list_workflows_newest_first_with_counts(tmp_path):
    async def body(session):
        await session.create("a")
        await session.world.settle()
        await session.world.define(echo, "other")
        response = await session.rest("GET", "/workflows")
        found = result(response, info=True)
        assert [item["name"] for item in found][-1] == "w"
        first = found[-1]
        assert first["script_name"] == "script"
        assert first["class_name"] == "W"
        assert first["instances"]["waiting"] == 1
        assert len(first["instances"]) == 8
        assert first["created_on"].endswith("Z")
        assert response.json()["result_info"] == {
            "count": 2,
            "page": 1,
            "per_page": 25,
            "total_count": 2,
            "total_pages": 1,
        }

    in_session(tmp_path, body, run=sleeper)


def test_list_workflows_pages_and_search(tmp_path):
    async def body(session):
        for name in ("Apple", "apricot", "banana"):
            await session.world.define(echo, name)
        page = await session.rest("GET", "/workflows?search=ap&per_page=1&page=2")
        assert len(result(page, info=True)) == 1
        assert page.json()["result_info"]["total_count"] == 2
        beyond = await session.rest("GET", "/workflows?page=9")
        assert result(beyond, info=True) == []

    in_session(tmp_path, body)


def test_a_workflow_shows_when_each_of_its_schedules_comes_next(tmp_path):
    async def body(session):
        await session.world.define(echo, schedules=("*/5 * * * *", "0 0 30 2 *"))
        shown = [
            {"cron": "*/5 * * * *", "next_instance": "2026-01-01T00:05:00.000Z"},
            {"cron": "0 0 30 2 *", "next_instance": None},
        ]
        assert result(await session.rest("GET", "/workflows/w"))["schedules"] == shown
        assert result(await session.rest("GET", "/workflows"), info=True)[0]["schedules"] == shown

    in_session(tmp_path, body, run=echo)


def test_one_workflow_and_its_version(tmp_path):
    async def body(session):
        await session.world.define(echo, step_limit=99, concurrency=3)
        found = result(await session.rest("GET", "/workflows/w"))
        versions = result(await session.rest("GET", "/workflows/w/versions"), info=True)
        assert [version["id"] for version in versions] == ["v1"] == [found["version_id"]]
        version = result(await session.rest("GET", "/workflows/w/versions/v1"))
        assert version == versions[0]
        assert version["language"] == "python"
        assert version["workflow_id"] == found["id"]
        assert version["limits"] == {"steps": 99}
        assert version["concurrency"] == {"limit": 3}
        assert (await session.rest("GET", "/workflows/w/versions/v0")).status_code == 404

    in_session(tmp_path, body, run=echo)


def test_a_workflow_has_the_default_limits_unless_configured(tmp_path):
    async def body(session):
        version = result(await session.rest("GET", "/workflows/w/versions/v1"))
        assert (version["limits"], version["concurrency"]) == ({"steps": 1024}, None)

    in_session(tmp_path, body, run=echo)


def test_delete_workflow_removes_its_instances(tmp_path):
    async def body(session):
        await session.create("a")
        assert result(await session.rest("DELETE", "/workflows/w")) == {"status": "ok", "success": True}
        assert errors(await session.rest("GET", "/workflows/w/instances/a")) == INSTANCE_NOT_FOUND

    in_session(tmp_path, body, run=sleeper)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/workflows/nope"),
        ("DELETE", "/workflows/nope"),
        ("GET", "/workflows/nope/versions"),
        ("GET", "/workflows/nope/versions/v1"),
        ("GET", "/workflows/nope/instances"),
        ("GET", "/workflows/nope/instances/"),
        ("POST", "/workflows/nope/instances"),
        ("GET", "/workflows/nope/instances/a"),
        ("GET", "/workflows/nope/instances/latest"),
        ("DELETE", "/workflows/nope/instances/a"),
        ("POST", "/workflows/nope/instances/a/events/x"),
        ("GET", "/workflows/nope/instances/a/step?name=x-1&type=step"),
    ],
)
def test_an_unknown_workflow_is_404_everywhere(tmp_path, method, path):
    async def body(session):
        response = await session.rest(method, path)
        assert response.status_code == 404
        assert errors(response) == WORKFLOW_NOT_FOUND

    in_session(tmp_path, body)


# creating


def test_create_returns_the_queued_instance(tmp_path):
    async def body(session):
        response = await session.rest(
            "POST", "/workflows/w/instances", json={"instance_id": "a", "params": {"n": 1}}
        )
        created = result(response)
        assert set(created) == {"id", "status", "version_id", "workflow_id", "trigger_source"}
        assert (created["id"], created["status"], created["trigger_source"]) == ("a", "queued", "api")
        assert created["version_id"] == "v1"
        row = await session.world.finish(await session.world.engine.status("w", "a"))
        assert row.params == b'{"n":1}'

    in_session(tmp_path, body, run=echo)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("{}", b"{}"),
        ("", b"{}"),
        ('{"params": null}', b"null"),
        ('{"params": [1, 2.0]}', b"[1,2.0]"),
        ('{"params": "{\\"a\\": 1}"}', b'{"a":1}'),
        ('{"params": "7"}', b"7"),
        ('{"params": "plain text"}', b'"plain text"'),
        ('{"params": ""}', b'""'),
    ],
)
def test_params_are_any_json_and_a_string_of_json_is_read(tmp_path, sent, stored):
    async def body(session):
        created = result(await session.rest("POST", "/workflows/w/instances", content=sent))
        assert (await session.world.engine.status("w", created["id"])).params == stored

    in_session(tmp_path, body, run=echo)


def test_create_refuses_a_taken_id(tmp_path):
    async def body(session):
        await session.create("a")
        response = await session.rest("POST", "/workflows/w/instances", json={"instance_id": "a"})
        assert response.status_code == 409
        assert errors(response) == [(10401, "workflows.api.error.instance.already_exists")]

    in_session(tmp_path, body, run=echo)


def test_create_refuses_an_invalid_id(tmp_path):
    async def body(session):
        response = await session.rest("POST", "/workflows/w/instances", json={"instance_id": "bad id!"})
        assert response.status_code == 400
        assert [message for _, message in errors(response)] == ["Workflow instance has invalid id"]

    in_session(tmp_path, body, run=echo)


def test_create_names_every_problem_and_creates_nothing(tmp_path):
    async def body(session):
        sent = {"instance_id": 5, "prams": {}, "instance_retention": {"success_retention": []}}
        response = await session.rest("POST", "/workflows/w/instances", json=sent)
        assert response.status_code == 400
        told = " ".join(message for _, message in errors(response))
        assert len(errors(response)) == 3
        for name in ("instance_id", "prams", "instance_retention.success_retention"):
            assert name in told
        assert (await session.world.engine.instances("w")).total_count == 0

    in_session(tmp_path, body, run=echo)


def test_params_over_1_mib_are_413(tmp_path):
    async def body(session):
        response = await session.rest("POST", "/workflows/w/instances", json={"params": "x" * (1 << 20)})
        assert response.status_code == 413
        endless = await session.rest("POST", "/workflows/w/instances", content=b" " * (9 << 20))
        assert endless.status_code == 413

    in_session(tmp_path, body, run=echo)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 950, 100_000])
def test_json_too_deep_to_store_is_a_bad_request(tmp_path, depth):
    """Neither what the decoder refuses nor what only the encoder does is a failure of ours."""

    async def body(session):
        nested = "[" * depth + "]" * depth
        await session.create("a")
        one = await session.rest("POST", "/workflows/w/instances", content=f'{{"params": {nested}}}')
        many = await session.rest("POST", "/workflows/w/instances/batch", content=f'[{{"params": {nested}}}]')
        event = await session.rest("POST", "/workflows/w/instances/a/events/e", content=nested)
        for response in (one, many, event):
            assert response.status_code == 400
            assert f"{MAX_DEPTH} levels" in response.text
        assert (await session.world.engine.instances("w")).total_count == 1

    in_session(tmp_path, body, run=echo)


def test_the_deepest_params_there_may_be_are_run_and_shown(tmp_path):
    async def body(session):
        params = 1
        for _ in range(MAX_DEPTH):
            params = {"a": params, "b": 0}
        await session.rest("POST", "/workflows/w/instances", json={"instance_id": "a", "params": params})
        row = await session.world.engine.status("w", "a")
        await session.world.finish(row)
        detail = result(await session.rest("GET", "/workflows/w/instances/a"))
        assert (detail["status"], detail["params"], detail["output"]) == ("complete", params, params)

    in_session(tmp_path, body, run=echo)


@pytest.mark.parametrize(
    "content", [r'{"params": "\ud800"}', r'{"params": {"\udc00": 1}}', r'{"instance_id": "\ud800"}']
)
def test_text_that_is_not_unicode_is_a_bad_request(tmp_path, content):
    async def body(session):
        response = await session.rest("POST", "/workflows/w/instances", content=content)
        assert response.status_code == 400

    in_session(tmp_path, body, run=echo)


# batches


def test_create_batch_creates_all_and_skips_those_that_exist(tmp_path):
    async def body(session):
        await session.create("a")
        sent = [{"instance_id": "a"}, {"instance_id": "b", "params": '{"n": 2}'}, {}]
        created = result(await session.rest("POST", "/workflows/w/instances/batch", json=sent))
        assert len(created) == 2
        assert created[0]["id"] == "b"
        assert (await session.world.engine.status("w", "b")).params == b'{"n":2}'
        assert (await session.world.engine.instances("w")).total_count == 3

    in_session(tmp_path, body, run=echo)


def test_a_batch_with_a_bad_entry_creates_nothing(tmp_path):
    async def body(session):
        sent = [{"instance_id": "good"}, {"instance_id": "not good"}, {"params": "x" * (1 << 20)}]
        response = await session.rest("POST", "/workflows/w/instances/batch", json=sent)
        assert response.status_code == 400
        assert [message for _, message in errors(response)] == [
            "[1].instance_id: Workflow instance has invalid id",
            "[2].params: larger than the 1 MiB allowed",
        ]
        assert (await session.world.engine.instances("w")).total_count == 0

    in_session(tmp_path, body, run=echo)


@pytest.mark.parametrize("sent", [[], [{}] * 101, {}, [1, "x"]])
def test_a_batch_is_a_list_of_1_to_100_objects(tmp_path, sent):
    async def body(session):
        response = await session.rest("POST", "/workflows/w/instances/batch", json=sent)
        assert response.status_code == 400
        assert len(errors(response)) == (2 if sent == [1, "x"] else 1)

    in_session(tmp_path, body, run=echo)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/workflows/w/instances/batch/delete"), ("DELETE", "/workflows/w/instances/batch")],
)
def test_delete_batch_tells_which_were_missing(tmp_path, method, path):
    async def body(session):
        for instance_id in ("a", "b", "c"):
            await session.create(instance_id)
        found = result(await session.rest(method, path, json={"instances": ["a", "nope", "b"]}))
        assert found["deleted"] == [{"id": "a"}, {"id": "b"}]
        assert found["errors"] == [
            {"id": "nope", "code": 10400, "message": "workflows.api.error.instance.not_found"}
        ]
        assert [row.id for row in (await session.world.engine.instances("w")).items] == ["c"]

    in_session(tmp_path, body, run=sleeper)


# listing


def test_list_instances_is_newest_first_in_the_sdks_shape(tmp_path):
    async def body(session):
        for instance_id in ("a", "b", "c"):
            await session.create(instance_id)
        response = await session.rest("GET", "/workflows/w/instances/?per_page=2")
        found = result(response, info=True)
        assert [item["id"] for item in found] == ["c", "b"]
        assert all(set(item) == INSTANCE_KEYS for item in found)
        info = response.json()["result_info"]
        assert info["cursor"] == info["next_cursor"]
        assert (info["count"], info["page"], info["per_page"], info["total_count"]) == (2, 1, 2, 3)

    in_session(tmp_path, body, run=echo)


def test_pages_and_cursors_walk_the_same_list(tmp_path):
    async def body(session):
        for number in range(5):
            await session.create(f"i{number}")
        by_page, by_cursor, cursor = [], [], ""
        for page in (1, 2, 3, 4):
            found = await session.rest("GET", f"/workflows/w/instances?per_page=2&page={page}")
            by_page += [item["id"] for item in result(found, info=True)]
        while True:
            response = await session.rest("GET", f"/workflows/w/instances?per_page=2{cursor}")
            by_cursor += [item["id"] for item in result(response, info=True)]
            if "next_cursor" not in response.json()["result_info"]:
                break
            cursor = f"&cursor={response.json()['result_info']['next_cursor']}"
        assert by_page == by_cursor == ["i4", "i3", "i2", "i1", "i0"]

    in_session(tmp_path, body, run=echo)


def test_list_filters_by_status_and_date_and_turns_round(tmp_path):
    async def body(session):
        await session.create("old")
        old = await session.world.engine.status("w", "old")
        await session.world.finish(old)
        await session.create("new")
        new = await session.world.engine.status("w", "new")

        async def ids(query):
            response = await session.rest("GET", f"/workflows/w/instances?{query}")
            return [item["id"] for item in result(response, info=True)]

        assert new.created_at > old.created_at
        assert await ids("status=complete") == ["old"]
        assert await ids("direction=asc") == ["old", "new"]
        assert await ids(f"date_start={iso(new.created_at)}") == ["new"]
        assert await ids(f"date_end={iso(old.created_at)}") == ["old"]

    in_session(tmp_path, body, run=sleeper)


def test_a_bad_list_query_names_every_problem(tmp_path):
    async def body(session):
        query = "status=bogus&per_page=101&page=0&date_start=yesterday&direction=up"
        response = await session.rest("GET", f"/workflows/w/instances?{query}")
        assert response.status_code == 400
        told = errors(response)
        assert len(told) == 5
        assert any("waitingForPause" in message and "'bogus'" in message for _, message in told)

    in_session(tmp_path, body, run=echo)


def test_a_foreign_cursor_is_a_bad_request(tmp_path):
    async def body(session):
        assert (await session.rest("GET", "/workflows/w/instances?cursor=zzz")).status_code == 400
        both = await session.rest("GET", "/workflows/w/instances?cursor=1&page=2")
        assert both.status_code == 400

    in_session(tmp_path, body, run=echo)


# one instance


def test_an_instance_of_a_schedule_is_found_by_its_id_and_steered(tmp_path):
    """The id holds blanks and slashes, which stand quoted in the path."""

    async def body(session):
        occurrence = Occurrence("*/5 * * * *", 1_767_225_900_000)
        row = await session.world.engine.create("w", trigger=Trigger.CRON, schedule=occurrence)
        path = f"/workflows/w/instances/{quote(row.id, safe='')}"
        found = result(await session.rest("GET", path))
        assert found["schedule"] == {"cron": "*/5 * * * *", "scheduledTime": 1_767_225_900_000}
        assert found["trigger"] == {"source": "cron"}
        await session.rest("DELETE", path)
        assert (await session.rest("GET", path)).status_code == 404

    in_session(tmp_path, body, run=echo)


def test_instance_in_full(tmp_path):
    async def body(session):
        await session.create("a", params={"n": 1})
        await session.world.settle()
        detail = result(await session.rest("GET", "/workflows/w/instances/a"))
        assert (detail["id"], detail["status"], detail["params"]) == ("a", "waiting", {"n": 1})
        assert detail["trigger"] == {"source": "api"}
        assert [(step["type"], step["name"]) for step in detail["steps"]] == [
            ("step", "before-1"),
            ("sleep", "nap-1"),
        ]
        assert detail["step_count"] == 2
        assert detail["success"] is None
        assert detail["steps"][0]["attempts"][0]["success"] is True

    in_session(tmp_path, body, run=sleeper)


def test_order_and_simple(tmp_path):
    async def body(session):
        await session.create("a")
        await session.world.settle()
        path = "/workflows/w/instances/a"
        newest_first = result(await session.rest("GET", f"{path}?order=desc"))
        assert [step["name"] for step in newest_first["steps"]] == ["nap-1", "before-1"]
        simple = result(await session.rest("GET", f"{path}?simple=true"))
        assert (simple["steps"], simple["step_count"]) == ([], 2)
        assert (await session.rest("GET", f"{path}?order=up&simple=maybe")).status_code == 400

    in_session(tmp_path, body, run=sleeper)


def test_latest_is_the_instance_created_last(tmp_path):
    async def body(session):
        none = await session.rest("GET", "/workflows/w/instances/latest")
        assert (none.status_code, errors(none)) == (404, INSTANCE_NOT_FOUND)
        await session.create("a")
        await session.create("b")
        assert result(await session.rest("GET", "/workflows/w/instances/latest"))["id"] == "b"
        await session.rest("DELETE", "/workflows/w/instances/latest")
        assert result(await session.rest("GET", "/workflows/w/instances/latest"))["id"] == "a"

    in_session(tmp_path, body, run=sleeper)


def test_an_unknown_instance_is_404(tmp_path):
    async def body(session):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/events/x")):
            response = await session.rest(method, f"/workflows/w/instances/nope{path}")
            assert response.status_code == 404
            assert errors(response) == INSTANCE_NOT_FOUND

    in_session(tmp_path, body, run=echo)


def test_delete_instance(tmp_path):
    async def body(session):
        await session.create("a")
        assert result(await session.rest("DELETE", "/workflows/w/instances/a"))["success"] is True
        assert (await session.rest("GET", "/workflows/w/instances/a")).status_code == 404

    in_session(tmp_path, body, run=sleeper)


# steering


def test_pause_resume_terminate_and_restart(tmp_path):
    async def body(session):
        await session.create("a")
        await session.world.settle()

        async def change(**sent):
            return result(await session.rest("PATCH", "/workflows/w/instances/a/status", json=sent))

        paused = await change(status="pause")
        assert paused["status"] == "paused"
        assert paused["timestamp"].endswith("Z")
        await session.world.settle()
        assert (await change(status="resume"))["status"] == "queued"
        assert (await change(status="terminate"))["status"] == "terminated"
        assert (await change(status="restart"))["status"] == "queued"

    in_session(tmp_path, body, run=sleeper)


def test_restart_from_a_step(tmp_path):
    async def body(session):
        row = await session.create("a")
        await session.world.finish(row)
        path = "/workflows/w/instances/a/status"
        step = {"name": "nap", "count": 1, "type": "sleep"}
        found = result(await session.rest("PATCH", path, json={"status": "restart", "from": step}))
        assert found["status"] == "queued"
        await session.world.settle()
        detail = await session.world.engine.detail("w", "a")
        assert detail.steps[0].success is True
        missing = await session.rest("PATCH", path, json={"status": "restart", "from": {"name": "nope"}})
        assert missing.status_code == 409
        assert "nope" in errors(missing)[0][1]

    in_session(tmp_path, body, run=sleeper)


def test_terminate_of_a_finished_instance_is_a_conflict(tmp_path):
    async def body(session):
        await session.world.finish(await session.create("a"))
        response = await session.rest(
            "PATCH", "/workflows/w/instances/a/status", json={"status": "terminate"}
        )
        assert response.status_code == 409
        assert "cannot_terminate" in errors(response)[0][1]

    in_session(tmp_path, body, run=echo)


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({}, ["status"]),
        ({"status": "stop"}, ["pause, resume, terminate, restart"]),
        ({"status": "pause", "from": {"name": "x"}}, ["from"]),
        ({"status": "pause", "rollback": True}, ["rollback"]),
        (
            {"status": "restart", "from": {"count": 0, "type": "step"}},
            ["from.name", "from.count", "from.type"],
        ),
        ({"action": "pause"}, ["action", "status"]),
    ],
)
def test_bad_status_commands_name_every_problem(tmp_path, sent, named):
    async def body(session):
        await session.create("a")
        response = await session.rest("PATCH", "/workflows/w/instances/a/status", json=sent)
        assert response.status_code == 400
        messages = [message for _, message in errors(response)]
        assert len(messages) == len(named)
        assert all(any(name in message for message in messages) for name in named)

    in_session(tmp_path, body, run=sleeper)


# events


@pytest.mark.parametrize(
    ("sent", "payload"), [(b'{"ok": true}', {"ok": True}), (b"[1]", [1]), (b'"text"', "text"), (b"", None)]
)
def test_an_event_carries_the_body(tmp_path, sent, payload):
    async def body(session):
        row = await session.create("a")
        await session.world.settle()
        found = result(
            await session.rest("POST", "/workflows/w/instances/latest/events/approve", content=sent)
        )
        assert set(found) == {"instanceId", "timestamp"}
        assert found["instanceId"] == "a"
        await session.world.finish(row)
        assert (await session.world.engine.detail("w", "a")).output == payload

    in_session(tmp_path, body, run=waiter)


def test_an_event_type_may_hold_any_character(tmp_path):
    async def body(session):
        row = await session.create("a")
        path = "/workflows/w/instances/a/events/a%2Fb%20c"
        result(await session.rest("POST", path, json=1))
        await session.world.finish(row)
        assert (await session.world.engine.detail("w", "a")).output == 1

    async def run(event, step):
        return (await step.wait_for_event("slash", "a/b c"))["payload"]

    in_session(tmp_path, body, run=run)


def test_bad_events(tmp_path):
    async def body(session):
        await session.world.finish(await session.create("done"))
        path = "/workflows/w/instances/done/events/x"
        assert (await session.rest("POST", path, content=b"{bad")).status_code == 400
        assert (await session.rest("POST", path, json={})).status_code == 409
        assert (await session.rest("POST", path, json="x" * (1 << 20))).status_code == 413

    in_session(tmp_path, body, run=echo)


# step outputs


async def flaky(event, step):
    """Fail once, then say the attempt's number; then wait for an event."""

    @step.do("try", config={"retries": {"limit": 2, "delay": "1 minute"}})
    async def attempt(ctx):
        if ctx["attempt"] == 1:
            raise ValueError("not yet")
        return {"attempt": ctx["attempt"]}

    await attempt()
    await step.wait_for_event("go", "go", timeout="1 hour")


def test_step_output_by_step_and_by_attempt(tmp_path):
    async def body(session):
        row = await session.create("a")
        await session.world.settle()

        async def step(query):
            return await session.rest("GET", f"/workflows/w/instances/a/step?{query}")

        assert result(await step("name=try-1&type=step"))["status"] == "waiting"
        failed = result(await step("name=try-1&type=step&attempt=1"))
        assert (failed["status"], failed["output"]) == ("errored", None)
        assert failed["error"] == {"name": "ValueError", "message": "not yet"}
        await asyncio.sleep(120)
        assert result(await step("name=try-1&type=step")) == {
            "status": "complete",
            "output": {"attempt": 2},
            "error": None,
        }
        waiting = result(await step("name=go-1&type=waitForEvent"))
        assert (waiting["status"], waiting["event_type"]) == ("waiting", "go")
        for missing in (
            "name=try-1&type=waitForEvent",
            "name=try-2&type=step",
            "name=try-1&type=step&attempt=3",
        ):
            assert (await step(missing)).status_code == 404
        bad = await step("type=sleep&attempt=0")
        assert (bad.status_code, len(errors(bad))) == (400, 3)
        await session.world.finish(row)
        late = result(await step("name=go-1&type=waitForEvent"))
        assert (late["status"], late["error"]["name"]) == ("errored", "WorkflowTimeoutError")

    in_session(tmp_path, body, run=flaky)


# step streams


async def streaming(event, step):
    async def source():
        for number in range(6):
            yield bytes([number]) * 100_000

    @step.do("open")
    async def open_():
        return source()

    @step.do("secret", config={"sensitive": "output"})
    async def secret():
        return source()

    await open_()
    await secret()
    await step.do("text", lambda: "[ReadableStream 3 bytes]")


def test_a_stream_a_step_stored_is_answered_as_its_bytes(tmp_path):
    async def body(session):
        await session.world.finish(await session.world.engine.create("w", id="a"))
        call = session.rest
        answer = await call("GET", "/workflows/w/instances/a/step?name=open-1&type=step")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-length"] == "600000"
        assert answer.content == b"".join(bytes([number]) * 100_000 for number in range(6))
        secret = await call("GET", "/workflows/w/instances/a/step?name=secret-1&type=step")
        assert secret.json()["result"]["output"] == "[REDACTED]"
        text = await call("GET", "/workflows/w/instances/a/step?name=text-1&type=step")
        assert text.json()["result"]["output"] == "[ReadableStream 3 bytes]"

    in_session(tmp_path, body, run=streaming)
