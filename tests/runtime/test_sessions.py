"""Who has a state directory, and where the session listens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from wrangler_py.config import load
from wrangler_py.errors import PortInUseError, StateLockedError, StateUnwritableError, UserError
from wrangler_py.runtime.listening import bind, names_of, url_of
from wrangler_py.runtime.sessions import (
    Session,
    SessionFile,
    StateLock,
    configs_of,
    find_session,
    session_of_config,
    session_on_port,
    state_directory,
    url_of_script,
)


@pytest.fixture
def session(tmp_path):
    lock = StateLock(tmp_path)
    lock.acquire()
    session = Session("http://127.0.0.1:4321", 4321, os.getpid(), 0, str(tmp_path), 7)
    SessionFile(tmp_path).write(session)
    yield session
    lock.release()


def test_the_state_lies_beside_the_configuration_or_where_it_is_told(project, monkeypatch):
    config = load(project.root / "wrangler.toml").config
    assert state_directory(config, None) == project.root / ".wrangler" / "state"
    monkeypatch.chdir(project.root / "src")
    assert state_directory(config, Path("mine")) == project.root / "src" / "mine"


def test_a_session_is_found_by_its_state_and_by_its_port(session, tmp_path):
    assert find_session(tmp_path) == session
    assert session_on_port(4321) == session
    assert session_on_port(4322) is None
    SessionFile(tmp_path).remove()
    assert find_session(tmp_path) is None
    assert session_on_port(4321) is None


def publish(state_dir: Path, started_at: int, *names: str) -> StateLock:
    """Make a running session with Workers ``names``; each is configured by a file of its name in ``state_dir``."""
    lock = StateLock(state_dir)
    lock.acquire()
    SessionFile(state_dir).write(
        Session(
            url=f"http://127.0.0.1:{started_at}",
            port=started_at,
            pid=os.getpid(),
            started_at=started_at,
            state_dir=str(state_dir),
            scripts={name: f"http://127.0.0.1:{started_at + at}" for at, name in enumerate(names)},
            configs=configs_of({name: state_dir / name for name in names}),
        )
    )
    return lock


def test_a_worker_is_found_near_first_and_then_where_it_was_started_last(tmp_path):
    locks = [publish(tmp_path / str(at), at, "shop", "mailer") for at in (2000, 4000, 3000)]
    assert url_of_script("mailer") == "http://127.0.0.1:4001"
    assert url_of_script("mailer", near=tmp_path / "2000") == "http://127.0.0.1:2001"
    assert url_of_script("mailer", near=tmp_path / "elsewhere") == "http://127.0.0.1:4001"
    assert url_of_script("stranger", near=tmp_path / "2000") is None
    for lock in locks:
        lock.release()
    assert url_of_script("mailer", near=tmp_path / "2000") is None


def test_a_session_is_found_by_the_file_of_each_of_its_workers_and_not_by_their_names(tmp_path):
    lock = publish(tmp_path / "one", 2000, "shop", "mailer")
    found = session_of_config(tmp_path / "one" / "mailer")
    assert found is not None
    assert found.url_of_config(tmp_path / "one" / "mailer") == "http://127.0.0.1:2001"
    assert found.url_of_config(tmp_path / "unknown") == found.url == "http://127.0.0.1:2000"
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert session_of_config(tmp_path / "link" / "shop") == found
    assert session_of_config(tmp_path / "two" / "mailer") is None
    lock.release()
    assert session_of_config(tmp_path / "one" / "mailer") is None


def test_a_session_that_died_is_not_found_although_its_file_is_there(tmp_path):
    lock = StateLock(tmp_path)
    lock.acquire()
    SessionFile(tmp_path).write(Session("http://127.0.0.1:4321", 4321, 1, 0, str(tmp_path)))
    lock.release()
    assert (tmp_path / "session.json").exists()
    assert find_session(tmp_path) is None
    assert session_on_port(4321) is None


def test_damaged_session_files_are_no_sessions(session, tmp_path):
    (tmp_path / "session.json").write_text("{")
    assert find_session(tmp_path) is None


def test_only_one_has_a_state_directory_and_the_other_is_told_who(session, tmp_path):
    with pytest.raises(StateLockedError, match=r"process \d+, http://127\.0\.0\.1:4321"):
        StateLock(tmp_path).acquire()


def test_looking_for_a_session_never_keeps_one_from_starting(tmp_path):
    """A look takes the lock for a moment; whoever starts then must not be told that another session has it."""
    looker = (
        "import pathlib\nfrom wrangler_py.runtime.sessions import _is_locked\n"
        f"path = pathlib.Path({str(tmp_path)!r}) / 'lock'\nprint('go', flush=True)\n"
        "while True: _is_locked(path)\n"
    )
    with subprocess.Popen([sys.executable, "-c", looker], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            for _ in range(50):
                lock = StateLock(tmp_path)
                lock.acquire()
                lock.release()
        finally:
            process.kill()


def test_an_unwritable_place_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateUnwritableError, match="cannot be written") as caught:
        StateLock(tmp_path / "file" / "state").acquire()
    assert "--persist-to" in (caught.value.hint or "")


def test_a_taken_port_is_refused_by_name(session):
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(
            PortInUseError, match=f"Port {port} on 127.0.0.1 is already in use by another program"
        ):
            bind("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(UserError, match="Cannot listen on 192.0.2.1:0"):
        bind("192.0.2.1", 0)


def test_loopback_has_no_other_names_and_every_address_has_some():
    with bind("127.0.0.1", 0) as listener:
        assert names_of(listener) == []
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    with bind("0.0.0.0", 0) as listener:
        assert socket.gethostname().lower() in names_of(listener)
        assert "0.0.0.0" not in names_of(listener)
        assert url_of(listener).startswith("http://127.0.0.1:")


def test_a_runtime_directory_that_is_missing_is_made_for_this_user_only(session, tmp_path, monkeypatch):
    """platformdirs passes over one that others may enter: the next session would look elsewhere."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run" / "user"))
    SessionFile(tmp_path).write(session)
    assert {oct((tmp_path / "run" / name).stat().st_mode & 0o777) for name in ("", "user")} == {"0o700"}
