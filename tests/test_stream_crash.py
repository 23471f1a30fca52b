"""SIGKILL while a stream is being stored: what is read in the end is whole and of one attempt; no other is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.conftest import eventually
from tests.support.session import API, Place, configuration, kill_worker, place, trigger, until
from wrangler_py.engine.instance.streams import CHUNK_BYTES

KILLS, PIECES, PIECE = 3, 40, 64 * 1024
ENTRY = f"""
import asyncio, os, uuid
from workers import WorkflowEntrypoint

class Flow(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("export", config={{"retries": {{"limit": 1000, "delay": 0, "backoff": "constant"}}}})
        async def export():
            token = uuid.uuid4().hex.encode()
            for number in range({PIECES}):
                yield token * ({PIECE} // len(token))
                if number == {PIECES} // 2:
                    with open("half", "a") as file:
                        file.write("half\\n")
                    while not os.path.exists("go"):
                        await asyncio.sleep(0.01)

        exported = await export()
        body = b"".join([chunk async for chunk in exported])
        await step.sleep("nap", "1 second")
        again = b"".join([chunk async for chunk in exported])
        return [body == again, len(body), body == body[:32] * (len(body) // 32), body[:32].decode()]
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path / "app") as found:
        found.has(configuration("Flow"), ENTRY)
        yield found


def begun(here: Place) -> int:
    path = here.project.root / "half"
    return path.read_text().count("\n") if path.exists() else 0


def test_no_attempt_leaves_anything_in_another_ones_stream(here):
    session = here.dev("--hibernate-after", "0")
    session.ready()
    trigger(session, "flow", "i")
    for killed in range(KILLS):
        eventually(lambda killed=killed: begun(here) == killed + 1, "half of the stream is there")
        kill_worker(session)
    here.project.write("go", "")
    [found] = until(session, "complete", [("flow", "i")])
    is_same, size, is_whole, token = found["output"]
    assert (is_same, size, is_whole) == (True, PIECES * PIECE, True)
    _, answer = session.get(f"{API}/flow/instances/i/step?name=export-1&type=step")
    assert answer == token * (size // len(token))
    [step] = [one for one in found["steps"] if one["type"] == "step" and one["name"] == "export-1"]
    assert [one["success"] for one in step["attempts"]] == [False] * KILLS + [True]
    connection = sqlite3.connect(here.project.state / "workflows.sqlite")
    count, stored = connection.execute("SELECT count(*), sum(length(data)) FROM chunks").fetchone()
    connection.close()
    assert (count, stored) == (size // CHUNK_BYTES, size)
