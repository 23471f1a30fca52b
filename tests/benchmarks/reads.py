"""Benchmark (j): what a reader of the API of a `pywrangler serve` waits for while 1000 instances run."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.session import clocked, p95
from tests.benchmarks.table import Result
from tests.support.serving import API, Server

INSTANCES, BATCH, READS = 1000, 100, 500
#: Seconds between two reads.
BETWEEN = 0.005
ENTRY = """
import asyncio
from workers import WorkflowEntrypoint


class Flow(WorkflowEntrypoint):
    async def run(self, event, step):
        for number in range(900):
            await step.do("work", work)


async def work():
    await asyncio.sleep(5)
    return {"ok": True}
"""
WORKFLOWS = {
    "workflows": [{"name": "flow", "binding": "FLOW", "class_name": "Flow", "limits": {"steps": 2000}}]
}
PATHS = {
    "instance": "/flow/instances/i500",
    "page of 25 instances": "/flow/instances?per_page=25",
    "workflow": "/flow",
}


def reads() -> list[Result]:
    """(j): GET of an instance, of a page of them, of the workflow; each instance is in a step of 5 seconds."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        server = Server(Path(name) / "server")
        server.deploy("bench", "v1", ENTRY, **WORKFLOWS)
        server.start("--workers", "2")
        try:
            return _measure(server)
        finally:
            server.end()


def _measure(server: Server) -> list[Result]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def ask(method: str, path: str, body: object = None) -> bytes:
        data = None if body is None else json.dumps(body)
        connection.request(method, API + path, data, {"Authorization": f"Bearer {server.token}"})
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200, answer
        return answer

    alone = [clocked(lambda: ask("GET", "/flow")) for _ in range(READS)]
    for first in range(0, INSTANCES, BATCH):
        some = [{"instance_id": f"i{number}"} for number in range(first, first + BATCH)]
        ask("POST", "/flow/instances/batch", some)
    deadline = time.monotonic() + 60
    while json.loads(ask("GET", "/flow"))["result"]["instances"].get("running", 0) < INSTANCES:
        assert time.monotonic() < deadline, server.output
        time.sleep(0.05)
    return [
        _row(what, [_paced(lambda path=path: ask("GET", path)) for _ in range(READS)], alone)
        for what, path in PATHS.items()
    ]


def _paced(action: Callable[[], object]) -> float:
    time.sleep(BETWEEN)
    return clocked(action)


def _row(what: str, taken: list[float], alone: list[float]) -> Result:
    return Result(
        f"(j) GET of {what} at serve, {INSTANCES} instances running, p95",
        f"{p95(taken)} (max {max(taken) * 1000:.0f} ms, {len(taken)} requests)",
        f"{p95(alone)} with none",
        "",
        "<= 20 ms",
    )
