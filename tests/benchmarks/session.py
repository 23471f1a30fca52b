"""Benchmarks (c), (d), (g), (h), (i): a real `pywrangler dev`, its own processes, spoken to over HTTP as users do.

Nothing is turned off: sessions print what they print to people, into a file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles

from tests.benchmarks.ceiling import rewrite
from tests.benchmarks.engine import ROWS_PER_COMMIT
from tests.benchmarks.table import Result

PYWRANGLER = str(Path(sys.executable).with_name("pywrangler"))
API = "/client/v4/accounts/local/workflows"
#: Seconds after which a benchmark gives up.
PATIENCE = 60.0
INSTANCES, BATCH = 1000, 100
#: Times 1000 instances are created beside requests: of one thousand there are too few requests for a p95.
ROUNDS = 5
#: Seconds after "Ready" until the worker that waits for the next save has been started, too.
SETTLING = 1.0
#: Seconds between two saves, as a person makes them at their fastest.
BETWEEN_SAVES = 1.5

CONFIG = """\
name = "bench"
main = "src/entry.py"
compatibility_date = "2026-03-01"
compatibility_flags = ["python_workers"]
"""
WORKFLOW = """
[[workflows]]
name = "{0}"
binding = "{0}"
class_name = "{0}"
limits = {{ steps = 10000 }}
"""
WORKFLOWS = ("Steps", "Held", "Busy", "Asleep")
ENTRY = '''\
import asyncio
import time
from pathlib import Path

from workers import Response, WorkerEntrypoint, WorkflowEntrypoint


def mark(path):
    with open(path, "a") as file:
        file.write(f"{time.time()}\\n")


class Steps(WorkflowEntrypoint):
    """As many trivial steps as wanted; then a line in a file, if one is named."""

    async def run(self, event, step):
        for number in range(event["payload"]["steps"]):

            @step.do("step")
            async def work():
                return {"ok": True}

            await work()
        if "end" in event["payload"]:
            mark(event["payload"]["end"])


class Held(WorkflowEntrypoint):
    """Ten steps. The sixth tells when it starts, and goes on only if a gate was opened before.

    An attempt that a process died in has failed, and what it waits before the next is the step's own delay: here none.
    """

    async def run(self, event, step):
        for number in range(10):

            @step.do("step", config={"retries": {"limit": 5, "delay": 0}})
            async def work():
                if number == 5:
                    mark(event["payload"]["marks"])
                    while not Path(event["payload"]["gate"]).exists():
                        await asyncio.sleep(3600)
                return number

            await work()


class Busy(WorkflowEntrypoint):
    """A step in flight for ever: a coroutine, or a plain function that blocks."""

    async def run(self, event, step):
        @step.do("wait")
        async def wait():
            mark(event["payload"]["marks"])
            await asyncio.sleep(3600)

        @step.do("block")
        def block():
            time.sleep(3600)

        await (block() if event["payload"]["blocks"] else wait())


class Asleep(WorkflowEntrypoint):
    async def run(self, event, step):
        await step.sleep("nap", "1 day")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("code 0")
'''


class Session:
    """A `pywrangler dev` in a folder, on a port of its own, and one connection to it that is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / ".wrangler" / "state"
        self._log = folder / "dev.log"

    def start(self) -> float:
        """Start the processes; return the time (`time.time`) just before, when "Ready" has been printed."""
        started = time.time()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [PYWRANGLER, "dev", "--port", "0"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        await_that(self._is_ready, every=0.001, of=self)
        return started

    def _is_ready(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"the session ended:\n{self.log()}")
        return b"Ready on " in self._log.read_bytes()

    def connect(self) -> None:
        record = json.loads((self.state / "session.json").read_bytes())
        self.worker_pid = record["worker_pid"]
        self.connection = HTTPConnection("127.0.0.1", record["port"], timeout=PATIENCE)

    def kill(self) -> None:
        """Kill -9 the supervisor, the worker and whatever else is of them, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def send(self, method: str, path: str, body: object = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        self.connection.request(method, path, data, {"content-type": "application/json"})
        response = self.connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise AssertionError(f"{method} {path}: {response.status} {answer!r}")
        return answer

    def get(self, path: str) -> dict:
        return json.loads(self.send("GET", API + path))["result"]

    def create(self, workflow: str, **params: object) -> str:
        """Create an instance; return its id."""
        answer = self.send("POST", f"{API}/{workflow}/instances", {"params": params})
        return json.loads(answer)["result"]["id"]

    def create_batches(self, workflow: str, count: int, **params: object) -> None:
        for _ in range(0, count, BATCH):
            some = [{"params": params}] * min(BATCH, count)
            self.send("POST", f"{API}/{workflow}/instances/batch", some)

    def await_status(self, workflow: str, status: str, count: int) -> None:
        await_that(lambda: self.get(f"/{workflow}")["instances"].get(status, 0) >= count, every=0.01, of=self)


def await_that(condition: Callable[[], bool], *, of: Session, every: float = 0) -> None:
    """Wait until ``condition`` holds, asking again after ``every`` seconds; else say what the session said."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing more happens:\n{of.log()[-2000:]}")
        if every:
            time.sleep(every)


@contextmanager
def project() -> Iterator[Path]:
    """Make a project in a folder that vanishes afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        workflows = "".join(map(WORKFLOW.format, WORKFLOWS))
        (folder / "wrangler.toml").write_text(CONFIG + workflows)
        (folder / "src").mkdir()
        (folder / "src" / "entry.py").write_text(ENTRY)
        yield folder


@contextmanager
def started(folder: Path) -> Iterator[tuple[Session, float]]:
    """Run a session in ``folder``; give it and the time it was started at."""
    session = Session(folder)
    # As an exception, so that no session outlives a benchmark that is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        began = session.start()
        session.connect()
        yield session, began
    finally:
        session.kill()


@contextmanager
def running() -> Iterator[Session]:
    """Run a session in a project of its own, and let it settle."""
    with project() as folder, started(folder) as (session, _):
        time.sleep(SETTLING)
        yield session


def ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"


def clocked(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


# creation


def creation_over_http() -> list[Result]:
    """(c): 1000 instances of 3 steps, from the first request until the API says that all are complete."""

    def one_by_one(session: Session) -> None:
        for _ in range(INSTANCES):
            session.create("Steps", steps=3)

    return [
        _creation(
            f"batches of {BATCH}",
            lambda session: session.create_batches("Steps", INSTANCES, steps=3),
            ">= 3000 instances/s",
        ),
        _creation("one connection, one by one", one_by_one),
    ]


def _creation(how: str, create: Callable[[Session], None], target: str = "") -> Result:
    with running() as session:
        began = time.perf_counter()
        create(session)
        created = time.perf_counter() - began
        session.await_status("Steps", "complete", INSTANCES)
        took = time.perf_counter() - began
        copy = session.folder / "ceiling.sqlite"
        ceiling = rewrite(session.state / "workflows.sqlite", copy, rows_per_commit=ROWS_PER_COMMIT)
    return Result(
        f"(c) {INSTANCES} instances x 3 steps, HTTP, {how}",
        f"{INSTANCES / took:,.0f} instances/s (created: {INSTANCES / created:,.0f}/s)",
        f"{INSTANCES / ceiling:,.0f} instances/s",
        f"{ceiling / took:.0%}",
        target,
    )


# latency


def latency() -> Result:
    """(d): from POST until a GET says "complete"; beside it a POST and a GET that run nothing."""

    def one(session: Session) -> None:
        instance = session.create("Steps", steps=1)
        await_that(lambda: session.get(f"/Steps/instances/{instance}")["status"] == "complete", of=session)

    def bare(session: Session) -> None:
        session.send("POST", "/")
        session.send("GET", "/")

    with running() as session:
        for _ in range(5):
            one(session)
        taken = [clocked(lambda: one(session)) for _ in range(50)]
        ceiling = median(clocked(lambda: bare(session)) for _ in range(50))
    took = median(taken)
    return Result(
        "(d) trigger to complete over HTTP, median of 50",
        f"{ms(took)} (p95 {p95(taken)})",
        f"{ms(ceiling)} for two requests",
        f"{ceiling / took:.0%}",
        "<= 10 ms",
    )


# start, reload, list


def start_and_reload() -> list[Result]:
    """(g): from the start of a process until "Ready"; from a save until the new code answers; `workflows list`."""
    python = median(clocked(_bare_python) for _ in range(5))
    return [_start(python), *_reload_and_list(python)]


def _bare_python() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def _start(python: float) -> Result:
    ready, answered = map(median, zip(*(_start_once() for _ in range(5)), strict=True))
    return Result(
        "(g) start of dev until Ready, new project",
        f"{ms(ready)} (first answer: {ms(answered)})",
        f"{ms(python)} for python -c pass",
        "",
        "<= 1.0 s",
    )


def _start_once() -> tuple[float, float]:
    with project() as folder, started(folder) as (session, began):
        ready = time.time() - began
        session.send("GET", "/")
        return ready, time.time() - began


def _reload_and_list(python: float) -> list[Result]:
    with running() as session:
        calm = [_save(session, number, pause=BETWEEN_SAVES) for number in range(1, 6)]
        hasty = [_save(session, number, pause=0) for number in range(6, 11)]
        listed = [clocked(lambda: _list(session)) for _ in range(6)][1:]
    return [
        Result(
            "(g) save until the new code answers",
            f"{ms(median(calm))} (saves without a pause: {ms(median(hasty))})",
            "",
            "",
            "<= 0.7 s",
        ),
        Result("(g) workflows list", ms(median(listed)), f"{ms(python)} for python -c pass", "", "<= 0.4 s"),
    ]


def _save(session: Session, number: int, *, pause: float) -> float:
    """Save another entry.py; no request may be refused meanwhile: `send` would raise."""
    time.sleep(pause)
    code = f"code {number}"
    began = time.perf_counter()
    (session.folder / "src" / "entry.py").write_text(ENTRY.replace("code 0", code))
    await_that(lambda: session.send("GET", "/") == code.encode(), every=0.002, of=session)
    return time.perf_counter() - began


def _list(session: Session) -> None:
    subprocess.run(
        [PYWRANGLER, "workflows", "list"], cwd=session.folder, check=True, stdout=subprocess.DEVNULL
    )


# recovery, threads


def recovery() -> list[Result]:
    """(h): `kill -9` of supervisor and worker with 50 instances half done; and threads of a busy worker."""
    first, last = map(median, zip(*(_recover() for _ in range(3)), strict=True))
    return [
        Result(
            "(h) kill -9 with 50 half done: start to first step",
            f"{ms(first)} (all 50: {ms(last)})",
            "",
            "",
            "<= 0.7 s",
        ),
        _threads(),
    ]


def _recover() -> tuple[float, float]:
    with project() as folder:
        marks, gate = folder / "marks", folder / "gate"
        with started(folder) as (session, _):
            session.create_batches("Held", 50, marks=str(marks), gate=str(gate))
            await_that(lambda: len(lines(marks)) == 50, every=0.01, of=session)
        gate.touch()
        with started(folder) as (session, began):
            session.await_status("Held", "complete", 50)
        again = [float(line) - began for line in lines(marks)[50:]]
        assert len(again) == 50
        return min(again), max(again)


def _threads() -> Result:
    with running() as session:
        marks = session.folder / "marks"
        for blocks in (False, True):
            session.create_batches("Busy", INSTANCES // 2, marks=str(marks), blocks=blocks)
        await_that(lambda: len(lines(marks)) == INSTANCES // 2, every=0.05, of=session)
        session.await_status("Busy", "running", INSTANCES)
        count = len(os.listdir(f"/proc/{session.worker_pid}/task"))
    name = f"(h) threads of the worker, {INSTANCES} in flight, half of them block"
    return Result(name, str(count), "", "", "<= 20")


# fairness


def fairness() -> list[Result]:
    """(i): GET of another instance, beside 5000 steps without I/O and beside 1000 new instances."""
    return [
        _fairness(
            "5000 steps without I/O", 1, 5000, lambda session, **params: session.create("Steps", **params)
        ),
        _fairness(
            f"{ROUNDS} times {INSTANCES} x 3 steps in batches of {BATCH}",
            ROUNDS * INSTANCES,
            3,
            lambda session, **params: session.create_batches("Steps", ROUNDS * INSTANCES, **params),
        ),
    ]


def _fairness(beside: str, instances: int, steps: int, load: Callable[..., object]) -> Result:
    with running() as session, ThreadPoolExecutor(1) as other:
        path = f"{API}/Asleep/instances/{session.create('Asleep')}"
        end = session.folder / "end"
        alone = [_probe(session, path) for _ in range(100)]
        loader = Session(session.folder)
        loader.connect()
        loading = other.submit(load, loader, steps=steps, end=str(end))
        taken = []

        def probe_until_done() -> bool:
            taken.append(_probe(session, path))
            return len(lines(end)) >= instances

        await_that(probe_until_done, of=session)
        loading.result()
    return Result(
        f"(i) GET beside {beside}, p95",
        f"{p95(taken)} (max {ms(max(taken))}, {len(taken)} requests)",
        f"{p95(alone)} alone",
        "",
        "<= 20 ms",
    )


def _probe(session: Session, path: str) -> float:
    time.sleep(0.002)
    return clocked(lambda: session.send("GET", path))


def p95(seconds: list[float]) -> str:
    return ms(quantiles(seconds, n=20)[-1])
