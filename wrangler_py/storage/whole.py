"""A check that a database has all its pages: a truncated file opens well, and fails when a missing page is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from wrangler_py.errors import StateCorruptError
from wrangler_py.storage.reading import connect_to_read

#: Bytes of databases that are read to find faults in them before a session starts: about 3 ms for each MiB.
READ_BYTES = 16 * 1024 * 1024
HINT = "Restore it from a backup, or move the state directory away to start afresh"
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_HEADER, _FRAME = 32, 24


def check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StateCorruptError if pages of a database are missing. Must be called inside a transaction.

    The size of the file is compared with the number of pages; nothing is read unless that differs. Then the pages may
    still be in the write-ahead log, of a process that was killed before it copied them. SQLite has the last word.
    """
    size: int = connection.execute("PRAGMA page_size").fetchone()[0]
    count: int = connection.execute("PRAGMA page_count").fetchone()[0]
    held = path.stat().st_size // size
    if held >= count:
        return
    missing = set(range(held + 1, count + 1)).difference(_logged(path, size))
    if missing and not is_sound(connection):
        raise StateCorruptError(
            f"{path} is not a usable database: it was cut short, {len(missing)} of its {count} pages are missing",
            hint=HINT,
        )


def check_databases(own: Iterable[Path], users: Iterable[Path]) -> None:
    """Raise StateCorruptError if a database is damaged. None of them is changed.

    Missing pages are found in all; other damage in pywrangler's ``own`` ones, until `READ_BYTES` have been read. In
    those of ``users``, a row that breaks a constraint of theirs would look like damage.
    """
    for path in users:
        _check(path, reads=False)
    left = READ_BYTES
    for path in own:
        left -= path.stat().st_size
        _check(path, reads=left >= 0)


def _check(path: Path, *, reads: bool) -> None:
    try:
        with closing(connect_to_read(path)) as connection:
            connection.execute("BEGIN")
            check_whole(connection, path)
            if reads and not is_sound(connection):
                raise StateCorruptError(f"{path} is not a usable database: it is damaged", hint=HINT)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in _DAMAGED:
            raise StateCorruptError(f"{path} is not a usable database: {error}", hint=HINT) from None


def is_sound(connection: sqlite3.Connection) -> bool:
    """Return False if SQLite finds a fault in the database. It reads all of it."""
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CORRUPT:
            return False
        raise
    return found == [("ok",)]


def _logged(path: Path, size: int) -> Iterator[int]:
    """Yield the numbers of the pages in the write-ahead log. SQLite has no locks on that file, so it may be opened."""
    with suppress(FileNotFoundError), path.with_name(f"{path.name}-wal").open("rb") as log:
        salts = log.read(_HEADER)[16:24]
        while len(frame := log.read(_FRAME)) == _FRAME and frame[8:16] == salts:
            yield int.from_bytes(frame[:4])
            log.seek(size, 1)
