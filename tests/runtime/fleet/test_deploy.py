"""`pywrangler deploy` to a real `pywrangler serve`, and uploads as nobody's tool would send them."""

from __future__ import annotations

import io
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.conftest import DEADLINE, eventually
from tests.support.serving import Hammer, Server

ENTRY = """
from workers import WorkerEntrypoint, WorkflowEntrypoint, Response
import helper

class Flow(WorkflowEntrypoint):
    async def run(self, event, step):
        if event["payload"].get("wait"):
            await step.wait_for_event("go", "go", timeout="1 hour")
        return await step.do("first", lambda: helper.TEXT)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(helper.TEXT + " " + getattr(self.env, "KEY", "none") + " " + self.env.GREETING)
"""
CONFIG: dict[str, Any] = {
    "name": "shop",
    "main": "src/entry.py",
    "compatibility_date": "2026-03-01",
    "vars": {"GREETING": "hello"},
    "workflows": [{"name": "flow", "binding": "FLOW", "class_name": "Flow"}],
}
SCRIPTS = "/client/v4/accounts/local/workers/scripts"


class Project:
    """A project, its own pywrangler, and the server it is deployed to."""

    def __init__(self, root: Path, server: Server) -> None:
        self.root, self.server = root, server
        (root / "src").mkdir(parents=True)
        (root / "wrangler.json").write_text(json.dumps(CONFIG))
        (root / "src" / "entry.py").write_text(ENTRY)
        self.says("one")

    def says(self, text: str) -> None:
        (self.root / "src" / "helper.py").write_text(f"TEXT = {text!r}\n")

    def run(self, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
        given = {
            "PYWRANGLER_TARGET": f"http://127.0.0.1:{self.server.port}",
            "PYWRANGLER_TOKEN": token or self.server.token,
            "NO_COLOR": "1",
        }
        command = [sys.executable, "-c", "from wrangler_py.cli import main; main()", *arguments]
        return subprocess.run(
            command,
            cwd=self.root,
            env=os.environ | given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def deploy(self, *arguments: str) -> str:
        """Deploy; return the id of the version."""
        return self.ok("deploy", *arguments).rpartition("Current Version ID: ")[2].strip()

    @property
    def answer(self) -> str:
        return self.server.get(host="shop.localhost")[1]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path / "server")
    yield found.start()
    found.end()


@pytest.fixture
def project(tmp_path: Path, server: Server) -> Project:
    return Project(tmp_path / "shop", server)


def put(server: Server, files: dict[str, bytes], script: str = "shop", **metadata: Any) -> httpx.Response:
    """Upload as a client of its own would."""
    found = {"main_module": "entry.py", "bindings": [], "compatibility_date": "2026-03-01", **metadata}
    parts = [("metadata", ("metadata.json", json.dumps(found).encode(), "application/json"))]
    parts += [(name, (name, content, "text/x-python")) for name, content in files.items()]
    return httpx.put(
        f"http://127.0.0.1:{server.port}{SCRIPTS}/{script}",
        files=parts,
        headers={"Authorization": f"Bearer {server.token}"},
        timeout=DEADLINE,
    )


def stored(server: Server) -> list[str]:
    """Return the folders of versions, and whatever else is left between them."""
    root = server.state / "deployments"
    return sorted(str(path.relative_to(root)) for path in root.glob("*/*"))


def test_deploy_answer_change_and_go_back(project, server):
    out = project.ok("deploy", "--message", "the first")
    assert "- Workflow:\n  - FLOW: Flow\n" in out
    assert "  workflow: flow\n" in out
    assert project.answer == "one none hello"
    hammer = Hammer(server, "shop.localhost")
    project.says("two")
    second = project.deploy("--tag", "t2")
    assert project.answer == "two none hello"
    assert second in project.ok("versions", "list")
    versions = json.loads(project.ok("versions", "list", "--json"))
    assert [one["number"] for one in versions] == [2, 1]
    assert [one["annotations"] for one in versions] == [
        {"workers/tag": "t2"},
        {"workers/message": "the first"},
    ]
    assert "Rolled back shop" in project.ok("rollback")
    assert project.answer == "one none hello"
    project.ok("rollback", second, "--message", "after all")
    hammer.end()
    assert project.answer == "two none hello"
    assert {status for status, _ in hammer.answers} == {200}
    assert hammer.errors == []
    deployments = json.loads(project.ok("deployments", "list", "--json"))
    assert [one["annotations"].get("workers/message") for one in deployments] == [
        "after all", "Rollback", None, "the first",
    ]  # fmt: skip
    assert second in project.ok("deployments", "list")


def test_the_same_again_is_the_same_version(project, server):
    first = project.deploy()
    assert project.deploy("--message", "again") == first
    assert len(json.loads(project.ok("deployments", "list", "--json"))) == 1
    assert stored(server) == [f"shop/{first}"]


def test_an_instance_of_the_old_version_ends_as_it_began(project, server):
    project.deploy()
    server.create("flow", "old", {"wait": True})
    server.until("waiting", "flow", "old")
    project.says("two")
    project.deploy()
    server.create("flow", "new")
    server.api("/flow/instances/old/events/go", "POST", {})
    assert server.until("complete", "flow", "new")["output"] == "two"
    assert server.until("complete", "flow", "old")["output"] == "one"


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("src/helper.py", "raise ValueError('sick')", "ValueError: sick"),
        ("src/entry.py", "def broken(:", "SyntaxError"),
        ("src/entry.py", "from workers import WorkerEntrypoint as Default", "Flow"),
    ],
)
def test_what_cannot_start_changes_nothing(project, server, file, text, told):
    first = project.deploy()
    (project.root / file).write_text(text)
    done = project.run("deploy")
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback (most recent call last)" not in done.stderr.replace("Traceback of your code", "")
    assert project.answer == "one none hello"
    assert stored(server) == [f"shop/{first}"]
    assert len(json.loads(project.ok("versions", "list", "--json"))) == 1


def test_secrets_stay_until_they_are_set_anew_and_nobody_is_told(project, server, tmp_path):
    secrets = tmp_path / "secrets.json"
    secrets.write_text('{"KEY": "s3cret-one"}')
    said = project.ok("deploy", "--secrets-file", str(secrets), "--var", "GREETING:hi")
    assert project.answer == "one s3cret-one hi"
    project.says("two")
    said += project.ok("deploy")
    assert project.answer == "two s3cret-one hello"
    secrets.write_text("KEY=s3cret-two")
    said += project.ok("deploy", "--secrets-file", str(secrets))
    assert project.answer == "two s3cret-two hello"
    said += (
        project.ok("versions", "list", "--json") + project.ok("deployments", "list", "--json") + server.output
    )
    assert "s3cret" not in said
    database = (server.state / "deployments" / "deployments.sqlite").read_bytes()
    assert b"s3cret" not in database
    holders = [path for path in server.state.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}


def test_dry_run_sends_nothing(project, server):
    assert "exiting now" in project.ok("deploy", "--dry-run")
    assert stored(server) == []


def test_packages_and_texts_come_along_and_tests_of_others_do_not(project, server):
    vendored = project.root / "python_modules" / "colours"
    vendored.mkdir(parents=True)
    (vendored / "__init__.py").write_text(
        "from pathlib import Path\nRED = Path(__file__).with_name('red.dat').read_text()"
    )
    (vendored / "red.dat").write_text("red")
    (project.root / "src" / ".env").write_text("KEY=private")
    (project.root / "src" / "helper.py").write_text(
        "import colours, pathlib\nTEXT = colours.RED + pathlib.Path(__file__).with_name('more.txt').read_text()"
    )
    (project.root / "src" / "more.txt").write_text(" and more")
    version = project.deploy()
    assert project.answer == "red and more none hello"
    folder = server.deployments.folder("shop", version)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file()) == [
        "entry.py", "helper.py", "more.txt", "python_modules/colours/__init__.py",
        "python_modules/colours/red.dat", "wrangler.json",
    ]  # fmt: skip


def test_who_may_not_and_what_is_not_there(project, server):
    refused = project.run("deploy", token="pywr_wrong")
    assert (refused.returncode, stored(server)) == (1, [])
    assert "pywrangler tokens create" in refused.stderr
    missing = project.run("versions", "list")
    assert "This Worker does not exist" in missing.stderr
    project.deploy()
    assert "no version" in project.run("rollback", "nothing").stderr
    assert "There is no version before" in project.run("rollback").stderr
    answer = httpx.get(f"http://127.0.0.1:{server.port}{SCRIPTS}")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["errors"] == [{"code": 10000, "message": "Authentication error"}]


def test_a_deleted_script_is_gone_with_its_files(project, server):
    project.deploy()
    status, _ = server.get(f"{SCRIPTS}/shop", "DELETE", token=server.token)
    assert status == 200
    assert stored(server) == []
    assert server.get(host="shop.localhost")[0] == 404
    project.deploy()
    assert project.answer == "one none hello"


def test_uploads_that_lead_astray_write_nothing(server):
    good = ENTRY.encode()
    for name in ("../evil.py", "/tmp/evil.py", "a/../../evil.py", ".dev.vars", "wrangler.json"):
        assert put(server, {"entry.py": good, name: b"x"}).status_code == 400
    for script in ("..%2Fevil", "a.b", "x" * 64):
        assert put(server, {"entry.py": good}, script).status_code == 400
    assert put(server, {"entry.py": good}, main_module="../entry.py").status_code == 400
    assert put(server, {"entry.py": good}, main_module="other.py").status_code == 400
    assert put(server, {"entry.py": good}, bindings=[{"type": "ai", "name": "AI"}]).status_code == 400
    assert stored(server) == []
    assert server.process.poll() is None


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server):
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        head = (
            f"PUT {SCRIPTS}/shop HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: 99999999999\r\n"
        )
        client.sendall(f"{head}Authorization: Bearer {server.token}\r\n\r\n".encode())
        assert b" 413 " in client.recv(100)


def test_a_packed_body_is_not_unpacked(server):
    """A small body that would be a large one has no way in."""
    import gzip

    packed = gzip.compress(b"0" * 50_000_000)
    answer = httpx.put(
        f"http://127.0.0.1:{server.port}{SCRIPTS}/shop",
        content=io.BytesIO(packed),
        headers={
            "Authorization": f"Bearer {server.token}",
            "Content-Encoding": "gzip",
            "Content-Type": "multipart/form-data; boundary=x",
        },
        timeout=DEADLINE,
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("number", [9, 15])
def test_a_server_that_ends_in_the_middle_of_a_deploy_serves_what_it_did(project, server, number):
    """The new code takes its time to start; meanwhile the server is killed."""
    first = project.deploy()
    (project.root / "src" / "helper.py").write_text("import time; time.sleep(3600)\nTEXT = 'never'\n")
    command = [sys.executable, "-c", "from wrangler_py.cli import main; main()", "deploy"]
    given = {"PYWRANGLER_TARGET": f"http://127.0.0.1:{server.port}", "PYWRANGLER_TOKEN": server.token}
    deploying = subprocess.Popen(
        command, cwd=project.root, env=os.environ | given, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    eventually(lambda: len(stored(server)) == 2, "the new version is in place")
    server.stop(number)
    deploying.communicate(timeout=DEADLINE)
    assert deploying.returncode == 1
    server.start()
    assert project.answer == "one none hello"
    assert stored(server) == [f"shop/{first}"]
