"""A Durable Object's counter: calls in this process, each with a read, a write and a commit, beside bare sqlite3."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

import uvloop

from tests.benchmarks.table import Result
from wrangler_py.bindings import Resources
from wrangler_py.bindings.durable import DurableObjects
from wrangler_py.bindings.peers import SessionPeers
from wrangler_py.bindings.registry import build_env
from wrangler_py.clock import SystemClock
from wrangler_py.config.model import Config, ObjectConfig, ResourcesConfig
from wrangler_py.engine import Engine, EngineOptions
from wrangler_py.sdk.workers import DurableObject
from wrangler_py.storage.sqlite import SqliteStore

CALLS = 20_000
AT_ONCE = 50


class Counter(DurableObject):
    async def increment(self):
        value = ((await self.ctx.storage.get("value")) or 0) + 1
        await self.ctx.storage.put("value", value)
        return value


class OwnCode:
    def object_class(self, name: str) -> type:
        return Counter


async def one_after_the_other(stub) -> None:
    for _ in range(CALLS):
        await stub.increment()


async def many_at_once(stub) -> None:
    await asyncio.gather(*(increments(stub, CALLS // AT_ONCE) for _ in range(AT_ONCE)))


async def increments(stub, count: int) -> None:
    for _ in range(count):
        await stub.increment()


async def timed(folder: Path, work) -> float:
    store = await SqliteStore.open(folder / "workflows.sqlite")
    engine = Engine(store, SystemClock(), options=EngineOptions(heartbeat=False))
    bound = ResourcesConfig(durable_objects=(ObjectConfig("COUNTER", "Counter"),))
    config = Config(path=folder, root=folder, name="bench", resources=bound)
    resources = Resources(config, folder, engine, SessionPeers("bench", lambda _: None))
    env = build_env(resources)
    resources.code = OwnCode()
    await DurableObjects.of(resources).start()
    stub = env.COUNTER.getByName("one")
    await stub.increment()
    started = time.perf_counter()
    await work(stub)
    took = time.perf_counter() - started
    assert await stub.increment() == CALLS + 2
    resources.close()
    await engine.close()
    await store.close()
    return took


def bare(folder: Path) -> float:
    """The same SQL, a transaction each."""
    connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
    started = time.perf_counter()
    for number in range(CALLS):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("SELECT value FROM kv WHERE key = ?", ("value",)).fetchone()
        connection.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", ("value", str(number).encode()))
        connection.execute("COMMIT")
    took = time.perf_counter() - started
    connection.close()
    return took


def durable() -> list[Result]:
    """Increments a second, one caller and fifty."""
    with tempfile.TemporaryDirectory() as folder:
        ceiling = bare(Path(folder))
    results = []
    for name, work in [("one caller", one_after_the_other), (f"{AT_ONCE} callers", many_at_once)]:
        with tempfile.TemporaryDirectory() as folder:
            took = uvloop.run(timed(Path(folder), work))
        results.append(
            Result(
                f"Durable Object, {CALLS} increments, {name}",
                f"{CALLS / took:,.0f} calls/s",
                f"{CALLS / ceiling:,.0f} transactions/s",
                f"{ceiling / took:.0%}",
                "",
            )
        )
    return results
