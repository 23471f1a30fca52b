"""Opening a database without writing a byte: not to it, nor to the files beside it, which need not be writable.

SQLite's ``mode=ro`` alone makes ``-wal`` and ``-shm`` files, or fails where it cannot.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
import sys
from pathlib import Path
from urllib.parse import quote

#: The byte of a ``-shm`` file that every process locks while it has the database open (UNIX_SHM_DMS in os_unix.c).
_IN_USE_BYTE = 128
#: How ``struct flock`` lies in memory, and where in it the byte, the length and the kind of the lock are.
_LAYOUTS = {"linux": ("hhqqi4x", (2, 3, 0)), "darwin": ("qqihh", (0, 1, 3))}


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Return a connection that reads; any thread may use it, one at a time. Writing raises sqlite3.OperationalError.

    Another process that has the database open is read beside, by its own rules. Without one, the write-ahead log that a
    killed process has left is read as it lies there. A process that opens the database only then may write beneath this
    connection, which is for commands that take a moment.
    """
    log = path.with_name(f"{path.name}-wal")
    if _is_in_use(path.with_name(f"{path.name}-shm")):
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
