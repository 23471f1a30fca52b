"""Code of instances that ends its process: real processes, real deaths, from the session to the API."""

from __future__ import annotations

import json
import threading
from http.client import HTTPException
from typing import Any

import pytest

from tests.runtime.conftest import eventually
from tests.support.serving import Hammer, Server
from tests.support.session import configuration, detail, place, trigger

#: Errors of a client whose worker dies: no answer, or half of one.
LOST = (OSError, HTTPException)
DIED = "Attempt failed due to internal workflows error: the process died while this step was executing"
ENTRY = """
import asyncio, ctypes, os, signal
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

ONCE = {"retries": {"limit": 0, "delay": 0}}
TWICE = {"retries": {"limit": 1, "delay": 0}}
ENDS = {
    "exit": lambda: os._exit(4),
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}

class Job(WorkflowEntrypoint):
    async def run(self, event, step):
        die = ENDS[event.payload.get("by", "exit")]
        where = event.payload["where"]
        return await getattr(self, where)(step, die)

    async def at_once(self, step, die):
        async def crunch():
            die()
        await step.do("crunch", ONCE, crunch)

    async def later(self, step, die):
        async def crunch():
            await asyncio.sleep(0.05)
            die()
        await step.do("crunch", ONCE, crunch)

    async def thread(self, step, die):
        await step.do("crunch", ONCE, lambda: die())

    async def nested(self, step, die):
        async def outer():
            async def crunch():
                die()
            await step.do("crunch", ONCE, crunch)
        await step.do("outer", {"retries": {"limit": 9, "delay": 0}}, outer)

    async def rollback(self, step, die):
        async def undo():
            die()
        await step.do("crunch", lambda: 1, rollback=undo, rollback_config=ONCE)
        raise ValueError("no")

    async def between(self, step, die):
        await step.do("crunch", lambda: 1)
        die()

class Counted(WorkflowEntrypoint):
    async def run(self, event, step):
        chosen = event.payload
        def crunch():
            with open("calls", "a") as file:
                file.write(".")
            ENDS[chosen["by"]]()
        async def at_once():
            crunch()
        retries = {"limit": chosen["limit"], "delay": 0}
        await step.do("crunch", {"retries": retries}, crunch if chosen["where"] == "thread" else at_once)

class Neighbour(WorkflowEntrypoint):
    async def run(self, event, step):
        async def work():
            with open("effects", "a") as file:
                file.write(event.instanceId + "\\n")
            await asyncio.sleep(1)
        await step.do("work", ONCE, work)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if "die" in request.url:
            os._exit(5)
        return Response("ok")
"""


@pytest.fixture
def project(tmp_path):
    with place(tmp_path / "project") as found:
        found.has(configuration("Job", "Neighbour", "Counted"), ENTRY)
        yield found


@pytest.mark.parametrize(
    ("where", "by", "cause"),
    [
        ("at_once", "exit", "exit code 4"),
        ("at_once", "segfault", "signal SIGSEGV"),
        ("at_once", "kill", "signal SIGKILL"),
        ("later", "exit", "exit code 4"),
        ("thread", "exit", "exit code 4"),
        ("thread", "segfault", "signal SIGSEGV"),
    ],
)
def test_a_step_that_ends_its_process_is_an_attempt_and_the_session_names_it(project, where, by, cause):
    session = project.dev().ready()
    trigger(session, "job", "j", {"where": where, "by": by})
    seen = ended(session, "job", "j")
    assert seen["error"] == {"name": "WorkflowInternalError", "message": DIED}
    assert [attempt["error"]["message"] for attempt in seen["steps"][0]["attempts"]] == [DIED]
    named = (
        f"The worker died ({cause}) while step `crunch-1` of instance job/j (attempt 1 of 1) was executing"
    )
    assert session.output.count(named) == session.output.count("The worker died") == 1
    assert session.get("/") == (200, "ok")


@pytest.mark.parametrize("where", ["at_once", "thread"])
@pytest.mark.parametrize(("by", "limit"), [("exit", 0), ("exit", 2), ("segfault", 1), ("kill", 1)])
def test_a_step_that_ends_its_process_is_called_as_often_as_it_may_be(project, where, by, limit):
    """Also in the turn in which it begins, when its start is not stored yet."""
    session = project.dev().ready()
    trigger(session, "counted", "c", {"where": where, "by": by, "limit": limit})
    seen = ended(session, "counted", "c")
    assert (project.project.root / "calls").read_text() == "." * (limit + 1)
    assert [attempt["error"]["message"] for attempt in seen["steps"][0]["attempts"]] == [DIED] * (limit + 1)
    assert session.output.count("The worker died") == limit + 1


def test_a_step_inside_a_step_that_ends_its_process_is_named_itself(project):
    session = project.dev().ready()
    trigger(session, "job", "j", {"where": "nested"})
    ended(session, "job", "j")
    assert "while step `crunch-1` of instance job/j (attempt 1 of 1) was executing" in session.output


def test_a_rollback_that_ends_its_process_is_an_attempt(project):
    session = project.dev().ready()
    trigger(session, "job", "j", {"where": "rollback"})
    seen = ended(session, "job", "j")
    assert seen["error"]["message"] == "no"
    assert (seen["rollback"]["outcome"], seen["rollback"]["error"]["name"]) == (
        "failed",
        "WorkflowInternalError",
    )
    assert (
        "while the rollback of step `crunch-1` of instance job/j (attempt 1 of 1) was executing"
        in session.output
    )


def test_a_run_that_ends_its_process_between_steps_is_given_up(project):
    session = project.dev().ready()
    trigger(session, "job", "j", {"where": "between"})
    seen = ended(session, "job", "j")
    assert seen["error"]["name"] == "WorkflowInternalError"
    assert seen["error"]["message"].startswith("The process died 5 times in a row while this instance")
    assert "while instance job/j was executing" in session.output
    assert session.output.count("The worker died") <= 5


def test_a_handler_that_ends_its_process_accuses_no_instance(project):
    session = project.dev().ready()
    trigger(session, "neighbour", "n")
    eventually((project.project.root / "effects").exists, "a step")
    with pytest.raises(LOST):
        session.get("/die")
    session.wait_for(r"The worker died \(exit code 5\); starting it again")
    # Its step was under way: that attempt is lost, by the rule, and the limit is 0.
    seen = ended(session, "neighbour", "n")
    assert len(seen["steps"][0]["attempts"]) == 1


@pytest.mark.parametrize("where", ["at_once", "thread"])
def test_neighbours_under_way_lose_no_attempt_to_a_known_killer(project, where):
    """Their limit is 0, their steps take a second, and the process dies four times while they try."""
    session = project.dev().ready()
    names = [f"n{number}" for number in range(10)]
    for name in names:
        create(session, name)
    effects = project.project.root / "effects"
    eventually(lambda: effects.exists() and len(effects.read_text().split()) == len(names), "all to begin")
    trigger(session, "counted", "c", {"where": where, "by": "exit", "limit": 3})
    assert ended(session, "counted", "c")["status"] == "errored"
    seen = [ended(session, "neighbour", name) for name in names]
    assert {one["status"] for one in seen} == {"complete"}
    assert {len(one["steps"][0]["attempts"]) for one in seen} == {1}
    assert session.output.count("The worker died") == 4


@pytest.mark.parametrize("where", ["at_once", "later", "thread"])
def test_neighbours_that_begin_after_the_first_death_lose_nothing_and_requests_go_on(project, where):
    session = project.dev().ready()
    trigger(session, "job", "j", {"where": where})
    eventually(lambda: "The worker died" in session.output, "a first death")
    answers = []

    def ask() -> None:
        while not done.is_set():
            answers.append(ask_once(session))

    done = threading.Event()
    asking = threading.Thread(target=ask)
    asking.start()
    names = [f"n{number}" for number in range(50)]
    for name in names:
        create(session, name)
    ended(session, "job", "j")
    assert {ended(session, "neighbour", name)["status"] for name in names} == {"complete"}
    done.set()
    asking.join()
    effects = (project.project.root / "effects").read_text().split()
    assert sorted(effects) == sorted(names)
    assert answers.count("ok") > len(answers) / 2


def test_a_server_says_in_its_log_what_killed_a_worker_and_answers_every_request(tmp_path):
    server = Server(tmp_path)
    try:
        workflow = {"name": "job", "binding": "JOB", "class_name": "Job"}
        server.deploy("shop", "v1", ENTRY, workflows=[workflow])
        server.start("--log-format", "json", "--workers", "2")
        hammer = Hammer(server)
        server.create("job", "j", {"where": "at_once"})
        seen = server.until("errored", "job", "j")
        hammer.end()
    finally:
        server.end()
    assert [attempt["error"]["message"] for attempt in seen["steps"][0]["attempts"]] == [DIED]
    lines = [json.loads(line) for line in server.output.splitlines()]
    deaths = [line for line in lines if line["event"] == "died"]
    assert len(deaths) == 1
    assert (
        "died (exit code 4) while step `crunch-1` of instance job/j (attempt 1 of 1)" in deaths[0]["message"]
    )
    named = ("workflow", "instance", "step", "attempt")
    assert [deaths[0][name] for name in named] == ["job", "j", "crunch-1", 1]
    assert hammer.errors == []
    answers = [status for status, _ in hammer.answers]
    assert all(status == 200 or status >= 500 for status in answers)
    assert answers.count(200) > len(answers) / 2


def ended(session, workflow: str, instance_id: str) -> dict[str, Any]:
    """Wait for the end of an instance, whatever becomes of the worker meanwhile; return it in full."""
    found: dict[str, Any] = {}

    def is_over() -> bool:
        try:
            found.update(detail(session, workflow, instance_id))
        except LOST:
            return False
        return found["success"] is not None

    eventually(is_over, f"{workflow}/{instance_id} ends", 60)
    return found


def ask_once(session) -> str:
    try:
        return session.get("/")[1]
    except LOST:
        return "lost"


def create(session, name: str) -> None:
    """Create a neighbour, once, although the worker may die meanwhile."""

    def is_there() -> bool:
        try:
            trigger(session, "neighbour", name)
        except AssertionError as error:
            return "already exists" in str(error)
        except LOST:
            return False
        return True

    eventually(is_there, f"{name} is created")
