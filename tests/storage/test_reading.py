"""Inside of `reading_only`, databases are read as they lie there: closed, left by a kill, in use, old, or missing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.test_copies import NEWEST, old_database
from wrangler_py.errors import StateCorruptError, StateTooNewError, StoreUnavailableError
from wrangler_py.storage import schema
from wrangler_py.storage.database import Database
from wrangler_py.storage.reading import is_reading_only, reading_only

PACKAGE = "wrangler_py.storage.sqlite"
#: Opens a database, writes a row that stays in the log, and holds on until its input ends.
HOLDER = """
import pathlib, sys
from wrangler_py.storage.database import Database
database = Database.open(pathlib.Path(sys.argv[1]), synchronous="NORMAL", package="wrangler_py.storage.sqlite")
database.execute("CREATE TABLE IF NOT EXISTS mark (word)")
print("open", flush=True)
for line in sys.stdin:
    database.write("INSERT INTO mark VALUES (?)", (line.strip(),))
    print("written", flush=True)
"""


def opened(path: Path, **options) -> Database:
    return Database.open(path, synchronous="NORMAL", package=PACKAGE, **options)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    database = opened(folder / "one.sqlite")
    database.execute("CREATE TABLE mark (word)")
    database.write("INSERT INTO mark VALUES ('closed')")
    database.close()
    return database.path


def words(database: Database) -> list[str]:
    return [word for (word,) in database.read("SELECT word FROM mark ORDER BY rowid")]


def test_a_closed_database_is_read_and_takes_no_write(path):
    before = files(path.parent)
    with reading_only():
        database = opened(path)
        with closing(database.another()) as beside:
            assert words(database) == words(beside) == ["closed"]
        with pytest.raises(StoreUnavailableError):
            database.write("INSERT INTO mark VALUES ('no')")
        assert not database.takes_writes
        assert files(path.parent) == before
        database.close()
    assert files(path.parent) == before


def test_what_a_killed_process_left_in_the_log_is_read_too(path, tmp_path):
    database = opened(path)
    database.write("INSERT INTO mark VALUES ('in the log')")
    left = tmp_path / "left"
    shutil.copytree(path.parent, left)
    database.close()
    for names in ((), ("one.sqlite-shm",)):
        for name in names:
            (left / name).unlink()
        before = files(left)
        with reading_only():
            found = opened(left / path.name)
            assert words(found) == ["closed", "in the log"]
            found.close()
        assert files(left) == before


def test_a_database_in_use_is_read_by_its_own_rules(path):
    """Each read sees what has been committed until then, although the other process copies its log meanwhile."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with reading_only():
            database = opened(path)
            database.read("SELECT 1 FROM mark")
            second = database.another()
            # Asking whether others have it open must not have dropped this process's own locks.
            inode = path.with_name(f"{path.name}-shm").stat().st_ino
            locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
            assert str(os.getpid()) in {lock[4] for lock in locks if lock[5].endswith(f":{inode}")}
            for count in range(1, 4):
                print(f"word {count}", file=holder.stdin, flush=True)
                assert holder.stdout.readline() == "written\n"
                assert len(words(database)) == len(words(second)) == 1 + count
            database.close()
            second.close()
        holder.stdin.close()


def test_a_missing_database_is_empty_and_is_not_made(tmp_path):
    with reading_only():
        database = opened(tmp_path / "state" / "one.sqlite")
        assert database.value("PRAGMA user_version") == NEWEST
        database.close()
    assert list(tmp_path.iterdir()) == []


def test_an_old_database_is_brought_up_to_date_in_memory(tmp_path):
    path = tmp_path / "one.sqlite"
    old_database(path)
    before = files(tmp_path)
    with reading_only():
        database = opened(path)
        assert (words(database), database.value("PRAGMA user_version")) == (["from before"], NEWEST)
        database.close()
    assert files(tmp_path) == before


@pytest.mark.parametrize(("limit", "takes"), [(10**9, True), (0, False)])
def test_a_small_database_that_shadows_takes_writes_that_nobody_else_sees(path, monkeypatch, limit, takes):
    monkeypatch.setattr(schema, "SHADOW_BYTES", limit)
    before = files(path.parent)
    with reading_only():
        database = opened(path, shadows=True)
        assert database.takes_writes is takes
        if takes:
            database.write("INSERT INTO mark VALUES ('here')")
            assert words(database) == ["closed", "here"]
        database.close()
    assert files(path.parent) == before


def test_what_cannot_be_read_is_refused_as_ever(path):
    with sqlite3.connect(path) as theirs:
        theirs.execute("PRAGMA user_version = 999")
    theirs.close()
    with reading_only(), pytest.raises(StateTooNewError):
        opened(path)
    path.write_bytes(b"no database" * 500)
    with reading_only(), pytest.raises(StateCorruptError):
        opened(path)


def test_it_ends_with_its_block_whatever_happens_inside():
    with pytest.raises(LookupError), reading_only():
        assert is_reading_only()
        raise LookupError
    assert not is_reading_only()
