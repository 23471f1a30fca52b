"""Copies of databases from before a migration, which nothing else can undo."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from glob import escape
from pathlib import Path

from wrangler_py.storage.private import claim_database

_log = logging.getLogger(__name__)


def keep_copy(path: Path, found: int, newest: int) -> None:
    """Keep a copy of a database at schema ``found`` that is about to be brought to ``newest``; drop earlier copies.

    To be called in a write transaction: nobody else writes meanwhile.

    Raises:
        sqlite3.Error, OSError: there is no room for a copy; then there must be no migration.
    """
    copy = path.with_name(f"{path.name}.before-{newest}")
    _write_copy(path, copy)
    for old in path.parent.glob(f"{escape(path.name)}.before-*"):
        if old != copy:
            old.unlink(missing_ok=True)
    _log.warning(
        "%s is brought from schema %d to %d; %s in the same folder is a copy from before, for pywrangler as it was",
        path, found, newest, copy.name,
    )  # fmt: skip


def _write_copy(path: Path, copy: Path) -> None:
    """Write beside, then rename: a copy is whole or not there."""
    beside = copy.with_name(f"{copy.name}.part")
    beside.unlink(missing_ok=True)
    claim_database(beside)
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(beside)) as target:
            source.backup(target)
        os.replace(beside, copy)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
