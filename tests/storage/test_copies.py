"""Before a database is changed for a newer pywrangler, a copy is kept: no older one reads it afterwards."""

from __future__ import annotations

import logging
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wrangler_py.errors import StateUnwritableError
from wrangler_py.storage import copies
from wrangler_py.storage.schema import APPLICATION_ID, open_database
from wrangler_py.storage.sql import load_migrations

PACKAGE = "wrangler_py.storage.sqlite"
MIGRATIONS = load_migrations(PACKAGE)
NEWEST = MIGRATIONS[-1].number


def old_database(path: Path) -> None:
    """Make a database as the first pywrangler did, with one table more, to tell it by."""
    with sqlite3.connect(path) as old:
        old.executescript(MIGRATIONS[0].sql)
        old.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1")
        old.execute("CREATE TABLE mark AS SELECT 'from before' AS word")
    old.close()


def opened(path: Path) -> None:
    open_database(path, synchronous="NORMAL", package=PACKAGE).close()


def read(path: Path, query: str) -> object:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchone()[0]
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path):
    old_database(tmp_path / "workflows.sqlite")
    return tmp_path / "workflows.sqlite"


def test_a_copy_from_before_is_kept_and_one_line_says_where(path, caplog):
    opened(path)
    copy = path.with_name(f"workflows.sqlite.before-{NEWEST}")
    assert (read(path, "PRAGMA user_version"), read(copy, "PRAGMA user_version")) == (NEWEST, 1)
    assert read(copy, "SELECT word FROM mark") == "from before"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [(record.levelno, copy.name in record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, True)
    ]
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name, copy.name]


def test_a_database_that_is_new_or_up_to_date_is_not_copied(tmp_path, caplog):
    for _ in range(2):
        opened(tmp_path / "workflows.sqlite")
    assert [one.name for one in tmp_path.iterdir()] == ["workflows.sqlite"]
    assert caplog.records == []


def test_what_was_committed_and_is_only_in_the_log_is_in_the_copy(path):
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("UPDATE mark SET word = 'at the last moment'")
    other.commit()
    opened(path)
    other.close()
    assert (
        read(path.with_name(f"{path.name}.before-{NEWEST}"), "SELECT word FROM mark") == "at the last moment"
    )


def test_only_the_copy_of_the_last_migration_is_kept(path):
    path.with_name("workflows.sqlite.before-1").touch()
    path.with_name("other.sqlite.before-1").touch()
    opened(path)
    assert sorted(one.name for one in path.parent.glob("*.before-*")) == [
        "other.sqlite.before-1",
        f"workflows.sqlite.before-{NEWEST}",
    ]


def test_without_room_for_a_copy_nothing_is_changed(path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copies.os, "replace", full)
    path.with_name("workflows.sqlite.before-1").touch()
    with pytest.raises(StateUnwritableError, match="No space left") as caught:
        opened(path)
    assert "disk space" in (caught.value.hint or "")
    assert read(path, "PRAGMA user_version") == 1
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name, "workflows.sqlite.before-1"]


def test_of_processes_that_migrate_at_once_one_makes_the_copy(path):
    code = (
        f"from tests.storage.test_copies import opened; import pathlib; opened(pathlib.Path({str(path)!r}))"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(4)]
    said = b"".join(process.communicate(timeout=60)[1] for process in started)
    assert [process.returncode for process in started] == [0] * 4
    assert said.count(b"is a copy from before") == 1, said
    assert read(path.with_name(f"{path.name}.before-{NEWEST}"), "PRAGMA user_version") == 1
