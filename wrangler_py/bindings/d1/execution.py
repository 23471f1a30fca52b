"""Where work on a database runs: at once on the event loop, or, if that takes too long, on the database's own thread.

Most statements take microseconds, and a hop to a thread takes longer than they do. So work is tried in place, on a
connection that gives up after some milliseconds or when another process writes; what it has done by then is undone,
and all of it runs again on a thread that may wait. That thread does one thing after the other, as D1 itself does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from wrangler_py.bindings.d1.connection import LONGEST_S, Connection, UnfinishedError
from wrangler_py.bindings.d1.explain import d1_error
from wrangler_py.errors import StateError
from wrangler_py.storage.statements import first_word

T = TypeVar("T")
#: Seconds that work in place may keep the event loop from everybody else, all work of one turn of the loop together.
TURN_S = 0.004
_READS = "SELECT"
#: So many rows are written in place before the thread copies the log into the file.
_CHECKPOINT_EVERY = 1000


class Execution:
    """Runs work on one database, whose file is opened with the first of it."""

    def __init__(self, path: Path, *, synchronous: str = "NORMAL") -> None:
        self._path, self._synchronous = path, synchronous
        self._hurried: Connection | None = None
        self._patient: Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="d1")
        self._turn_began: float | None = None
        #: Calls that wait for the next turn of the loop, and calls on the thread that may write: none overtakes them.
        self._yielding = self._writing = 0
        self._checkpoint_at = _CHECKPOINT_EVERY
        self._closed = False

    async def run(self, work: Callable[[Connection], T], sql: str = _READS) -> T:
        """Return what ``work`` returns. It may be called twice, so all it does is one statement or one transaction.

        What writes takes effect in the order of the calls. Work whose first statement ``sql`` only reads goes on
        beside what takes long.

        Raises:
            D1Error: from the work; or the file cannot be used; or the Worker has ended.
        """
        now = time.perf_counter()
        if self._turn_began is None:
            self._turn_began = now
            asyncio.get_running_loop().call_soon(self._end_turn)
        if self._yielding or now - self._turn_began > TURN_S:
            await self._next_turn()
        hurried = self._hurried or await self._open()
        if self._writing and _writes(sql):
            return await self._behind(work, sql)
        hurried.until(time.perf_counter() + TURN_S)
        try:
            done = work(hurried)
        except UnfinishedError:
            return await self._behind(work, sql)
        if hurried.changes > self._checkpoint_at:
            self._checkpoint_at = hurried.changes + _CHECKPOINT_EVERY
            self._thread.submit(self._checkpoint)
        return done

    async def _next_turn(self) -> None:
        self._end_turn()
        self._yielding += 1
        try:
            await asyncio.sleep(0)
        finally:
            self._yielding -= 1

    async def _behind(self, work: Callable[[Connection], T], sql: str) -> T:
        writes = _writes(sql)
        self._writing += writes
        try:
            return await self._in_thread(self._patiently, work)
        finally:
            self._writing -= writes

    def _end_turn(self) -> None:
        self._turn_began = None

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        if self._closed:
            raise d1_error("the Worker has ended")
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _open(self) -> Connection:
        try:
            return await self._in_thread(self._open_both)
        except StateError as error:
            hint = f" ({error.hint})" if error.hint else ""
            raise d1_error(f"{error}{hint}") from None

    def _open_both(self) -> Connection:
        """Open the file, unless somebody who waited before has: a locked or a damaged one may take a while."""
        if self._hurried is None:
            self._patient = self._patient or Connection(self._path, synchronous=self._synchronous)
            self._hurried = Connection(self._path, hurried=True, synchronous=self._synchronous)
        return self._hurried

    def _patiently(self, work: Callable[[Connection], T]) -> T:
        assert self._patient is not None
        self._patient.until(time.perf_counter() + LONGEST_S)
        return work(self._patient)

    def _checkpoint(self) -> None:
        assert self._patient is not None
        self._patient.checkpoint()

    def close(self) -> None:
        """Interrupt what still runs, and close the file."""
        self._closed = True
        if self._patient is not None:
            self._patient.until(0)
        self._thread.shutdown(cancel_futures=True)
        for connection in (self._hurried, self._patient):
            if connection is not None:
                connection.close()
        self._hurried = self._patient = None


def _writes(sql: str) -> bool:
    """Return True if a statement may write: all but SELECT may."""
    return first_word(sql) != _READS
