"""One row a script: the instant up to which every due minute has been fired. It keeps a hand-over from losing one."""

from __future__ import annotations

from pathlib import Path

from wrangler_py.storage.database import Database
from wrangler_py.storage.sql import load_queries

_PACKAGE = "wrangler_py.storage.cron"
_Q = load_queries(_PACKAGE)


class Marks:
    """The marks of all scripts of a state directory; several processes may have it open."""

    def __init__(self, path: Path, *, synchronous: str = "NORMAL") -> None:
        """Open ``path``, or make it; raises StateError as `open_database` does."""
        self._file = Database.open(path, synchronous=synchronous, package=_PACKAGE)

    def read(self, script: str) -> int | None:
        """Return the script's mark in ms since 1970, or None if it never had one; raise StoreUnavailableError."""
        mark: int | None = self._file.value(_Q["mark"], (script,))
        return mark

    def write(self, script: str, at: int) -> None:
        """Move the script's mark to ``at``, in ms since 1970; raise StoreUnavailableError."""
        self._file.write(_Q["set_mark"], (script, at))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
