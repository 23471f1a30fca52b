"""Reading a state without writing a byte: not to a database, nor to the files beside it, which need not be writable.

SQLite's ``mode=ro`` alone makes ``-wal`` and ``-shm`` files, or fails where it cannot.

A command that only reads runs inside `reading_only`, which holds for the whole process: no code on the way to a
database has to pass on that it is for reading, and none can forget it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

#: The byte of a ``-shm`` file that every process locks while it has the database open (UNIX_SHM_DMS in os_unix.c).
_IN_USE_BYTE = 128
#: The layout of ``struct flock`` in memory, and where in it the byte, the length and the kind of the lock are.
_LAYOUTS = {"linux": ("hhqqi4x", (2, 3, 0)), "darwin": ("qqihh", (0, 1, 3))}


_is_reading_only = False
#: True for a database that other processes had open when first asked: `_is_in_use` may not ask again.
_found_in_use: dict[Path, bool] = {}


@contextmanager
def reading_only() -> Iterator[None]:
    """Have databases opened to be read only, in this process, until the end of the block."""
    global _is_reading_only  # noqa: PLW0603 - a property of the process
    _is_reading_only = True
    _found_in_use.clear()
    try:
        yield
    finally:
        _is_reading_only = False


def is_reading_only() -> bool:
    """Return True inside of `reading_only`."""
    return _is_reading_only


def is_there(path: Path) -> bool:
    """Return True if a file exists. Raises OSError if that cannot be told, below a file for one."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def connect_to_nothing() -> sqlite3.Connection:
    """Return an empty database in memory: what is read where there is no file."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def copied(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy in memory, which may be changed, and close the connection to the original."""
    copy = connect_to_nothing()
    try:
        connection.backup(copy)
    except BaseException:
        copy.close()
        raise
    connection.close()
    return copy


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Return a connection that reads; any thread may use it, one at a time. Writing raises sqlite3.OperationalError.

    Another process that has the database open is read beside, by its own rules. Without one, the write-ahead log that a
    killed process has left is read as it lies there. A process that opens the database only then may write beneath this
    connection, which is for commands that take a moment. Where there is no file, there is an empty database.

    Raises:
        sqlite3.Error, OSError: it cannot be opened.
    """
    if not is_there(path):
        return connect_to_nothing()
    log = path.with_name(f"{path.name}-wal")
    if path not in _found_in_use or not is_reading_only():
        _found_in_use[path] = _is_in_use(path.with_name(f"{path.name}-shm"))
    if _found_in_use[path]:
        return _connect(path, "mode=ro")
    if not log.exists() or not log.stat().st_size:
        return _connect(path, "mode=ro&immutable=1")
    connection = _connect(path, "mode=ro&vfs=unix-none")
    # The index of the log is in memory then, not in a file.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    return connection


def _connect(path: Path, parameters: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?{parameters}", uri=True, isolation_level=None, check_same_thread=False
    )


def _is_in_use(shared: Path) -> bool:
    """Return True if another process has the database of a ``-shm`` file open, or may have.

    This one must not have it open: closing the file here would drop its locks.
    """
    try:
        descriptor = os.open(shared, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return sys.platform not in _LAYOUTS or _would_wait(descriptor, *_LAYOUTS[sys.platform])
    finally:
        os.close(descriptor)


def _would_wait(descriptor: int, layout: str, places: tuple[int, int, int]) -> bool:
    """Return True if another process holds a lock on the byte. Asking takes none."""
    fields = [0] * 5
    for place, value in zip(places, (_IN_USE_BYTE, 1, fcntl.F_WRLCK), strict=True):
        fields[place] = value
    answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *fields))
    return bool(struct.unpack(layout, answer)[places[2]] != fcntl.F_UNLCK)
