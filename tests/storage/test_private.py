"""Nobody but the user who runs a session reads its state, whatever the umask is and was."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wrangler_py.errors import StateCorruptError
from wrangler_py.storage import private
from wrangler_py.storage.database import Database

PACKAGE = "wrangler_py.storage.kv"


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in folder.rglob("*")}


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o277, 0o777])
def test_the_umask_decides_nothing(tmp_path, mask):
    with umask(mask):
        private.make_folder(tmp_path / "a" / "b")
        with open(tmp_path / "a" / "file", "wb", opener=private.opener) as file:
            file.write(b"x")
        database = Database.open(tmp_path / "a" / "b" / "one.sqlite", synchronous="NORMAL", package=PACKAGE)
        database.write("CREATE TABLE t (x)")
    assert modes(tmp_path) == {
        "a": 0o700,
        "b": 0o700,
        "file": 0o600,
        "one.sqlite": 0o600,
        "one.sqlite-wal": 0o600,
        "one.sqlite-shm": 0o600,
    }
    database.close()


def test_a_folder_that_exists_keeps_its_permissions(tmp_path):
    """It may be the user's own: only folders that are made are closed."""
    tmp_path.chmod(0o755)
    private.make_folder(tmp_path / "state")
    assert (mode(tmp_path), mode(tmp_path / "state")) == (0o755, 0o700)


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(OSError, match="exists|Not a directory"):
            private.make_folder(folder)


def test_an_old_database_is_closed_to_others_when_it_is_opened_with_the_files_beside_it(tmp_path):
    path = tmp_path / "one.sqlite"
    before = Database.open(path, synchronous="NORMAL", package=PACKAGE)
    before.write("CREATE TABLE t (x)")
    for name in os.listdir(tmp_path):
        (tmp_path / name).chmod(0o644)
    Database.open(path, synchronous="NORMAL", package=PACKAGE).close()
    assert set(modes(tmp_path).values()) == {0o600}
    before.close()


def test_opening_a_database_again_leaves_the_locks_of_the_first_connection(tmp_path):
    """POSIX takes every lock of a process on a file as soon as it closes the file anywhere."""
    path = tmp_path / "one.sqlite"
    first = Database.open(path, synchronous="NORMAL", package=PACKAGE)
    locked = Path("/proc/locks").read_text().count(f":{path.stat().st_ino} ")
    assert locked
    private.claim_database(path)
    assert Path("/proc/locks").read_text().count(f":{path.stat().st_ino} ") == locked
    first.close()


def test_an_open_state_is_closed_to_others_with_all_in_it_once(tmp_path):
    state = tmp_path / "state"
    (state / "r2" / "photos" / "blobs").mkdir(parents=True)
    (state / "r2" / "photos" / "blobs" / "1").write_text("x")
    (state / "outside").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").touch(0o644)
    for path in (state, *state.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    assert private.mend(state) == 5
    assert mode(state / "r2" / "photos" / "blobs") == 0o700
    assert not mode(state / "r2" / "photos" / "blobs" / "1") & 0o077
    assert mode(tmp_path / "precious") == 0o644
    assert private.mend(state) == 0


def test_the_database_of_another_program_keeps_its_permissions(tmp_path):
    path = tmp_path / "one.sqlite"
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE songs (title)")
    theirs.close()
    path.chmod(0o644)
    with pytest.raises(StateCorruptError):
        Database.open(path, synchronous="NORMAL", package=PACKAGE)
    assert mode(path) == 0o644
