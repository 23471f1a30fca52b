"""User data on a screen is visible, never obeyed: no byte of it reaches the terminal as a command."""

import io
import json
import re
import sys

import pytest
from rich.text import Text
from rich.tree import Tree

from tests.cli.recorded import (
    FAILED,
    FIRST,
    RETRYING,
    SLEPT,
    TERMINATION,
    WAITING,
    WORKING,
    WRITTEN,
    detail,
    now,
)
from wrangler_py.cli import terminal
from wrangler_py.cli.failures import leave
from wrangler_py.cli.screens.instance import Picture
from wrangler_py.cli.screens.tables import Line, labelled, table
from wrangler_py.cli.screens.watch import JsonView, LineView, drawing
from wrangler_py.errors import UserError, WorkerLoadError

#: Each byte a terminal obeys: those of ASCII, those of eight bits (0x9b alone begins a command), and what turns the
#: direction of a line round.
COMMANDS = [
    chr(code)
    for code in [*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
    if chr(code) not in "\n\t"
]
HOSTILE = "".join(f"{command}31m" for command in COMMANDS)
OBEYED = re.compile("[" + "".join(map(re.escape, COMMANDS)) + "]")
#: Fields that hold text of users.
OWN = {"name", "message", "output", "event_type", "stack", "id", "workflow"}


def is_literal(written: str) -> bool:
    """Return True if all of HOSTILE was written out, and none of it as it is."""
    return not OBEYED.search(written) and r"\x9b31m" in written.replace("\\u00", "\\x")


def hostile(value, key=""):
    """Return a record with HOSTILE behind every text of a user."""
    if isinstance(value, dict):
        return {key: hostile(each, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [hostile(each, key) for each in value]
    return f"{value}{HOSTILE}-1" if key in OWN and isinstance(value, str) else value


RECORDS = [
    detail(),
    detail("waiting", [FIRST, SLEPT, RETRYING]),
    detail("running", [WORKING, WAITING]),
    detail("errored", [WRITTEN], error=FAILED | {"stack": "a\nb"}, success=False),
    detail("terminated", [TERMINATION]),
]


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("width", [40, 400])
def test_a_picture_of_an_instance_is_literal(record, width):
    stream = io.StringIO()
    console = terminal.screen(stream)
    console.width = width
    Picture("wf" + HOSTILE, now("13:56:32.010"), 5000).print(console, hostile(record))
    assert not OBEYED.search(stream.getvalue())
    assert "\\x9b" in stream.getvalue()


@pytest.mark.parametrize("record", RECORDS)
def test_a_live_screen_is_literal(record):
    stream = io.StringIO()
    terminal.screen(stream).print(drawing("wf" + HOSTILE, hostile(record), now("13:56:32.010"), None))
    assert is_literal(stream.getvalue())


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("view", [lambda: LineView("wf" + HOSTILE), JsonView])
def test_what_watch_writes_into_a_pipe_is_literal(capsys, record, view):
    view().show(hostile(record))
    assert is_literal(capsys.readouterr().out)


@pytest.mark.parametrize(
    "thing",
    [
        lambda console: HOSTILE,
        lambda console: Text(HOSTILE, style="bold"),
        lambda console: Tree(HOSTILE),
        lambda console: table(console, ["head" + HOSTILE], [[HOSTILE]]),
        lambda console: labelled([Line("label" + HOSTILE, HOSTILE, "red")]),
    ],
)
def test_whatever_a_screen_shows_is_literal(thing):
    stream = io.StringIO()
    console = terminal.screen(stream)
    console.print(thing(console))
    assert is_literal(stream.getvalue())


@pytest.mark.parametrize("write", [terminal.say, terminal.note, terminal.warn, terminal.complain])
def test_every_line_is_literal(capsys, write):
    write(HOSTILE)
    captured = capsys.readouterr()
    assert is_literal(captured.out + captured.err)


def test_json_is_literal_and_means_the_same(capsys):
    value = {HOSTILE: [HOSTILE, "é\n\t\\u009b\\", 1]}
    terminal.print_json(value)
    written = capsys.readouterr().out
    assert is_literal(written)
    assert json.loads(written) == value


@pytest.mark.parametrize(
    "error",
    [
        UserError(HOSTILE, hint=HOSTILE),
        WorkerLoadError(HOSTILE, traceback=f"line 1\n{HOSTILE}"),
        ValueError(HOSTILE),
    ],
)
@pytest.mark.parametrize("verbose", [False, True])
def test_every_error_is_literal(capsys, error, verbose):
    with pytest.raises(BaseException):  # noqa: B017 - typer's Exit
        leave(error, verbose=verbose)
    assert is_literal(capsys.readouterr().err)


def test_colours_of_a_screen_stay(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    terminal.screen(stream).print(Text("red" + HOSTILE, style="red"))
    assert "\x1b[31m" in stream.getvalue()
    assert "\x9b" not in stream.getvalue()
    assert sys.stdout is not stream
