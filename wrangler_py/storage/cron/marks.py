"""One row a script: the instant up to which every due minute has been fired. It keeps a hand-over from losing one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from wrangler_py.errors import StoreUnavailableError
from wrangler_py.storage.sql import load_queries
from wrangler_py.storage.sqlite.schema import open_database

_PACKAGE = "wrangler_py.storage.cron"
_Q = load_queries(_PACKAGE)


class Marks:
    """The marks of all scripts of a state directory; several processes may have it open."""

    def __init__(self, path: Path, *, synchronous: str = "NORMAL") -> None:
        """Open ``path``, or make it; raises StateError as `open_database` does."""
        self._connection = open_database(path, synchronous=synchronous, package=_PACKAGE)

    def read(self, script: str) -> int | None:
        """Return the script's mark in ms since 1970, or None if it never had one; raise StoreUnavailableError."""
        try:
            found = self._connection.execute(_Q["mark"], (script,)).fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailableError(str(error)) from error
        return None if found is None else int(found[0])

    def write(self, script: str, at: int) -> None:
        """Move the script's mark to ``at``, in ms since 1970; raise StoreUnavailableError."""
        try:
            self._connection.execute(_Q["set_mark"], (script, at))
        except sqlite3.Error as error:
            raise StoreUnavailableError(str(error)) from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
