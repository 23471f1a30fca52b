"""`breakpoint()` and the hot keys, typed into a real terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import termios
import threading

import pytest

from tests.runtime.conftest import ENTRY, eventually
from tests.runtime.test_supervisor import API, status_of

COOKED = termios.ICANON | termios.ECHO
STEPS = """
import asyncio, time
from workers import WorkerEntrypoint, WorkflowEntrypoint, Response

class MyWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("look", config={"timeout": "1 second", "retries": {"limit": 0, "delay": 0}})
        async def look():
            number = 41
            breakpoint()
            number += 1
            return number
        return await look()

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("one")
"""
IN_A_THREAD = STEPS.replace("async def look", "def look")
IN_RUN = """
from workers import WorkerEntrypoint, WorkflowEntrypoint, Response

class MyWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        number = 41
        breakpoint()
        number += 1
        return number

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("one")
"""


def trigger(session):
    assert session.get(API, "POST", '{"instance_id": "i1"}')[0] == 200


def to_the_line(session, line, *, after=0):
    """Wait for the prompt at the line behind `breakpoint()`. From Python 3.13 on, pdb stops at the call itself."""
    if sys.version_info >= (3, 13):
        session.wait_for(r"-> breakpoint\(\)\n\(Pdb\) ", after=after)
        session.type("n\n")
    session.wait_for(rf"-> {re.escape(line)}\n\(Pdb\) ", after=after)


def output_of(session):
    return json.loads(session.get(f"{API}/i1")[1])["result"]["output"]


@pytest.mark.parametrize("source", [STEPS, IN_A_THREAD, IN_RUN], ids=["async step", "def step", "run()"])
def test_a_breakpoint_opens_pdb_at_the_users_line(dev, project, source):
    """In an async step, in a `def` step's thread and in `run()`: look, step, change, go on."""
    project.write("src/entry.py", source)
    session = dev(terminal=True).ready()
    trigger(session)
    to_the_line(session, "number += 1")
    session.type("p number\n")
    session.wait_for(r"\n41\n\(Pdb\) ")
    session.type("w\n")
    where = session.wait_for(r"w\n((?:.*\n)+?)\(Pdb\) $")[1]
    assert "entry.py" in where
    assert "wrangler_py" not in where
    assert "asyncio" not in where
    session.type("n\n")
    session.wait_for(r"-> return number\n\(Pdb\) ")
    session.type("number = 7\n")
    session.wait_for(r"number = 7\n\(Pdb\) ")
    session.type("c\n")
    eventually(lambda: status_of(session) == "complete", "the instance ends")
    assert output_of(session) == 7


@pytest.mark.parametrize("source", [STEPS, IN_A_THREAD], ids=["async step", "def step"])
def test_a_step_does_not_time_out_while_somebody_looks_at_it(dev, project, source):
    """The step's timeout is one second; the prompt stays open for longer, which only real time can show."""
    project.write("src/entry.py", source)
    session = dev(terminal=True).ready()
    trigger(session)
    session.wait_for(r"\(Pdb\) ")
    session.type("import time; time.sleep(1.5)\n")
    session.wait_for(r"sleep\(1\.5\)\n\(Pdb\) ")
    session.type("c\n")
    eventually(lambda: status_of(session) in ("complete", "errored"), "the instance ends")
    assert status_of(session) == "complete"
    assert output_of(session) == 42


def test_a_reload_waits_for_the_debugger(dev, project):
    project.write("src/entry.py", IN_A_THREAD)
    session = dev(terminal=True).ready()
    trigger(session)
    session.wait_for(r"\(Pdb\) ")
    worker = session.worker_pid
    project.write("src/entry.py", ENTRY.replace("one", "two"))
    session.type("import time; time.sleep(0.5)\n")
    session.wait_for(r"sleep\(0\.5\)\n(?:\*\*\* WARNING: .* edited.*\n)?\(Pdb\) ")
    assert session.worker_pid == worker
    assert session.get() == (200, "one")
    session.type("q\n")
    session.answers("two")


def test_other_output_waits_for_the_debugger(dev, project):
    project.write("src/entry.py", IN_A_THREAD)
    session = dev(terminal=True).ready()
    trigger(session)
    session.wait_for(r"\(Pdb\) ")
    assert session.get("/while-open") == (200, "one")
    session.type("p number\n")
    session.wait_for(r"\n41\n\(Pdb\) ")
    assert "/while-open" not in session.output
    session.type("c\n")
    session.wait_for("GET /while-open 200 OK")


def test_a_breakpoint_in_fetch_and_at_import_opens_pdb_too(dev, project):
    source = ENTRY.replace("return Response", 'word = "here"\n        breakpoint()\n        return Response')
    project.write("src/entry.py", 'breakpoint()\nWORD = "there"\n' + source)
    session = dev(terminal=True)
    to_the_line(session, 'WORD = "there"')
    session.type("c\n")
    session.ready()
    before = len(session.output)
    client = threading.Thread(target=session.get, daemon=True)
    client.start()
    to_the_line(session, 'return Response("one")', after=before)
    session.type("word\n")
    session.wait_for(r"'here'\n\(Pdb\) ", after=before)
    session.type("c\n")
    client.join(15)
    assert not client.is_alive()


def test_ctrl_c_ends_a_session_that_is_debugging(dev, project):
    project.write("src/entry.py", IN_RUN)
    session = dev(terminal=True).ready()
    trigger(session)
    session.wait_for(r"\(Pdb\) ")
    session.type("\x03")
    assert session.wait() == 130
    assert session.modes_at_end & COOKED == COOKED


def test_the_keys_work_and_the_terminal_is_left_as_it_was(dev, project, monkeypatch):
    opened = project.write(
        "opened.py", "import sys, pathlib\npathlib.Path('browser').write_text(sys.argv[1])\n"
    )
    monkeypatch.setenv("BROWSER", f"{sys.executable} {opened} %s")
    session = dev(terminal=True)
    before = session.modes()
    session.ready()
    session.wait_for(r"\[b\] open a browser  \[c\] clear the console  \[x\] exit")
    session.type("b")
    url = f"http://127.0.0.1:{session.port}"
    eventually(
        lambda: (project.root / "browser").exists() and (project.root / "browser").read_text() == url, "b"
    )
    session.type("c")
    eventually(lambda: "\x1b[2J" in session._text, "c clears")
    assert not session.modes() & COOKED
    session.type("x")
    assert session.wait() == 0
    assert session.modes_at_end == before


def test_keys_work_again_after_the_session_was_stopped_and_went_on(dev):
    session = dev(terminal=True).ready()
    os.kill(session.process.pid, signal.SIGSTOP)
    os.kill(session.process.pid, signal.SIGCONT)
    session.type("x")
    assert session.wait() == 0


def test_without_a_terminal_there_are_no_keys(dev):
    session = dev().ready()
    session.get()
    session.wait_for("GET / 200")
    assert "[b]" not in session.output
    assert "\x1b" not in session._text
