"""A state directory with deployed versions, and real `pywrangler serve` processes over it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

from tests.runtime.conftest import DEADLINE, eventually
from wrangler_py.clock import SystemClock
from wrangler_py.runtime.sessions import Session, find_session
from wrangler_py.storage.deployments import Deployments, Tokens, Version

COMMAND = (sys.executable, "-c", "from wrangler_py.cli import main; main()", "serve", "--port", "0")
API = "/client/v4/accounts/local/workflows"
READY = "/cdn-cgi/pywrangler/ready"


class Server:
    """A state directory; starts and ends `pywrangler serve` over it."""

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self.state.mkdir(parents=True)
        clock = SystemClock()
        self.deployments = Deployments.open(self.state, clock)
        tokens = Tokens.open(self.state, clock)
        self.token = tokens.create("tests")[1]
        tokens.close()
        self._log = root / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def unpack(self, script: str, version: str, entry: str, **config: Any) -> None:
        """Put the files of a version where they belong, and record nothing."""
        folder = self.deployments.folder(script, version)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "entry.py").write_text(textwrap.dedent(entry))
        base = {"name": script, "main": "entry.py", "compatibility_date": "2026-03-01"}
        (folder / "wrangler.json").write_text(json.dumps(base | config))

    def deploy(self, script: str, version: str, entry: str, **config: Any) -> None:
        """Make a version the active one, as another process would do it: a running server follows the registry."""
        self.unpack(script, version, entry, **config)
        self.deployments.release(Version(script, version))

    def begin(self, *arguments: str) -> Server:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--persist-to", str(self.state), *arguments], stdout=log, stderr=log
            )
        eventually(lambda: self.readiness is not None, "an answer")
        return self

    def start(self, *arguments: str) -> Server:
        """Start it, and wait until every script has a worker."""
        self.begin(*arguments)
        eventually(lambda: self.readiness == 200, "ready")
        return self

    def second(self) -> subprocess.CompletedProcess[str]:
        """Start another one over the same state, which ends."""
        command = [*COMMAND, "--persist-to", str(self.state)]
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)

    @property
    def readiness(self) -> int | None:
        """Return the status of its readiness, None if it does not answer."""
        assert self.process is not None
        assert self.process.poll() is None, self.output
        try:
            return None if self.session is None else self.get(READY)[0]
        except OSError:
            return None

    @property
    def output(self) -> str:
        return self._log.read_text()

    @property
    def session(self) -> Session | None:
        return find_session(self.state)

    @property
    def port(self) -> int:
        assert self.session is not None
        return self.session.port

    @property
    def children(self) -> list[int]:
        """Return the processes of the front and of all workers."""
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def get(
        self,
        path: str = "/",
        method: str = "GET",
        body: str | None = None,
        *,
        host: str = "localhost",
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        given = {"Host": f"{host}:{self.port}", **(headers or {})}
        if token:
            given["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def api(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Ask the API with the token; return the result of an answer that must be one."""
        status, answer = self.get(
            API + path, method, None if body is None else json.dumps(body), token=self.token
        )
        assert status == 200, answer
        return json.loads(answer)["result"]

    def create(self, workflow: str, instance_id: str, params: Any = None) -> None:
        body = {"instance_id": instance_id, "params": params if params is not None else {}}
        self.api(f"/{workflow}/instances", "POST", body)

    def detail(self, workflow: str, instance_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api(f"/{workflow}/instances/{instance_id}")
        return found

    def until(self, status: str, workflow: str, instance_id: str) -> dict[str, Any]:
        """Wait until an instance has ``status``; return it in full."""
        found: dict[str, Any] = {}

        def has_it() -> bool:
            found.update(self.detail(workflow, instance_id))
            return bool(found["status"] == status)

        eventually(has_it, f"{workflow}/{instance_id} is {status}; it says:\n{self.output}")
        return found

    def says(self, pattern: str) -> re.Match[str]:
        """Wait for a line of the log."""
        found = eventually(lambda: re.search(pattern, self.output), f"{pattern!r} in:\n{self.output}")
        assert isinstance(found, re.Match)
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE)
        self.process = None
        return code

    def end(self) -> None:
        """Kill everything that still runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.deployments.close()


class Hammer:
    """A thread that asks again and again, and notes every answer; a refused connection ends it.

    The kernel has no way to close a listener that waits for its queue to be empty: a connection in the microseconds
    between the last accept and the close is reset instead of refused. The very last one may be such a one.
    """

    def __init__(self, server: Server, host: str = "localhost", path: str = "/") -> None:
        self.answers: list[tuple[int, str]] = []
        self.errors: list[str] = []
        self._port, self._host, self._path = server.port, host, path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
            try:
                connection.request("GET", self._path, headers={"Host": self._host})
                answer = connection.getresponse()
                self.answers.append((answer.status, answer.read().decode()))
                if self.errors:
                    return  # It was not the last one.
            except ConnectionRefusedError:
                if self.errors and self.errors[-1].startswith("ConnectionResetError"):
                    self.errors.pop()
                return
            except OSError as error:
                self.errors.append(repr(error))
            finally:
                connection.close()

    def end(self) -> None:
        self._stop.set()
        self._thread.join(DEADLINE)


def kill(pid: int) -> None:
    """End a process as a crash does."""
    os.kill(pid, signal.SIGKILL)
