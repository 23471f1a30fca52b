"""Durable Objects on disk: one SQLite file an object, and one that knows whose alarm is next."""

from wrangler_py.storage.durable.alarms import AlarmIndex, Hint
from wrangler_py.storage.durable.censor import StatementRefusedError
from wrangler_py.storage.durable.file import AlarmRow, AlarmWatch, ObjectFile, Rows, Span

__all__ = [
    "AlarmIndex",
    "AlarmRow",
    "AlarmWatch",
    "Hint",
    "ObjectFile",
    "Rows",
    "Span",
    "StatementRefusedError",
]
