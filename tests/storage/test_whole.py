"""A database that lacks pages is refused when it is opened, and one that lacks none never is."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from wrangler_py.bindings.d1.connection import Connection
from wrangler_py.errors import StateCorruptError
from wrangler_py.storage.database import Database
from wrangler_py.storage.sqlite import SqliteStore

PACKAGE = "wrangler_py.storage.kv"
PAGE = 4096
BESIDE = ("", "-wal", "-shm")


def opened(path: Path) -> Database:
    return Database.open(path, synchronous="NORMAL", package=PACKAGE)


def fill(database: Database, rows: int = 1000) -> None:
    database.execute("CREATE TABLE IF NOT EXISTS t (x)")
    with database.transaction():
        database.execute_many("INSERT INTO t VALUES (zeroblob(1000) || ?)", ((n,) for n in range(rows)))


def as_after_a_kill(database: Database, target: Path) -> Path:
    """Copy a database with its log, as a process that is killed at this moment leaves it."""
    for suffix in BESIDE:
        shutil.copy(f"{database.path}{suffix}", f"{target}{suffix}")
    return target


def cut(path: Path, part: float) -> None:
    os.truncate(path, int(path.stat().st_size * part))


@pytest.mark.parametrize(
    ("part", "killed"), [(0.01, False), (0.5, False), (0.999, False), (0.01, True), (0.5, True), (0.9, True)]
)
def test_a_file_that_was_cut_short_is_refused_at_once_with_what_to_do(tmp_path, part, killed):
    database = opened(tmp_path / "whole.sqlite")
    fill(database)
    database.read("PRAGMA wal_checkpoint(PASSIVE)")
    database.write("INSERT INTO t VALUES (1)")
    if killed:
        path = as_after_a_kill(database, tmp_path / "cut.sqlite")
    database.close()
    if not killed:
        path = database.path
    cut(path, part)
    before = path.read_bytes()
    with pytest.raises(StateCorruptError, match="cut short|not a usable database") as caught:
        opened(path)
    assert "backup" in (caught.value.hint or "")
    assert path.read_bytes() == before


def test_pages_that_are_only_in_the_log_are_not_missing(tmp_path, monkeypatch):
    """Killed before anything was copied from the log, and then amid the copying."""
    monkeypatch.setattr("wrangler_py.storage.whole.is_sound", pytest.fail)
    database = opened(tmp_path / "one.sqlite")
    fill(database)
    path = as_after_a_kill(database, tmp_path / "killed.sqlite")
    assert path.stat().st_size < 1000 * 1000
    again = opened(path)
    assert again.value("SELECT count(*) FROM t") == 1000
    again.close()
    half = as_after_a_kill(database, tmp_path / "half.sqlite")
    shutil.copy(path, half)
    cut(half, 0.5)
    again = opened(half)
    assert again.value("SELECT count(*) FROM t") == 1000
    again.close()
    database.close()


def test_frames_of_an_older_log_stand_for_nothing(tmp_path):
    """The log begins anew over its old contents: what is behind its end was copied into the file long ago."""
    database = opened(tmp_path / "one.sqlite")
    database.execute("PRAGMA journal_size_limit = -1")
    fill(database)
    assert database.read("PRAGMA wal_checkpoint(RESTART)")[0][0] == 0
    database.write("INSERT INTO t VALUES (1)")
    path = as_after_a_kill(database, tmp_path / "cut.sqlite")
    database.close()
    cut(path, 0.5)
    with pytest.raises(StateCorruptError, match="cut short"):
        opened(path)


def test_a_sound_file_is_not_read_at_all(tmp_path, monkeypatch):
    """However large it is, opening costs the same."""
    database = opened(tmp_path / "one.sqlite")
    fill(database)
    database.close()
    monkeypatch.setattr("wrangler_py.storage.whole._logged", pytest.fail)
    monkeypatch.setattr("wrangler_py.storage.whole.is_sound", pytest.fail)
    opened(database.path).close()


def test_the_log_goes_back_to_a_mebibyte(tmp_path):
    """It keeps its largest size otherwise: 64 MiB beside a database of one."""
    database = opened(tmp_path / "one.sqlite")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    for _ in range(10):
        fill(database)
        database.write("DELETE FROM t")
    log = tmp_path / "one.sqlite-wal"
    assert log.stat().st_size > 10_000_000
    database.read("PRAGMA wal_checkpoint(PASSIVE)")
    database.write("INSERT INTO t VALUES (1)")
    assert log.stat().st_size <= 1024 * 1024
    database.close()
    assert not log.exists()


def test_two_heartbeats_after_a_burst_the_log_of_the_engine_is_small_again(tmp_path):
    """The first copies what the log holds into the file, and what the second writes begins the log anew."""

    async def main():
        store = await SqliteStore.open(tmp_path / "workflows.sqlite")
        epoch = await store.take_lease("me", 10**13)
        store._execute("PRAGMA wal_autocheckpoint = 0")
        store._execute("CREATE TABLE t (x)")
        with store._transaction():
            store._execute("INSERT INTO t VALUES (zeroblob(5000000))")
        sizes = [(tmp_path / "workflows.sqlite-wal").stat().st_size]
        for expires_at in (10**13 + 1, 10**13 + 2):
            assert store.renew_lease(epoch, expires_at)
            sizes.append((tmp_path / "workflows.sqlite-wal").stat().st_size)
        await store.close()
        return sizes

    burst, _, after = asyncio.run(main())
    assert burst > 5_000_000
    assert after <= 1024 * 1024
    assert [one.name for one in tmp_path.iterdir()] == ["workflows.sqlite"]


def test_the_log_of_a_d1_database_is_small_again_too(tmp_path):
    connection = Connection(tmp_path / "db.sqlite")
    connection.query("CREATE TABLE t (x)")
    connection.query("INSERT INTO t VALUES (zeroblob(1900000)), (zeroblob(1900000))")
    connection.checkpoint()
    connection.query("INSERT INTO t VALUES (1)")
    assert (tmp_path / "db.sqlite-wal").stat().st_size <= 1024 * 1024
    connection.close()
