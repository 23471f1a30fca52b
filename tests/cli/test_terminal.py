"""Colours and live screens only where they are wanted."""

import io
import os
import pty
import select
import subprocess
import sys
import time

import pytest

from tests.cli.recorded import FIRST, SLEEPING, SLEPT, detail, listed
from wrangler_py.cli.terminal import is_plain, printable

ESCAPE = b"\x1b"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("CI", "true"), ("TERM", "dumb")])
def test_a_terminal_is_plain_when_its_owner_says_so(monkeypatch, name, value):
    assert not is_plain(Terminal())
    monkeypatch.setenv(name, value)
    assert is_plain(Terminal())


def test_a_pipe_is_plain():
    assert is_plain(io.StringIO())


def test_control_characters_become_visible_and_everything_else_stays():
    assert printable("é ✅\t👩\u200d💻\na\x1b[0m\x00\x7f") == "é ✅\t👩\u200d💻\na\\x1b[0m\\x00\\x7f"


def in_terminal(session, *arguments, columns=80, **environment):
    """Run the command in a terminal of its own; return what it wrote there, and its exit code."""
    master, slave = pty.openpty()
    variables = {**os.environ, "COLUMNS": str(columns), "LINES": "24", "TZ": "UTC", **environment}
    command = [sys.executable, "-c", "from wrangler_py.cli import main; main()", *arguments]
    process = subprocess.Popen(
        [*command, "--port", str(session.port)], stdin=slave, stdout=slave, stderr=slave, env=variables
    )
    os.close(slave)
    written = _read(process, master)
    os.close(master)
    return written, process.wait(timeout=20)


def _read(process, master):
    written, deadline = b"", time.monotonic() + 30
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 0.05)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        written += part
    return written


def test_a_terminal_of_80_columns_shows_every_id_whole(session):
    ids = [f"{number:08}-ab39-4c5e-9a58-0a4a5f6b7c01" for number in range(3)]
    session.answer("GET /wf/instances", [listed(one, "waitingForPause") for one in ids])
    written, code = in_terminal(session, "workflows", "instances", "list", "wf")
    text = written.decode()
    assert code == 0
    assert all(one in text for one in ids)
    assert "…" not in text
    assert ESCAPE in written


@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, {"CI": "1"}, {"TERM": "dumb"}])
def test_a_plain_terminal_gets_no_escape_codes(session, plain):
    session.answer("GET /wf/instances/i", detail())
    written, code = in_terminal(session, "workflows", "instances", "describe", "wf", "i", **plain)
    assert code == 0
    assert b"Workflow Name:" in written
    assert ESCAPE not in written


def test_watch_redraws_a_terminal_until_the_instance_has_ended(session):
    states = [detail("running", [FIRST]), detail("waiting", [FIRST, SLEEPING]), detail(steps=[FIRST, SLEPT])]
    session.answer("GET /wf/instances/i", *states)
    written, code = in_terminal(session, "workflows", "instances", "watch", "wf", "i", columns=120)
    text = written.decode()
    assert code == 0
    assert text.index("Running") < text.index("wakes in") < text.index("Completed")


def test_output_that_the_encoding_cannot_hold_does_not_fail(session):
    session.answer("GET /wf/instances/i", detail())
    variables = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", "from wrangler_py.cli import main; main()"]
    arguments = ["workflows", "instances", "describe", "wf", "i", "--port", str(session.port)]
    done = subprocess.run(
        [*command, *arguments], env=variables, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "? Completed" in done.stdout


def ends(command, **streams):
    """Run pywrangler's ``command`` with the shell's redirections; return its exit code and what it complained."""
    run = 'exec "$0" -c "from wrangler_py.cli import main; main()" '
    done = subprocess.run(
        ["/bin/sh", "-c", run + command, sys.executable],
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
        **streams,
    )
    return done.returncode, done.stderr.decode()


@pytest.fixture
def project(tmp_path):
    workflow = '[[workflows]]\nname = "wf"\nbinding = "WF"\nclass_name = "Wf"\n'
    (tmp_path / "wrangler.toml").write_text(f'name = "app"\nmain = "entry.py"\n{workflow}')
    (tmp_path / "entry.py").write_text("")
    return tmp_path


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["--version", "--help", "workflows list", "workflows list --json"])
def test_output_that_could_not_be_written_is_told_once_and_is_no_bug(project, command):
    lost = "✘ [ERROR] The output could not be written: No space left on device\n"
    assert ends(f"{command} >/dev/full", cwd=project) == (1, lost)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_bytes_that_could_not_be_written_are_told_alike(project):
    with (project / "wrangler.toml").open("a") as config:
        config.write('[[kv_namespaces]]\nbinding = "KV"\nid = "kv"\n')
    assert ends("kv key put k v --binding KV >/dev/null", cwd=project) == (0, "")
    lost = "✘ [ERROR] The output could not be written: No space left on device\n"
    assert ends("kv key get k --binding KV >/dev/full", cwd=project) == (1, lost)


def test_closed_streams_are_none_of_our_business(project):
    assert ends("workflows list >&-", cwd=project) == (0, "")
    assert ends("workflows list >/dev/null 2>&-", cwd=project) == (0, "")


def test_a_reader_that_has_gone_is_told_nothing(project):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert ends("workflows list --json", cwd=project, stdout=writing) == (1, "")
    finally:
        os.close(writing)
