"""A project on disk, and real sessions over it: real processes, real signals, a real terminal where one is needed."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import termios
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.imports import user_code
from wrangler_py.runtime.sessions import find_session

DEADLINE = 15.0
COMMAND = (sys.executable, "-c", "from wrangler_py.cli import main; main()", "dev", "--port", "0")
CONFIG = """
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[workflows]]
name = "my-workflow"
binding = "MY_WORKFLOW"
class_name = "MyWorkflow"
"""
ENTRY = """
from workers import WorkerEntrypoint, WorkflowEntrypoint, Response

class MyWorkflow(WorkflowEntrypoint):
    async def run(self, event, step):
        return "done"

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("one")
"""


def eventually(check: Callable[[], object], what: str, deadline: float = DEADLINE) -> object:
    """Return the first true value of ``check``; fail if there is none in time."""
    ends_at = time.monotonic() + deadline
    while time.monotonic() < ends_at:
        if found := check():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not in {deadline} s: {what}")


class Project:
    """A project folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("wrangler.toml", CONFIG)
        self.write("src/entry.py", ENTRY)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        (self.root / name).write_text(text.replace(old, new))

    @property
    def state(self) -> Path:
        return self.root / ".wrangler" / "state"


class Dev:
    """A running `pywrangler dev`. With ``terminal`` it is the foreground program of a pseudo-terminal of its own."""

    def __init__(self, project: Project, *arguments: str, terminal: bool = False) -> None:
        self.project = project
        self._text = ""
        self._grown = threading.Condition()
        master, slave = os.openpty() if terminal else os.pipe()
        self.keyboard = master if terminal else -1
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=project.root,
            stdin=slave if terminal else subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env={key: value for key, value in os.environ.items() if key != "CI"} | {"TERM": "xterm"},
            preexec_fn=(lambda: os.login_tty(slave)) if terminal else None,  # noqa: PLW1509
            pass_fds=(slave,),
        )
        #: Held open, so that the terminal is there to be looked at when the session has gone.
        self._terminal = os.dup(slave) if terminal else -1
        os.close(slave)
        self._reader = threading.Thread(target=self._read, args=(master,), daemon=True)
        self._reader.start()

    def _read(self, descriptor: int) -> None:
        while True:
            try:
                data = os.read(descriptor, 65536)
            except OSError:
                data = b""
            if not data:
                break
            with self._grown:
                self._text += data.decode(errors="replace").replace("\r\n", "\n")
                self._grown.notify_all()
        os.close(descriptor)

    @property
    def output(self) -> str:
        """All that was written, without colours."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._text)

    def wait_for(self, pattern: str, *, after: int = 0, deadline: float = DEADLINE) -> re.Match[str]:
        """Return the first match in the output behind position ``after``."""
        ends_at = time.monotonic() + deadline
        with self._grown:
            while not (found := re.compile(pattern).search(self.output, after)):
                left = ends_at - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no {pattern!r} in:\n{self.output}")
                self._grown.wait(left)
        return found

    def modes(self) -> int:
        """Return the terminal's local modes: ECHO, ICANON and so on."""
        return termios.tcgetattr(self._terminal)[3]

    def close_terminal(self) -> None:
        if self._terminal >= 0:
            self.modes_at_end = self.modes()
            os.close(self._terminal)
            self._terminal = -1

    def type(self, text: str) -> None:
        os.write(self.keyboard, text.encode())

    def ready(self) -> Dev:
        self.port = int(self.wait_for(r"Ready on http://127\.0\.0\.1:(\d+)")[1])
        return self

    def get(self, path: str = "/", method: str = "GET", body: str | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def answers(self, text: str) -> None:
        eventually(lambda: self.get()[1] == text, f"the answer {text!r}")

    @property
    def worker_pid(self) -> int:
        session = find_session(self.project.state)
        assert session is not None
        assert session.worker_pid is not None
        return session.worker_pid

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(DEADLINE)
        self.close_terminal()
        self._reader.join(DEADLINE)
        return code


@pytest.fixture(autouse=True)
def _own_runtime_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def dev(project: Project) -> Iterator[Callable[..., Dev]]:
    """Starts sessions, and ends those that a test leaves."""
    sessions: list[Dev] = []

    def start(*arguments: str, of: Project = project, terminal: bool = False) -> Dev:
        sessions.append(Dev(of, *arguments, terminal=terminal))
        return sessions[-1]

    yield start
    for session in sessions:
        if session.process.poll() is None:
            session.process.kill()
            session.wait()


def is_running(pid: int) -> bool:
    """Return True if the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def fresh_imports() -> Iterator[None]:
    """Lets a test load user code into this process, and takes it out again."""
    with user_code():
        yield
