"""Migrations as wrangler keeps them: numbered ``.sql`` files, and a table of those applied (D1 docs, "Migrations")."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wrangler_py.bindings.d1.explain import d1_error
from wrangler_py.storage.statements import split

if TYPE_CHECKING:
    from wrangler_py.bindings.d1.connection import Connection

_NUMBER = re.compile(r"\d+")
_TABLE = """CREATE TABLE IF NOT EXISTS {table} (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE,
    applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)"""


class Migrations(NamedTuple):
    """The migrations in ``folder``, recorded in the table ``table`` of the database."""

    folder: Path
    table: str

    def names(self) -> list[str]:
        """Return the names of the files, by number and then by name; none if there is no folder."""
        if not self.folder.is_dir():
            return []
        return sorted(
            (path.name for path in self.folder.glob("*.sql")), key=lambda name: (number_of(name), name)
        )

    def pending(self, connection: Connection) -> list[str]:
        """Return the names of the files that have not been applied; the database is left as it is."""
        found = connection.query(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?", (self.table,)
        )
        if not found.rows:
            return self.names()
        applied = {row[0] for row in connection.query(f"SELECT name FROM {_quoted(self.table)}").rows}  # noqa: S608
        return [name for name in self.names() if name not in applied]

    def apply(self, connection: Connection, name: str) -> None:
        """Run one file and record it, both or neither.

        Raises:
            D1Error: a statement failed, or another process has applied the file meanwhile; ``sql`` is the statement.
        """
        text = (self.folder / name).read_text(encoding="utf-8-sig")
        with connection.transaction():
            connection.query(_TABLE.format(table=_quoted(self.table)))
            statements = split(text)
            if not statements:
                raise d1_error("No SQL statements detected.")
            for statement in statements:
                connection.query(statement)
            connection.query(f"INSERT INTO {_quoted(self.table)} (name) VALUES (?)", (name,))  # noqa: S608

    def create(self, message: str, at: str) -> Path:
        """Write an empty migration with the next number, from 0001 on; return its file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max(map(number_of, self.names()), default=0)
        path = self.folder / f"{number:04d}_{message.strip().replace(' ', '_')}.sql"
        with path.open("x", encoding="utf-8") as file:
            file.write(f"-- Migration number: {number:04d} \t {at}\n")
        return path


def number_of(name: str) -> int:
    """Return the number a file's name begins with; 0 if it has none."""
    found = _NUMBER.match(name)
    return int(found.group()) if found else 0


def _quoted(identifier: str) -> str:
    doubled = identifier.replace('"', '""')
    return f'"{doubled}"'
