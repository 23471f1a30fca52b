"""The registry's database file, and its errors as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from wrangler_py.errors import StoreUnavailableError
from wrangler_py.storage.sql import load_queries
from wrangler_py.storage.sqlite.schema import explain, open_database

_PACKAGE = "wrangler_py.storage.deployments"
Q = load_queries(_PACKAGE)


class Registry:
    """A connection; what it has written is on disk, past a loss of power too."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection

    @classmethod
    def open(cls, state_dir: Path) -> Self:
        """Open the file of a state directory, or make it, readable by this user only."""
        path = state_dir / "deployments" / "deployments.sqlite"
        opened = open_database(path, synchronous="FULL", package=_PACKAGE)
        path.parent.chmod(0o700)
        return cls(path, opened)

    def read(self, query: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Return all rows."""
        try:
            return self._connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def write(self, query: str, parameters: tuple[Any, ...] | dict[str, Any]) -> int:
        """Run one statement, a transaction of its own outside `transaction`; return how many rows it changed."""
        try:
            return self._connection.execute(query, parameters).rowcount
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written inside one transaction."""
        self.write("BEGIN IMMEDIATE", ())
        try:
            yield
        except BaseException:
            self.write("ROLLBACK", ())
            raise
        self.write("COMMIT", ())

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _unavailable(self, error: sqlite3.Error) -> StoreUnavailableError:
        meaning = explain(error, self._path)
        return StoreUnavailableError(f"{meaning} ({meaning.hint})")
