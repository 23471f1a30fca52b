"""A project, real `pywrangler dev` processes over it, and real commands beside them: for tests from end to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.runtime.conftest import DEADLINE, Dev, Project, eventually, is_running
from wrangler_py.runtime.sessions import find_session

COMMAND = (sys.executable, "-c", "from wrangler_py.cli import main; main()")
API = "/client/v4/accounts/local/workflows"
HEAD = """\
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"
"""
WORKFLOW = """
[[workflows]]
name = "{name}"
binding = "{binding}"
class_name = "{class_name}"
"""


def configuration(*class_names: str, **concurrency: int) -> str:
    """Return a wrangler.toml with a workflow ``my-class`` for each class ``MyClass``."""
    return HEAD + "".join(_section(name, concurrency.get(name)) for name in class_names)


def _section(class_name: str, concurrency: int | None) -> str:
    section = WORKFLOW.format(name=class_name.lower(), binding=class_name.upper(), class_name=class_name)
    return section if concurrency is None else f"{section}concurrency = {{ limit = {concurrency} }}\n"


class Place:
    """A project folder; starts sessions and runs commands in it."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root)
        self._sessions: list[Dev] = []

    def has(self, config: str, entry: str) -> None:
        """Write the configuration and the main module."""
        self.project.write("wrangler.toml", config)
        self.project.write("src/entry.py", entry)

    def dev(self, *arguments: str, of: Project | None = None) -> Dev:
        """Start a session; it is not awaited."""
        self._sessions.append(Dev(of or self.project, *arguments))
        return self._sessions[-1]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.project.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def does(self, *arguments: str) -> str:
        """Run a command below `workflows` that must succeed; return what it wrote."""
        done = self.command("workflows", *arguments)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def stored(self, workflow: str) -> dict[str, str]:
        """Return the status of each instance, as the list command tells it."""
        listed = json.loads(self.does("instances", "list", workflow, "--json"))
        return {one["id"]: one["status"] for one in listed}

    def kill(self, session: Dev) -> None:
        """SIGKILL a session; return when its worker has gone too, so that nothing moves any more."""
        worker = session.worker_pid
        session.process.kill()
        session.wait()
        eventually(lambda: not is_running(worker), "the worker of a killed session ends")
        assert find_session(self.project.state) is None

    def end(self) -> None:
        """Kill every session that still runs."""
        for session in self._sessions:
            if session.process.poll() is None:
                session.process.kill()
                session.process.wait()


@contextmanager
def place(root: Path) -> Iterator[Place]:
    """A project in ``root``, whose sessions are gone afterwards."""
    root.mkdir(parents=True, exist_ok=True)
    found = Place(root)
    try:
        yield found
    finally:
        found.end()


def trigger(session: Dev, workflow: str, instance_id: str, params: Any = None) -> None:
    """Create an instance over HTTP."""
    body = json.dumps({"instance_id": instance_id, "params": json.dumps(params)})
    status, answer = session.get(f"{API}/{workflow}/instances", "POST", body)
    assert status == 200, answer


def detail(session: Dev, workflow: str, instance_id: str) -> dict[str, Any]:
    """Return the instance in full, over HTTP."""
    status, answer = session.get(f"{API}/{workflow}/instances/{instance_id}")
    assert status == 200, answer
    return json.loads(answer)["result"]


def until(
    session: Dev, status: str, instances: Iterable[tuple[str, str]], deadline: float = DEADLINE
) -> list[dict[str, Any]]:
    """Wait until each instance (workflow, id) has ``status``; return them in full."""
    return [_until(session, status, *one, deadline) for one in instances]


def _until(session: Dev, status: str, workflow: str, instance_id: str, deadline: float) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def is_there() -> bool:
        found.update(detail(session, workflow, instance_id))
        return found["status"] == status

    eventually(is_there, f"{workflow}/{instance_id} is {status}, last seen {found}", deadline)
    return found


def kill_worker(session: Dev) -> None:
    """SIGKILL the worker; return when another one serves."""
    killed = session.worker_pid
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: session.worker_pid != killed, "another worker")
