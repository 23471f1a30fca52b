"""A session stores for its user alone: every file and folder, under any umask, and of older versions too."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.support.serving import Server
from wrangler_py.runtime.sessions import StateLock, close_to_others

CONFIG = """
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"
triggers = { crons = ["0 0 1 1 *"] }
kv_namespaces = [{ binding = "KV", id = "kv" }]
d1_databases = [{ binding = "DB", database_name = "db", database_id = "db" }]
r2_buckets = [{ binding = "BUCKET", bucket_name = "bucket" }]
send_email = [{ name = "EMAIL" }]
durable_objects = { bindings = [{ name = "COUNTER", class_name = "Counter" }] }
migrations = [{ tag = "v1", new_sqlite_classes = ["Counter"] }]
queues = { producers = [{ binding = "QUEUE", queue = "q" }], consumers = [{ queue = "q", max_batch_timeout = 60 }] }

[[workflows]]
name = "my-workflow"
binding = "MY_WORKFLOW"
class_name = "MyWorkflow"
"""
ENTRY = """
from workers import DurableObject, Response, WorkerEntrypoint, WorkflowEntrypoint, import_from_javascript

EmailMessage = import_from_javascript("cloudflare:email").EmailMessage
MESSAGE = "From: a@example.com\\r\\nTo: b@example.com\\r\\nMessage-ID: <1@example.com>\\r\\n\\r\\nHi"

class MyWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        return "done"

class Counter(DurableObject):
    async def add(self):
        await self.ctx.storage.put("n", 1)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        await self.env.KV.put("k", "v")
        await self.env.DB.exec("CREATE TABLE IF NOT EXISTS t (x)")
        await self.env.BUCKET.put("k", "v")
        await self.env.EMAIL.send(EmailMessage("a@example.com", "b@example.com", MESSAGE))
        await self.env.COUNTER.get_by_name("a").add()
        await self.env.QUEUE.send("m")
        await self.env.MY_WORKFLOW.create()
        return Response("one")

    async def scheduled(self, controller):
        pass

    async def queue(self, batch):
        pass
"""


def open_to_others(folder: Path) -> list[str]:
    return [
        f"{stat.S_IMODE(path.lstat().st_mode):o} {path.relative_to(folder)}"
        for path in (folder, *folder.rglob("*"))
        if path.lstat().st_mode & 0o077
    ]


@pytest.fixture
def no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def full(project):
    project.write("wrangler.toml", CONFIG)
    project.write("src/entry.py", ENTRY)
    return project


def test_no_file_of_a_session_is_open_to_others(full, dev, no_umask):
    session = dev().ready()
    assert session.get() == (200, "one")
    assert {one.name for one in full.state.iterdir() if one.is_dir()} == {
        "cron", "d1", "do", "email", "kv", "queues", "r2"
    }  # fmt: skip
    assert open_to_others(full.state) == []
    assert open_to_others(Path(os.environ["XDG_RUNTIME_DIR"], "pywrangler")) == []
    assert "could read" not in session.output
    session.stop()
    assert open_to_others(full.state) == []


def test_a_state_that_was_open_to_others_is_closed_and_one_line_says_so(full, dev):
    session = dev().ready()
    session.get()
    session.stop()
    for path in (full.state, *full.state.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    again = dev().ready()
    assert again.output.count("Other users of this machine could read the state") == 1
    assert open_to_others(full.state) == []
    again.stop()
    assert "could read" not in dev().ready().output


def test_a_server_closes_its_state_too(tmp_path, no_umask):
    server = Server(tmp_path / "one")
    server.deploy("shop", "v1", ENTRY.replace("EmailMessage =", "_ ="))
    server.state.chmod(0o755)
    server.start("--ip", "127.0.0.1")
    try:
        assert "Other users of this machine could read the state" in server.output
        assert open_to_others(server.state) == []
    finally:
        server.end()


def test_files_of_a_project_in_which_the_state_is_kept_stay_as_they_are(tmp_path):
    """``--persist-to .``: only what pywrangler makes there is closed to others."""
    (tmp_path / "docs").mkdir(mode=0o755)
    (tmp_path / "deploy.sh").touch()
    (tmp_path / "deploy.sh").chmod(0o755)
    (tmp_path / "docs").chmod(0o755)
    tmp_path.chmod(0o755)
    lock = StateLock(tmp_path)
    lock.acquire()
    assert close_to_others(tmp_path) == ""
    lock.release()
    assert sorted(open_to_others(tmp_path)) == ["755 .", "755 deploy.sh", "755 docs"]
