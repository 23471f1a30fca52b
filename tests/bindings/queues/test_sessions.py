"""Queues of real Workers: user code, real processes, real signals, commands beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runtime.conftest import _own_runtime_directory, eventually  # noqa: F401 - the fixture is automatic
from tests.support.session import configuration, kill_worker, place

CONFIG = """
[[queues.producers]]
binding = "ORDERS"
queue = "orders"

[[queues.consumers]]
queue = "orders"
max_batch_size = 5
max_batch_timeout = 0
max_retries = 2
dead_letter_queue = "dead-orders"
"""
ENTRY = """
import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

NOTES = Path(__file__).parent.parent / "notes"

def note(*words):
    with NOTES.open("a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

class Order(WorkflowEntrypoint):
    async def run(self, event, step):
        return event.payload

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        count = int(parse_qs(urlsplit(request.url).query)["count"][0])
        await self.env.ORDERS.sendBatch([{"body": {"n": n}} for n in range(count)])
        return Response("sent")

    HANDLER
"""
ECHO = """async def queue(self, batch, env, ctx):
        for message in batch.messages:
            instance = await env.ORDER.create(id=message.id, params=message.body)
            note("created", instance.id, ctx is not None)
"""


@pytest.fixture
def world(tmp_path: Path):
    with place(tmp_path / "project") as found:
        yield found


def project(world, handler, config=CONFIG):
    world.has(configuration("Order") + config, ENTRY.replace("HANDLER", handler))


def notes(world):
    path = world.project.root / "notes"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def listed(world, queue):
    done = world.command("queues", "info", queue, "--json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def test_a_message_creates_an_instance_that_says_so(world):
    project(world, ECHO)
    session = world.dev().ready()
    assert session.get("/?count=1", "POST") == (200, "sent")
    session.wait_for(r"QUEUE orders 1/1 \(\d+ms\)")
    [[_, instance_id, has_ctx]] = notes(world)
    assert has_ctx == "True"
    eventually(lambda: world.stored("order") == {instance_id: "complete"}, "the instance completes")
    shown = json.loads(world.does("instances", "describe", "order", instance_id, "--json"))
    assert shown["trigger"] == {"source": "event"}
    assert shown["params"] == {"n": 0}


@pytest.mark.parametrize("fails", [False, True])
def test_work_handed_to_wait_until_is_part_of_the_batch(world, fails):
    end = 'raise RuntimeError("in the background")' if fails else 'batch.messages[0].ack(); note("done")'
    handler = f"""async def queue(self, batch, env, ctx):
        async def later():
            await asyncio.sleep(0.1)
            {end}
        note("attempt", batch.messages[0].attempts)
        ctx.waitUntil(later())
"""
    project(world, handler)
    session = world.dev().ready()
    session.get("/?count=1", "POST")
    if fails:
        session.wait_for("failed 3 times and went to the dead letter queue dead-orders")
        assert "in the background" in session.output
        assert notes(world) == [["attempt", "1"], ["attempt", "2"], ["attempt", "3"]]
        assert listed(world, "dead-orders")["messages"] == 1
    else:
        session.wait_for("QUEUE orders 1/1")
        assert notes(world) == [["attempt", "1"], ["done"]]


def test_a_plain_function_handles_batches_in_a_thread(world):
    project(
        world,
        'def queue(self, batch):\n        note(*sorted(m.body["n"] for m in batch.messages)); batch.ackAll()',
    )
    session = world.dev().ready()
    session.get("/?count=3", "POST")
    session.wait_for("QUEUE orders 3/3")
    assert notes(world) == [["0", "1", "2"]]


def test_a_failing_handler_is_shown_with_the_users_own_frames(world):
    project(world, 'async def queue(self, batch):\n        raise ValueError("no such customer")')
    session = world.dev().ready()
    session.get("/?count=1", "POST")
    session.wait_for("went to the dead letter queue dead-orders")
    assert "queue orders: the handler failed" in session.output
    assert 'raise ValueError("no such customer")' in session.output
    assert "wrangler_py/" not in session.output


def test_without_a_handler_messages_are_kept_until_the_code_has_one(world):
    project(world, "pass")
    session = world.dev().ready()
    session.wait_for("orders: Method queue does not exist. Messages are kept")
    session.get("/?count=2", "POST")
    assert listed(world, "orders")["messages"] == 2
    project(world, ECHO)
    session.wait_for("QUEUE orders 2/2")
    assert listed(world, "orders")["messages"] == 0


def test_a_killed_worker_loses_no_message_and_repeats_no_acked_one(world):
    """The worker dies with a batch in its hands: what was acked is done, the rest comes again as a second attempt."""
    handler = """async def queue(self, batch, env, ctx):
        for message in batch.messages:
            note("got", message.body.n, message.attempts)
        batch.messages[0].ack()
        if batch.messages[0].attempts == 1:
            await asyncio.sleep(3600)
"""
    project(world, handler)
    session = world.dev().ready()
    session.get("/?count=3", "POST")
    eventually(lambda: listed(world, "orders")["messages"] == 2, "one is acked, and the handler hangs")
    kill_worker(session)
    session.wait_for("QUEUE orders 2/2")
    got = [line for line in notes(world) if line[0] == "got"]
    assert got == [
        ["got", "0", "1"],
        ["got", "1", "1"],
        ["got", "2", "1"],
        ["got", "1", "2"],
        ["got", "2", "2"],
    ]


def test_a_message_that_kills_its_worker_ends_as_a_dead_letter(world):
    project(
        world,
        "async def queue(self, batch):\n        import os, signal; note('got'); os.kill(os.getpid(), 9)",
    )
    session = world.dev().ready()
    session.get("/?count=1", "POST")
    session.wait_for("failed 3 times and went to the dead letter queue dead-orders", deadline=60)
    assert notes(world) == [["got"]] * 3


def test_messages_survive_the_end_of_the_session(world):
    project(world, ECHO, CONFIG.replace("max_batch_timeout = 0", "max_batch_timeout = 60"))
    session = world.dev().ready()
    session.get("/?count=2", "POST")
    world.kill(session)
    assert listed(world, "orders")["messages"] == 2
    project(world, ECHO)
    world.dev().ready().wait_for("QUEUE orders 2/2")


def test_a_batch_in_flight_is_finished_by_the_old_worker_when_the_code_changes(world):
    """The new worker begins beside it; the message in the old one's hands is not its to take."""
    handler = """async def queue(self, batch, env, ctx):
        note("began", VERSION)
        while not (NOTES.parent / "go").exists():
            await asyncio.sleep(0.01)
        note("ended", VERSION)
"""
    project(world, handler.replace("VERSION", "1"))
    session = world.dev().ready()
    session.get("/?count=1", "POST")
    eventually(lambda: notes(world), "the first handler runs")
    project(world, handler.replace("VERSION", "2"))
    session.wait_for("Reloaded")
    world.project.write("go", "")
    session.wait_for("QUEUE orders 1/1")
    assert notes(world) == [["began", "1"], ["ended", "1"]]
    session.get("/?count=1", "POST")
    eventually(lambda: notes(world)[2:] == [["began", "2"], ["ended", "2"]], "the new code handles the next")
