"""Durable Objects of real Workers: real processes, real signals, saves while calls run."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from pathlib import Path

import pytest

from tests.runtime.conftest import Project, _own_runtime_directory, eventually  # noqa: F401 - automatic fixture
from tests.runtime.test_supervisor import Hammer
from tests.support.session import HEAD, configuration, kill_worker, place, until

OBJECTS = """
[[durable_objects.bindings]]
name = "COUNTER"
class_name = "Counter"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter"]
"""
ENTRY = '''
import asyncio, os, signal, time
from pathlib import Path
from workers import DurableObject, Response, WorkerEntrypoint, WorkflowEntrypoint

NOTES = Path(__file__).parent.parent / "notes"
VERSION = "one"

def note(*words):
    with NOTES.open("a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

class Counter(DurableObject):
    async def increment(self):
        note(os.getpid(), "enters")
        value = ((await self.ctx.storage.get("value")) or 0) + 1
        await self.ctx.storage.put("value", value)
        await asyncio.sleep(0.002)
        note(os.getpid(), "leaves")
        return value

    async def move(self, amount, dies=False):
        """Two writes with nothing between them but, if wanted, death."""
        await self.ctx.storage.put("left", 10 - amount)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        await self.ctx.storage.put("right", amount)

    async def sides(self):
        return await self.ctx.storage.get(["left", "right"])

    async def ring_in(self, ms):
        await self.ctx.storage.setAlarm(time.time() * 1000 + ms)

    async def alarm(self):
        note("rang", self.ctx.id.name)

    async def create(self):
        instance = await self.env.FLOW.create(id="from-inside", params={"name": "counted"})
        return instance.id

class Flow(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("count")
        async def count():
            return await self.env.COUNTER.getByName(event.payload.name).increment()
        return await count()

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/"):
            return Response(f"{VERSION} {await self.env.COUNTER.getByName('hammered').increment()}")
        method, *arguments = request.url.rpartition("/")[2].split(",")
        stub = self.env.COUNTER.getByName("a")
        return Response.json(await getattr(stub, method)(*map(eval, arguments)))
'''


@pytest.fixture
def world(tmp_path: Path):
    with place(tmp_path / "project") as found:
        found.has(configuration("Flow") + OBJECTS, ENTRY)
        yield found


def asks(session, call):
    status, answer = session.get(f"/{call}")
    assert status == 200, answer
    return json.loads(answer)


def notes_of(world) -> list[str]:
    path = world.project.root / "notes"
    return path.read_text().splitlines() if path.exists() else []


def numbers(hammer: Hammer) -> list[int]:
    return [int(answer.split()[1]) for answer in hammer.answers if answer.startswith(("one ", "two "))]


def test_every_increment_that_was_answered_is_there_after_kill_9(world):
    """The worker dies again and again in the middle of calls: no answer is given twice, none is lost."""
    session = world.dev().ready()
    hammers = [Hammer(session.port, keeps=False) for _ in range(2)]
    for hammer in hammers:
        hammer.start()
    for _ in range(4):
        seen = sum(len(hammer.answers) for hammer in hammers)
        eventually(lambda seen=seen: sum(len(h.answers) for h in hammers) > seen + 20, "calls are answered")
        kill_worker(session)
    for hammer in hammers:
        hammer.done.set()
        hammer.join()
    answered = sorted(number for hammer in hammers for number in numbers(hammer))
    assert len(set(answered)) == len(answered)
    assert int(session.get()[1].split()[1]) > answered[-1]
    # Those that are missing had been counted, and their answer died with the worker.
    assert answered[-1] - len(answered) <= 4 * len(hammers)


def test_writes_without_a_wait_between_them_are_both_there_or_neither(world):
    session = world.dev().ready()
    asks(session, "move,3")
    worker = session.worker_pid
    with pytest.raises((OSError, http.client.HTTPException)):
        asks(session, "move,9,True")
    eventually(lambda: session.worker_pid != worker, "another worker")
    assert asks(session, "sides") == {"left": 7, "right": 3}


@pytest.mark.parametrize("ends", ["worker", "session"])
def test_an_alarm_rings_after_kill_9(world, ends):
    session = world.dev().ready()
    asks(session, "ring_in,700")
    if ends == "worker":
        kill_worker(session)
    else:
        world.kill(session)
        world.dev().ready()
    eventually(lambda: notes_of(world) == ["rang a"], "the alarm rings")


def test_saves_while_calls_run_fail_none_and_never_make_two_of_one_object(world):
    """Each call says which process it is in: as soon as the next one has it, the one before never has again."""
    session = world.dev().ready()
    hammers = [Hammer(session.port, keeps=keeps) for keeps in (False, True, False)]
    for hammer in hammers:
        hammer.start()
    versions = ["one", "two", "one", "two"]
    for old, new in itertools.pairwise(versions):
        for hammer in hammers:
            eventually(
                lambda old=old, h=hammer: h.answers and h.answers[-1].startswith(old), f"version {old}"
            )
        world.project.replace("src/entry.py", f'VERSION = "{old}"', f'VERSION = "{new}"')
    for hammer in hammers:
        eventually(lambda h=hammer: h.answers[-1].startswith("two"), "the last version")
        hammer.done.set()
        hammer.join()
    assert [hammer.failures for hammer in hammers] == [[], [], []]
    answered = sorted(number for hammer in hammers for number in numbers(hammer))
    assert answered == list(range(1, len(answered) + 1))
    processes = [line.split()[0] for line in notes_of(world)]
    changes = [one for one, before in zip(processes, ["", *processes], strict=False) if one != before]
    assert len(changes) == len(set(changes)) == 4


def test_a_long_call_in_a_save_is_over_before_the_next_worker_has_the_object(world):
    """The save comes while a call runs: it is answered by the old code, calls that come meanwhile by the new."""
    world.project.replace("src/entry.py", "await asyncio.sleep(0.002)", "await asyncio.sleep(0.8)")
    session = world.dev().ready()
    answers: list[str] = []
    first = threading.Thread(target=lambda: answers.append(session.get()[1]))
    first.start()
    eventually(lambda: len(notes_of(world)) == 1, "the call has begun")
    world.project.replace("src/entry.py", 'VERSION = "one"', 'VERSION = "two"')
    session.wait_for(r"Reloaded|reloaded|Updated|updated")
    assert session.get()[1] == "two 2"
    first.join()
    assert answers == ["one 1"]
    words = [line.split()[1] for line in notes_of(world)]
    assert words == ["enters", "leaves", "enters", "leaves"]


def test_objects_create_instances_and_steps_call_objects(world):
    session = world.dev().ready()
    assert asks(session, "create") == "from-inside"
    (done,) = until(session, "complete", [("flow", "from-inside")])
    assert done["output"] == 1


def test_an_object_of_another_session_is_called_like_ones_own(world, tmp_path):
    front = Project(tmp_path / "front")
    front.write(
        "wrangler.toml",
        HEAD.replace("my-app", "front")
        + OBJECTS.replace(
            'class_name = "Counter"', 'class_name = "Counter"\nscript_name = "my-app"'
        ).partition("[[migrations]]")[0],
    )
    front.write(
        "src/entry.py",
        """
        from workers import Response, WorkerEntrypoint
        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                stub = self.env.COUNTER.getByName("a")
                if request.url.endswith("missing"):
                    try:
                        await stub.missing()
                    except Exception as error:
                        return Response(str(error))
                return Response(str(await stub.increment()))
    """,
    )
    back = world.dev().ready()
    session = world.dev(of=front).ready()
    assert asks(back, "increment") == 1
    assert session.get()[1] == "2"
    assert "Method missing does not exist" in session.get("/missing")[1]
    asks(back, "ring_in,1")
    eventually(lambda: notes_of(world)[-1] == "rang a", "the alarm rings")
