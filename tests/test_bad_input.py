"""Bad input of every kind ends in a line that says what to do, the right exit code, no traceback. Nothing is lost."""

from __future__ import annotations

import json
import os
import resource
import socket
import sqlite3
import subprocess

import pytest

from tests.runtime.conftest import Project, eventually
from tests.support.session import API, configuration, detail, place, trigger, until

CONFIG = configuration("Given")
#: What a step, or run(), is told to do comes as the instance's parameters.
ENTRY = """
import asyncio, os
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

OFTEN = {"retries": {"limit": 10_000, "delay": 10, "backoff": "constant"}}

class Given(WorkflowEntrypoint):
    async def run(self, event, step):
        match event["payload"]:
            case "result of a step":
                @step.do("open it")
                async def result():
                    return open(os.devnull)
                await result()
            case "size of a step":
                @step.do("fill it", config={"retries": {"limit": 1, "delay": 0}})
                async def large():
                    return "x" * (1 << 20)
                await large()
            case "result of run":
                return open(os.devnull)
            case "size of run":
                return "x" * (1 << 20)
            case "forgotten":
                @step.do("charge the card")
                async def charge():
                    return 1
                @step.do("send the mail")
                async def mail():
                    return 1
                charge()
                mail()
            case "hold":
                @step.do("hold")
                async def hold():
                    while not os.path.exists("go"):
                        await asyncio.sleep(0.01)
                await hold()
            case "fill":
                for number in range(8):
                    @step.do(f"block {number}", config=OFTEN)
                    async def block():
                        with open("ran", "a") as file:
                            file.write(f"{number}\\n")
                        return "x" * 100_000
                    await block()
        return "done"

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("one")
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A project that works."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with place(tmp_path / "app") as found:
        found.has(CONFIG, ENTRY)
        yield found


def is_clear(text: str) -> None:
    """One mistake, said once, with an advice below it; neither a traceback nor a bug of ours."""
    lines = text.splitlines()
    assert lines[0].startswith("✘ [ERROR] "), text
    assert len([line for line in lines if line.startswith("✘ [ERROR]")]) == 1, text
    assert len(lines) >= 2 or lines[0].endswith(")"), f"no advice: {text}"
    assert all(line.startswith("  ") for line in lines[1:]), text
    assert "Traceback" not in text
    assert "wrangler_py" not in text
    assert "bug in pywrangler" not in text


def refused(done: subprocess.CompletedProcess[str], *texts: str) -> None:
    """The command failed, and said so on stderr only."""
    assert (done.returncode, done.stdout) == (1, ""), done
    is_clear(done.stderr)
    for text in texts:
        assert text in done.stderr


def refused_session(session, *texts: str) -> None:
    """The session did not begin."""
    assert session.wait() == 1, session.output
    is_clear(session.output)
    for text in texts:
        assert text in session.output


# what is typed

MISTYPED = [
    (("trigger", "given", '{"a": }'), "at position 6 (line 1 column 7)", """'{"hello": "world"}'"""),
    (("trigger", "given", "NaN"), "NaN is not JSON", "Quote it"),
    (("trigger", "givn"), "Workflow 'givn' not found", "Did you mean 'given'?"),
    (("trigger", "given", "--id", "no good"), "invalid id", "letters, digits"),
    (("trigger", "given", "--id", "here"), "already exists", "--id"),
    (("instances", "describe", "given", "gone"), "Instance 'gone' not found", "instances list given"),
]


def test_what_is_typed_wrongly_changes_nothing(app):
    app.does("trigger", "given", "--id", "here")
    for arguments, *texts in MISTYPED:
        refused(app.command("workflows", *arguments), *texts)
    assert list(app.stored("given")) == ["here"]


def test_a_session_tells_the_same_of_what_does_not_exist(app):
    app.dev().ready()
    refused(app.command("workflows", "trigger", "givn"), "Workflow 'givn' not found", "Did you mean 'given'?")
    gone = app.command("workflows", "instances", "terminate", "given", "gone")
    refused(gone, "Instance 'gone' not found", "instances list given")


def test_an_unknown_word_is_a_mistake_of_usage(app):
    done = app.command("workflows", "trigger")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Missing argument" in done.stderr
    assert "Traceback" not in done.stderr


def test_parameters_over_a_mebibyte_are_refused(app):
    session = app.dev().ready()
    body = json.dumps({"instance_id": "big", "params": json.dumps("x" * (1 << 20))})
    status, answer = session.get(f"{API}/given/instances", "POST", body)
    assert status == 413
    assert "1 MiB" in json.loads(answer)["errors"][0]["message"]
    assert app.stored("given") == {}


# the configuration


def test_all_mistakes_of_a_configuration_are_told_at_once(app):
    wrong = CONFIG.replace("class_name", "clas_name").replace("2026-03-01", "2026-13-01")
    app.project.write("wrangler.toml", wrong)
    texts = (
        "wrangler.toml:3:",
        "compatibility_date",
        "2026-03-01",
        "wrangler.toml:8:",
        "clas_name",
        "class_name",
    )
    refused_session(app.dev(), "has 2 problems", *texts)
    refused(app.command("workflows", "list"), "has 2 problems", *texts)


def test_a_configuration_that_is_no_toml_is_told_with_its_place(app):
    app.project.write("wrangler.toml", 'name = "my-app\n')
    refused_session(app.dev(), "wrangler.toml:1:")


# the code

BROKEN = {
    "syntax": ("class Given(:\n    pass\n", "SyntaxError"),
    "import": ("import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found'"),
    "no class": (ENTRY.replace("class Given(", "class Give("), "There is no 'Given' class defined"),
    "no workflow": (
        ENTRY.replace("class Given(WorkflowEntrypoint)", "class Given"),
        "'Given' in entry.py is not a WorkflowEntrypoint.",
    ),
    "not a class": ("Given = 1\n", "'Given' in entry.py is not a WorkflowEntrypoint."),
    "run() not async": (
        ENTRY.replace("async def run", "def run").replace("await ", ""),
        "run() of 'Given' in entry.py is not async.",
    ),
    "no run()": (
        "from workers import WorkflowEntrypoint\nclass Given(WorkflowEntrypoint): pass\n",
        "'Given' in entry.py has no run().",
    ),
}


def test_code_that_cannot_be_used_answers_with_its_error_until_a_save_heals_it(app):
    """What is triggered meanwhile is not lost: it runs as soon as there is code for it."""
    cases = iter(BROKEN.values())
    code, text = next(cases)
    app.project.write("src/entry.py", code)
    session = app.dev().ready()
    trigger(session, "given", "patient")
    _answers_with(session, text)
    for code, text in cases:
        seen = len(session.output)
        app.project.write("src/entry.py", code)
        session.wait_for(r"✘ \[ERROR\] .*\n", after=seen)
        _answers_with(session, text)
    assert detail(session, "given", "patient")["status"] == "queued"
    app.project.write("src/entry.py", ENTRY)
    until(session, "complete", [("given", "patient")])
    assert session.get() == (200, "one")
    assert "wrangler_py" not in session.output


def _answers_with(session, text):
    eventually(lambda: text in session.get()[1], f"the page says {text}")
    status, page = session.get()
    assert status == 500
    assert "wrangler_py" not in page


# places that are taken


def test_a_second_session_is_refused_and_the_first_goes_on(app, tmp_path):
    first = app.dev().ready()
    trigger(first, "given", "held", "hold")
    until(first, "running", [("given", "held")])
    refused_session(app.dev("--port", "0"), f"process {first.process.pid}", "--persist-to DIR")
    other = Project(tmp_path / "other")
    refused_session(
        app.dev("--port", str(first.port), of=other),
        f"Port {first.port} on 127.0.0.1 is already in use",
        f"pywrangler dev --port {first.port + 1}",
    )
    assert not (other.state / "session.json").exists()
    app.project.write("go", "")
    [held] = until(first, "complete", [("given", "held")])
    assert [attempt["success"] for attempt in held["steps"][0]["attempts"]] == [True]


def test_a_port_of_another_program_is_refused(app):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused_session(app.dev("--port", str(port)), f"Port {port}", "another program", f"--port {port + 1}")


# the state directory


def _no_directory(app):
    app.project.write(".wrangler", "a file where a folder must be")
    return app.project.root / ".wrangler"


def _no_database(app):
    return app.project.write(".wrangler/state/workflows.sqlite", "this is no database " * 500)


def _torn_database(app):
    app.does("trigger", "given", "--id", "here")
    database = app.project.state / "workflows.sqlite"
    whole = database.read_bytes()
    database.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    return database


def _stranger(app):
    app.project.state.mkdir(parents=True)
    database = app.project.state / "workflows.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE songs (title)")
    connection.close()
    return database


def _newer(app):
    app.does("trigger", "given", "--id", "here")
    database = app.project.state / "workflows.sqlite"
    with sqlite3.connect(database, isolation_level=None) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return database


@pytest.mark.parametrize(
    ("spoil", "what", "advice"),
    [
        (_no_directory, ("cannot be written", "cannot be read"), "--persist-to"),
        (_no_database, ("is not a usable database",) * 2, "move the state directory away"),
        (_torn_database, ("is not a usable database",) * 2, "move the state directory away"),
        (_stranger, ("is a database of another program",) * 2, "--persist-to"),
        (_newer, ("was written by a newer pywrangler",) * 2, "Upgrade pywrangler"),
    ],
)
def test_state_that_cannot_be_used_is_left_as_it_is(app, spoil, what, advice):
    spoilt = spoil(app)
    before = spoilt.read_bytes()
    refused_session(app.dev(), what[0], advice)
    refused(app.command("workflows", "list"), what[1], advice)
    assert spoilt.read_bytes() == before


def _mounted(folder):
    """Mount a file system of 600 kB; its owner gives it more room."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")


@pytest.fixture
def small_disk(app):
    """A state directory on a disk of 600 kB; what is given makes it larger."""
    folder = app.project.root / "small"
    _mounted(folder)
    yield lambda: subprocess.run(["mount", "-o", "remount,size=20m", folder], check=True)
    app.end()
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_said_and_the_work_goes_on_when_there_is_room(app, small_disk):
    session = app.dev("--persist-to", "small").ready()
    _outlives_full_disk(app, session, "database or disk is full", small_disk, "--persist-to", "small")


def test_a_disk_without_room_refuses_to_begin_and_keeps_what_it_has(app, small_disk):
    here = ("--persist-to", "small")
    app.does("trigger", "given", "--id", "kept", *here)
    _fill(app.project.root / "small" / "filler")
    texts = ("cannot be written", "free some disk space", "--persist-to")
    refused_session(app.dev(*here), *texts)
    refused(app.command("workflows", "trigger", "given", *here), *texts)
    small_disk()
    session = app.dev(*here).ready()
    until(session, "complete", [("given", "kept")])


def _fill(path):
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)


def test_a_file_that_may_not_grow_is_said_and_the_work_goes_on_when_it_may(app):
    session = app.dev().ready()
    unlimited = resource.RLIM_INFINITY
    worker = session.worker_pid
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (500_000, unlimited))

    def allow():
        assert session.worker_pid == worker
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (unlimited, unlimited))

    _outlives_full_disk(app, session, "disk I/O error", allow)


def _outlives_full_disk(app, session, reason, make_room, *place_of_state):
    """No result that was stored is made again; requests that need no room are answered."""
    trigger(session, "given", "filler", "fill")
    session.wait_for(f"the state cannot be written, trying again: .*{reason}.*free some disk space")
    assert session.get() == (200, "one")
    stored = [step["name"] for step in detail(session, "given", "filler")["steps"] if step["success"]]
    assert len(stored) in range(1, 8)
    # Something small may still have room; not this.
    body = json.dumps({"params": json.dumps("x" * 900_000)})
    status, answer = session.get(f"{API}/given/instances", "POST", body)
    assert status == 503, answer
    assert "cannot be written" in answer
    make_room()
    until(session, "complete", [("given", "filler")])
    ran = (app.project.root / "ran").read_text().split()
    assert [ran.count(name.removeprefix("block ").removesuffix("-1")) for name in stored] == [1] * len(stored)
    assert sorted(set(ran)) == [str(number) for number in range(8)]
    assert "Traceback" not in session.output
    assert list(json.loads(app.does("instances", "list", "given", "--json", *place_of_state))[0]) != []


# what steps do

WRONG = {
    "result of a step": (
        'step "open it" returned a value which is not serialisable',
        "use a dict, list, str",
    ),
    "size of a step": ("Step fill it-1 output is too large", "Maximum allowed size is 1MiB"),
    "result of run": ("run() returned a value that cannot be stored", "use a dict, list, str"),
    "size of run": ("The output of run() is too large", "Maximum allowed size is 1MiB"),
    "forgotten": (
        "steps `charge the card`, `send the mail` were called but never awaited",
        "put `await` in front of the call",
    ),
}


def test_what_a_step_or_run_does_wrong_is_told_in_its_instance_and_the_log(app):
    session = app.dev().ready()
    for case in WRONG:
        trigger(session, "given", case.replace(" ", "-"), case)
    for case, texts in WRONG.items():
        instance_id = case.replace(" ", "-")
        [ended] = until(session, "errored", [("given", instance_id)])
        log = session.wait_for(rf"⎔ given {instance_id} errored .*")[0]
        for text in texts:
            assert text in ended["error"]["message"]
            assert text in log
    attempts = detail(session, "given", "size-of-a-step")["steps"][0]["attempts"]
    assert [attempt["success"] for attempt in attempts] == [False, False]
    assert "wrangler_py" not in session.output
    assert "never retrieved" not in session.output
    trigger(session, "given", "next")
    until(session, "complete", [("given", "next")])
