"""The Workflow against the stand-in of the REST API, which listens on a port of its own; nothing waits."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import entry
import pytest
from fakes import FakeEnv, FakeStep
from stand_ins.d1_api import D1Api, read_options
from workers import Request

from wrangler_py.sdk.web.fetch import close_client

START = "Starting backup for my-database"
STORE = "Check backup status and store it on R2"


@pytest.fixture
def api() -> Iterator[D1Api]:
    """The stand-in, in a good mood: nothing fails, and an export is ready when it is asked for twice."""
    with D1Api(read_options(["--port", "0", "--failures", "0"])) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def back_up(env: FakeEnv) -> tuple[FakeStep, Any]:
    step = FakeStep()
    event = {"payload": {"accountId": "my-account", "databaseId": "my-database"}, "instanceId": "instance-1"}

    async def run() -> Any:
        try:
            return await entry.backupWorkflow(None, env).run(event, step)
        finally:
            await close_client()

    return step, asyncio.run(run())


def test_the_dump_is_in_the_bucket_and_makes_the_database_anew(api: D1Api) -> None:
    env = FakeEnv(api.url)
    step, filename = back_up(env)
    assert list(step.results) == [START, STORE]
    assert filename == f"my-database-{step.results[START][:8]}.sql"
    with sqlite3.connect(":memory:") as database:
        database.executescript(env.BACKUP_BUCKET.objects[filename])
        assert database.execute("SELECT name FROM customers").fetchall() == [("Ada",), ("Grace",)]
    database.close()


def test_the_export_is_polled_until_it_is_ready(api: D1Api) -> None:
    api.options.polls = 3
    step, _ = back_up(FakeEnv(api.url))
    assert step.errors == {START: [], STORE: ["the export is not ready yet: signed_url is missing"] * 2}


def test_what_fails_is_tried_again(api: D1Api, monkeypatch: pytest.MonkeyPatch) -> None:
    moods = iter([True, False, True, False, False, True, False, False])
    monkeypatch.setattr(api, "fails", lambda what: next(moods))
    env = FakeEnv(api.url)
    step, filename = back_up(env)
    assert [error.partition(":")[0] for error in step.errors[START]] == ["the API answered 503"]
    assert [error.partition(":")[0] for error in step.errors[STORE]] == [
        "the API answered 503",
        "the export is not ready yet",
        "the dump cannot be downloaded",
    ]
    assert list(env.BACKUP_BUCKET.objects) == [filename]


def test_the_outcome_is_found_where_either_document_has_it(
    api: D1Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = api.poll

    def without_nesting(*arguments: str) -> Any:
        status, body = poll(*arguments)
        body["result"].pop("result", None)
        return status, body

    monkeypatch.setattr(api, "poll", without_nesting)
    env = FakeEnv(api.url)
    assert back_up(env)[1] in env.BACKUP_BUCKET.objects


def test_a_wrong_token_is_told(api: D1Api) -> None:
    env = FakeEnv(api.url)
    env.D1_REST_API_TOKEN = "wrong"
    with pytest.raises(RuntimeError, match=r"the API answered 401: .*Authentication error"):
        back_up(env)
    assert env.BACKUP_BUCKET.objects == {}


def test_cron_starts_a_backup_of_the_database_of_the_variables(capsys: pytest.CaptureFixture[str]) -> None:
    env = FakeEnv()
    asyncio.run(entry.Default(None, env).scheduled(None, env, None))
    assert env.BACKUP_WORKFLOW.created == [{"accountId": "my-account", "databaseId": "my-database"}]
    assert capsys.readouterr().out == "Started workflow: instance-1\n"


def test_there_is_nothing_to_see_over_http() -> None:
    response = asyncio.run(entry.Default(None, FakeEnv()).fetch(Request("http://127.0.0.1:8787/")))
    assert response.status == 404
