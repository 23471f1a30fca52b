"""Who holds messages, and whether it lives: a number, and a file that its process has locked.

The kernel takes the lock away however the process ends, so messages of a killed one are free at once, and those of one
that is only slow are not.
"""

from __future__ import annotations

import fcntl
import os
from glob import escape
from pathlib import Path

from wrangler_py.storage.private import opener

_SUFFIX = "-holder-"


class Holder:
    """This process, as far as it holds messages; `release` makes it count as dead."""

    def __init__(self, number: int, path: Path) -> None:
        self.number = number
        self._path = path
        self._file = opener(str(path), os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Let go; what is still held is free for others."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def holder_file(database: Path, number: int) -> Path:
    """Return the file that the holder ``number`` of a database locks."""
    return database.with_name(f"{database.name}{_SUFFIX}{number}")


def sweep(database: Path) -> None:
    """Remove the files that dead holders have left."""
    for path in database.parent.glob(f"{escape(database.name)}{_SUFFIX}*"):
        if not is_alive(path):
            path.unlink(missing_ok=True)


def is_alive(path: Path) -> bool:
    """Return True if the process that made the file lives and has not let go."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(file)
