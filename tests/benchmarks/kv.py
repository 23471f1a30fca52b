"""KV through the binding beside bare sqlite3: the same values, the same pragmas, one statement a call in both."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.benchmarks.table import Result
from wrangler_py.bindings.kv.namespace import KvNamespace
from wrangler_py.clock import SystemClock
from wrangler_py.storage.kv import KvStore
from wrangler_py.storage.schema import connect

ENTRIES, ROUNDS = 5_000, 7
VALUE = "v" * 100


def kv() -> list[Result]:
    """Gets and puts a second: the best of some rounds of each, taken in turn."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> list[Result]:
    store, connection = KvStore(folder / "ours.sqlite"), _open_raw(folder / "raw.sqlite")
    entries = KvNamespace("bench", store, SystemClock())
    puts = [(await _ours(lambda key: entries.put(key, VALUE)), _raw(_put, connection)) for _ in range(ROUNDS)]
    gets = [(await _ours(entries.get), _raw(_get, connection)) for _ in range(ROUNDS)]
    store.close()
    connection.close()
    return [_result("put", puts), _result("get", gets)]


def _result(name: str, rounds: list[tuple[float, float]]) -> Result:
    ours, raw = (min(seconds) for seconds in zip(*rounds, strict=True))
    rates = [f"{ENTRIES / seconds:,.0f}/s" for seconds in (ours, raw)]
    return Result(f"KV {name} through the binding", *rates, f"{raw / ours:.0%}", ">= 30 %")


async def _ours(call: Callable[[str], Awaitable[object]]) -> float:
    started = time.perf_counter()
    for number in range(ENTRIES):
        await call(f"key-{number}")
    return time.perf_counter() - started


def _raw(call: Callable[[sqlite3.Connection, str], object], connection: sqlite3.Connection) -> float:
    started = time.perf_counter()
    for number in range(ENTRIES):
        call(connection, f"key-{number}")
    return time.perf_counter() - started


def _open_raw(path: Path) -> sqlite3.Connection:
    connection = connect(path, synchronous="NORMAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT)")
    return connection


def _put(connection: sqlite3.Connection, key: str) -> None:
    connection.execute(
        "INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, VALUE),
    )


def _get(connection: sqlite3.Connection, key: str) -> object:
    return connection.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
