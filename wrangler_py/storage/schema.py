"""Opening the database file: is it ours, is it whole, is it of a version we know; then bring it up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from wrangler_py.errors import (
    StateCorruptError,
    StateError,
    StateTooNewError,
    StateUnwritableError,
    StoreBusyError,
)
from wrangler_py.storage.copies import keep_copy
from wrangler_py.storage.private import claim_database, close_database, make_folder
from wrangler_py.storage.reading import connect_to_read, copied, is_reading_only, is_there
from wrangler_py.storage.sql import Migration, load_migrations
from wrangler_py.storage.statements import split
from wrangler_py.storage.waiting import is_locked, may_wait, waiting_here
from wrangler_py.storage.whole import HINT, check_whole

#: "PWRG": written into the file's header, so that a stranger's database is not mistaken for ours.
APPLICATION_ID = 0x50575247
#: Bytes to which the write-ahead log is cut when it begins anew; without a limit it keeps its largest size.
LOG_BYTES = 1024 * 1024
#: The size in bytes up to which a database that shadows is copied to memory to be read.
SHADOW_BYTES = 64 * 1024 * 1024
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNWRITABLE = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
    }
)


#: SQLite's number for "incremental", and up to what size a file is written anew to become so.
_INCREMENTAL, _REWRITTEN_BYTES = 2, 64 * 1024 * 1024


class Closable(Protocol):
    """A connection, or what has one."""

    def close(self) -> None:
        """Let go of it."""


def open_database(
    path: Path, *, synchronous: str, package: str, shrinks: bool = False, shadows: bool = False
) -> sqlite3.Connection:
    """Return a connection to ``path`` with the newest schema; make the file and its folder if they are missing.

    ``package`` is where the migrations are: each kind of database has one of its own under ``storage``. A file that
    ``shrinks`` gives back what becomes free in it, if it is asked to.

    Inside of `reading_only` nothing is made or changed: a file that is missing counts as empty, one of an older schema
    is brought up to date in memory. One that ``shadows`` is copied to memory whenever it is small: what the caller
    writes then holds for this connection.

    Raises:
        StateUnwritableError, StateCorruptError, StateTooNewError: each says what to do; the file is as it was.
        StoreBusyError: another process has locked it, and here nobody may wait for that (`storage.waiting`).
    """
    if is_reading_only():
        return _open_to_read(path, package, shadows=shadows)
    try:
        make_folder(path.parent)
        return waiting_here(lambda: _open(path, synchronous, package, shrinks=shrinks))
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None
    except sqlite3.Error as error:
        if is_locked(error) and not may_wait():
            raise locked_by_another(path) from error
        raise explain(error, path) from None


def _open(path: Path, synchronous: str, package: str, *, shrinks: bool) -> sqlite3.Connection:
    connection = connect(path, synchronous=synchronous)
    with closed_if_it_fails(connection):
        _check_and_migrate(connection, path, package, shrinks=shrinks)
    return connection


def connect(path: Path, *, synchronous: str) -> sqlite3.Connection:
    """Return a plain connection with our settings; any thread may use it, one at a time. It waits for no lock."""
    if is_reading_only():
        return connect_to_read(path)
    claim_database(path)
    connection = sqlite3.connect(
        path, isolation_level=None, cached_statements=256, check_same_thread=False, timeout=0
    )
    with closed_if_it_fails(connection):
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA cache_size = -32768")
        connection.execute("PRAGMA temp_store = memory")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    return connection


@contextmanager
def closed_if_it_fails(connection: Closable) -> Iterator[None]:
    """Let go of a connection if what is done with it inside fails."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def explain(error: sqlite3.Error, path: Path) -> StateError:
    """Return what an SQLite error means for the user."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _UNWRITABLE:
        return _unwritable(path, str(error))
    if code in _CORRUPT:
        return StateCorruptError(
            f"{path} is not a usable database: {error}",
            hint=HINT,
        )
    return StateError(
        f"{path} cannot be used: {error}", hint="Try again; if it stays, move the state directory away"
    )


def locked_by_another(path: Path) -> StoreBusyError:
    """Return the error of a file that another process has locked."""
    return StoreBusyError(
        f"{path} is locked: another process writes to it, or was stopped while it did. "
        "Let that process go on, or end it"
    )


def _unwritable(path: Path, reason: str) -> StateUnwritableError:
    return StateUnwritableError(
        f"The state directory {path.parent} cannot be written: {reason}",
        hint="Mend its permissions or free some disk space, or choose another place with --persist-to",
    )


def _open_to_read(path: Path, package: str, *, shadows: bool) -> sqlite3.Connection:
    migrations = load_migrations(package)
    try:
        connection, found = connect_to_read(path), 0
        with closed_if_it_fails(connection):
            if is_there(path):
                found = _check(connection, path, migrations[-1].number)
                if found < migrations[-1].number or (shadows and path.stat().st_size <= SHADOW_BYTES):
                    connection = copied(connection)
            _migrate(connection, migrations, found, lambda: None)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except sqlite3.Error as error:
        raise explain(error, path) from None
    return connection


def _unreadable(path: Path, reason: str) -> StateError:
    return StateError(
        f"{path} cannot be read: {reason}",
        hint="Mend its permissions, or choose another place with --persist-to",
    )


def _check_and_migrate(connection: sqlite3.Connection, path: Path, package: str, *, shrinks: bool) -> None:
    migrations = load_migrations(package)
    found = _check(connection, path, migrations[-1].number)
    close_database(path)
    if shrinks:
        _make_shrinkable(connection)
    connection.execute("PRAGMA journal_mode = WAL")
    _migrate(connection, migrations, found, lambda: keep_copy(path, found, migrations[-1].number))


def _check(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """Return the version of the schema, 0 for a new file; raise what `open_database` raises."""
    # One snapshot: another process may be making the same database at this moment.
    connection.execute("BEGIN")
    try:
        application = _pragma(connection, "application_id")
        found = _pragma(connection, "user_version")
        tables = _table_count(connection)
        check_whole(connection, path)
    finally:
        connection.execute("COMMIT")
    if application not in (0, APPLICATION_ID):
        raise StateCorruptError(
            f"{path} is a database of another program",
            hint="Choose another place with --persist-to",
        )
    if found > newest:
        raise StateTooNewError(
            f"{path} was written by a newer pywrangler (schema {found}, this one knows up to {newest})",
            hint="Upgrade pywrangler, or choose another place with --persist-to; nothing was changed",
        )
    if found == 0 and tables:
        raise StateCorruptError(
            f"{path} is a database of another program", hint="Choose another place with --persist-to"
        )
    return found


def _make_shrinkable(connection: sqlite3.Connection) -> None:
    """Let pages that become free be given back piece by piece (`engine.retention`).

    For that a file that an older version made is written anew, once; a large one is left as it is, because that would
    take long: it keeps its size, and what becomes free in it is used again.
    """
    if _pragma(connection, "auto_vacuum") == _INCREMENTAL:
        return
    connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
    pages = _pragma(connection, "page_count")
    if 0 < pages * _pragma(connection, "page_size") <= _REWRITTEN_BYTES:
        try:
            connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            if not is_locked(error):  # Another process writes: next time.
                raise


def _migrate(
    connection: sqlite3.Connection, migrations: list[Migration], found: int, keep: Callable[[], None]
) -> None:
    """Bring a database that was at schema ``found`` up to date, after a call of ``keep`` if there was anything in it.

    All changes and the record of them are one transaction: a process that opens the file meanwhile sees none or all,
    so a new file never looks like one of an older schema; one that comes at once finds it done.
    """
    newest = migrations[-1].number
    if found == newest:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        current = _pragma(connection, "user_version")
        if 0 < current < newest:
            keep()
        for migration in migrations:
            if migration.number > current:
                for statement in split(migration.sql):
                    connection.execute(statement)
        if current < newest:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")
    except BaseException:
        # A full disk, among others, has undone it already: then the error is what happened, not that ROLLBACK fails.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _table_count(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return count


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
