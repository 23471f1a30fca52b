"""A session over a damaged database does not begin: it says which file is damaged and what to do."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.runtime.conftest import is_running
from tests.runtime.test_privacy import full  # noqa: F401 - a fixture
from tests.support.serving import Server
from wrangler_py.errors import StateCorruptError
from wrangler_py.runtime.sessions import check_state
from wrangler_py.storage.database import Database

DATABASES = (
    "workflows.sqlite",
    "cron/cron.sqlite",
    "d1/db.sqlite",
    "do/my-app.alarms.sqlite",
    "kv/kv.sqlite",
    "queues/queues.sqlite",
    "r2/bucket/index.sqlite",
)


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribble(path: Path) -> None:
    """Write noise over the second page, as a bad disk does; the size stays."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096))


def test_dev_does_not_say_ready_over_a_database_cut_in_half(full, dev):  # noqa: F811
    session = dev().ready()
    assert session.get() == (200, "one")
    session.stop()
    assert {str(path.relative_to(full.state)) for path in full.state.rglob("*.sqlite")} >= set(DATABASES)
    for name in DATABASES:
        path = full.state / name
        whole = path.read_bytes()
        halve(path)
        broken = dev()
        assert broken.wait() == 1
        assert "Ready" not in broken.output
        assert name in broken.output
        assert "Restore it from a backup" in broken.output
        assert "Traceback" not in broken.output
        assert path.stat().st_size == len(whole) // 2
        path.write_bytes(whole)
    assert dev().ready().get() == (200, "one")


def test_serve_does_not_begin_either(tmp_path):
    server = Server(tmp_path / "one")
    server.deployments.close()
    halve(server.state / "deployments" / "deployments.sqlite")
    ended = server.second()
    assert ended.returncode == 1
    assert "deployments.sqlite" in ended.stderr
    assert "Restore it from a backup" in ended.stderr


@pytest.mark.parametrize("name", ["workflows.sqlite", "kv/kv.sqlite"])
def test_a_page_of_noise_is_found_too(tmp_path, name):
    path = tmp_path / name
    package = "wrangler_py.storage.kv" if name.startswith("kv") else "wrangler_py.storage.sqlite"
    Database.open(path, synchronous="NORMAL", package=package).close()
    check_state(tmp_path)
    scribble(path)
    with pytest.raises(StateCorruptError, match="damaged|not a usable"):
        check_state(tmp_path)


def test_a_row_that_breaks_a_constraint_of_the_user_is_no_damage(tmp_path):
    (tmp_path / "d1").mkdir()
    database = Database.open(
        tmp_path / "d1" / "db.sqlite", synchronous="NORMAL", package="wrangler_py.storage.kv"
    )
    database.execute("CREATE TABLE t (x CHECK (x > 0))")
    database.execute("PRAGMA ignore_check_constraints = ON")
    database.write("INSERT INTO t VALUES (-1)")
    database.close()
    check_state(tmp_path)


def test_checking_writes_nothing_and_takes_no_time_for_a_large_file(tmp_path):
    path = tmp_path / "workflows.sqlite"
    database = Database.open(path, synchronous="NORMAL", package="wrangler_py.storage.sqlite")
    database.execute("CREATE TABLE big (x)")
    with database.transaction():
        database.execute_many("INSERT INTO big VALUES (zeroblob(1048576))", [()] * 64)
    database.close()
    before = sorted(one.name for one in tmp_path.iterdir()), path.stat().st_mtime_ns
    began = time.process_time()
    check_state(tmp_path)
    assert time.process_time() - began < 0.05
    assert (sorted(one.name for one in tmp_path.iterdir()), path.stat().st_mtime_ns) == before


def test_a_database_that_another_process_writes_is_no_damage(full, dev):  # noqa: F811
    """A session was killed, and its worker is not gone yet, or a command writes beside."""
    session = dev().ready()
    session.get()
    assert is_running(session.worker_pid)
    check_state(full.state)
