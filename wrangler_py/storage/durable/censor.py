"""Which SQL an object may run (Cloudflare's docs, "SQL API" of Durable Objects and "Compatible PRAGMA statements")."""

from __future__ import annotations

import sqlite3

#: ``data_version`` and ``page_size`` are what full-text search asks for itself.
_PRAGMAS = frozenset(
    {
        "case_sensitive_like",
        "data_version",
        "defer_foreign_keys",
        "foreign_key_check",
        "foreign_key_list",
        "foreign_keys",
        "function_list",
        "ignore_check_constraints",
        "index_info",
        "index_list",
        "index_xinfo",
        "legacy_alter_table",
        "optimize",
        "page_size",
        "quick_check",
        "recursive_triggers",
        "reverse_unordered_selects",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
_TRANSACTIONS = frozenset({sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT})
_NEVER = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH})
#: Cloudflare's words.
USE_TRANSACTION = (
    "To execute a transaction, please use the state.storage.transaction() or "
    "state.storage.transactionSync() APIs instead of the SQL BEGIN TRANSACTION or SAVEPOINT "
    "statements. The JavaScript API is safer because it will automatically roll back on "
    "exceptions, and because it interacts correctly with Durable Objects' automatic atomic "
    "write coalescing."
)


class StatementRefusedError(Exception):
    """SQL that an object may not run, in Cloudflare's words."""


class Censor:
    """What SQLite asks, while it prepares a statement, about each thing the statement would do.

    Only the user's statements are looked at; ``why`` is the reason of the last refusal, where SQLite has no words.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.why: str | None = None

    def __call__(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        """Return SQLITE_OK or SQLITE_DENY."""
        if not self.is_on or self._allows(action, first or "", second or ""):
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    def _allows(self, action: int, first: str, second: str) -> bool:
        if action in _TRANSACTIONS:
            self.why = USE_TRANSACTION
            return False
        if action == sqlite3.SQLITE_PRAGMA:
            return first.lower() in _PRAGMAS
        return action not in _NEVER and not (_is_hidden(first) or _is_hidden(second))


def _is_hidden(name: str) -> bool:
    return name[:4].lower() == "_cf_"
