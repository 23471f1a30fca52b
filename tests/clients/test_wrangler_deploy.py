"""npm `wrangler`, unmodified, deploys a Python Worker to a `pywrangler serve`, and manages it there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.npm import NEEDS_NPM, Wrangler
from tests.runtime.conftest import eventually
from tests.support.serving import Server

pytestmark = NEEDS_NPM

CONFIG = """
name = "shop"
main = "src/entry.py"
compatibility_date = "2026-03-01"
compatibility_flags = ["python_workers"]
workers_dev = true

[vars]
GREETING = "hello"

[triggers]
crons = ["0 0 * * *"]

[[workflows]]
name = "orders"
binding = "ORDERS"
class_name = "Orders"
limits = { steps = 10 }

[[kv_namespaces]]
binding = "KV"

[[d1_databases]]
binding = "DB"
database_name = "db"
database_id = "db"

[[r2_buckets]]
binding = "BUCKET"
bucket_name = "bucket"

[[queues.producers]]
binding = "JOBS"
queue = "jobs"

[[queues.consumers]]
queue = "jobs"
max_batch_timeout = 0
"""
ENTRY = """
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint
from words import WORD

class Orders(WorkflowEntrypoint):
    async def run(self, event, step):
        return await step.do("work", lambda: WORD)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.method == "POST":
            await self.env.JOBS.send("a job")
        secret = getattr(self.env, "SECRET", None)
        return Response.json([WORD, self.env.GREETING, secret, await self.env.KV.get("job")])

    async def queue(self, batch):
        await self.env.KV.put("job", batch.messages[0].body)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path / "server")
    yield found.start()
    found.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "project"
    (found / "src").mkdir(parents=True)
    (found / "wrangler.toml").write_text(CONFIG)
    (found / "src" / "entry.py").write_text(ENTRY)
    return found


def says(folder: Path, word: str) -> None:
    (folder / "src" / "words.py").write_text(f"WORD = {word!r}\n")


def answer(server: Server, method: str = "GET") -> list[str | None]:
    return json.loads(server.get(method=method)[1])


def test_deploy_change_and_remove(installed, server, folder):
    says(folder, "one")
    wrangler = Wrangler(installed, server.port, folder, token=server.token)

    told = wrangler.does("deploy")
    for line in (
        "Your Worker has access to the following bindings:",
        "Uploaded shop",
        "Deployed shop triggers",
        "schedule: 0 0 * * *",
        "Consumer for jobs",
        "workflow: orders",
    ):
        assert line in told
    assert answer(server) == ["one", "hello", None, None]
    assert answer(server, "POST") == ["one", "hello", None, None]
    eventually(lambda: answer(server)[3] == "a job", "the queue's consumer was called")

    wrangler.does("workflows", "trigger", "orders", "--id", "a")
    assert server.until("complete", "orders", "a")["output"] == "one"

    says(folder, "two")
    told = wrangler.does("deploy", "--message", "the second")
    assert answer(server)[0] == "two"
    assert "the second" in wrangler.does("deployments", "list")
    first, *_ = re.findall(r"Version ID:  (\S+)", wrangler.does("versions", "list"))
    assert "env.ORDERS" in wrangler.does("versions", "view", first)

    wrangler.does("secret", "put", "SECRET", stdin="s3cret")
    assert answer(server)[2] == "s3cret"
    assert [one["name"] for one in json.loads(wrangler.does("secret", "list"))] == ["SECRET"]
    says(folder, "three")
    wrangler.does("versions", "upload")
    assert answer(server)[:3] == ["two", "hello", "s3cret"], "what was uploaded only serves nobody"
    wrangler.does("deploy")
    assert answer(server)[:3] == ["three", "hello", "s3cret"], "a deploy keeps secrets"
    wrangler.does("secret", "delete", "SECRET")
    assert answer(server)[2] is None

    wrangler.does("rollback", first, "-y", "-m", "back")
    assert answer(server)[0] == "one"
    wrangler.does("delete")
    assert "No script is deployed" in server.get()[1]


def test_what_cannot_start_is_not_deployed(installed, server, folder):
    says(folder, "one")
    wrangler = Wrangler(installed, server.port, folder, token=server.token)
    wrangler.does("deploy")
    (folder / "src" / "entry.py").write_text(ENTRY.replace("class Orders", "class Other"))
    assert "Orders" in wrangler.fails("deploy")
    assert answer(server)[0] == "one"


def test_a_wrong_token_is_refused(installed, server, folder):
    says(folder, "one")
    assert "Authentication error" in Wrangler(installed, server.port, folder, token="wrong").fails("deploy")
