"""Where work runs: in place while it is short, on the database's thread when it is not."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest

from wrangler_py.bindings.d1 import connection as connections
from wrangler_py.bindings.d1.execution import _CHECKPOINT_EVERY, Execution
from wrangler_py.bindings.failures import D1Error

#: Some hundred milliseconds on any machine.
LONG = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000000) SELECT count(*) AS n FROM c"


def run(file, body):
    async def main():
        execution = Execution(file)
        try:
            return await body(execution)
        finally:
            execution.close()

    return asyncio.run(main())


def traced(sql, threads):
    """Work that notes the thread it is tried on."""

    def work(on):
        threads.append(threading.current_thread() is threading.main_thread())
        return on.query(sql).rows

    return work


def test_a_short_statement_runs_in_place(file):
    async def body(execution):
        threads = []
        await execution.run(traced("SELECT 1", threads))
        return threads

    assert run(file, body) == [True]


def test_a_long_statement_is_given_up_and_runs_on_the_thread_while_others_go_on(file):
    async def body(execution):
        threads, turns = [], 0
        task = asyncio.create_task(execution.run(traced(LONG, threads)))
        while not task.done():
            await execution.run(traced("SELECT 1", []))
            await asyncio.sleep(0)
            turns += 1
        return threads, task.result(), turns

    threads, rows, turns = run(file, body)
    assert threads == [True, False]
    assert rows == [(1_000_000,)]
    assert turns > 5


def test_a_long_write_is_done_once(file):
    numbers = (
        "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 200000) SELECT x FROM c"
    )

    async def body(execution):
        threads = []
        await execution.run(lambda on: on.query("CREATE TABLE t (a)"))
        await execution.run(traced(f"INSERT INTO t {numbers}", threads))
        return threads, await execution.run(lambda on: on.query("SELECT count(*), sum(a) FROM t").rows)

    assert run(file, body) == ([True, False], [(200_000, 200_000 * 200_001 // 2)])


def test_a_long_batch_is_done_once(file):
    async def body(execution):
        await execution.run(lambda on: on.query("CREATE TABLE t (a)"))
        statements = [("INSERT INTO t VALUES (1)", ()), (LONG, ()), ("INSERT INTO t VALUES (2)", ())]
        results = await execution.run(lambda on: on.results(statements))
        return results[1].results, await execution.run(lambda on: on.query("SELECT a FROM t").rows)

    assert run(file, body) == ([{"n": 1_000_000}], [(1,), (2,)])


def test_short_statements_in_a_row_let_others_run(file):
    """None of them waits for anything, so nobody else would ever have a turn."""

    async def body(execution):
        await execution.run(lambda on: on.query("SELECT 1"))
        seen = []
        other = asyncio.create_task(_notes(seen))
        for number in range(20_000):
            await execution.run(lambda on: on.query("SELECT 1"))
            if seen:
                other.cancel()
                return number
        raise AssertionError("nobody else ran")

    async def _notes(seen):
        seen.append(True)

    assert run(file, body) > 0


def test_a_writer_waits_for_one_of_another_process_without_blocking_the_loop(file):
    async def body(execution):
        await execution.run(lambda on: on.query("CREATE TABLE t (a)"))
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        threads = []
        writing = asyncio.create_task(execution.run(traced("INSERT INTO t VALUES (1)", threads)))
        while len(threads) < 2:
            await asyncio.sleep(0)
        assert not writing.done()
        read = await execution.run(lambda on: on.query("SELECT * FROM t").rows)
        other.execute("COMMIT")
        other.close()
        await writing
        return threads, read, await execution.run(lambda on: on.query("SELECT * FROM t").rows)

    assert run(file, body) == ([True, False], [], [(1,)])


def test_a_writer_does_not_wait_for_ever(file, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE_S", 0.01)

    async def body(execution):
        await execution.run(lambda on: on.query("CREATE TABLE t (a)"))
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            await execution.run(lambda on: on.query("INSERT INTO t VALUES (1)"))
        finally:
            other.close()

    with pytest.raises(D1Error, match="database is locked: SQLITE_BUSY"):
        run(file, body)


def test_a_query_runs_for_thirty_seconds_at_most(file, monkeypatch):
    monkeypatch.setattr("wrangler_py.bindings.d1.execution.LONGEST_S", 0.01)
    with pytest.raises(D1Error, match="D1 DB storage operation exceeded timeout"):
        run(file, lambda execution: execution.run(lambda on: on.query(LONG)))


def test_closing_interrupts_what_runs_and_refuses_what_comes(file):
    endless = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"

    async def body(execution):
        threads = []
        task = asyncio.create_task(execution.run(traced(endless, threads)))
        while len(threads) < 2:
            await asyncio.sleep(0)
        execution.close()
        with pytest.raises(D1Error, match="exceeded timeout"):
            await task
        with pytest.raises(D1Error, match="the Worker has ended"):
            await execution.run(lambda on: on.query("SELECT 1"))

    run(file, body)


def test_the_log_is_copied_into_the_file_now_and_then(file):
    """Else it would grow for as long as the Worker runs: in place, nothing that syncs the disk is done."""

    async def write(execution, rows):
        for _ in range(rows):
            await execution.run(lambda on: on.query("INSERT INTO t VALUES (zeroblob(4000))"))
        # What the thread has been given to do, it has done when it comes to this.
        await asyncio.wrap_future(execution._thread.submit(int))
        return file.with_name(f"{file.name}-wal").stat().st_size

    async def body(execution):
        await execution.run(lambda on: on.query("CREATE TABLE t (a)"))
        once = await write(execution, _CHECKPOINT_EVERY + 1)
        return once, [await write(execution, _CHECKPOINT_EVERY + 1) for _ in range(4)]

    once, later = run(file, body)
    assert once > _CHECKPOINT_EVERY * 4000
    assert max(later) < 2 * once


def test_many_first_uses_at_once_open_the_file_once(file):
    async def body(execution):
        results = await asyncio.gather(
            *(execution.run(lambda on: on.query("SELECT 1").rows) for _ in range(20))
        )
        return results, len(threading.enumerate())

    before = len(threading.enumerate())
    results, threads = run(file, body)
    assert results == [[(1,)]] * 20
    assert threads <= before + 1
