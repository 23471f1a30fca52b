"""D1 through ``env.DB``, beside bare `sqlite3` with the same settings."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.benchmarks.table import Result
from wrangler_py.bindings.d1.database import D1Database
from wrangler_py.bindings.d1.execution import Execution
from wrangler_py.clock import SystemClock

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"
QUERY = "SELECT * FROM t WHERE id = ?"
INSERT = "INSERT INTO t (v) VALUES (?)"
ROWS = 1000
#: Both sides are measured in turns, in rounds shorter than a time slice, and the best of each counts: so what else the
#: machine does hits neither.
ROUNDS = 40
TIMES = 200

Query = Callable[[int], Awaitable[object]]


def d1() -> list[Result]:
    """Point queries and single inserts."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> list[Result]:
    execution = Execution(folder / "d1.sqlite")
    db, bare = D1Database(execution, SystemClock()), _bare(folder / "bare.sqlite")
    await db.exec(TABLE)
    bare.execute(TABLE)
    await db.batch([db.prepare(INSERT).bind("x" * 20)] * ROWS)
    bare.executemany(INSERT, [("x" * 20,)] * ROWS)
    try:
        return [
            await _compare(
                "point query, first()", lambda n: db.prepare(QUERY).bind(n).first(), _query(bare), ">= 30%"
            ),
            await _compare(
                "point query, all()", lambda n: db.prepare(QUERY).bind(n).all(), _query(bare), ">= 30%"
            ),
            await _compare(
                "single insert, run()", lambda n: db.prepare(INSERT).bind(f"v{n}").run(), _insert(bare)
            ),
        ]
    finally:
        bare.close()
        execution.close()


def _bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "cache_size = -16384"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _query(bare: sqlite3.Connection) -> Query:
    async def query(number: int) -> object:
        return bare.execute(QUERY, (number,)).fetchone()

    return query


def _insert(bare: sqlite3.Connection) -> Query:
    async def insert(number: int) -> object:
        return bare.execute(INSERT, (f"v{number}",))

    return insert


async def _compare(what: str, ours: Query, bare: Query, target: str = "") -> Result:
    taken: list[float] = []
    ceilings: list[float] = []
    for _ in range(ROUNDS):
        taken.append(await _time(ours))
        ceilings.append(await _time(bare))
    mine, ceiling = min(taken), min(ceilings)
    return Result(
        f"D1 {what}, best of {ROUNDS} x {TIMES}",
        f"{1 / mine:,.0f}/s ({mine * 1e6:.1f} us)",
        f"{1 / ceiling:,.0f}/s bare sqlite3",
        f"{ceiling / mine:.0%}",
        target,
    )


async def _time(query: Query) -> float:
    began = time.perf_counter()
    for number in range(TIMES):
        await query(number % ROWS + 1)
    return (time.perf_counter() - began) / TIMES
