"""SQLite's errors in D1's words: ``D1_ERROR: UNIQUE constraint failed: t.a: SQLITE_CONSTRAINT``."""

from __future__ import annotations

import re
import sqlite3

from wrangler_py.bindings.d1.rules import NO_TRANSACTION
from wrangler_py.bindings.failures import D1Error
from wrangler_py.storage.statements import named_parameter, offset_of, split

ONE_STATEMENT = "A prepared SQL statement must contain only one statement."
WRONG_NUMBER = "Wrong number of parameter bindings for SQL query."
#: The token SQLite stumbled over. It knows the offset too, but Python's module has no way to ask; so this looks at the
#: text of the message, for nothing else than to add the offset as D1 does.
_TOKEN = re.compile(
    r'near "(.+)": syntax error|no such (?:column|function): (.+)|unrecognized token: "(.+)"', re.DOTALL
)


def d1_error(message: str, sql: str = "") -> D1Error:
    """Return the error of a statement."""
    return D1Error(f"D1_ERROR: {message}", sql=sql)


def refused(sql: str) -> D1Error:
    """Return the error of a statement that would begin or end a transaction."""
    return d1_error(NO_TRANSACTION, sql)


def explain(error: Exception, sql: str) -> D1Error:
    """Return what an error of the `sqlite3` module means for the user."""
    if not hasattr(error, "sqlite_errorcode"):
        return d1_error(_misuse(error, sql), sql)
    name = "_".join(str(getattr(error, "sqlite_errorname", "SQLITE_ERROR")).split("_")[:2])
    return d1_error(f"{error}{_offset(str(error), sql)}: {name}", sql)


def _misuse(error: Exception, sql: str) -> str:
    """Say what is wrong with a call that Python's own module refused, before SQLite saw it."""
    if isinstance(error, UnicodeEncodeError):
        return "text with half of a surrogate pair cannot be stored as UTF-8"
    if "\0" in sql:
        return "the statement contains a NUL character"
    if named_parameter(sql):
        return named_refused(sql)
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.Warning):
        return ONE_STATEMENT if len(split(sql)) > 1 else WRONG_NUMBER
    return str(error)


def named_refused(sql: str) -> str:
    """Say that ``:name`` is not for D1."""
    return f"named parameters such as {named_parameter(sql)} are not supported; use ? or ?1, ?2"


def _offset(message: str, sql: str) -> str:
    found = _TOKEN.fullmatch(message)
    place = offset_of(sql, next(filter(None, found.groups()))) if found else None
    return "" if place is None else f" at offset {place}"
