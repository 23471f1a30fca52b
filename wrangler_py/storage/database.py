"""One of pywrangler's SQLite files. Driver errors are translated to `StoreError`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from wrangler_py.errors import StoreBusyError, StoreUnavailableError
from wrangler_py.storage.reading import connect_to_nothing, is_reading_only
from wrangler_py.storage.schema import connect, explain, locked_by_another, open_database
from wrangler_py.storage.waiting import is_locked, waiting_here


class Database:
    """A connection; several processes may have one to the same file, and any thread of this one use it, one at a time.

    Every method raises StoreUnavailableError if the file cannot be used at the moment, and its StoreBusyError if that
    is because another process holds the lock: on an event loop at once, elsewhere after a while (`storage.waiting`).
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, synchronous: str) -> None:
        self.path, self.connection, self.synchronous = path, connection, synchronous
        #: Run a statement, once or for each of many rows. Inside `transaction` their sqlite3.Error is translated.
        self.execute, self.execute_many = connection.execute, connection.executemany
        self._data_version = 0
        self._transaction = Transaction(self)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        synchronous: str,
        package: str,
        shrinks: bool = False,
        shadows: bool = False,
    ) -> Self:
        """Open or make the file; for the arguments and what it raises see `open_database`."""
        connection = open_database(
            path, synchronous=synchronous, package=package, shrinks=shrinks, shadows=shadows
        )
        return cls(path, connection, synchronous)

    def another(self) -> Self:
        """Return another connection to the same file: for a thread, or to read while this one is in a transaction."""
        try:
            # The database is a copy in memory then: so is the other connection's.
            if is_reading_only() and self.takes_writes:
                beside = connect_to_nothing()
                self.connection.backup(beside)
                return type(self)(self.path, beside, self.synchronous)
            beside = waiting_here(lambda: connect(self.path, synchronous=self.synchronous))
            return type(self)(self.path, beside, self.synchronous)
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def read(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Return all rows."""
        try:
            return self.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            return self._again(error, query, parameters).fetchall()

    def records(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
        """Return all rows, each as its values by the names of their columns."""
        try:
            return _records(self.execute(query, parameters))
        except sqlite3.Error as error:
            return _records(self._again(error, query, parameters))

    def value(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """Return the first column of the first row, None if there is no row."""
        rows = self.read(query, parameters)
        return rows[0][0] if rows else None

    def write(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> int:
        """Run one statement, a transaction of its own outside `transaction`; return how many rows it changed."""
        try:
            return self.execute(query, parameters).rowcount
        except sqlite3.Error as error:
            return self._again(error, query, parameters).rowcount

    def _again(
        self, error: sqlite3.Error, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> sqlite3.Cursor:
        """Run a statement again that a lock has refused, where waiting for that is right."""
        if not is_locked(error) or self.connection.in_transaction:
            raise self._unavailable(error) from error
        try:
            return waiting_here(lambda: self.execute(query, parameters))
        except sqlite3.Error as last:
            raise self._unavailable(last) from last

    def transaction(self) -> Transaction:
        """Run a block as one write transaction: all of it or, if it raises, nothing.

        sqlite3.DataError, a value that is too large, comes out as it is.
        """
        return self._transaction

    def begin(self) -> None:
        """Begin a write transaction."""
        try:
            self.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._again(error, "BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit it, or undo it and say why not."""
        try:
            self.execute("COMMIT")
        except sqlite3.Error as error:
            self.undo(error)
            raise

    def undo(self, error: BaseException | None) -> None:
        """Undo a transaction for the sake of ``error``; raise what a failure of the file is to others."""
        try:
            if self.connection.in_transaction:
                self.execute("ROLLBACK")
        except sqlite3.Error as failure:
            raise self._unavailable(failure) from failure
        # A value that is too large for a row is the caller's fault, not the file's.
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.DataError):
            raise self._unavailable(error) from error

    @property
    def takes_writes(self) -> bool:
        """True unless it is a file that was opened inside of `reading_only`: its copy in memory takes them."""
        return not is_reading_only() or not self.read("PRAGMA database_list")[0][2]

    def changed_elsewhere(self) -> bool:
        """Return True if another connection has written since the last call, or is about to."""
        try:
            version: int = self.value("PRAGMA data_version")
        except StoreBusyError:
            return True
        changed, self._data_version = version != self._data_version, version
        return changed

    def _unavailable(self, error: sqlite3.Error) -> StoreUnavailableError:
        if is_locked(error):
            return locked_by_another(self.path)
        meaning = explain(error, self.path)
        return StoreUnavailableError(f"{meaning} ({meaning.hint})")


class Transaction:
    """The block of `Database.transaction`. Each commit has one: a generator would take twice as many calls."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.begin()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self._database.commit()
        else:
            self._database.undo(error)


def _records(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
