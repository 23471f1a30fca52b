"""``ctx.storage.sql``: the object's own SQLite database (Cloudflare's docs, "SQL API")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wrangler_py.bindings.durable.keys import explained
from wrangler_py.bindings.failures import ObjectError
from wrangler_py.sdk.pyodide.ffi import jsnull
from wrangler_py.serde import Record
from wrangler_py.storage.durable import ObjectFile, Rows, StatementRefusedError


class Cursor:
    """The rows of a statement, given once: by iterating, ``toArray``, ``one``, ``next`` or ``raw``.

    They have all been read when the statement ran. ``rowsRead`` is how many rows it gave (Cloudflare counts the rows
    looked at); ``rowsWritten`` how many it changed.
    """

    def __init__(self, found: Rows) -> None:
        self.columnNames = self.column_names = found.columns
        self.rowsRead = self.rows_read = len(found.rows)
        self.rowsWritten = self.rows_written = found.written
        self._rows = iter(found.rows)

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        return Record(zip(self.columnNames, next(self._rows), strict=True))

    def next(self) -> Record:
        """Return ``{"done": False, "value": row}``, or ``{"done": True, "value": None}``."""
        row = next(iter(self), None)
        return Record(done=row is None, value=row)

    def to_array(self) -> list[Record]:
        """Return the rows that are left."""
        return list(self)

    def one(self) -> Record:
        """Return the only row.

        Raises:
            ObjectError: there is none, or more than one (in Cloudflare's words).
        """
        rows = list(self)
        if len(rows) != 1:
            found = "multiple" if rows else "no"
            raise ObjectError(f"Expected exactly one result from SQL query, but got {found} results.")
        return rows[0]

    def raw(self) -> Iterator[list[Any]]:
        """Give the rows that are left as lists of values."""
        return (list(row) for row in self._rows)

    toArray = to_array


class SqlStorage:
    """Runs SQL; what it writes belongs to the same transaction as all else the object writes in this turn."""

    def __init__(self, file: ObjectFile) -> None:
        self._file = file

    def exec(self, query: str, /, *bindings: Any) -> Cursor:
        """Run one statement or several; ``bindings`` are for the last, whose rows are returned.

        Raises:
            ObjectError: SQLite refuses it, with its message and code; or it is not allowed: transactions, ATTACH,
                most PRAGMAs, and tables whose names begin with ``_cf_``.
        """
        values = [_bound(value) for value in bindings]
        with explained():
            try:
                return Cursor(self._file.run(query, values))
            except StatementRefusedError as error:
                raise ObjectError(str(error)) from None
            except OverflowError:
                raise ObjectError("an integer binding does not fit into 64 bits", name="RangeError") from None

    @property
    def database_size(self) -> int:
        """Bytes of the database."""
        with explained():
            return self._file.used_bytes

    databaseSize = database_size


def _bound(value: Any) -> Any:
    return None if value is jsnull else value
