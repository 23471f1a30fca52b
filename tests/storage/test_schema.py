"""One database is made once, however many processes ask for it at the same moment."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from wrangler_py.storage import schema
from wrangler_py.storage.sql import Migration

PROCESSES, ROUNDS = 4, 40
#: Opens each of the databases as soon as all processes have come to it: they wait for each other by their marks.
OPENER = """
import pathlib, sys
from wrangler_py.storage.schema import open_database
folder, me, processes, rounds = pathlib.Path(sys.argv[1]), *sys.argv[2:3], *map(int, sys.argv[3:])
for number in range(rounds):
    (folder / f"{number}.{me}.mark").touch()
    while len(list(folder.glob(f"{number}.*.mark"))) < processes:
        pass
    try:
        open_database(folder / f"{number}.sqlite", synchronous="NORMAL", package="wrangler_py.storage.sqlite").close()
    except Exception as error:
        print(repr(error), file=sys.stderr)
"""


def test_processes_that_make_the_same_database_at_once_all_get_it(tmp_path):
    """None sees half of it: not an empty version beside tables, and no refusal while another changes the mode."""
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(tmp_path), str(number), str(PROCESSES), str(ROUNDS)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    try:
        assert [opener.communicate(timeout=60)[1] for opener in openers] == [""] * PROCESSES
    finally:
        for opener in openers:
            opener.kill()


def test_a_new_database_is_never_seen_with_a_schema_in_between(tmp_path):
    """A killed process, or one that looks at the wrong moment, must not find what seems to be an old version."""
    migrations = [
        Migration(1, "a", "CREATE TABLE one (x)"),
        Migration(2, "b", "INSERT INTO nowhere VALUES (1)"),
    ]
    connection = sqlite3.connect(tmp_path / "new.sqlite", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        schema._migrate(connection, migrations, 0, lambda: None)
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("undone", ["", "ROLLBACK;"])
def test_a_change_that_fails_tells_its_own_error_and_leaves_nothing(undone):
    """SQLite undoes some transactions by itself, of a full disk above all: they cannot be undone once more."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migration = Migration(1, "first", f"CREATE TABLE one (x); {undone} INSERT INTO nowhere VALUES (1);")
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        schema._migrate(connection, [migration], 0, lambda: None)
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchall() == [(0,)]
    connection.close()
