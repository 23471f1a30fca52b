"""The raw ceiling: the very rows the engine wrote, written again by a bare loop of executemany transactions."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from wrangler_py.storage.schema import open_database
from wrangler_py.storage.sql import load_queries

_INSERT = load_queries("wrangler_py.storage.sqlite")["insert_history"]


def rewrite(source: Path, target: Path, *, rows_per_commit: int) -> float:
    """Write the history of ``source`` into a fresh database; return the seconds it took."""
    reader = sqlite3.connect(source)
    rows = reader.execute(
        "SELECT instance, type, at, step, attempt, name, data FROM history ORDER BY seq"
    ).fetchall()
    reader.close()
    writer = open_database(target, synchronous="NORMAL", package="wrangler_py.storage.sqlite")
    started = time.perf_counter()
    for start in range(0, len(rows), rows_per_commit):
        writer.execute("BEGIN IMMEDIATE")
        writer.executemany(_INSERT, rows[start : start + rows_per_commit])
        writer.execute("COMMIT")
    took = time.perf_counter() - started
    writer.close()
    return took
