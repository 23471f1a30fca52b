"""One connection to the file of a database, under D1's rules; for one thread at a time."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from wrangler_py.bindings.d1.explain import d1_error, explain, named_refused, refused
from wrangler_py.bindings.d1.rules import MAX_STATEMENT, Rules
from wrangler_py.errors import StateError
from wrangler_py.serde import Record
from wrangler_py.storage.parameters import bound
from wrangler_py.storage.private import claim_database, close_database, make_folder
from wrangler_py.storage.reading import connect_to_read, is_reading_only
from wrangler_py.storage.schema import LOG_BYTES, closed_if_it_fails
from wrangler_py.storage.statements import is_blank, named_parameter

#: D1 runs a query for 30 seconds at most (D1 docs, "Limits").
LONGEST_S = 30.0
#: How long a writer waits for one of another process.
PATIENCE_S = 5.0
#: While one waits to start the log afresh, writers wait as well.
_CHECKPOINT_WAITS_MS = 50
FOREVER = float("inf")
#: Cloudflare's words for a query that took longer.
TOO_LONG = "D1 DB storage operation exceeded timeout which caused object to be reset."
SERVED_BY = "pywrangler.db"
_BEGIN, _BEGIN_TO_READ = "BEGIN IMMEDIATE -- a batch", "BEGIN -- a batch"
#: How many instructions of SQLite's machine pass between two looks at the clock: some 20 microseconds' worth.
_INSTRUCTIONS = 1000
#: Only a text with one of these may have named parameters.
_NAMED = re.compile("[:@$]")
_GIVEN_UP = frozenset({sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

#: SQL and the values for its parameters, as SQLite takes them.
Statement = tuple[str, Sequence[Any]]


class UnfinishedError(Exception):
    """A hurried connection gave up: too slow, or another one writes. Nothing has changed; try where waiting is fine."""


class ReadOnlyError(Exception):
    """A statement writes, inside of `reading_only`. Nothing has changed."""


class Rows(NamedTuple):
    """What a statement gave; without any ``columns`` for one that gives no rows. ``alters``: it changed the schema."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    last_row_id: int
    alters: bool


class Connection:
    """Runs statements. A hurried one raises `UnfinishedError` where another waits, or works on after the deadline."""

    def __init__(self, path: Path, *, hurried: bool = False, synchronous: str = "NORMAL") -> None:
        self._hurried, self._synchronous = hurried, synchronous
        self._deadline = FOREVER
        self._pages = 0
        try:
            self._sqlite = self._open_to_read(path) if is_reading_only() else self._open(path)
        except OSError as error:
            raise StateError(f"{path.parent} cannot be made: {error.strerror}") from None
        except sqlite3.Error as error:
            from wrangler_py.storage.schema import explain as explain_file

            raise explain_file(error, path) from None
        self._page_size: int = self._sqlite.execute("PRAGMA page_size").fetchone()[0]
        self._rules = Rules(self._sqlite)
        self._sqlite.set_progress_handler(self._is_late, _INSTRUCTIONS)

    def _open_to_read(self, path: Path) -> sqlite3.Connection:
        opened = connect_to_read(path)
        # One in memory, for a file that is missing, must not take what is not kept.
        opened.execute("PRAGMA query_only = ON")
        # Nothing has been read until now: a file that is no database is told here.
        with closed_if_it_fails(opened):
            opened.execute("SELECT 1 FROM sqlite_master").fetchone()
        return opened

    def _open(self, path: Path) -> sqlite3.Connection:
        make_folder(path.parent)
        claim_database(path)
        close_database(path)
        opened = sqlite3.connect(
            path, isolation_level=None, cached_statements=256, check_same_thread=False, timeout=PATIENCE_S
        )
        try:
            for pragma in (
                "journal_mode = WAL",
                f"synchronous = {self._synchronous}",
                "foreign_keys = ON",
                "cache_size = -16384",
                f"journal_size_limit = {LOG_BYTES}",
            ):
                opened.execute(f"PRAGMA {pragma}")
            if self._hurried:
                # Copying the log back into the file syncs it to disk: work for a connection that may wait.
                opened.execute("PRAGMA wal_autocheckpoint = 0")
                opened.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            opened.close()
            raise
        return opened

    def _is_late(self) -> bool:
        return time.perf_counter() > self._deadline

    def until(self, deadline: float) -> None:
        """Interrupt what still runs at ``deadline``, by `time.perf_counter`."""
        self._deadline = deadline

    def query(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """Run a statement to its end and return its rows.

        Raises:
            D1Error: it is wrong, refused, or broke a constraint; it has changed nothing.
            UnfinishedError: this connection is in a hurry.
        """
        _check(sql, values)
        try:
            cursor = self._sqlite.execute(*bound(sql, values))
            found = cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError) as error:
            raise self._failure(error, sql) from None
        if cursor.description is not None:
            return Rows([column[0] for column in cursor.description], found, cursor.lastrowid or 0, False)
        if is_blank(sql):
            raise d1_error("No SQL statements detected.", sql)
        # Python knows the number of rows of INSERT, UPDATE and DELETE only: what is left changes the schema.
        return Rows([], [], cursor.lastrowid or 0, cursor.rowcount < 0)

    def result(self, sql: str, values: Sequence[Any] = ()) -> Record:
        """Run a statement; return ``{"results": [row, ...], "success": True, "meta": {...}}``; raises as `query`."""
        began, before = time.perf_counter(), self._sqlite.total_changes
        columns, rows, last_row_id, alters = self.query(sql, values)
        changes = self._sqlite.total_changes - before
        meta = Record(
            served_by=SERVED_BY,
            duration=(time.perf_counter() - began) * 1000,
            changes=changes,
            last_row_id=last_row_id,
            changed_db=alters or changes > 0,
            size_after=self._size(fresh=alters or changes > 0),
            # SQLite counts the rows it visits, but Python cannot ask: these are the least it can have been.
            rows_read=len(rows),
            rows_written=changes,
        )
        return Record(results=records(columns, rows), success=True, meta=meta)

    def results(self, statements: Iterable[Statement]) -> list[Record]:
        """Run all statements in one transaction; when one fails, none of them has been; raises as `query`."""
        with self.transaction():
            return [self.result(sql, values) for sql, values in statements]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is run inside, or roll all of it back; raises as `query`."""
        begin = _BEGIN_TO_READ if is_reading_only() else _BEGIN
        with self._own(begin):
            self._sqlite.execute(begin)
        try:
            yield
            # These methods, unlike `execute`, leave no compiled COMMIT behind for a user's own to be taken from.
            with self._own("COMMIT"):
                self._sqlite.commit()
        except BaseException:
            with self._own("ROLLBACK"):
                self._sqlite.rollback()
            raise

    @contextmanager
    def _own(self, sql: str) -> Iterator[None]:
        try:
            with self._rules.suspended():
                yield
        except sqlite3.Error as error:
            raise self._failure(error, sql) from None

    def _failure(self, error: Exception, sql: str) -> BaseException:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_READONLY and is_reading_only():
            return ReadOnlyError()
        if self._hurried and code in _GIVEN_UP:
            return UnfinishedError()
        if code == sqlite3.SQLITE_INTERRUPT:
            # Without a deadline it was Ctrl-C: SQLite turns what its callbacks raise into an error of its own.
            return KeyboardInterrupt() if self._deadline == FOREVER else d1_error(TOO_LONG, sql)
        if code == sqlite3.SQLITE_AUTH and self._rules.wanted_transaction:
            self._rules.wanted_transaction = False
            return refused(sql)
        return explain(error, sql)

    def _size(self, *, fresh: bool) -> int:
        """Return the bytes of the database; asking SQLite takes longer than a small query does."""
        if fresh or not self._pages:
            # What was run is committed by now: a failure here must not look like one of it.
            with suppress(sqlite3.Error), self._rules.suspended():
                self._pages = self._sqlite.execute("PRAGMA page_count").fetchone()[0]
        return self._pages * self._page_size

    @property
    def changes(self) -> int:
        """The number of rows this connection has written."""
        return self._sqlite.total_changes

    def checkpoint(self) -> None:
        """Copy what the log holds into the file and start the log afresh, unless others read or write just now.

        Merely copying would not do: a log that is added to meanwhile is never empty, and so never used again.
        """
        with self._rules.suspended():
            self._sqlite.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_WAITS_MS}")
            self._sqlite.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            self._sqlite.execute(f"PRAGMA busy_timeout = {PATIENCE_S * 1000:.0f}")

    def close(self) -> None:
        """Close the file."""
        self._sqlite.close()


def _check(sql: str, values: Sequence[Any]) -> None:
    if len(sql) * 4 > MAX_STATEMENT and len(sql.encode()) > MAX_STATEMENT:
        raise d1_error("statement too long: SQLITE_TOOBIG", sql)
    if values and _NAMED.search(sql) and named_parameter(sql):
        raise d1_error(named_refused(sql), sql)


def records(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Record]:
    """Return rows whose values go by their column's name, as keys and as attributes."""
    return [Record(zip(columns, row, strict=True)) for row in rows]
