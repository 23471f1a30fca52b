"""What D1 lets a statement do (D1 docs, "Limits" and "SQL statements"), told to SQLite itself.

SQLite asks the authorizer while it compiles a statement, so nothing that is refused has run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

#: Bytes of one statement, and of one row, text or blob.
MAX_STATEMENT = 100_000
MAX_VALUE = 2_000_000
_LIMITS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: MAX_STATEMENT,
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_VALUE,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 100,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}
#: Cloudflare's own words up to "statements."; what follows is where the API they speak of is in a Worker.
NO_TRANSACTION = (
    "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs "
    "instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements. With D1 that is env.DB.batch([...])."
)
_PRAGMAS = frozenset(
    {
        "case_sensitive_like",
        "data_version",
        "defer_foreign_keys",
        "foreign_key_check",
        "foreign_key_list",
        "foreign_keys",
        "ignore_check_constraints",
        "index_info",
        "index_list",
        "index_xinfo",
        "legacy_alter_table",
        "optimize",
        "quick_check",
        "recursive_triggers",
        "reverse_unordered_selects",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
#: As D1 runs everything inside a transaction, where SQLite ignores it, switching foreign keys off does nothing.
_IGNORED = "foreign_keys"
_TRANSACTIONS = frozenset({sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT})
_REFUSED = frozenset(
    {
        sqlite3.SQLITE_ATTACH,
        sqlite3.SQLITE_DETACH,
        sqlite3.SQLITE_CREATE_TEMP_INDEX,
        sqlite3.SQLITE_CREATE_TEMP_TABLE,
        sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
        sqlite3.SQLITE_CREATE_TEMP_VIEW,
    }
)
_MODULES = frozenset({"fts5", "fts5vocab"})


class Rules:
    """The authorizer of one connection. ``wanted_transaction`` says why the statement just refused was."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.wanted_transaction = False
        self._suspended = False
        for limit, value in _LIMITS.items():
            connection.setlimit(limit, value)
        connection.set_authorizer(self._judge)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Compile statements of our own inside."""
        self._suspended = True
        try:
            yield
        finally:
            self._suspended = False

    def _judge(self, action: int, one: str | None, two: str | None, *_: str | None) -> int:
        if self._suspended:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA:
            return _judge_pragma((one or "").lower(), two)
        if action in _TRANSACTIONS:
            self.wanted_transaction = True
            return sqlite3.SQLITE_DENY
        foreign_module = action == sqlite3.SQLITE_CREATE_VTABLE and (two or "").lower() not in _MODULES
        return sqlite3.SQLITE_DENY if foreign_module or action in _REFUSED else sqlite3.SQLITE_OK


def _judge_pragma(name: str, value: str | None) -> int:
    if name not in _PRAGMAS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_IGNORE if name == _IGNORED and value is not None else sqlite3.SQLITE_OK
