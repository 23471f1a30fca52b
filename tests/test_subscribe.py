"""A subscription and `instances watch` while the worker behind them is killed again and again."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.conftest import DEADLINE, Dev, eventually
from tests.support.session import API, COMMAND, Place, configuration, kill_worker, place, trigger, until

ROUNDS = 5
ENTRY = f"""
from workers import WorkflowEntrypoint

class Flow(WorkflowEntrypoint):
    async def run(self, event, step):
        for number in range({ROUNDS}):
            await step.do(f"work {{number}}", lambda: "x" * 1000)
            await step.wait_for_event(f"wait {{number}}", "go", timeout="1 hour")
        return "done"
"""


class Subscriber:
    """Reads events as a browser's EventSource does: it comes back with the last id it has seen."""

    def __init__(self, session: Dev) -> None:
        self._session = session
        self.events: list[tuple[int, str]] = []
        self.connections = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not (self.events and self.events[-1][1] == "WORKFLOW_SUCCESS"):
            connection = http.client.HTTPConnection("127.0.0.1", self._session.port, timeout=DEADLINE)
            seen = {"Last-Event-ID": str(self.events[-1][0])} if self.events else {}
            try:
                connection.request("GET", f"{API}/flow/instances/i/subscribe", headers=seen)
                self.connections += 1
                self._take(connection.getresponse())
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()

    def _take(self, response: http.client.HTTPResponse) -> None:
        number = 0
        for line in response:
            name, _, value = line.decode().strip().partition(": ")
            if name == "id":
                number = int(value)
            elif name == "event":
                kind = value
            elif name == "data":
                assert json.loads(value)["cursor"] == number  # a frame that was cut off is none
                self.events.append((number, kind))

    def count(self, kind: str) -> int:
        return [one for _, one in self.events].count(kind)

    def end(self) -> list[tuple[int, str]]:
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        return self.events


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path / "app") as found:
        yield found


def live(session: Dev, subscriber: Subscriber) -> None:
    """Kill the worker in every pause, and have the next one go on."""
    for number in range(ROUNDS):
        eventually(
            lambda number=number: subscriber.count("WAIT_START") == number + 1,
            "the subscriber has seen that it waits",
        )
        kill_worker(session)
        session.get(f"{API}/flow/instances/i/events/go", "POST", json.dumps(number))
    until(session, "complete", [("flow", "i")])


def test_no_event_is_lost_or_doubled_however_often_the_worker_dies(here):
    here.has(configuration("Flow"), ENTRY)
    session = here.dev()
    session.ready()
    trigger(session, "flow", "i")
    subscriber = Subscriber(session)
    with subprocess.Popen(
        [*COMMAND, "workflows", "instances", "watch", "flow", "i", "--exit-status"],
        cwd=here.project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        try:
            live(session, subscriber)
            shown, complained = watching.communicate(timeout=DEADLINE)
        finally:
            watching.kill()
    events = subscriber.end()

    _, whole = session.get(f"{API}/flow/instances/i/subscribe")
    kinds = [line.removeprefix("event: ") for line in whole.splitlines() if line.startswith("event: ")]
    ids = [int(line.removeprefix("id: ")) for line in whole.splitlines() if line.startswith("id: ")]
    assert events == list(zip(ids, kinds, strict=True))
    assert kinds.count("STEP_SUCCESS") == ROUNDS
    assert subscriber.connections > ROUNDS
    assert (watching.returncode, complained) == (0, "")
    assert [shown.count(f"work {number}") > 0 for number in range(ROUNDS)] == [True] * ROUNDS
