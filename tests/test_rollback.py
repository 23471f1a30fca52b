"""Rollback from end to end: asked for over the API and by the command, through `kill -9` of whatever runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.conftest import eventually
from tests.support.session import API, Place, configuration, detail, kill_worker, place, trigger, until

ENTRY = """
import asyncio, os
from workers import WorkflowEntrypoint
from workers.workflows import NonRetryableError

SLOWLY = {"retries": {"limit": 1000, "delay": 0, "backoff": "constant"}}

class Trip(WorkflowEntrypoint):
    async def run(self, event, step):
        def undoing(name):
            async def undo(output):
                with open("undone", "a") as file:
                    file.write(f"{event['instanceId']} {name} {output}\\n")
                while name == "hotel" and not os.path.exists("free"):
                    await asyncio.sleep(0.01)
            return undo

        for name in ("flight", "hotel", "car"):
            @step.do(name, rollback=undoing(name), rollback_config=SLOWLY)
            def book():
                return f"{name} is booked"
            await book()
        if event["payload"] == "fail":
            raise NonRetryableError("no money")
        await step.wait_for_event("paid", "paid", timeout="1 day")
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path / "app") as found:
        found.has(configuration("Trip"), ENTRY)
        yield found


def undone(here: Place, instance: str) -> list[str]:
    """Return which rollbacks of an instance were begun, in order."""
    path = here.project.root / "undone"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split(" ", 2)[1] for line in lines if line.startswith(f"{instance} ")]


def free(here: Place) -> None:
    here.project.write("free", "")


def test_a_chain_goes_on_where_it_was_however_often_the_worker_dies(here):
    session = here.dev()
    session.ready()
    trigger(session, "trip", "a")
    until(session, "waiting", [("trip", "a")])
    status, answer = session.get(
        f"{API}/trip/instances/a/status", "PATCH", json.dumps({"status": "terminate", "rollback": True})
    )
    assert status == 200, answer
    for begun in (2, 3, 4):
        eventually(lambda begun=begun: len(undone(here, "a")) == begun, "the hotel is being undone")
        kill_worker(session)
    free(here)
    [found] = until(session, "terminated", [("trip", "a")])
    names = undone(here, "a")
    assert (names[0], set(names[1:-1]), names[-1]) == ("car", {"hotel"}, "flight")
    assert found["rollback"]["outcome"] == "complete"
    steps = [(one["name"], one["success"]) for one in found["steps"] if one["type"] == "rollback"]
    assert steps == [("car-1", True), ("hotel-1", True), ("flight-1", True)]
    assert "flight is booked" in (here.project.root / "undone").read_text()


def test_a_failure_is_undone_by_the_next_session(here):
    session = here.dev()
    session.ready()
    trigger(session, "trip", "b", "fail")
    eventually(lambda: undone(here, "b") == ["car", "hotel"], "the hotel is being undone")
    here.kill(session)
    free(here)
    session = here.dev()
    session.ready()
    [found] = until(session, "errored", [("trip", "b")])
    assert undone(here, "b") == ["car", "hotel", "hotel", "flight"]
    assert found["error"]["message"] == "no money"


def test_the_command_asks_for_it_and_describe_shows_it(here):
    free(here)
    session = here.dev()
    session.ready()
    trigger(session, "trip", "c")
    until(session, "waiting", [("trip", "c")])
    here.does("instances", "terminate", "trip", "c", "--rollback")
    until(session, "terminated", [("trip", "c")])
    shown = here.does("instances", "describe", "trip", "c")
    assert shown.count("Rollback") >= 3
    assert undone(here, "c") == ["car", "hotel", "flight"]
    assert json.loads(here.does("instances", "describe", "trip", "latest", "--json")) == detail(
        session, "trip", "c"
    )


def test_without_a_session_it_is_begun_by_the_next_one(here):
    free(here)
    session = here.dev()
    session.ready()
    trigger(session, "trip", "d")
    until(session, "waiting", [("trip", "d")])
    here.kill(session)
    here.does("instances", "terminate", "trip", "d", "--rollback")
    assert undone(here, "d") == []
    session = here.dev()
    session.ready()
    until(session, "terminated", [("trip", "d")])
    assert undone(here, "d") == ["car", "hotel", "flight"]
