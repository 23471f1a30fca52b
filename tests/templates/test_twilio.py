"""The template twilio as a person runs it: a new project, its stand-in, a session, all real processes."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.runtime.conftest import Dev, eventually
from tests.support.session import Place, place
from wrangler_py.cli.templates import create_project, find_template


@contextmanager
def stand_in(project: Path, *options: str) -> Iterator[str]:
    """Run the project's Twilio; give its URL."""
    command = [sys.executable, "-u", "stand_ins/twilio.py", "--port", "0", "--delay", "0", *options]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


@pytest.fixture
def project(tmp_path, monkeypatch) -> Iterator[Place]:
    """A new project of the template, whose sessions are gone afterwards."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with place(tmp_path / "my-app") as where:
        shutil.rmtree(where.project.root)
        create_project(find_template("twilio"), where.project.root, "my-app")
        yield where


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def verified(session: Dev, instance: str) -> dict[str, object]:
    def ended() -> object:
        found = json.loads(session.get(f"/verify/{instance}")[1])
        return found if found["status"] in {"complete", "errored"} else None

    found = eventually(ended, "the end of the verification")
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("number", "status"), [("+15550123456", "complete"), ("+15550120000", "errored")])
def test_a_number_is_verified_by_the_reply_that_the_stand_in_brings(project, number, status):
    port = free_port()
    options = ("--worker", f"http://127.0.0.1:{port}", "--failures", "0")
    with stand_in(project.project.root, *options) as twilio:
        session = project.dev("--port", str(port), "--var", f"TWILIO_API:{twilio}").ready()
        _, answer = session.get("/verify", "POST", json.dumps({"to": number}))
        found = verified(session, json.loads(answer)["id"])
    assert found["status"] == status
    if status == "complete":
        assert found["output"] == {"to": number, "verified": True, "asked_by": "sms"}
    else:
        assert re.search(r"error 21211", found["error"]["message"])


def test_the_secret_is_where_git_does_not_take_it(project):
    root = project.project.root
    assert "TWILIO_AUTH_TOKEN" in (root / ".dev.vars").read_text()
    assert ".dev.vars" in (root / ".gitignore").read_text().split()
