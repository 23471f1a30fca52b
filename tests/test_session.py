"""Whatever was alive goes on by itself, whatever ends the process it was alive in. Real sessions, signals and saves."""

from __future__ import annotations

import signal

import pytest

from tests.runtime.conftest import eventually, is_running
from tests.runtime.test_supervisor import Hammer
from tests.support.session import configuration, kill_worker, place, trigger, until
from wrangler_py.engine.lease import LEASE_MS

CONFIG = configuration("Alive", "Narrow", Narrow=1)
ENTRY = """
import asyncio, os
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

def note(event):
    with open("ran", "a") as file:
        file.write(event["instanceId"] + "\\n")

async def last(step):
    @step.do("last")
    async def word():
        return "old"
    return await word()

class Alive(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("before")
        async def before():
            note(event)
        await before()
        match event["instanceId"].rstrip("0123456789"):
            case "sleeper":
                await step.sleep("nap", "3 seconds")
            case "waiter":
                await step.wait_for_event("approval", "approve")
            case "retrier":
                @step.do("flaky", config={"retries": {"limit": 1000, "delay": "1 second", "backoff": "constant"}})
                async def flaky():
                    if not os.path.exists("mended"):
                        raise RuntimeError("not mended yet")
                await flaky()
        return await last(step)

class Narrow(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("before")
        async def before():
            note(event)
        await before()

        @step.do("hold", config={"retries": {"limit": 5, "delay": 0}})
        async def hold():
            while not os.path.exists("go"):
                await asyncio.sleep(0.01)
        await hold()
        return await last(step)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("one")
"""
WAITING = [("alive", "sleeper"), ("alive", "waiter"), ("alive", "retrier")]
RUNNING, QUEUED = ("narrow", "running"), ("narrow", "queued")
ALL = [*WAITING, RUNNING, QUEUED]
#: Seconds; a dead owner's lease runs out by itself only after this.
AT_ONCE = LEASE_MS / 1000 * 0.7


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A project in which an instance can be kept in every live status."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with place(tmp_path / "app") as found:
        found.has(CONFIG, ENTRY)
        yield found


def ran(app) -> list[str]:
    return sorted((app.project.root / "ran").read_text().split())


def release(app) -> None:
    """Let all go on that waits for something outside."""
    app.project.write("mended", "")
    app.project.write("go", "")


def save(app, session):
    """Replace the code; the step in flight does not end in the moment it gets for that, and is tried again."""
    old = session.worker_pid
    app.project.write("src/entry.py", ENTRY.replace('"old"', '"new"'))
    session.wait_for("Reloaded")
    eventually(lambda: not is_running(old), "the old worker has left")
    return session


def kill_the_worker(app, session):
    kill_worker(session)
    return session


def kill_the_session(app, session):
    app.kill(session)
    return app.dev().ready()


def press_ctrl_c(app, session):
    assert session.stop(signal.SIGINT) == 130
    assert app.stored("narrow")["queued"] == "queued"
    return app.dev().ready()


@pytest.mark.parametrize(
    ("interrupt", "output"),
    [(kill_the_worker, "old"), (kill_the_session, "old"), (press_ctrl_c, "old"), (save, "new")],
)
def test_what_was_alive_goes_on_by_itself(app, interrupt, output):
    """A sleeper, a waiter, a retrier, a running and a queued one end, and no checkpointed step runs again."""
    session = app.dev().ready()
    for workflow, instance_id in ALL:
        trigger(session, workflow, instance_id)
    until(session, "waiting", WAITING)
    until(session, "running", [RUNNING])
    until(session, "queued", [QUEUED])
    session = interrupt(app, session)
    release(app)
    assert "was sent" in app.does("instances", "send-event", "alive", "waiter", "--type", "approve")
    ended = until(session, "complete", ALL, AT_ONCE)
    assert [one["output"] for one in ended] == [output] * len(ALL)
    assert ran(app) == sorted(instance_id for _, instance_id in ALL)


def test_three_saves_refuse_no_request_and_lose_no_instance(app):
    """Clients with fresh connections and with kept ones, and an instance created between any two saves."""
    session = app.dev("--log-level", "warn").ready()
    hammers = [Hammer(session.port, keeps=keeps) for keeps in (True, False)]
    for hammer in hammers:
        hammer.start()
    made = []
    for word in ("two", "three", "four"):
        made += [("alive", f"sleeper{len(made)}"), ("alive", f"waiter{len(made)}")]
        for workflow, instance_id in made[-2:]:
            trigger(session, workflow, instance_id)
        app.project.write("src/entry.py", ENTRY.replace('"one"', f'"{word}"'))
        for hammer in hammers:
            eventually(lambda: hammer.answers and hammer.answers[-1] == word, f"the answer {word}")  # noqa: B023
    for hammer in hammers:
        hammer.done.set()
        hammer.join()
    assert [hammer.failures for hammer in hammers] == [[], []]
    for _, instance_id in made[1::2]:
        until(session, "waiting", [("alive", instance_id)])
        session.get(
            f"/client/v4/accounts/local/workflows/alive/instances/{instance_id}/events/approve", "POST", "1"
        )
    until(session, "complete", made)
    assert ran(app) == sorted(instance_id for _, instance_id in made)


def test_broken_code_changes_nothing_for_those_who_use_the_old(app):
    session = app.dev().ready()
    trigger(session, "narrow", "early")
    until(session, "running", [("narrow", "early")])
    app.project.write("src/entry.py", ENTRY.replace("class Narrow", "clas Narrow"))
    session.wait_for("goes on serving")
    assert session.get() == (200, "one")
    trigger(session, "alive", "late")
    release(app)
    late, early = until(session, "complete", [("alive", "late"), ("narrow", "early")])
    assert (late["output"], early["output"]) == ("old", "old")
    hold = next(step for step in early["steps"] if step["name"] == "hold-1")
    assert [attempt["success"] for attempt in hold["attempts"]] == [True]


def test_without_a_session_commands_steer_what_the_next_session_runs(app):
    """A queued instance cannot be paused: that is a warning, and it runs."""
    for instance_id in ("runs", "rests", "ends", "goes"):
        said = app.does("trigger", "alive", "--id", instance_id)
        assert "`pywrangler dev` runs it" in said
    refused = app.command("workflows", "instances", "pause", "alive", "rests")
    assert (refused.returncode, refused.stdout) == (0, "")
    assert "could not be paused: its status is ⌛ Queued" in refused.stderr
    assert "was terminated" in app.does("instances", "terminate", "alive", "ends")
    assert '"goes"' in app.does("instances", "delete", "alive", "goes")
    assert app.stored("alive") == {"runs": "queued", "rests": "queued", "ends": "terminated"}
    session = app.dev().ready()
    until(session, "complete", [("alive", "runs"), ("alive", "rests")])
    assert app.stored("alive") == {"runs": "complete", "rests": "complete", "ends": "terminated"}
    assert ran(app) == ["rests", "runs"]


def test_commands_steer_what_a_killed_session_left(app):
    """The dead session's lease has not run out yet; it does not keep a command waiting."""
    session = app.dev().ready()
    for workflow, instance_id in (("narrow", "first"), ("narrow", "second"), ("alive", "waiter")):
        trigger(session, workflow, instance_id)
    until(session, "running", [("narrow", "first")])
    until(session, "waiting", [("alive", "waiter")])
    app.kill(session)
    assert "was terminated" in app.does("instances", "terminate", "narrow", "first")
    assert "was paused" in app.does("instances", "pause", "alive", "waiter")
    app.does("instances", "send-event", "alive", "waiter", "--type", "approve")
    app.does("trigger", "narrow", "--id", "third")
    assert app.stored("narrow") == {"first": "terminated", "second": "queued", "third": "queued"}
    release(app)
    session = app.dev().ready()
    until(session, "complete", [("narrow", "second"), ("narrow", "third")], AT_ONCE)
    assert app.stored("alive") == {"waiter": "paused"}
    assert "was resumed" in app.does("instances", "resume", "alive", "waiter")
    until(session, "complete", [("alive", "waiter")])
    assert ran(app) == ["first", "second", "third", "waiter"]
