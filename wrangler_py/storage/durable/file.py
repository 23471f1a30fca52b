"""The storage of one Durable Object: an SQLite file that is made when it is first written.

Every write belongs to a transaction that begins by itself, and ends when `commit` is called: its owner does that at
the end of each turn of the event loop and before any answer leaves. So what an object writes without letting others
run in between is on disk together or not at all (Cloudflare's docs, "Automatic write coalescing").

User code writes without an ``await``, so it cannot wait for the lock of another process: it gets SQLite's error. What
comes next waits for the lock before it begins (`ObjectFile.find_unlocked`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from wrangler_py.errors import StoreBusyError, StoreUnavailableError
from wrangler_py.storage.durable.censor import Censor, StatementRefusedError
from wrangler_py.storage.parameters import bound
from wrangler_py.storage.schema import closed_if_it_fails, locked_by_another, open_database
from wrangler_py.storage.sql import load_queries
from wrangler_py.storage.statements import split
from wrangler_py.storage.waiting import is_locked

_PACKAGE = "wrangler_py.storage.durable"
_Q = load_queries(_PACKAGE)
#: Thousands of objects may be open: 2 MiB of pages each, not the engine's 32.
_CACHE_KIB = 2048


class AlarmRow(NamedTuple):
    """An alarm: when, in milliseconds since 1970; how often it failed; whether its handler runs at the moment."""

    at: int
    retries: int
    firing: bool


class AlarmWatch(Protocol):
    """Who must know of an alarm: told before a change is on disk, and after."""

    def before_commit(self, at: int | None) -> None:
        """The alarm will be ``at``, if the process lives; None: there will be none."""
        ...

    def after_commit(self, at: int | None) -> None:
        """The alarm is ``at``."""
        ...


class Rows(NamedTuple):
    """The result of a statement: names of the columns, rows, and how many rows it changed."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    written: int


class Span(NamedTuple):
    """Which keys: from ``first``, behind ``start_after``, before ``end``; the last ``limit`` of them if ``back``."""

    first: str = ""
    start_after: str | None = None
    end: str | None = None
    limit: int = -1
    back: bool = False


class ObjectFile:
    """One object's file. ``on_begin`` is called whenever a transaction has begun that somebody must commit."""

    def __init__(
        self, path: Path, watch: AlarmWatch, on_begin: Callable[[], None], *, synchronous: str = "NORMAL"
    ) -> None:
        self.path, self._synchronous = path, synchronous
        self._watch, self._on_begin = watch, on_begin
        self._connection: sqlite3.Connection | None = None
        self._closed_by: Exception | None = None
        self._censor = Censor()
        self._depth = 0
        self._held = 0
        self._alarm_changed = False
        #: False once a lock has refused something, and before the file is open: then `find_unlocked` is to be awaited.
        self.is_ready = False

    # opening and closing ------------------------------------------------------------------------------------------

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            self.is_ready = False
            self._connection = self._open()
            self.is_ready = True
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if self._closed_by is not None:
            raise self._closed_by
        connection = open_database(self.path, synchronous=self._synchronous, package=_PACKAGE)
        with closed_if_it_fails(connection):
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("PRAGMA foreign_keys = ON")
            # A handler that was running has died with its process: its alarm is due again.
            if (row := connection.execute(_Q["alarm"]).fetchone()) is not None:
                if row[2]:
                    connection.execute(_Q["forget_firing"])
                self._watch.before_commit(row[0])  # a power cut may have taken the hint and left the alarm
            connection.set_authorizer(self._censor)
        return connection

    def _is_empty(self) -> bool:
        """Return True if nothing was ever written; reading makes no file."""
        if self._closed_by is not None:
            raise self._closed_by
        return self._connection is None and not self.path.exists()

    def find_unlocked(self) -> None:
        """Open the file, if there is one, and raise StoreBusyError if another process has locked it."""
        if self._is_empty():
            self.is_ready = True
            return
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            if is_locked(error):
                raise locked_by_another(self.path) from error
            raise
        self.is_ready = True

    def close(self, reason: Exception) -> None:
        """Let go of the file, and of what was not committed; from now on every use raises ``reason``."""
        self._closed_by = self._closed_by or reason
        connection, self._connection = self._connection, None
        if connection is not None:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.close()

    # transactions -------------------------------------------------------------------------------------------------

    def _writable(self) -> sqlite3.Connection:
        db = self._db
        if not db.in_transaction:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.Error:
                self.is_ready = False
                raise
            self._on_begin()
        return db

    def commit(self) -> None:
        """Put on disk what was written; nothing happens inside of `held`, which commits at its end.

        Raises:
            sqlite3.Error: it cannot be; nothing of it is there then.
            StoreBusyError: not yet, because another process has locked the index of alarms; the transaction goes on.
        """
        if self._held or self._connection is None or not self._connection.in_transaction:
            return
        if not self._alarm_changed:
            self._connection.execute("COMMIT")
            return
        alarm = self.alarm()
        at = None if alarm is None else alarm.at
        self._watch.before_commit(at)
        self._connection.execute("COMMIT")
        self._alarm_changed = False
        with suppress(StoreUnavailableError):  # The hint is early, then: whom it sends here finds out.
            self._watch.after_commit(at)

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """One transaction, however often the event loop turns meanwhile; an exception undoes it.

        Gives a function that undoes what was written so far. What was written before is committed first.
        """
        if not self._held:
            self.commit()
        self._held += 1
        try:
            with self.savepoint() as undo:
                yield undo
        finally:
            self._held -= 1
            try:
                self.commit()
            except StoreBusyError:
                self._on_begin()  # So the end of the turn does it.

    @contextmanager
    def savepoint(self) -> Iterator[Callable[[], None]]:
        """All or nothing: an exception undoes what was written inside. Gives a function that undoes it at once."""
        db, name = self._writable(), f"_cf_savepoint_{self._depth}"
        db.execute(f"SAVEPOINT {name}")
        self._depth += 1

        def undo() -> None:
            db.execute(f"ROLLBACK TO {name}")

        try:
            yield undo
        except BaseException:
            if db is self._connection:
                undo()
            raise
        finally:
            self._depth -= 1
            if db is self._connection:
                db.execute(f"RELEASE {name}")

    # keys and values ----------------------------------------------------------------------------------------------

    def get(self, key: str) -> bytes | None:
        """Return the value of a key."""
        if self._is_empty():
            return None
        row = self._db.execute(_Q["get"], (key,)).fetchone()
        return None if row is None else row[0]

    def put(self, key: str, value: bytes) -> None:
        """Set the value of a key."""
        self._writable().execute(_Q["put"], (key, value))

    def delete(self, key: str) -> bool:
        """Remove a key; say whether it was there."""
        return not self._is_empty() and self._writable().execute(_Q["delete"], (key,)).rowcount > 0

    def scan(self, span: Span) -> list[tuple[str, bytes]]:
        """Return keys, in the order of their UTF-8 bytes, and values."""
        if self._is_empty():
            return []
        query = _Q["scan_back" if span.back else "scan"]
        return self._db.execute(query, span._asdict()).fetchall()

    def clear(self, *, alarm: bool) -> None:
        """Remove all keys, all tables, and if wanted the alarm."""
        if self._is_empty():
            return
        db = self._writable()
        db.execute("PRAGMA defer_foreign_keys = ON")
        for kind, name in db.execute(_Q["user_parts"]).fetchall():
            quoted = name.replace('"', '""')
            db.execute(f'DROP {kind} IF EXISTS "{quoted}"')
        db.execute(_Q["delete_all"])
        if alarm:
            self.delete_alarm()

    # SQL ----------------------------------------------------------------------------------------------------------

    def run(self, script: str, bindings: Sequence[Any]) -> Rows:
        """Run the user's SQL; ``bindings`` are for the last statement, whose rows are returned.

        Raises:
            sqlite3.Error: SQLite refuses it.
            StatementRefusedError: it is none, or would meddle with transactions.
        """
        statements = split(script)
        if not statements:
            raise StatementRefusedError("SQL code did not contain a statement.")
        *first, last = statements
        for statement in first:
            self._run_one(statement, ())
        return self._run_one(last, bindings)

    def _run_one(self, statement: str, bindings: Sequence[Any]) -> Rows:
        db = self._writable()
        before = db.total_changes
        self._censor.is_on, self._censor.why = True, None
        try:
            # Python keeps compiled statements by their text, and what is compiled is not judged again: none of the
            # user's may read as one of pywrangler's own, which have no such end.
            cursor = db.execute(*bound(f"{statement}\n;", bindings))
            rows = cursor.fetchall()
        except sqlite3.DatabaseError:
            if self._censor.why is not None:
                raise StatementRefusedError(self._censor.why) from None
            raise
        finally:
            self._censor.is_on = False
        columns = [column[0] for column in cursor.description or ()]
        return Rows(columns, rows, db.total_changes - before)

    @property
    def used_bytes(self) -> int:
        """Size of the database in bytes, without pages that are free."""
        size: int = self._db.execute(_Q["used_bytes"]).fetchone()[0]
        return size

    # the alarm ----------------------------------------------------------------------------------------------------

    def alarm(self) -> AlarmRow | None:
        """Return the alarm, also while it fires."""
        row = None if self._is_empty() else self._db.execute(_Q["alarm"]).fetchone()
        return None if row is None else AlarmRow(row[0], row[1], bool(row[2]))

    def set_alarm(self, at: int) -> None:
        """Set the one alarm, in place of any other."""
        self._change_alarm("set_alarm", (at,))

    def delete_alarm(self) -> None:
        """Remove the alarm; the handler of one that fires goes on."""
        if not self._is_empty():
            self._change_alarm("delete_alarm", ())

    def begin_alarm(self, now: int) -> AlarmRow | None:
        """Mark the alarm as firing and return it, or None if none is due."""
        alarm = self.alarm()
        if alarm is None or alarm.at > now:
            return None
        self._writable().execute(_Q["begin_alarm"], (now,))
        return alarm

    def end_alarm(self) -> None:
        """Remove the alarm whose handler is done, unless that has set another."""
        self._change_alarm("end_alarm", ())

    def retry_alarm(self, now: int, at: int, *, firing: bool) -> None:
        """Put off the alarm whose handler failed, unless that has set another."""
        self._change_alarm("retry_alarm", {"now": now, "at": at, "firing": firing})

    def touch_alarm(self) -> None:
        """Have the watch told what the alarm is, with the next commit."""
        self._writable()
        self._alarm_changed = True

    def _change_alarm(self, query: str, values: Any) -> None:
        self._writable().execute(_Q[query], values)
        self._alarm_changed = True
