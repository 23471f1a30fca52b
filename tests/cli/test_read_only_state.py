"""Commands that only read write nothing: not to a database, not beside it, and they need not be able to."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.conftest import _own_runtime_directory  # noqa: F401 - a fixture
from tests.support.session import Place, place, trigger, until

CONFIG = """
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"
kv_namespaces = [{ binding = "KV", id = "kv" }]
d1_databases = [{ binding = "DB", database_name = "db", database_id = "db" }]
r2_buckets = [{ binding = "BUCKET", bucket_name = "bucket" }]
queues = { producers = [{ binding = "QUEUE", queue = "q" }] }

[[workflows]]
name = "echo"
binding = "ECHO"
class_name = "Echo"
"""
ENTRY = """
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

class Echo(WorkflowEntrypoint):
    async def run(self, event, step):
        return event["payload"]

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        await self.env.KV.put("key", "value")
        await self.env.DB.exec("CREATE TABLE IF NOT EXISTS t (x)")
        await self.env.DB.prepare("INSERT INTO t VALUES ('row')").run()
        await self.env.BUCKET.put("key", "object")
        await self.env.QUEUE.send("message")
        return Response("one")
"""
#: Each reading command, and what it must show of what is stored.
READS = {
    ("workflows", "list"): "echo",
    ("workflows", "describe", "echo"): "echo",
    ("workflows", "instances", "list", "echo"): "first",
    ("workflows", "instances", "describe", "echo", "first"): "Completed",
    ("workflows", "instances", "watch", "echo", "first"): "first",
    ("kv", "key", "get", "key", "--binding", "KV"): "value",
    ("kv", "key", "list", "--binding", "KV"): "key",
    ("d1", "list"): "db",
    ("d1", "execute", "DB", "--command", "SELECT * FROM t; SELECT 1"): "row",
    ("r2", "object", "get", "bucket/key", "--pipe"): "object",
    ("queues", "list"): "q",
    ("queues", "info", "q"): "1 waiting",
    ("tokens", "list"): "",
}


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module", params=["ended", "killed"])
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A project whose session has ended; killed, it has left logs that nobody copied."""
    with pytest.MonkeyPatch.context() as patch, place(tmp_path_factory.mktemp("app")) as found:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        found.has(CONFIG, ENTRY)
        session = found.dev().ready()
        assert session.get()[1] == "one"
        trigger(session, "echo", "first")
        until(session, "complete", [("echo", "first")])
        if request.param == "killed":
            found.kill(session)
            assert (found.project.state / "kv" / "kv.sqlite-wal").stat().st_size
        else:
            session.stop()
        yield found


@pytest.fixture
def no_runtime_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")


@pytest.mark.parametrize("command", READS, ids=" ".join)
def test_a_reading_command_shows_what_is_stored_and_writes_nothing(app, command):
    before = contents(app.project.state)
    done = app.command(*command)
    assert (done.returncode, READS[command] in done.stdout) == (0, True), done
    assert contents(app.project.state) == before


def test_all_of_them_work_where_nothing_can_be_written(app, tmp_path):
    """The file system itself is read-only: no right of root helps there."""
    target = app.project.root / ".wrangler"
    mount = f"mount --bind {target} {target} && mount -o remount,ro,bind {target}"
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("no mount namespace of one's own may be made here")
    for command, shown in READS.items():
        line = [
            *("unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh"),
            *map(str, _command()),
            *command,
        ]
        done = subprocess.run(
            line, cwd=app.project.root, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, shown in done.stdout) == (0, True), (command, done)


def _command() -> tuple[str, ...]:
    from tests.support.session import COMMAND

    return COMMAND


def test_a_state_that_is_not_there_is_empty_and_stays_away(tmp_path):
    with place(tmp_path) as app:
        app.has(CONFIG, ENTRY)
        for command in READS:
            done = app.command(*command)
            assert "Traceback" not in done.stderr, done
        assert json_of(app, "workflows", "list", "--json")[0]["name"] == "echo"
        assert not (app.project.root / ".wrangler").exists()


def json_of(app: Place, *command: str):
    import json

    return json.loads(app.command(*command).stdout)


def test_sql_that_writes_is_run_all_the_same(app):
    """Reading comes first, then the whole of it again on a connection that writes; nothing is done twice."""
    sql = "SELECT 1; INSERT INTO t VALUES ('two'); SELECT count(*) AS n FROM t WHERE x = 'two'"
    found = json_of(app, "d1", "execute", "DB", "--json", "--command", sql)
    assert found[-1]["results"] == [{"n": 1}]
    refused = app.command("d1", "execute", "DB", "--command", "INSERT INTO missing VALUES (1)")
    assert (refused.returncode, "no such table" in refused.stderr) == (1, True)


def test_a_new_database_is_made_by_the_first_statement_that_writes(tmp_path):
    with place(tmp_path) as app:
        app.has(CONFIG, ENTRY)
        assert json_of(app, "d1", "execute", "DB", "--json", "--command", "SELECT 1 AS n")[0]["results"] == [
            {"n": 1}
        ]
        assert not app.project.state.exists()
        app.command("d1", "execute", "DB", "--command", "CREATE TABLE t (x)")
        assert (
            json_of(app, "d1", "execute", "DB", "--json", "--command", "SELECT * FROM t")[0]["results"] == []
        )


def test_what_a_running_session_has_written_is_read_beside_it(app):
    """Its log is read as it grows, by SQLite's own rules."""
    session = app.dev().ready()
    try:
        count = json_of(app, "d1", "execute", "DB", "--json", "--command", "SELECT count(*) AS n FROM t")
        session.get()
        again = json_of(app, "d1", "execute", "DB", "--json", "--command", "SELECT count(*) AS n FROM t")
        assert again[0]["results"][0]["n"] == count[0]["results"][0]["n"] + 1
    finally:
        session.stop()
        assert os.path.exists(app.project.state)
