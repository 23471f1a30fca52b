"""Whether a database has all its pages: a file that was cut short opens well, and fails when a missing page is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wrangler_py.errors import StateCorruptError

HINT = "Restore it from a backup, or move the file away to start afresh"
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
            f"{path} is damaged: it was cut short, and {len(missing)} of its {count} pages are missing",
            hint=HINT,
        )


def is_sound(connection: sqlite3.Connection) -> bool:
    """Return False if SQLite finds a fault in the database. It reads all of it: about 2 ms for each MiB."""
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
