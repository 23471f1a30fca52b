"""The soak: `pywrangler serve` under mixed load while its processes are killed; nothing may be lost or run twice.

Clients create instances, send events, pause, resume, restart and terminate, each client its own instances, over HTTP.
New versions come with `pywrangler deploy`, and every few seconds a worker, now and then the front, is killed with
SIGKILL. At the end the load stops, what still waits gets its event, and every instance that was accepted is looked at:

* it is there, and has ended as the last command that was accepted for it demands; there is no other;
* its output is that of its parameters; it ended on the version that began it;
* of each of its steps the stored result is of the last execution: what is stored is never run again.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.session import ms, p95
from tests.benchmarks.table import Result
from tests.support.serving import API, Server, kill

SECONDS = 600.0
CLIENTS = 4
#: Seconds between two kills, two deploys; between two acts of a client, and until everything has ended at the end.
KILL_EVERY, DEPLOY_EVERY, ACT_EVERY, PATIENCE = 3.0, 15.0, 0.05, 300.0
#: Of so many kills one hits the front, which listens and answers the API.
FRONT_EVERY = 5
#: What clients do, and how often.
ACTS = {
    "create": 30,
    "batch": 3,
    "event": 25,
    "pause": 8,
    "resume": 10,
    "restart": 4,
    "terminate": 3,
    "read": 40,
}
FINAL = frozenset({"complete", "errored", "terminated"})
SCRIPT, WORKFLOW = "soak", "flow"
CONFIG = f"""\
name = "{SCRIPT}"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[vars]
JOURNAL = "%s"

[[workflows]]
name = "{WORKFLOW}"
binding = "FLOW"
class_name = "Flow"
"""
ENTRY = '''\
import asyncio
import os
import time
import uuid

from workers import WorkerEntrypoint, WorkflowEntrypoint

VERSION = 0


class Flow(WorkflowEntrypoint):
    """Each execution of a step writes a token of its own to the journal, and returns it."""

    def mark(self, instance, number):
        token = uuid.uuid4().hex
        line = f"{instance} {number} {token}\\n".encode()
        journal = os.open(self.env.JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(journal, line)
        os.close(journal)
        return {"token": token, "version": VERSION}

    async def run(self, event, step):
        wanted, done = event["payload"], []
        for number in range(wanted["steps"]):
            config = {"retries": {"limit": float("inf"), "delay": 50, "backoff": "constant"}}

            @step.do(f"work {number}", config=config)
            async def work(ctx):
                marked = self.mark(event["instanceId"], number)
                if number == wanted["fails"] and ctx["attempt"] == 1:
                    raise ValueError("the first time fails")
                await asyncio.sleep(wanted["work"])
                return marked

            @step.do(f"work {number}", config=config)
            def work_in_a_thread():
                marked = self.mark(event["instanceId"], number)
                time.sleep(wanted["work"])
                return marked

            done.append(await (work_in_a_thread() if number == wanted["blocks"] else work()))
            if number == wanted["naps"]:
                await step.sleep("nap", wanted["nap"])
            if number == wanted["waits"]:
                await step.wait_for_event("wait", "go", timeout="1 day")
        return [[one["token"], one["version"]] for one in done]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        raise NotImplementedError
'''


class Instance:
    """What a client knows of an instance that was accepted."""

    def __init__(self, instance_id: str, params: dict[str, Any]) -> None:
        self.id, self.params = instance_id, params
        #: How it may end; a command without an answer allows one more.
        self.ends = {"complete"}
        self.was_restarted = False


class Client(threading.Thread):
    """Acts on its own instances, one act after the other, until it is told to stop."""

    def __init__(self, number: int, server: Server, errors: list[str]) -> None:
        super().__init__(daemon=True)
        self._random = random.Random(number)
        self._number, self._server, self._errors = number, server, errors
        self.stopping = threading.Event()
        self.instances: list[Instance] = []
        self.acts: Counter[str] = Counter()
        self.unanswered = 0
        self.reads: list[float] = []
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        names, weights = list(ACTS), list(ACTS.values())
        try:
            while not self.stopping.wait(ACT_EVERY):
                name = self._random.choices(names, weights)[0]
                if self.instances or name in {"create", "batch"}:
                    getattr(self, f"_{name}")()
                    self.acts[name] += 1
        except Exception as error:
            self._errors.append(f"client {self._number}: {error!r}")

    # acts

    def _create(self) -> None:
        self._accept([self._new()])

    def _batch(self) -> None:
        self._accept([self._new() for _ in range(self._random.randint(2, 10))])

    def _accept(self, new: list[Instance]) -> None:
        """Create them, asking again until they are there: an answer that was lost may have been a yes."""
        bodies = [{"instance_id": one.id, "params": one.params} for one in new]
        path, body = ("/batch", bodies) if len(bodies) > 1 else ("", bodies[0])
        while True:
            status, answer = self.ask("POST", f"/instances{path}", body)
            if status in {200, 409}:
                break
            assert status is None or status >= 500, (status, answer)
        self.instances += new

    def _new(self) -> Instance:
        pick, steps = self._random, self._random.randint(1, 5)
        params = {
            "steps": steps,
            "work": pick.choice([0, 0, 0.01, 0.1]),
            "fails": pick.choice([-1, -1, pick.randrange(steps)]),
            "blocks": pick.choice([-1, -1, pick.randrange(steps)]),
            "naps": pick.choice([-1, pick.randrange(steps)]),
            "nap": pick.choice([10, 500, 5000]),
            "waits": pick.choice([-1, pick.randrange(steps)]),
        }
        return Instance(f"c{self._number}-{len(self.instances)}-{pick.getrandbits(32):08x}", params)

    def _any(self) -> Instance:
        """Return a recent one most of the time: old ones have ended."""
        recent = self.instances[-50:] if self._random.random() < 0.9 else self.instances
        return self._random.choice(recent)

    def _event(self) -> None:
        self.ask("POST", f"/instances/{self._any().id}/events/go", {"n": 1})

    def _pause(self) -> None:
        self._order(self._any(), "pause")

    def _resume(self) -> None:
        self._order(self._any(), "resume")

    def _restart(self) -> None:
        one = self._any()
        one.was_restarted = True
        status = self._order(one, "restart")
        if status == 200:
            one.ends = {"complete"}
        elif status is None:
            one.ends |= {"complete"}

    def _terminate(self) -> None:
        one = self._any()
        status = self._order(one, "terminate")
        if status == 200:
            one.ends = {"terminated"}
        elif status is None:
            one.ends |= {"terminated"}

    def _order(self, one: Instance, command: str) -> int | None:
        status, answer = self.ask("PATCH", f"/instances/{one.id}/status", {"status": command})
        assert status in {None, 200, 409, 503}, (command, status, answer)
        return None if status == 503 else status

    def _read(self) -> None:
        path = self._random.choice(["", "/instances?per_page=25", f"/instances/{self._any().id}"])
        began = time.perf_counter()
        status, _ = self.ask("GET", path)
        if status == 200:
            self.reads.append(time.perf_counter() - began)

    # asking

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int | None, Any]:
        """Return status and result; None if there was no answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=60)
        headers = {"Authorization": f"Bearer {self._server.token}"}
        data = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, f"{API}/{WORKFLOW}{path}", data, headers)
            response = self._connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException):
            self.close()
            self.unanswered += 1
            return None, None
        return response.status, answer["result"] if response.status == 200 else answer

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Turmoil(threading.Thread):
    """Deploys and kills, until it is told to stop."""

    def __init__(self, project: Path, server: Server, errors: list[str]) -> None:
        super().__init__(daemon=True)
        self._project, self._server, self._errors = project, server, errors
        self._random = random.Random(0)
        self.stopping = threading.Event()
        self.kills = self.deploys = self.refused = 0

    def run(self) -> None:
        deployed = killed = time.monotonic()
        try:
            while not self.stopping.wait(0.1):
                if time.monotonic() - killed > KILL_EVERY:
                    self._kill()
                    killed = time.monotonic()
                if time.monotonic() - deployed > DEPLOY_EVERY:
                    self._deploy()
                    deployed = time.monotonic()
        except Exception as error:
            self._errors.append(f"turmoil: {error!r}")

    def _kill(self) -> None:
        session = self._server.session
        assert session is not None
        fronts = [pid for pid in self._server.children if pid == session.worker_pid]
        workers = [pid for pid in self._server.children if pid not in fronts]
        chosen = fronts if fronts and self.kills % FRONT_EVERY == FRONT_EVERY - 1 else workers
        if chosen:
            kill(self._random.choice(chosen))
            self.kills += 1

    def _deploy(self) -> None:
        done = deploy(self._project, self._server, self.deploys + self.refused + 1)
        # A front that is killed in the middle of it is why it fails, and nothing has changed then.
        if done.returncode == 0:
            self.deploys += 1
        else:
            assert done.returncode == 1, done.stderr
            self.refused += 1


def deploy(project: Path, server: Server, version: int) -> subprocess.CompletedProcess[str]:
    """Run `pywrangler deploy` on code that calls itself ``version``."""
    (project / "src" / "entry.py").write_text(ENTRY.replace("VERSION = 0", f"VERSION = {version}"))
    target = {"PYWRANGLER_TARGET": f"http://127.0.0.1:{server.port}", "PYWRANGLER_TOKEN": server.token}
    return subprocess.run(
        [sys.executable, "-c", "from wrangler_py.cli import main; main()", "deploy"],
        cwd=project,
        env=os.environ | target,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class Outcome(NamedTuple):
    """What happened, and what is wrong with it: one line each."""

    instances: int
    steps: int
    ends: Counter[str]
    acts: Counter[str]
    unanswered: int
    kills: int
    deploys: int
    deploys_cut: int
    reads: list[float]
    wrong: list[str]


def live(folder: Path, seconds: float) -> Outcome:
    """Go through with it, in a folder."""
    project, journal, errors = folder / "project", folder / "journal", list[str]()
    (project / "src").mkdir(parents=True)
    (project / "wrangler.toml").write_text(CONFIG % journal)
    server = Server(folder / "server").start("--workers", "2")
    try:
        first = deploy(project, server, 0)
        assert first.returncode == 0, first.stderr
        clients = [Client(number, server, errors) for number in range(CLIENTS)]
        turmoil = Turmoil(project, server, errors)
        for thread in (*clients, turmoil):
            thread.start()
        _wait(seconds, lambda: bool(errors))
        for thread in (turmoil, *clients):
            thread.stopping.set()
            thread.join(180)
        wrong = errors or _settle(clients)
        wrong = wrong or _account(clients, journal)
        for client in clients:
            client.close()
        code = server.stop()
        wrong += [f"serve ended with {code}:\n{server.output[-2000:]}"] if code != 0 else []
        wrong += _check_file(server.state / "workflows.sqlite")
    finally:
        server.end()
    acts: Counter[str] = sum((one.acts for one in clients), Counter())
    lines = journal.read_text().count("\n")
    return Outcome(
        sum(len(one.instances) for one in clients),
        lines,
        Counter(end for one in clients for found in one.instances for end in found.ends),
        acts,
        sum(one.unanswered for one in clients),
        turmoil.kills,
        turmoil.deploys,
        turmoil.refused,
        [read for one in clients for read in one.reads],
        wrong,
    )


def _wait(seconds: float, is_over: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not is_over():
        time.sleep(0.5)


def _settle(clients: list[Client]) -> list[str]:
    """Give what waits its event and take back every pause, until all have ended; return what has not."""
    deadline = time.monotonic() + PATIENCE
    left = [(one, found) for one in clients for found in one.instances]
    while left and time.monotonic() < deadline:
        left = [(one, found) for one, found in left if not _help(one, found)]
        time.sleep(0.2)
    return [
        f"{found.id} has not ended: {one.ask('GET', f'/instances/{found.id}')}" for one, found in left[:20]
    ]


def _help(client: Client, one: Instance) -> bool:
    """Return True if it has ended."""
    status, detail = client.ask("GET", f"/instances/{one.id}")
    if status == 404:
        raise AssertionError(f"{one.id} was accepted and is not there")
    if status != 200 or detail["status"] in FINAL:
        return status == 200
    if detail["status"] in {"paused", "waitingForPause"}:
        client.ask("PATCH", f"/instances/{one.id}/status", {"status": "resume"})
    elif detail["status"] == "waiting" and any(
        step["type"] == "waitForEvent" and not step["finished"] for step in detail["steps"]
    ):
        client.ask("POST", f"/instances/{one.id}/events/go", {})
    return False


def _account(clients: list[Client], journal: Path) -> list[str]:
    """Look at every instance; return what is wrong."""
    last: dict[tuple[str, int], str] = {}
    for line in journal.read_text().splitlines():
        instance, number, token = line.split()
        last[instance, int(number)] = token
    wrong = []
    known: set[str] = set()
    for client in clients:
        for one in client.instances:
            known.add(one.id)
            status, detail = client.ask("GET", f"/instances/{one.id}")
            assert status == 200, (one.id, status, detail)
            wrong += _flaws(one, detail, last)
    wrong += [f"{found} is there and was not asked for" for found in _listed(clients[0]) - known]
    return wrong


def _flaws(one: Instance, detail: dict[str, Any], last: dict[tuple[str, int], str]) -> list[str]:
    if detail["status"] not in one.ends:
        return [f"{one.id} is {detail['status']} and should be {one.ends}: {detail['error']}"]
    stored = [step["output"] for step in detail["steps"] if step["type"] == "step" and step["success"]]
    wrong = [
        f"{one.id} ran step {number} again after its result was stored"
        for number, output in enumerate(stored)
        if last[one.id, number] != output["token"]
    ]
    if len({output["version"] for output in stored}) > 1:
        wrong.append(f"{one.id} ran on several versions: {stored}")
    if detail["status"] == "complete":
        wanted = [[output["token"], output["version"]] for output in stored]
        if len(stored) != one.params["steps"] or detail["output"] != wanted:
            wrong.append(f"{one.id} ended with {detail['output']}, its steps with {stored}")
    return wrong


def _listed(client: Client) -> set[str]:
    found: set[str] = set()
    page = 1
    while True:
        status, some = client.ask("GET", f"/instances?per_page=100&page={page}")
        assert status == 200
        if not some:
            return found
        found |= {one["id"] for one in some}
        page += 1


def _check_file(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    finally:
        connection.close()
    return [] if found == ["ok"] else found


def soak(seconds: float = SECONDS) -> Result:
    """Run it for ``seconds``, and fail if anything is wrong."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        found = live(Path(name), seconds)
    if found.wrong:
        raise AssertionError("\n".join([f"{len(found.wrong)} things are wrong:", *found.wrong[:50]]))
    acts = ", ".join(f"{count} {act}" for act, count in found.acts.most_common())
    accounted = f"{found.instances} instances accepted and accounted for"
    return Result(
        f"soak, {seconds:g} s of serve --workers 2: kill -9 x {found.kills}, deploy x {found.deploys}",
        f"{accounted}; {found.steps} executions of steps; {acts}",
        f"reads p95 {p95(found.reads)}, max {ms(max(found.reads))}; {found.unanswered} requests cut off by kills",
        "",
        "none lost",
    )
