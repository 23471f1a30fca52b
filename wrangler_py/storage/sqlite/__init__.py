"""The default store: one SQLite file."""

from wrangler_py.storage.sqlite.store import DATABASE_NAME, SqliteStore

__all__ = ["DATABASE_NAME", "SqliteStore"]
