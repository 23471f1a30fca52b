"""The folder of a server's sockets: one for a state, whatever ended the server before; never somebody else's."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from wrangler_py.runtime.fleet.sockets import sockets_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_server_has_left_is_used_again(temporary):
    first = sockets_folder(Path("/state"))
    (first / "1.sock").touch()
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert sockets_folder(Path("/state")) == first
    assert list(first.iterdir()) == []
    assert sockets_folder(Path("/other")) != first
    assert len(list(temporary.iterdir())) == 2


def test_a_folder_that_others_may_enter_is_not_used(temporary):
    first = sockets_folder(Path("/state"))
    first.chmod(0o755)
    (first / "kept").touch()
    second = sockets_folder(Path("/state"))
    assert second != first
    assert stat.S_IMODE(second.stat().st_mode) == 0o700
    assert (first / "kept").exists()


def test_a_link_is_not_followed(temporary):
    first = sockets_folder(Path("/state"))
    first.rmdir()
    (temporary / "precious").mkdir(mode=0o700)
    (temporary / "precious" / "file").touch()
    first.symlink_to(temporary / "precious")
    assert sockets_folder(Path("/state")) != first
    assert (temporary / "precious" / "file").exists()
