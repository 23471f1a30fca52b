"""Laws of a session, shown with real processes and signals."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import threading
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.runtime.conftest import CONFIG, ENTRY, Project, eventually, is_running
from tests.support.locker import locked
from wrangler_py.runtime.options import DEV_GRACE
from wrangler_py.runtime.script import LAST_PATIENCE
from wrangler_py.runtime.sessions import find_session

API = "/client/v4/accounts/local/workflows/my-workflow/instances"
TWO_STEPS = """
import asyncio, pathlib
from workers import WorkerEntrypoint, WorkflowEntrypoint, Response

class MyWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("first")
        async def first():
            with open("ran", "a") as f:
                f.write("first\\n")
        await first()

        @step.do("second", config={"retries": {"limit": 10, "delay": 0}})
        async def second():
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.01)
            return "end"
        return await second()

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        instance = await self.env.MY_WORKFLOW.create(id="i1")
        return Response(instance.id)
"""


def status_of(session, instance_id="i1"):
    return json.loads(session.get(f"{API}/{instance_id}")[1])["result"]["status"]


def test_a_session_says_what_it_offers_and_answers(dev, project):
    project.write("wrangler.toml", CONFIG + '[vars]\nGREETING = "hello"\n')
    project.write(".dev.vars", "TOKEN=secret-text\n")
    session = dev().ready()
    assert session.get() == (200, "one")
    output = session.output
    assert "env.MY_WORKFLOW (MyWorkflow)   Workflow" in output
    assert 'env.GREETING ("hello")' in output
    assert "env.TOKEN (hidden)" in output
    assert "secret-text" not in output
    assert "synchronous=NORMAL: survives kill -9, not power loss" in output
    session.wait_for(r"GET / 200 OK \(\d+ ms\)")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_session_cleanly(dev, project, number, code):
    session = dev().ready()
    worker = session.worker_pid
    assert session.stop(number) == code
    assert not is_running(worker)
    assert find_session(project.state) is None
    assert not (project.state / "session.json").exists()
    assert "Traceback" not in session.output


def test_what_is_saved_answers_next(dev, project):
    session = dev().ready()
    project.replace("src/entry.py", '"one"', '"two"')
    session.answers("two")
    session.wait_for(r"Reloaded \(src/entry\.py changed\)")


def test_saves_within_a_second_of_the_same_size_are_told_apart(dev, project):
    """Python trusts a compiled module of equal size and time in whole seconds; a session must not."""
    project.write("src/words.py", "WORD = 'aaa'\n")
    project.write("src/entry.py", "from words import WORD\n" + ENTRY.replace('"one"', "WORD"))
    session = dev().ready()
    for word in ("bbb", "ccc", "ddd"):
        project.write("src/words.py", f"WORD = '{word}'\n")
        session.answers(word)
    assert not (project.root / "src" / "__pycache__").exists()


def test_a_module_in_a_new_folder_is_noticed(dev, project):
    session = dev().ready()
    project.write("src/parts/__init__.py", "WORD = 'early'\n")
    project.write("src/entry.py", "from parts import WORD\n" + ENTRY.replace('"one"', "WORD"))
    session.answers("early")
    project.write("src/parts/__init__.py", "WORD = 'late'\n")
    session.answers("late")


def test_broken_code_is_shown_and_the_old_code_goes_on(dev, project):
    session = dev().ready()
    project.write("src/entry.py", "def broken(:\n    pass\n")
    session.wait_for("goes on serving")
    assert 'File "src/entry.py", line 1' in session.output
    assert "^" in session.output
    assert "SyntaxError: invalid syntax" in session.output
    assert "wrangler_py" not in session.output
    assert session.get() == (200, "one")
    project.write("src/entry.py", ENTRY.replace("one", "two"))
    session.answers("two")


def test_a_failing_import_shows_only_the_users_frames(dev, project):
    session = dev().ready()
    project.write("src/helper.py", "import json\n\nVALUE = json.loads('{')\n")
    project.write("src/entry.py", "import helper\n" + ENTRY)
    session.wait_for("goes on serving")
    assert 'File "src/entry.py", line 1' in session.output
    assert 'File "src/helper.py", line 3' in session.output
    assert "json/decoder.py" not in session.output
    assert "JSONDecodeError" in session.output
    assert session.get() == (200, "one")


def test_a_broken_configuration_is_shown_and_the_old_one_goes_on(dev, project):
    session = dev().ready()
    project.write("wrangler.toml", CONFIG.replace("class_name", "clas_name"))
    session.wait_for("goes on serving")
    assert "class_name" in session.output
    assert session.get() == (200, "one")


def test_a_session_that_begins_broken_answers_with_the_error_and_heals(dev, project):
    project.write("src/entry.py", ENTRY.replace("MyWorkflow", "YourWorkflow"))
    session = dev().ready()
    message = "There is no 'MyWorkflow' class defined in the Python Worker's main module"
    assert message in session.output
    status, body = session.get()
    assert status == 500
    assert message in body
    assert session.get(API)[0] == 200
    project.write("src/entry.py", "not python at all\n")
    session.wait_for("SyntaxError")
    eventually(lambda: "SyntaxError" in session.get()[1], "the newest error")
    project.write("src/entry.py", ENTRY)
    session.answers("one")


class Hammer(threading.Thread):
    """Sends requests one after the other, on one connection or on a fresh one each, and keeps what went wrong."""

    def __init__(self, port: int, *, keeps: bool) -> None:
        super().__init__(daemon=True)
        self.port, self.keeps = port, keeps
        self.done = threading.Event()
        self.answers: list[str] = []
        self.failures: list[str] = []

    def got(self, answer: str) -> None:
        eventually(lambda: self.answers and self.answers[-1] == answer, f"the answer {answer!r}")

    def run(self) -> None:
        connection = self._connect()
        while not self.done.is_set():
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                self.answers.append(answer.read().decode())
                if answer.status != 200 or (self.keeps and answer.will_close):
                    self.failures.append(f"{answer.status} {answer.headers}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                connection = self._connect()
            if not self.keeps:
                connection.close()
                connection = self._connect()
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        # Only a request that is sent again would hide a connection that was closed under it.
        connection.auto_open = 1
        connection.connect()
        connection.auto_open = 0
        return connection


def test_no_request_is_refused_or_reset_while_code_is_replaced(dev, project):
    """Clients with fresh connections and with kept ones: each request gets an answer, in the end the new code's.

    The old worker stops accepting while connections wait in the socket's queue (the new one takes them), have been
    accepted but not read, are between two requests (both handed over) or in one (answered, then handed over).
    """
    session = dev("--log-level", "warn").ready()
    hammers = [Hammer(session.port, keeps=keeps) for keeps in (True, True, False, False)]
    for hammer in hammers:
        hammer.start()
    for number in range(6):
        project.write("src/entry.py", ENTRY.replace("one", f"answer {number}"))
        for hammer in hammers:
            hammer.got(f"answer {number}")
    for hammer in hammers:
        hammer.done.set()
    for hammer in hammers:
        hammer.join()
    assert [hammer.failures for hammer in hammers] == [[], [], [], []]
    assert min(len(hammer.answers) for hammer in hammers) > 50


def test_an_idle_connection_moves_to_the_new_code_without_a_word(dev, project):
    session = dev().ready()
    connection = http.client.HTTPConnection("127.0.0.1", session.port, timeout=15)

    def ask() -> bytes:
        connection.request("GET", "/")
        return connection.getresponse().read()

    assert ask() == b"one"
    address = connection.sock.getsockname()
    project.replace("src/entry.py", "one", "two")
    session.answers("two")
    # Others are answered by the new code already; this one is about to be handed over, and always answered.
    eventually(lambda: ask() == b"two", "the connection is with the new code")
    assert connection.sock.getsockname() == address
    connection.close()


def test_a_request_in_flight_is_answered_by_the_code_it_reached(dev, project):
    slow = ENTRY.replace(
        'return Response("one")',
        'open("reached", "w").close()\n        while not os.path.exists("go"): await asyncio.sleep(0.01)\n'
        '        return Response("one")',
    )
    project.write("src/entry.py", "import asyncio, os\n" + slow)
    session = dev().ready()
    connection = http.client.HTTPConnection("127.0.0.1", session.port, timeout=15)
    connection.request("GET", "/")
    eventually((project.root / "reached").exists, "the request reached the code")
    project.write("src/entry.py", ENTRY.replace("one", "two"))
    session.wait_for("Reloaded")
    assert session.get() == (200, "two")
    project.write("go", "")
    assert connection.getresponse().read() == b"one"
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"two"
    connection.close()


def test_half_a_request_and_a_silent_connection_outlive_a_reload(dev, project):
    session = dev().ready()
    with (
        socket.create_connection(("127.0.0.1", session.port), 15) as half,
        socket.create_connection(("127.0.0.1", session.port), 15) as silent,
    ):
        half.sendall(b"GET / HTTP/1.1\r\nHost: local")
        # Answered on another connection after the half was sent: by then it has been read.
        assert session.get() == (200, "one")
        project.write("src/entry.py", ENTRY.replace("one", "two"))
        session.wait_for("Reloaded")
        half.sendall(b"host\r\n\r\n")
        silent.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_on(half) == "one"
        assert answer_on(silent) == "two"
        half.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_on(half) == "two"


def answer_on(connection):
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.read().decode()


def test_a_streamed_answer_goes_on_to_its_end_after_a_reload(dev, project):
    stream = """
        async def slowly():
            yield b"a"
            while not os.path.exists("go"):
                await asyncio.sleep(0.01)
            yield b"z"
        return Response(ReadableStream.from_(slowly()))
    """
    project.write(
        "src/entry.py",
        "import asyncio, os\nfrom js import ReadableStream\n"
        + ENTRY.replace('return Response("one")', stream.strip()),
    )
    session = dev().ready()
    with socket.create_connection(("127.0.0.1", session.port), 15) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.read(1) == b"a"
        project.write("src/entry.py", ENTRY.replace("one", "two"))
        session.wait_for("Reloaded")
        project.write("go", "")
        assert answer.read() == b"z"
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_on(connection) == "two"


def test_a_killed_worker_is_replaced_and_its_instances_go_on(dev, project):
    project.write("src/entry.py", TWO_STEPS)
    session = dev().ready()
    assert session.get() == (200, "i1")
    session.wait_for('step "first" completed')
    killed = session.worker_pid
    os.kill(killed, signal.SIGKILL)
    session.wait_for(r"The worker died \(signal SIGKILL\)")
    eventually(lambda: session.worker_pid != killed, "another worker")
    project.write("go", "")
    eventually(lambda: status_of(session) == "complete", "the instance ends")
    assert (project.root / "ran").read_text() == "first\n"


def test_a_reload_leaves_no_instance_behind(dev, project):
    project.write("src/entry.py", TWO_STEPS)
    session = dev().ready()
    assert session.get() == (200, "i1")
    session.wait_for('step "first" completed')
    project.replace("src/entry.py", '"end"', '"new end"')
    session.wait_for("Reloaded")
    project.write("go", "")
    eventually(lambda: status_of(session) == "complete", "the instance ends")
    assert (project.root / "ran").read_text() == "first\n"


def test_workers_of_a_killed_supervisor_end_and_the_next_session_goes_on(dev, project):
    project.write("src/entry.py", TWO_STEPS)
    session = dev().ready()
    assert session.get() == (200, "i1")
    session.wait_for('step "first" completed')
    worker = session.worker_pid
    session.process.kill()
    session.wait()
    eventually(lambda: not is_running(worker), "the worker ends")
    assert find_session(project.state) is None
    project.write("go", "")
    again = dev().ready()
    eventually(lambda: status_of(again) == "complete", "the instance ends")
    assert (project.root / "ran").read_text() == "first\n"


def test_a_second_ctrl_c_does_not_wait_for_code_that_never_ends(dev, project):
    project.write(
        "src/entry.py", "import time\n" + ENTRY.replace('return "done"', 'print("stuck"); time.sleep(3600)')
    )
    session = dev().ready()
    assert session.get(API, "POST", "{}")[0] == 200
    session.wait_for("stuck")
    session.process.send_signal(signal.SIGINT)
    eventually(lambda: not (project.state / "session.json").exists(), "the session begins to end")
    began = time.monotonic()
    assert session.stop(signal.SIGINT) == 130
    assert time.monotonic() - began < DEV_GRACE + LAST_PATIENCE, "it waited as long as after the first"


SWALLOWS = """\
import asyncio
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

class MyWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        print("stuck", flush=True)
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                print("no", flush=True)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("ok")
"""


def test_ctrl_c_ends_a_session_whose_code_swallows_cancellations(dev, project):
    """Its worker is given a second to unwind and leaves by itself, its lease given up, before it would be killed."""
    project.write("src/entry.py", SWALLOWS)
    session = dev().ready()
    assert session.get(API, "POST", "{}")[0] == 200
    session.wait_for("stuck")
    assert session.stop(signal.SIGINT) == 130
    with closing(sqlite3.connect(project.state / "workflows.sqlite")) as state:
        assert state.execute("SELECT count(*) FROM leases").fetchone() == (0,)


def test_ctrl_c_ends_a_session_while_its_database_is_locked(dev, project):
    """Its worker waits for the lock and is killed, two seconds behind the grace of steps."""
    assert DEV_GRACE + LAST_PATIENCE == 4
    project.write("src/entry.py", TWO_STEPS)
    session = dev().ready()
    assert session.get() == (200, "i1")
    session.wait_for('step "first" completed')
    with locked(project.state / "workflows.sqlite") as process:
        assert session.stop(signal.SIGINT) == 130
        assert process.poll() is None
    again = dev().ready()
    project.write("go", "")
    eventually(lambda: status_of(again) == "complete", "the instance ends")


def test_a_port_in_use_is_named_with_what_to_do(dev, project):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        session = dev("--port", str(port))
        assert session.wait() == 1
    assert f"Port {port} on 127.0.0.1 is already in use by another program." in session.output
    assert f"pywrangler dev --port {port + 1}" in session.output
    assert "Traceback" not in session.output


def test_a_port_another_session_has_names_that_session(dev, project, tmp_path_factory):
    first = dev().ready()
    second = dev("--port", str(first.port), of=Project(tmp_path_factory.mktemp("other")))
    assert second.wait() == 1
    assert f"by the pywrangler session of {project.state} (process {first.process.pid})" in second.output


def test_two_sessions_on_one_state_directory_are_refused(dev, project):
    first = dev().ready()
    second = dev()
    assert second.wait() == 1
    assert (
        f"Another pywrangler session (process {first.process.pid}, http://127.0.0.1:{first.port})"
        in second.output
    )
    assert "--persist-to" in second.output
    assert first.get() == (200, "one")
    third = dev("--persist-to", "elsewhere").ready()
    assert third.get() == (200, "one")


def one_clear_line(session) -> str:
    assert session.wait() == 1
    assert "Traceback" not in session.output
    assert "Ready" not in session.output
    return session.output


def test_a_missing_configuration_is_one_clear_line(dev, project):
    (project.root / "wrangler.toml").unlink()
    assert "No wrangler.toml" in one_clear_line(dev())


def test_a_corrupt_state_is_one_clear_line_and_stays_as_it_is(dev, project):
    database = project.write(".wrangler/state/workflows.sqlite", "this is no database " * 100)
    before = database.read_bytes()
    assert "✘" in one_clear_line(dev())
    assert database.read_bytes() == before


def test_an_unwritable_state_directory_is_one_clear_line(dev, project):
    project.write(".wrangler", "a file where a folder must be")
    output = one_clear_line(dev())
    assert "cannot be written" in output
    assert "--persist-to" in output


def test_a_debug_port_without_debugpy_says_what_to_install(dev, project, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['debugpy'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "pip install debugpy" in one_clear_line(dev("--debug-port", "5678"))


@pytest.mark.skipif(find_spec("debugpy") is None, reason="debugpy, of the dev extra, is not installed")
def test_an_editor_may_attach_before_and_after_a_reload(dev, project):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    session = dev("--debug-port", str(port)).ready()
    listening = rf"debugpy listens on 127\.0\.0\.1:{port}"
    end = session.wait_for(listening).end()
    project.replace("src/entry.py", '"one"', '"two"')
    session.answers("two")
    session.wait_for(listening, after=end)


def test_without_a_terminal_a_breakpoint_is_passed_over_with_a_warning(dev, project):
    project.write(
        "src/entry.py",
        ENTRY.replace('return Response("one")', 'breakpoint()\n        return Response("one")'),
    )
    session = dev().ready()
    assert session.get() == (200, "one")
    session.wait_for(r"breakpoint\(\) is passed over")


def test_a_session_without_reload_ignores_what_is_saved(dev, project):
    """Shown by what it does later: after its worker was replaced, the new code is there, and was not before."""
    session = dev("--no-reload").ready()
    project.replace("src/entry.py", '"one"', '"two"')
    for _ in range(20):
        assert session.get() == (200, "one")
        time.sleep(0.02)
    killed = session.worker_pid
    os.kill(killed, signal.SIGKILL)
    session.answers("two")


def test_a_step_may_write_files_beside_the_code(dev, project):
    writes = ENTRY.replace(
        'return Response("one")', 'open("src/out.json", "w").write("{}")\n        return Response("one")'
    )
    project.write("src/entry.py", writes)
    session = dev().ready()
    worker = session.worker_pid
    for _ in range(10):
        session.get()
        time.sleep(0.02)
    assert session.worker_pid == worker
    assert Path(project.root / "src" / "out.json").exists()
