"""Benchmark "rpc": a call from a Worker of one session to that of another, beside a bare request to the same server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import sleep

from tests.benchmarks.session import SETTLING, Session, clocked, started
from tests.benchmarks.table import Result

CALLS, AT_ONCE = 500, 1000
CONFIG = """\
name = "{name}"
main = "src/entry.py"
compatibility_date = "2026-03-01"
"""
SERVICE = """
[[services]]
binding = "THERE"
service = "there"
"""
THERE = """\
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("there")

    async def add(self, a, b):
        return {"sum": a + b}
"""
HERE = """\
import asyncio
from time import perf_counter

from workers import Response, WorkerEntrypoint


async def clocked(call):
    began = perf_counter()
    await call
    return perf_counter() - began


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        there = self.env.THERE
        if request.url.endswith("/calls"):
            return Response.json([await clocked(there.add(1, b=number)) for number in range(CALLS)])
        if request.url.endswith("/fetches"):
            return Response.json([await clocked(self.read()) for _ in range(CALLS)])
        return Response.json(await clocked(asyncio.gather(*(there.add(1, b=n) for n in range(AT_ONCE)))))

    async def read(self):
        return await (await self.env.THERE.fetch("http://there.test/")).text()
"""


def rpc() -> list[Result]:
    """Round trips one after the other, as a method and as a request; and a thousand at once."""
    with _pair() as (here, there):
        calls, fetches = _asked(here, "/calls"), _asked(here, "/fetches")
        bare = median(clocked(lambda: there.send("GET", "/")) for _ in range(CALLS))
        at_once = min(_asked(here, "/at-once") for _ in range(3))
    return [
        _round_trip("method over a service binding", median(calls), bare, "<= 2 ms"),
        _round_trip("fetch over a service binding", median(fetches), bare, ""),
        Result(f"(rpc) {AT_ONCE} calls at once", f"{AT_ONCE / at_once:,.0f} calls/s", "", "", ""),
    ]


def _round_trip(what: str, took: float, bare: float, target: str) -> Result:
    name = f"(rpc) {what}, two processes, median of {CALLS}"
    return Result(
        name, f"{took * 1000:.2f} ms", f"{bare * 1000:.2f} ms GET, http.client", f"{bare / took:.0%}", target
    )


def _asked(session: Session, path: str) -> list[float]:
    return json.loads(session.send("GET", path))


@contextmanager
def _pair() -> Iterator[tuple[Session, Session]]:
    entry = HERE.replace("CALLS", str(CALLS)).replace("AT_ONCE", str(AT_ONCE))
    with ExitStack() as stack:
        there = stack.enter_context(_session("there", CONFIG, THERE))
        here = stack.enter_context(_session("here", CONFIG + SERVICE, entry))
        sleep(SETTLING)
        _asked(here, "/calls")
        yield here, there


@contextmanager
def _session(name: str, config: str, entry: str) -> Iterator[Session]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        (root / "wrangler.toml").write_text(config.format(name=name))
        (root / "src").mkdir()
        (root / "src" / "entry.py").write_text(entry)
        with started(root) as (session, _):
            yield session
