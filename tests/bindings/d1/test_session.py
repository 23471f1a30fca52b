"""D1 in a real session: the commands see what the Worker wrote, and `kill -9` takes nothing that was answered for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runtime.conftest import eventually
from tests.support.session import Place, place

CONFIG = """\
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[d1_databases]]
binding = "DB"
database_name = "shop"
database_id = "0000-shop"
"""
#: Writes batches of twenty rows for ever; a number is in ``acknowledged`` when its batch has returned.
ENTRY = """
from pathlib import Path
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/write"):
            self.ctx.waitUntil(self.write())
            return Response("writing")
        rows = await self.env.DB.prepare("SELECT count(*) AS rows, count(DISTINCT batch) AS batches FROM t").first()
        return Response.json(rows)

    async def write(self):
        await self.env.DB.exec("CREATE TABLE t (batch INTEGER, row INTEGER)")
        insert = self.env.DB.prepare("INSERT INTO t VALUES (?, ?)")
        with Path("acknowledged").open("a", buffering=1) as file:
            for batch in range(1_000_000):
                await self.env.DB.batch([insert.bind(batch, row) for row in range(20)])
                print(batch, file=file)
"""


@pytest.fixture
def here(tmp_path: Path):
    with place(tmp_path) as found:
        found.has(CONFIG, ENTRY)
        yield found


def acknowledged(here: Place) -> list[str]:
    path = here.project.root / "acknowledged"
    return path.read_text().splitlines() if path.exists() else []


def execute(here: Place, sql: str):
    done = here.command("d1", "execute", "shop", "--json", "--command", sql)
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)[0]["results"]


def test_committed_batches_survive_kill_9_and_half_a_batch_does_not(here):
    session = here.dev().ready()
    session.get("/write")
    eventually(lambda: len(acknowledged(here)) > 100, "some batches are written")
    here.kill(session)

    known = len(acknowledged(here))
    (found,) = execute(here, "SELECT count(*) AS rows, count(DISTINCT batch) AS batches FROM t")
    assert found["rows"] == 20 * found["batches"]
    assert known <= found["batches"] <= known + 1

    assert json.loads(here.dev().ready().get("/")[1]) == found


def test_commands_and_the_worker_write_side_by_side(here):
    execute(here, "CREATE TABLE t (batch INTEGER, row INTEGER)")
    session = here.dev().ready()
    assert json.loads(session.get("/")[1]) == {"rows": 0, "batches": 0}
    execute(here, "INSERT INTO t VALUES (1, 1), (2, 2)")
    assert json.loads(session.get("/")[1]) == {"rows": 2, "batches": 2}
